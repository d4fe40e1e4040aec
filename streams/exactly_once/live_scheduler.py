"""In service: which records are decided next, behind the barrier, and at which moment.

Rules of this module
1. `now` is read before the barrier is asked: everything acknowledged before `now` lies below the answer and is applied
   first, in this batch or an earlier one.
2. Records of other topics enter the batch only if they had arrived before the barrier was asked. Whatever a customer
   had said before they were published therefore lies below the answer too.
3. Records of barrier topics wait for nothing. A partition whose barrier is not reached yet applies them alone and does
   not hold up the other partitions of its lane.
4. What became due without a record comes last. It waits for the barrier only if it may approve something: then exactly
   as intents do.
5. `now` of a partition never goes back, so it stays ahead after a clock has run ahead. A partition that is too far
   ahead chooses nothing, not even preferences, until the clock has caught up: no decision is made that far in the
   future.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.exactly_once.barrier import Barrier
    from streams.exactly_once.input_queue import Peeked
    from streams.exactly_once.interfaces import Clock, Observer
    from streams.exactly_once.partition import Limits, PartitionBatch, PartitionState
    from streams.exactly_once.wake_signal import WakeSignal

STALE_MOMENT_MS: Final = 500
"""A moment older than this is not decided at; the barrier is asked again. A quarter of the limit for a commit."""

ASKS_PER_BATCH: Final = 3
"""After this many stale moments the batch is decided at the last one; the commit limit then judges it."""


class LiveScheduler:
    """Chooses batches by rank behind the barrier."""

    def __init__(
        self,
        barrier: Barrier,
        clock: Clock,
        observer: Observer,
        *,
        ahead_limit_seconds: float,
    ) -> None:
        self.is_clock_wrong = False
        """Whether a partition waits for the clock to catch up with its latest decision."""
        self._barrier = barrier
        self._clock = clock
        self._observer = observer
        self._ahead_limit_ms = ahead_limit_seconds * 1000

    async def choose(
        self, partitions: Sequence[PartitionState], limits: Limits, wake_signal: WakeSignal
    ) -> tuple[list[PartitionBatch], int]:
        """What each partition contributes, and the moment it is decided at. Nothing once the lane is halted."""
        for _ in range(ASKS_PER_BATCH):
            moment_ms = self._clock.now_ms()
            in_time = self._in_time(partitions, moment_ms)
            asking = [state for state in in_time if _needs_barrier(state)]
            cuts = {state.partition: {i.topic.name: i.arrived for i in state.other_queues} for state in asking}
            ready = await self._barrier.passed(asking, in_time, wake_signal)
            if wake_signal.is_halted():
                return [], moment_ms
            if not ready or self._clock.now_ms() - moment_ms <= STALE_MOMENT_MS:
                break
        chosen = [
            _choose(state, limits, moment_ms, cuts[state.partition] if state.partition in ready else None)
            for state in in_time
        ]
        return [partition_batch for partition_batch in chosen if partition_batch is not None], moment_ms

    def _in_time(self, partitions: Sequence[PartitionState], moment_ms: int) -> list[PartitionState]:
        """The partitions whose latest decision is not too far ahead of the clock."""
        ahead_ms = max((state.latest_ms - moment_ms for state in partitions), default=0)
        self.is_clock_wrong = ahead_ms > self._ahead_limit_ms
        if self.is_clock_wrong:
            self._observer.clock_difference(ahead_ms / 1000)
        return [state for state in partitions if state.latest_ms - moment_ms <= self._ahead_limit_ms]


def _needs_barrier(state: PartitionState) -> bool:
    """Whether anything waits here that may only be decided behind the barrier."""
    return any(input_queue.queue for input_queue in state.other_queues) or (
        bool(state.due.keys) and state.due.needs_barrier
    )


def _choose(state: PartitionState, limits: Limits, now_ms: int, cuts: dict[str, int] | None) -> PartitionBatch | None:
    """What a partition contributes, by rank and within the limits.

    `cuts` are the offsets before which records of the topics behind the barrier may be taken; a topic without one
    waits, and all of them wait while barrier records are left over. None: the barrier is not passed.
    """
    peeked: dict[str, Peeked] = {}
    room_records, room_bytes = limits
    for input_queue in state.input_queues:
        cut = None if input_queue.topic.barrier or cuts is None else cuts.get(input_queue.topic.name)
        if not input_queue.queue or (cut is None and not input_queue.topic.barrier):
            continue
        of_topic = input_queue.peek(room_records, room_bytes, cut)
        peeked[input_queue.topic.name] = of_topic
        room_records -= len(of_topic.records)
        room_bytes -= of_topic.size_bytes
        if room_records <= 0 or room_bytes <= 0 or (input_queue.topic.barrier and not of_topic.is_all):
            break
    records = [record for of_topic in peeked.values() for record in of_topic.records]
    due = state.due.keys
    if state.due.needs_barrier and (cuts is None or not _has_applied_all(state, peeked)):
        due = ()
    if not records and not due:
        return None
    moment_ms = max(now_ms, state.latest_ms)
    return state.partition_batch(records, [moment_ms] * len(records), peeked, due, moment_ms if due else 0)


def _has_applied_all(state: PartitionState, peeked: dict[str, Peeked]) -> bool:
    """Whether the batch leaves nothing over of what has arrived on the barrier topics."""
    return all(
        not input_queue.queue or (input_queue.topic.name in peeked and peeked[input_queue.topic.name].is_all)
        for input_queue in state.barrier_queues
    )
