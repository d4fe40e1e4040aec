"""With the record clock: the one order in which a partition's records are decided, whatever arrives when.

Rules of this module
1. The heads of the input topics are merged by (timestamp, rank, offset). Nothing is chosen while a topic that has not
   reached its end has no head.
2. `now` of a record is the largest timestamp among it, the records before it, and the meta record.
3. Records beyond the ends taken at start are left alone.

So the values of a run do not depend on the cuts of its batches.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING

from streams.exactly_once.input_queue import Peeked, size_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.exactly_once.input_queue import InputQueue
    from streams.exactly_once.interfaces import Clock
    from streams.exactly_once.partition import Limits, PartitionBatch, PartitionState
    from streams.exactly_once.wake_signal import WakeSignal
    from streams.records import InputRecord


class ReplayScheduler:
    """Chooses batches by record time."""

    is_clock_wrong = False
    """Never: no clock is read."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def choose(
        self, partitions: Sequence[PartitionState], limits: Limits, wake_signal: WakeSignal
    ) -> tuple[list[PartitionBatch], int]:
        """What each partition contributes. The moment is only that of the transaction, not of any decision."""
        if wake_signal.is_halted():
            return [], 0
        chosen = [merge_heads(state, limits) for state in partitions]
        return [partition_batch for partition_batch in chosen if partition_batch is not None], self._clock.now_ms()


def is_finished(state: PartitionState) -> bool:
    """Whether everything before the partition's ends is decided."""
    return all(
        input_queue.arrived >= state.ends[input_queue.topic.name]
        and input_queue.oldest_offset >= state.ends[input_queue.topic.name]
        for input_queue in state.input_queues
    )


def merge_heads(state: PartitionState, limits: Limits) -> PartitionBatch | None:
    """The next records of the partition's one order, as many as are certain and fit."""
    heap: list[tuple[int, int, int, int]] = []
    readers = [_Reader(input_queue, state.ends[input_queue.topic.name]) for input_queue in state.input_queues]
    for index, reader in enumerate(readers):
        if not reader.push_head(heap, index):
            return None
    records: list[InputRecord] = []
    moments_ms: list[int] = []
    now_ms = state.latest_ms
    total_bytes = 0
    while heap and len(records) < limits.records:
        timestamp_ms, _, _, index = heappop(heap)
        reader = readers[index]
        record = reader.take()
        total_bytes += size_bytes(record)
        now_ms = max(now_ms, timestamp_ms)
        records.append(record)
        moments_ms.append(now_ms)
        if total_bytes >= limits.size_bytes or not reader.push_head(heap, index):
            break
    if not records:
        return None
    peeked = {reader.input_queue.topic.name: reader.peeked() for reader in readers if reader.taken}
    return state.partition_batch(records, moments_ms, peeked)


class _Reader:
    """Reads along one queue without changing it."""

    def __init__(self, input_queue: InputQueue, end: int) -> None:
        self.input_queue = input_queue
        self.taken = 0
        self._end = end
        self._records: Iterator[InputRecord] = iter(input_queue.queue)
        self._head: InputRecord | None = None
        self._last_offset = -1

    def push_head(self, heap: list[tuple[int, int, int, int]], index: int) -> bool:
        """Put the next record on the heap. False if it is not known yet whether there is one."""
        head = next(self._records, None)
        if head is None:
            return self.input_queue.arrived >= self._end
        if head.offset < self._end:
            self._head = head
            heappush(heap, (head.timestamp_ms, self.input_queue.topic.rank, head.offset, index))
        return True

    def take(self) -> InputRecord:
        """The record last put on the heap."""
        assert self._head is not None
        self.taken += 1
        self._last_offset = self._head.offset
        return self._head

    def peeked(self) -> Peeked:
        """What was taken, in the shape the partition counts it in."""
        is_all = self.taken == len(self.input_queue.queue)
        next_position = self.input_queue.arrived if is_all else self._last_offset + 1
        records = [record for record, _ in zip(self.input_queue.queue, range(self.taken), strict=False)]
        return Peeked(records, 0, next_position, is_all)
