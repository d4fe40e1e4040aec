"""What can still be known of a partition whose topics have been running for longer than they keep their records.

Retention deletes inputs and answers, and compaction has removed the order of what happened before gates wrote batch
records. A difference that deleted records could explain is not verifiable: it is counted, and is no broken promise.

Invariants
1. A finding is a broken promise only if no deleted record could explain it.
2. It is never assumed that nothing was decided before the first record that is left. Not even a gate's first batch
   record proves that.
3. A customer whose history is in doubt stays in doubt to the end, because what is missing may hold for good.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.oracle.model import FUTURE_TOLERANCE_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streams.audit.log import PartitionLog
    from streams.audit.settings import Topics
    from streams.audit.timeline import Batch, Recorded
    from streams.audit.traces import Traces

NEVER_MS: Final = 2**63 - 1

OF_HISTORY: Final = frozenset(
    {
        *("wrong_verdict", "cap_exceeded", "approved_despite_no", "wrong_reason", "wrong_bounds", "wrong_explanation"),
        *("barrier_broken", "withdrawal_missing", "withdrawal_invented", "wrong_withdrawal"),
        *("preference_not_applied", "outcome_not_applied", "ledger_differs", "ledger_missing", "ledger_invented"),
    }
)
"""What hangs on everything that was ever said about a customer."""

WHATEVER_THE_ORDER: Final = frozenset(
    {
        *("lost", "doubled", "unreadable_answer", "unknown_policy", "wrong_contents", "withdrawal_doubled"),
        *("dead_letter_altered", "misrouted_decided", "position_back", "position_beyond", "moment_back"),
        "ledger_unreadable",
    }
)
"""What is wrong at whatever moment, and in whatever order, the records were served."""


class Completeness:
    """Which customers' histories are whole, and from when on all traces are there."""

    def __init__(
        self,
        log: PartitionLog,
        topics: Topics,
        recorded: Sequence[Recorded],
        traces: Traces,
        moved_until_ms: int = 0,
    ) -> None:
        self._topics = topics
        self._doubted: set[str] = set()
        missing = {topic: start for topic in topics.inputs if (start := log.starts.get(topic, 0)) > 0}
        self.missing_count = sum(missing.values())
        answered = [self._doubt_answered(topic, start, traces) for topic, start in missing.items()]
        # Of ledgers that were moved here, all that made them is missing.
        self.is_whole = all(answered) and not moved_until_ms
        """Whether every customer is known of whom a record is missing."""
        said = [topic for topic in missing if topic not in topics.intents]
        intents = {topic: start for topic, start in missing.items() if topic in topics.intents}
        self._said_until_ms = max((_first_moment(log, topic) for topic in said), default=0)
        if moved_until_ms:
            self._said_until_ms = max(self._said_until_ms, moved_until_ms + FUTURE_TOLERANCE_MS)
        """Nothing that is missing was said later."""
        self.said_before_ms = self._said_until_ms
        """What was said before may be missing."""
        self.decided_before_ms = max(_moment_of(recorded, intents), moved_until_ms and moved_until_ms + 1)
        """What was approved before is missing."""
        self.whole_from_ms = max(_moment_of(recorded, missing), moved_until_ms) + 1
        """From then on nothing is missing that was served."""
        outputs = (topics.approved, topics.suppressed, topics.dead_letter)
        self._gone_until_ms = {topic: _first_kept_ms(log, topic) for topic in outputs if log.starts.get(topic, 0) > 0}

    def doubt(self, customer_id: str, batch: Batch | None = None) -> None:
        """Take the customer's history for not known from now on; `batch`: because its order is not."""
        self._doubted.add(customer_id)
        if batch is not None:
            self._said_until_ms = max(self._said_until_ms, batch.latest_ms)
            self.whole_from_ms = max(self.whole_from_ms, batch.latest_ms + 1)

    def explains(self, kind: str, customer_id: str | None, batch: Batch | None) -> bool:
        """Whether something that is no longer there could explain a finding made while judging this batch."""
        if batch is not None and not batch.is_whole and kind not in WHATEVER_THE_ORDER:
            return True
        if batch is not None and self._may_be_gone(kind, batch):
            return True
        if kind not in OF_HISTORY:
            return False
        return not self.is_whole or (customer_id in self._doubted if customer_id is not None else bool(self._doubted))

    def nothing_undoes(self, order: int) -> bool:
        """Whether nothing missing is later than what a customer said at this moment: what undoes it must be."""
        return order >= self._said_until_ms

    def known_identities(self, wanted: Mapping[str, int], stored: Mapping[str, int]) -> dict[str, int]:
        """What a ledger holds of identities, but for those of deleted intents: it names them by their hash alone."""
        latest_ms = self.decided_before_ms + FUTURE_TOLERANCE_MS if self.decided_before_ms else 0
        return {name: created for name, created in stored.items() if name in wanted or created > latest_ms}

    def _may_be_gone(self, kind: str, batch: Batch) -> bool:
        """Whether what is missed may have been deleted. Of a stretch nobody knows how old its first batch was."""
        gone = [self._gone_until_ms[topic] for topic in self._of(kind) if topic in self._gone_until_ms]
        return bool(gone) and (not batch.is_whole or batch.latest_ms <= max(gone))

    def _of(self, kind: str) -> Iterable[str]:
        """The topics of which a deleted record could be what is missed."""
        topics = self._topics
        if kind == "lost":
            return (topics.approved, topics.suppressed, topics.dead_letter)
        if kind == "withdrawal_missing":
            return (topics.approved,)
        return (topics.dead_letter,) if kind == "dead_letter_missing" else ()

    def _doubt_answered(self, topic: str, start: int, traces: Traces) -> bool:
        """Doubt whoever was answered about a record that is missing; returns whether all of them are known by that."""
        if topic not in self._topics.intents:
            return False
        accounted = 0
        for offset, keys in traces.causes(topic):
            if offset < start:
                accounted += 1
                self._doubted.update((key or b"").decode(errors="replace") for key in keys)
        return accounted == start


def _moment_of(recorded: Sequence[Recorded], starts: Mapping[str, int]) -> int:
    """The moment by which everything below these offsets had been served; 0: there is nothing."""
    moments = [
        batch.latest_ms
        for batch in recorded
        if any(batch.served.get(topic, (start, start))[0] < start for topic, start in starts.items())
    ]
    # What no record tells of was served before the first that is left.
    return max(moments, default=recorded[0].latest_ms if recorded and starts else 0)


def _first_moment(log: PartitionLog, topic: str) -> int:
    """Nothing deleted from the start of the topic was said after this moment."""
    for record in log.of(topic):
        # A producer's time may be a little ahead, or go back; the broker's does not.
        return record.timestamp_ms + (FUTURE_TOLERANCE_MS if record.appended_ms is None else 0)
    return NEVER_MS


def _first_kept_ms(log: PartitionLog, topic: str) -> int:
    """Until when traces may have been deleted: a gate stamps what it writes with the moment of the batch."""
    for record in log.of(topic):
        return record.timestamp_ms
    return NEVER_MS
