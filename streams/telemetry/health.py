"""Whether this worker should be restarted (liveness) and whether it is deciding (readiness), each with its reason.

Rules of this module
1. Liveness never depends on a broker, a policy or a clock, because a restart repairs none of them and costs a restore.
   The only reason to restart is that lanes have work, may do it, and show no sign of life.
2. Readiness is false from the moment at which partitions are revoked until those that replace them are restored. It is
   also false whenever something is missing on which the promises rest.
3. Nothing here reads a clock of its own. Time comes from the `monotonic` function that is passed in.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STALL_SECONDS = 120.0
"""A worker with work that shows no sign of life for this long is stuck. A limit
below the longest commit plus a rebalance (about a minute) would restart healthy workers. A longer one would leave
intents waiting."""

BARRIER_LIMIT_SECONDS = 10.0
"""If the barrier gives no answer for longer than this, the worker is not ready. The barrier answers in milliseconds.
Ten
seconds is also the objective for an opt-out to be in force."""

COMMIT_LIMIT_SECONDS = 10.0
"""If a transaction waits longer than this, the worker is not ready. A commit takes milliseconds; an election of leaders
a second or two."""

CLOCK_CONDITION = 4
"""The place of the clock among the conditions of readiness."""

BARRIER_REPORT_SECONDS = 15.0
"""A report that the barrier is unanswered is valid for this long and must be repeated while the silence lasts. Several
lanes report to one worker, and one lane's answer must not hide another's silence."""

LAG_REPORT_SECONDS = 15.0
"""The engine reports lag every few seconds, idle or not. After a silence of several of them nobody knows the lag."""

CLOCK_LIMIT_SECONDS = 5.0
"""A larger difference from the broker's clock makes the worker not ready, because caps and windows would be counted at
the wrong moments. Brokers and workers under NTP differ by milliseconds."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An answer and the sentence that explains it."""

    ok: bool
    why: str


@dataclass(slots=True)
class _Partition:
    is_assigned: bool = False
    restored_records: int = 0
    remaining_records: int | None = None
    """None: not reported yet."""
    lag_records: dict[str, int] = field(default_factory=dict)
    lag_seconds: dict[str, float] = field(default_factory=dict)


