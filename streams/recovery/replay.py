"""The ledgers of one partition, made again from what was committed.

The records that each transaction served are applied in its order and at its moment, as the gate applied them. Where
everything is still there, the ledgers come out as they were, to the byte, but for what the gate has forgotten of
customers nobody asked about: it forgets that by itself after the next start.

Rules of this module
1. A committed answer counts as it stands. If this version, or the policy as resolved here, would answer otherwise, the
   approval is put into the ledger all the same, and a suppression never becomes an approval.
2. An intent without an answer is decided anew. So whatever may have been approved counts.
3. Positions end where decisions end. Whatever was decided is never decided again: the batch log, the answers and the
   group's offsets are all believed, the furthest of them most.
4. What no batch record tells of is applied in the order that the answers suggest, and is counted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from streams.audit.headers import read_at
from streams.audit.log import PartitionLog
from streams.audit.service import Service
from streams.audit.timeline import Batch as CommittedBatch
from streams.audit.timeline import Timeline, read_batches
from streams.batch_ledgers import BatchLedgers
from streams.contracts.decode import decode_intent
from streams.contracts.errors import RecordRefused
from streams.decision.checks.duplicate import decision_id
from streams.decision.ledger.state import CONTACTS_MAX, IDENTITIES_MAX, LABEL_SETS_MAX, Contact, LabelSet
from streams.decision.ledger.transitions import created_of, knows_tag, with_contact, with_identity
from streams.exactly_once.changelog import Meta
from streams.exactly_once.interfaces import Batch
from streams.records import InputRecord
from streams.recovery.answers import ANSWERS, Answer, AnswerUnreadable, Cause, CommittedAnswers, read_answer
from streams.recovery.errors import RecoveryRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.audit.service import Served
    from streams.audit.settings import Topics
    from streams.decision.intent import Intent
    from streams.decision.ledger.state import Ledger
    from streams.gate import Gate
    from streams.records import OutputRecord
    from streams.recovery.policies import Gates

NOT_REMEMBERED = frozenset({"duplicate", "expired", "ledger_full"})
"""Reasons of suppressions after which an identity is not remembered."""


@dataclass(slots=True)
class Ledgers:
    """The state of one partition, as a backup or the ledger topic holds it."""

    store: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    meta: Meta | None = None

    @property
    def positions(self) -> Mapping[str, int]:
        """Next offsets by input topic."""
        return {} if self.meta is None else self.meta.positions

    @property
    def latest_ms(self) -> int:
        """Of the latest decision."""
        return 0 if self.meta is None else self.meta.latest_ms


@dataclass(slots=True)
class Counts:
    """What a replay met. Of one partition or of several, added up."""

    records: int = 0
    batches: int = 0
    answers: int = 0
    missing: dict[str, int] = field(default_factory=dict)
    """By input topic: records that were deleted before they could be read again."""
    out_of_order: int = 0
    """Records of which no batch record tells."""
    unanswered: int = 0
    """Intents decided anew, because their answer is gone."""
    answered_otherwise: int = 0
    """Answers that would be others here. They were taken as they stand."""
    not_kept: int = 0
    """Approvals for which a ledger at its limits had no room."""
    unreadable: int = 0
    """Records of the output or batch topics that are no answers and no batches."""

    def add(self, other: Counts) -> None:
        """Together."""
        for name in ("records", "batches", "answers", "out_of_order", "unanswered", "answered_otherwise", "not_kept"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.unreadable += other.unreadable
        for topic, count in other.missing.items():
            self.missing[topic] = self.missing.get(topic, 0) + count


class Replay:
    """Makes the ledgers of one partition again.

    Args:
        log: the partition's records.
        topics: the names.
        gates: for every policy that has decided.
        committed: the group's offsets by input topic, of those that the gate itself has committed.
        beginning: what is known already, from a backup.
        is_record_clock: the clock the gate was run with.
    """

    def __init__(
        self,
        log: PartitionLog,
        topics: Topics,
        gates: Gates,
        *,
        committed: Mapping[str, int],
        beginning: Ledgers | None = None,
        is_record_clock: bool = False,
    ) -> None:
        beginning = beginning or Ledgers()
        self._topics = topics
        self._gates = gates
        self._partition = log.partition
        self._answers = CommittedAnswers(log, topics)
        self._is_record_clock = is_record_clock
        self._committed = committed
        self._store = dict(beginning.store)
        self._positions = dict(beginning.positions)
        self._latest_ms = beginning.latest_ms
        self._log = log
        self._gate = self._first_gate()
        self.counts = Counts(unreadable=self._answers.unreadable, answers=len(self._answers))

    def run(self) -> Ledgers:
        """The ledgers and positions that the gate had.

        Raises:
            RecoveryRefused: the topics do not tell enough to make them.
        """
        log = self._undecided_before_the_beginning_left_out()
        self._count_missing()
        recorded, bad = read_batches(log.of(self._topics.batches))
        self.counts.unreadable += len(bad)
        inputs = self._topics.inputs
        barrier = (self._topics.preferences, self._topics.outcomes)
        service = Service(log, inputs, barrier, self._answers.stated, is_record_clock=self._is_record_clock)
        for batch in self._batches(Timeline(self._topics.batches, [], recorded)):
            self.counts.batches += 1
            self._apply(batch, service.serve(batch))
            self._reach(batch.positions, batch.latest_ms)
        self._check_topics()
        self._check_ends()
        meta = Meta(dict(self._positions), self._latest_ms) if self._positions else None
        return Ledgers(self._store, meta)

    # ---- what is replayed ----

    def _undecided_before_the_beginning_left_out(self) -> PartitionLog:
        """The log without what the beginning knows. A batch lies wholly on one side of it."""
        log, begins = self._log, self._positions
        if not begins:
            return log
        records = dict(log.records)
        for topic in self._topics.inputs:
            begin = begins.get(topic, 0)
            records[topic] = [record for record in log.of(topic) if record.offset >= begin]
        recorded, bad = read_batches(log.of(self._topics.batches))
        known = {
            each.offset
            for each in recorded
            if all(end <= begins.get(name, 0) for name, (_, end) in each.served.items())
        }
        if not bad:
            records[self._topics.batches] = [r for r in log.of(self._topics.batches) if r.offset not in known]
        return PartitionLog(log.partition, records, log.starts, log.ends)

    def _count_missing(self) -> None:
        for topic in self._topics.inputs:
            missing = self._log.starts.get(topic, 0) - self._positions.get(topic, 0)
            if missing > 0:
                self.counts.missing[topic] = missing

    def _batches(self, timeline: Timeline) -> Iterator[CommittedBatch]:
        """Every batch, and at the end what only answers or the group's offsets prove to be decided."""
        reached: dict[str, int] = dict(self._positions)
        latest_ms = self._latest_ms
        for batch in timeline.batches():
            reached |= {topic: max(end, reached.get(topic, 0)) for topic, end in batch.positions.items()}
            latest_ms = max(latest_ms, batch.latest_ms)
            yield batch
        proven = dict(reached)
        for others in (self._answers.reached, self._committed):
            proven |= {topic: max(end, proven.get(topic, 0)) for topic, end in others.items()}
        if any(end > reached.get(topic, 0) for topic, end in proven.items()):
            latest_ms = max(latest_ms, self._answers.latest_ms)
            yield CommittedBatch(self._topics.batches, -1, proven, latest_ms, None, is_whole=False)

    def _apply(self, batch: CommittedBatch, served: Iterator[Served]) -> None:
        is_one = batch.is_whole or self._is_record_clock
        for _, group in groupby(served, key=lambda each: 0 if is_one else each.now):
            together = list(group)
            self.counts.records += len(together)
            self.counts.out_of_order += 0 if batch.is_whole else len(together)
            self._apply_together(together)

    def _apply_together(self, served: Sequence[Served]) -> None:
        """Apply records that were decided in one batch, and put right what would be answered otherwise."""
        self._gate = gate = self._gate_of(served)
        records = [_input_record(each) for each in served]
        moments_ms = [each.now for each in served]
        intents = {
            (each.topic, each.record.offset)
            for each in served
            if each.topic in self._topics.intents or each.topic == self._topics.rerouted
        }
        # What became a dead letter for another reason than its contents must become one again.
        left_out = {cause for cause in intents if self._answers.is_dead_letter(cause)}
        while True:
            batch = Batch(self._partition, records, moments_ms, {}, too_large=frozenset(left_out))
            result = gate.apply(batch, self._store)
            given = _given(result.outputs)
            otherwise = {
                cause for cause in intents - left_out if self._is_otherwise(given.get(cause), self._answers.to(cause))
            }
            if not otherwise:
                break
            left_out |= otherwise
        self._merge(result.changes)
        self.counts.unanswered += sum(
            cause in given and self._answers.to(cause) is None for cause in intents - left_out
        )
        for each in served:
            answer = self._answers.to((each.topic, each.record.offset))
            if answer is not None and (each.topic, each.record.offset) in left_out:
                self.counts.answered_otherwise += 1
                self._take_as_it_stands(gate, each, answer)

    @staticmethod
    def _is_otherwise(given: Answer | None, said: Answer | None) -> bool:
        if said is None:
            return False
        return given is None or given.type != said.type or (said.is_approved and given.valid_until != said.valid_until)

    def _merge(self, changes: Mapping[bytes, bytes | None]) -> None:
        for key, value in changes.items():
            if value is None:
                self._store.pop(key, None)
            else:
                self._store[key] = value

    # ---- what is taken as it stands ----

    def _take_as_it_stands(self, gate: Gate, served: Served, answer: Answer) -> None:
        """The ledger after an answer that would be another one here."""
        customer, now = answer.customer_id.encode(), answer.decided_at
        ledgers = BatchLedgers(gate.ledger_store, gate.policy, self._partition, self._store)
        ledger = ledgers.get(customer, now)
        try:
            intent: Intent | None = decode_intent(served.record.value, _headers(served))[0]
        except RecordRefused:
            intent = None
        identity = bytes.fromhex(answer.decision_id) if intent is None else _identity(intent)
        created_ms = now if intent is None else intent.created_at
        if answer.is_approved:
            left = self._with_approval(gate, ledger, answer, intent, identity, created_ms)
        elif answer.reason in NOT_REMEMBERED or created_of(ledger, identity) is not None:
            return
        else:
            left = with_identity(ledger, identity, created_ms) if len(ledger.created) < IDENTITIES_MAX else ledger
        ledgers.keep(customer, left)
        self._merge(ledgers.changes(now)[0])

    def _with_approval(
        self, gate: Gate, ledger: Ledger, answer: Answer, intent: Intent | None, identity: bytes, created_ms: int
    ) -> Ledger:
        policy = gate.policy
        if intent is None:
            label_set = LabelSet(answer.channel, policy.specification.default_purpose)
        else:
            purpose = policy.purpose_of(intent)
            label_set = LabelSet(
                intent.channel, purpose, intent.topic, intent.brand, intent.campaign_id, intent.sender_id
            )
        is_full = (
            len(ledger.contacts) >= CONTACTS_MAX
            or len(ledger.created) >= IDENTITIES_MAX
            or (len(ledger.label_sets) >= LABEL_SETS_MAX and not knows_tag(ledger, label_set))
        )
        if is_full:
            self.counts.not_kept += 1
            return ledger
        flags = 0
        plan = policy.plans.get((label_set.channel, label_set.purpose))
        if intent is not None and plan is not None:
            timed_plan = plan.timed_plan(intent, label_set, ledger, answer.decided_at)
            flags = timed_plan.static_plan.contact_flags
        contact = Contact(identity, answer.decided_at, answer.valid_until, 0, flags)
        return with_contact(ledger, contact, label_set, created_ms)

    # ---- by which policy ----

    def _first_gate(self) -> Gate:
        first = next(self._answers.policies(), None)
        return self._gates.in_force() if first is None else self._gates.of(first)

    def _gate_of(self, served: Sequence[Served]) -> Gate:
        """By the policy that an answer of the batch names; if it has none, by that of the batch before."""
        for each in served:
            answer = self._answers.to((each.topic, each.record.offset))
            if answer is not None:
                return self._gates.of(answer.policy.hash)
        return self._gate

    # ---- positions ----

    def _reach(self, positions: Mapping[str, int], latest_ms: int) -> None:
        for topic, end in positions.items():
            self._positions[topic] = max(end, self._positions.get(topic, 0))
        self._latest_ms = max(self._latest_ms, latest_ms)

    def _check_topics(self) -> None:
        """Everything that was decided was read."""
        others = sorted(topic for topic, end in self._positions.items() if end and topic not in self._topics.inputs)
        if others:
            raise RecoveryRefused(
                f"The gate has decided records of {', '.join(others)}, which were not read: its topics have other "
                "names than those given. Give --prefix, --intent-topic and --topic as the gate has or had them."
            )

    def _check_ends(self) -> None:
        for topic, end in self._log.ends.items():
            decided = self._positions.get(topic, 0)
            if decided > end:
                raise RecoveryRefused(
                    f"{topic}-{self._partition} ends at {end}, and records up to {decided} were decided: it has lost "
                    "its end, or was created anew. Bring it back before ledgers are made from it."
                )


def _identity(intent: Intent) -> bytes:
    return decision_id(intent.customer_id, intent.intent_id)


def _headers(served: Served) -> list[tuple[str, bytes]]:
    return [(name, value or b"") for name, value in served.record.headers]


def _input_record(served: Served) -> InputRecord:
    record = served.record
    return InputRecord(
        served.topic, record.offset, record.timestamp_ms, record.key, record.value, tuple(_headers(served))
    )


def _given(outputs: Sequence[OutputRecord]) -> dict[Cause, Answer]:
    """What was answered to which record."""
    found: dict[Cause, Answer] = {}
    for output in outputs:
        try:
            answer = read_answer(output.value)
        except AnswerUnreadable:
            continue  # a dead letter or a forwarding
        where = read_at(dict(output.headers))
        if answer.type in ANSWERS and where is not None:
            found[where.topic, where.offset] = answer
    return found
