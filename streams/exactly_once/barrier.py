"""The barrier: nothing is decided before everything that was acknowledged on the barrier topics has arrived.

Rules of this module
1. The brokers are asked after the moment of decision was read: what was acknowledged before that moment lies below the
   answer.
2. A partition passes once everything below the answer has arrived, and not before.
3. Partitions that have passed wait `PATIENCE_SECONDS` for the others, then go first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiokafka.structs import TopicPartition

from streams.exactly_once.clients import loop_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streams.exactly_once.interfaces import Observer
    from streams.exactly_once.offsets import OffsetClient
    from streams.exactly_once.partition import PartitionState
    from streams.exactly_once.wake_signal import WakeSignal

PATIENCE_SECONDS: Final = 0.05
"""How long ready partitions wait for those that are not: twice what a fetch takes. Then they go first."""

ALARM_SECONDS: Final = 1.0
"""A barrier that is not reached within this is reported, and again each time it has passed."""


class Barrier:
    """The barrier of one lane."""

    def __init__(
        self, offsets: OffsetClient, observer: Observer, monotonic: Callable[[], float] = loop_seconds
    ) -> None:
        self._offsets = offsets
        self._observer = observer
        self._monotonic = monotonic
        # Since when each partition has been behind its barrier, over all batches that went without it.
        self._behind_since: dict[int, float] = {}
        self._reported_at = 0.0

    async def passed(
        self, asking: Sequence[PartitionState], partitions: Sequence[PartitionState], wake_signal: WakeSignal
    ) -> set[int]:
        """Those of the asking partitions that may decide; none once the lane is halted.

        `partitions` are all that the batch may take records of.
        """
        topic_partitions = {
            TopicPartition(input_queue.topic.name, state.partition): input_queue
            for state in asking
            for input_queue in state.barrier_queues
        }
        if not topic_partitions:
            return {state.partition for state in asking}
        began_at = self._monotonic()
        ends = await self._offsets.ends(topic_partitions, wake_signal.is_halted)
        if ends is None:
            return set()
        while not wake_signal.is_halted():
            behind = {tp.partition for tp, input_queue in topic_partitions.items() if input_queue.arrived < ends[tp]}
            self._note(behind, began_at)
            waited = self._monotonic() - began_at
            if not behind or (waited >= PATIENCE_SECONDS and _can_go_without(behind, asking, partitions)):
                break
            await wake_signal.wait(PATIENCE_SECONDS)
        self._observer.barrier_waited(self._monotonic() - began_at)
        return {state.partition for state in asking} - behind if not wake_signal.is_halted() else set()

    def _note(self, behind: set[int], asked_at: float) -> None:
        """Report what has been behind for too long: the progress of other partitions must not hide it."""
        self._behind_since = {partition: self._behind_since.get(partition, asked_at) for partition in behind}
        now = self._monotonic()
        longest = max((now - since for since in self._behind_since.values()), default=0.0)
        if longest >= ALARM_SECONDS and now - self._reported_at >= ALARM_SECONDS:
            self._reported_at = now
            self._observer.barrier_unanswered(longest)


def _can_go_without(behind: set[int], asking: Sequence[PartitionState], partitions: Sequence[PartitionState]) -> bool:
    """Whether a batch without the decisions of these partitions has anything in it."""
    return any(state.partition not in behind for state in asking) or any(
        (state.due.keys and not state.due.needs_barrier)
        or any(input_queue.queue for input_queue in state.barrier_queues)
        for state in partitions
    )