class Health:
    """What is known of this worker's partitions, and the two answers that follow from it."""

    def __init__(
        self,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        stall_seconds: float = STALL_SECONDS,
        barrier_limit_seconds: float = BARRIER_LIMIT_SECONDS,
        clock_limit_seconds: float = CLOCK_LIMIT_SECONDS,
    ) -> None:
        self._monotonic = monotonic
        self._stall_seconds = stall_seconds
        self._barrier_limit_seconds = barrier_limit_seconds
        self._clock_limit_seconds = clock_limit_seconds
        self._policy = Standing(False, "no policy is loaded yet")
        self._engine = Standing(False, "the engine has not started")
        self._partitions: dict[int, _Partition] = {}
        self._last_sign = monotonic()
        self._lag_reported_at = monotonic()
        self._barrier_seconds = 0.0
        self._barrier_reported_at = 0.0
        self._clock_difference_seconds = 0.0
        self._brokers = ""
        self._commit_seconds = 0.0
        self._commit_reported_at = 0.0
        self._unwritable = 0
        self._unwritable_cause = ""

    # Told

    def unwritable(self, partitions: int, cause: str) -> None:
        """Report how many partitions take no records, and why; 0 and empty: all do."""
        self._unwritable, self._unwritable_cause = partitions, cause

    def brokers(self, cause: str) -> None:
        """Report why no broker can be reached; empty: one can."""
        self._brokers = cause

    def policy(self, is_loaded: bool, why: str = "") -> None:
        """Report whether a policy is in force. A failed reload is not reported, because the last good policy stays in
        force.
        """
        self._policy = Standing(is_loaded, why or ("a policy is in force" if is_loaded else "no policy is in force"))

    def engine(self, is_ready: bool, why: str) -> None:
        """Report the engine's own readiness. Ready also means that partitions without a restore report needed no
        restore.

        Not ready also means that a restore in progress was given up. One that continues will report again.
        """
        if is_ready and not self._engine.ok:
            self.turned()
        self._engine = Standing(is_ready, why or "the engine is not ready")
        if is_ready:
            for state in self._partitions.values():
                state.remaining_records = state.remaining_records or 0
        else:
            self._partitions = {partition: state for partition, state in self._partitions.items() if state.is_assigned}
            for state in self._partitions.values():
                state.remaining_records = None if state.remaining_records else state.remaining_records

    def assigned(self, partitions: frozenset[int]) -> bool:
        """Report the partitions for which this worker decides now; others are forgotten. Returns whether
        they changed.
        """
        before = {partition for partition, state in self._partitions.items() if state.is_assigned}
        self._partitions = {
            partition: self._partitions.get(partition) or _Partition() for partition in sorted(partitions)
        }
        for state in self._partitions.values():
            state.is_assigned = True
        self._lag_reported_at = self._monotonic()
        self.turned()
        return before != partitions

    def restore_progress(self, partition: int, restored_records: int, remaining_records: int) -> int:
        """Progress of a partition, which may be assigned only once it is restored.

        Returns how many records were restored since its last report.
        """
        state = self._partitions.setdefault(partition, _Partition())
        before = state.restored_records if restored_records >= state.restored_records else 0
        state.restored_records = restored_records
        state.remaining_records = max(0, remaining_records)
        self.turned()
        return max(0, restored_records - before)

    def turned(self) -> None:
        """Report that a lane moved: it committed, or is alive although it cannot (it waits for the broker, or decides
        again).
        """
        self._last_sign = self._monotonic()

    def lag(self, topic: str, partition: int, records: int, seconds: float) -> None:
        """Report how much of a topic is still waiting for this partition."""
        self._lag_reported_at = self._monotonic()
        state = self._partitions.get(partition)
        if state is not None:
            state.lag_records[topic] = max(0, records)
            state.lag_seconds[topic] = max(0.0, seconds)
        if not self._has_work():
            self.turned()

    def barrier_waited(self, seconds: float) -> None:
        """Report that a lane has its answer. This ends the latest reported silence if the lane waited at
        least as long.
        """
        if seconds >= self._barrier_seconds:
            self._barrier_seconds = 0.0

    def barrier_unanswered(self, seconds: float) -> None:
        """Report that a lane has had no answer for this long. 0 ends the silence."""
        now = self._monotonic()
        still_believed = now - self._barrier_reported_at <= BARRIER_REPORT_SECONDS
        self._barrier_seconds = max(seconds, self._barrier_seconds if still_believed and seconds else 0.0)
        self._barrier_reported_at = now
        self.turned()

    def commit_unanswered(self, seconds: float) -> None:
        """Report that a transaction has waited for this long. 0 ends the wait. A lane that waits is alive."""
        now = self._monotonic()
        still_believed = now - self._commit_reported_at <= BARRIER_REPORT_SECONDS
        self._commit_seconds = max(seconds, self._commit_seconds if still_believed and seconds else 0.0)
        self._commit_reported_at = now
        self.turned()

    def clock_difference(self, seconds: float) -> None:
        """Report the latest comparison with the broker's clock. A lane that pauses because of it is alive."""
        self._clock_difference_seconds = seconds
        if abs(seconds) > self._clock_limit_seconds:
            self.turned()

    # Asked

    def liveness(self) -> Standing:
        """False only if there is work and nothing has moved. The answer itself shows that the event loop runs.

        The worker is judged as a whole, because one partition may be blocked for a reason that no restart repairs, such
        as another producer's open transaction.
        """
        silent = self._monotonic() - self._last_sign
        if self._has_work() and silent > self._stall_seconds:
            return Standing(False, f"there is work, and no lane has moved for {silent:.0f} s")
        return Standing(True, "the event loop runs and no lane is stuck")

    def readiness(self) -> Standing:
        """True if this worker is deciding. Otherwise the reason is the first thing that is missing."""
        barrier, commit = self.barrier_unanswered_seconds(), self.commit_unanswered_seconds()
        clock = self._clock_difference_seconds
        remaining = self.restore_remaining_records()
        conditions = (
            self._policy,
            Standing(not self._brokers, self._brokers),
            Standing(bool(self._partitions), "no partitions are assigned"),
            Standing(not self.restoring(), f"ledgers are being restored, {remaining} records remain"),
            Standing(abs(clock) <= self._clock_limit_seconds, f"the clock differs from the broker's by {clock:.1f} s"),
            Standing(barrier <= self._barrier_limit_seconds, f"the barrier has not answered for {barrier:.0f} s"),
            Standing(
                commit <= COMMIT_LIMIT_SECONDS,
                f"the brokers have not ended a transaction of this worker for {commit:.0f} s",
            ),
            self._engine,
        )
        for number, condition in enumerate(conditions):
            if not condition.ok:
                # Whatever waits for the brokers waits for these partitions; a policy or a clock does not.
                explains = self._unwritable_cause and number != CLOCK_CONDITION
                return Standing(False, f"{condition.why}: {self._unwritable_cause}" if explains else condition.why)
        return Standing(True, f"deciding for {self.partitions()} partitions")

    def partitions_unwritable(self) -> int:
        return self._unwritable

    def commit_unanswered_seconds(self) -> float:
        believed = self._monotonic() - self._commit_reported_at <= BARRIER_REPORT_SECONDS
        return self._commit_seconds if believed else 0.0

    def brokers_unreachable(self) -> bool:
        return bool(self._brokers)

    def partitions(self) -> int:
        return sum(state.is_assigned for state in self._partitions.values())

    def owned(self) -> list[int]:
        """The partitions that are assigned."""
        return [partition for partition, state in self._partitions.items() if state.is_assigned]

    def restoring(self) -> bool:
        return any(state.remaining_records != 0 for state in self._partitions.values())

    def restore_remaining_records(self) -> int:
        return sum(state.remaining_records or 0 for state in self._partitions.values())

    def barrier_unanswered_seconds(self) -> float:
        believed = self._monotonic() - self._barrier_reported_at <= BARRIER_REPORT_SECONDS
        return self._barrier_seconds if believed else 0.0

    def lag_records(self) -> dict[str, float]:
        """By topic, over the partitions assigned."""
        total: dict[str, float] = {}
        for state in self._partitions.values():
            for topic, records in state.lag_records.items():
                total[topic] = total.get(topic, 0) + records
        return total

    def lag_seconds(self) -> dict[str, float]:
        """By topic, the worst of the partitions assigned. What waited when the lag was last known grows older."""
        unknown = self.lag_unknown_seconds()
        worst: dict[str, float] = {}
        for state in self._partitions.values():
            for topic, seconds in state.lag_seconds.items():
                age = seconds + unknown if state.lag_records[topic] else seconds
                worst[topic] = max(age, worst.get(topic, 0.0))
        return worst

    def lag_unknown_seconds(self) -> float:
        """Since when nobody knows how far the topics reach; 0 if it was reported lately, or nothing is assigned."""
        silent = self._monotonic() - self._lag_reported_at
        return silent if silent > LAG_REPORT_SECONDS and self.partitions() else 0.0

    def _has_work(self) -> bool:
        """Whether records wait and the engine may decide them, or ledgers are being restored."""
        if any(state.remaining_records for state in self._partitions.values()):
            return True
        return self._engine.ok and any(any(state.lag_records.values()) for state in self._partitions.values())
