"""How far behind each partition is: records not decided, and how old the oldest of them is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.structs import TopicPartition

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.exactly_once.interfaces import Clock, Observer
    from streams.exactly_once.offsets import OffsetClient
    from streams.exactly_once.partition import PartitionState


async def report_lag(
    partitions: Mapping[int, PartitionState],
    offsets: OffsetClient,
    clock: Clock,
    observer: Observer,
    halted: Callable[[], bool],
) -> None:
    """One report per input topic partition. Offsets of transaction markers not yet fetched count as records."""
    input_queues = {
        TopicPartition(input_queue.topic.name, state.partition): input_queue
        for state in partitions.values()
        for input_queue in state.input_queues
    }
    ends = await offsets.ends(input_queues, halted)
    if ends is None:
        return
    now_ms = clock.now_ms()
    for where, input_queue in input_queues.items():
        records = max(0, ends[where] - input_queue.oldest_offset)
        age_ms = now_ms - input_queue.queue[0].timestamp_ms if input_queue.queue else 0
        observer.lag(where.topic, where.partition, records, max(0, age_ms) / 1000)
