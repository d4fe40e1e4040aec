"""A lane: one loop that owns a share of the worker's partitions and commits one transaction per batch.

    take what arrived → barrier → apply per partition → one transaction → merge → tell the observer

Invariants
1. Each partition has exactly one lane at a time; everything of a batch happens in this one task.
2. An aborted batch has changed nothing. The next batch is chosen and decided from scratch, at a new moment.
3. While the lane is halted, nothing is decided. `pause` returns when no batch is under way.
4. What becomes due without a record is found in steps between batches and committed like a batch. Where nothing is to
   be changed there is no transaction.
5. Anything unforeseen stops the lane for good and is reported; the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from streams.exactly_once.batch_limit import BatchLimit
from streams.exactly_once.clients import loop_seconds
from streams.exactly_once.errors import LaneError, TransactionRefusedError
from streams.exactly_once.interfaces import NOTHING_DUE
from streams.exactly_once.partition import Limits
from streams.exactly_once.transaction import TransactionAborted
from streams.exactly_once.wake_signal import WakeSignal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streams.exactly_once.due_work import DueWork
    from streams.exactly_once.fencing import Membership
    from streams.exactly_once.interfaces import BatchResult, Observer, StateMachine
    from streams.exactly_once.partition import PartitionBatch, PartitionState
    from streams.exactly_once.settings import EngineSettings
    from streams.exactly_once.transaction import TransactionWriter

LATE_IN_A_ROW_MAX: Final = 10
"""The worker ends after more consecutive late batches than this. Each is half as large as the one before, so the last
ones are tiny, and their size is not the reason."""

REFUSED_IN_A_ROW_MAX: Final = 3
"""The worker ends after this many consecutive refusals: the same records would be refused again."""

CLOCK_RECHECK_SECONDS: Final = 1.0
"""Pause between comparisons while the clocks differ too much."""

NOTHING_CHOSEN_SECONDS: Final = 0.25
"""Wait when records are queued but none could be chosen; arrivals end it earlier."""


class Scheduler(Protocol):
    """Which records are decided next, and at which moment."""

    is_clock_wrong: bool
    """Whether records were left undecided because the clock is behind earlier decisions."""

    async def choose(
        self, partitions: Sequence[PartitionState], limits: Limits, wake_signal: WakeSignal
    ) -> tuple[list[PartitionBatch], int]: ...


class Lane:
    """One loop of a worker."""

    def __init__(
        self,
        number: int,
        settings: EngineSettings,
        writer: TransactionWriter,
        scheduler: Scheduler,
        observer: Observer,
        state_machine: Callable[[], StateMachine],
        *,
        decisions_age: bool,
        due_work: DueWork | None = None,
        on_progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.number = number
        self._partitions: Mapping[int, PartitionState] = {}
        self._wake_signal = WakeSignal()
        self._clocks_differ = False
        self._is_behind = False
        self._settings = settings
        self._writer = writer
        self._scheduler = scheduler
        self._observer = observer
        self._state_machine = state_machine
        self._decisions_age = decisions_age
        self._due_work = due_work
        self._on_progress = on_progress
        self._batch_under_way = asyncio.Lock()
        self._limit = BatchLimit(settings.max_batch_records)
        self._late_in_a_row = 0
        self._refused_in_a_row = 0
        self._looks_for_too_large = False

    @property
    def is_clock_wrong(self) -> bool:
        """Whether the lane holds back because its clock differs from the broker's, or is behind the decisions."""
        return self._clocks_differ or self._is_behind

    async def start(self) -> None:
        """Start the producers. Partitions come with `resume`."""
        await self._writer.start()

    async def stop(self) -> None:
        """Close the producers. The loop must have ended, or the lane be halted."""
        await self._writer.stop()

    def is_halted(self) -> bool:
        """Whether nothing may be decided until `resume`."""
        return self._wake_signal.is_halted()

    def halt(self) -> None:
        """Decide nothing until `resume`. A batch that waits at the barrier is abandoned; a decided one is finished."""
        self._wake_signal.halt()

    async def pause(self) -> None:
        """Halt, and return once no batch is under way."""
        self.halt()
        async with self._batch_under_way:
            pass

    def resume(self, membership: Membership, partitions: Mapping[int, PartitionState]) -> None:
        """Decide on exactly these partitions from now on, as this member of the group."""
        self._partitions = partitions
        self._writer.act_for(membership)
        if self._due_work is not None:
            self._due_work.restart(self._partitions.values())
        self._is_behind = False  # that may have been of a partition now gone
        self._wake_signal.resume()

    def wake(self) -> None:
        """Something has arrived on a partition of the lane."""
        self._wake_signal.wake()

    async def run(self) -> None:
        """The loop. Ends only by cancellation or with the error that stops the worker."""
        while True:
            if self._wake_signal.is_halted() or not self._has_work():
                await self._wake_signal.wait(self._seconds_to_next())
                continue
            async with self._batch_under_way:
                pause_seconds = await self._run_batch()
            if pause_seconds:
                await self._wait(pause_seconds)

    def _has_work(self) -> bool:
        return any(state.has_work() for state in self._partitions.values()) or self._seconds_to_next() == 0.0

    def _seconds_to_next(self) -> float | None:
        """Until due work is looked for again; None while it is not."""
        return None if self._due_work is None or self._wake_signal.is_halted() else self._due_work.seconds_to_next()

    async def _wait(self, seconds: float) -> None:
        """Arrivals end the wait for something to choose early, but not the wait for clocks to agree."""
        if self._clocks_differ:
            await asyncio.sleep(seconds)
        else:
            await self._wake_signal.wait(seconds)

    async def _run_batch(self) -> float:
        """One batch. Returns how long to wait before the next."""
        if self._due_work is not None:
            self._due_work.step(self._state_machine())
        states = [state for state in self._partitions.values() if state.has_work()]
        if not states:
            return 0.0
        share = max(1, sum(state.has_queued() for state in states))
        limits = Limits(max(1, self._most_records(states) // share), max(1, self._settings.max_batch_bytes // share))
        partition_batches, decided_at_ms = await self._scheduler.choose(states, limits, self._wake_signal)
        if self._wake_signal.is_halted():
            return 0.0
        if self._is_behind != self._scheduler.is_clock_wrong:
            self._is_behind = self._scheduler.is_clock_wrong
            self._on_progress()
        if not partition_batches:
            return NOTHING_CHOSEN_SECONDS
        began_at = loop_seconds()
        partition_batches, results = await self._apply(partition_batches)
        if not partition_batches:
            return 0.0
        try:
            committed_at_ms = await self._writer.write(
                partition_batches, results, decided_at_ms if self._decisions_age else None
            )
        except TransactionAborted as aborted:
            self._observer.batch_aborted(aborted.reason)
            return self._after_abort(aborted)
        if self._decisions_age:
            records = sum(len(partition_batch.records) for partition_batch in partition_batches)
            now = loop_seconds()
            self._limit.committed(records, now - began_at, now)
        self._after_commit(partition_batches, results, decided_at_ms, committed_at_ms)
        return 0.0

    def _most_records(self, states: Sequence[PartitionState]) -> int:
        """How many records the next batch may hold. Where decisions do not age, nobody waits for them either."""
        if not self._decisions_age:
            return self._settings.max_batch_records
        is_urgent = any(state.has_preferred() for state in states)
        return self._limit.next_records(loop_seconds(), is_urgent=is_urgent)

    async def _apply(
        self, partition_batches: Sequence[PartitionBatch]
    ) -> tuple[list[PartitionBatch], list[BatchResult]]:
        """What is to be committed, and the result of each."""
        state_machine = self._state_machine()
        applied, results = [], []
        for partition_batch in partition_batches:
            apply = (
                partial(self._writer.sizes.apply, state_machine) if self._looks_for_too_large else state_machine.apply
            )
            result = apply(partition_batch.as_batch(), partition_batch.state.store)
            if partition_batch.records or result.outputs or result.changes:
                applied.append(partition_batch)
                results.append(result)
            else:
                partition_batch.state.due = NOTHING_DUE  # it was due when it was found, and is not any more
            await asyncio.sleep(0)  # arrivals and revocations get their turn between partitions
        return applied, results

    def _after_commit(
        self,
        partition_batches: Sequence[PartitionBatch],
        results: Sequence[BatchResult],
        decided_at_ms: int,
        committed_at_ms: int,
    ) -> None:
        self._late_in_a_row = self._refused_in_a_row = 0
        self._looks_for_too_large = False
        self._clocks_differ = False
        for partition_batch, result in zip(partition_batches, results, strict=True):
            partition_batch.state.merge(partition_batch, result)
            self._observer.committed(
                partition_batch.state.partition,
                result.tally,
                decided_at_ms=decided_at_ms,
                committed_at_ms=committed_at_ms,
            )
        self._on_progress()

    def _after_abort(self, aborted: TransactionAborted) -> float:
        """Do differently next time. Returns how long to wait, or ends the lane."""
        if aborted.reason == TransactionAborted.CLOCK:
            self._clocks_differ = True
            self._on_progress()
            return CLOCK_RECHECK_SECONDS
        if aborted.reason == TransactionAborted.LATE:
            self._late_in_a_row += 1
            self._limit.late()
            if self._late_in_a_row > LATE_IN_A_ROW_MAX:
                raise LaneError(
                    f"lane {self.number}: {self._late_in_a_row} batches in a row could not be committed in time"
                )
            return 0.0
        if aborted.reason == TransactionAborted.UNANSWERED:
            return 0.0  # the producer that replaced this one has waited until the brokers had ended it
        # The limits are known by now, so the next batch finds whose answer is too large. If it is no record's, the
        # broker refuses it again until the lane ends.
        self._looks_for_too_large = aborted.reason == TransactionAborted.TOO_LARGE
        self._refused_in_a_row += 1
        if self._refused_in_a_row >= REFUSED_IN_A_ROW_MAX:
            raise TransactionRefusedError(
                f"lane {self.number}: a transaction was refused {self._refused_in_a_row} times: {aborted.detail}"
            )
        return 0.0


async def cancel(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it has ended, however it does."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
