"""The gate: bytes → contracts → decision → contracts → bytes, one batch of one partition at a time.

Rules of this module
1. It is the engine's state machine: the same batch on the same store gives the same result, and nothing is remembered
   between batches. What it counted goes out as a tally, to be believed after the commit.
2. Every input record leaves exactly one trace: a decision, a change of a ledger, a forwarding, or a dead letter. Only
   a dead letter that may have been a no changes a ledger, too.
3. A record that cannot be read hurts nobody else.
4. Identifiers and contents go into topics only, never into tallies or error texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Final, NamedTuple

from orjson import Fragment

from streams.batch_ledgers import BatchLedgers, LedgerStore
from streams.contracts.dead_letters import dead_letter
from streams.contracts.decode import decode_intent, decode_outcome, decode_preference
from streams.contracts.encode import encode_approval, encode_suppression, encode_withdrawal, policy_fragment
from streams.contracts.errors import REMEDIES, PermissionRefused, RecordRefused
from streams.contracts.header_names import REPLAY_TIMESTAMP
from streams.contracts.origin import applied_headers, origin_headers
from streams.contracts.routing import OriginalPosition, expected_partition, original_position, reroute
from streams.decision.decide import decide
from streams.decision.decision import Decision
from streams.decision.intent import MOMENT_MAX_MS, Intent
from streams.decision.ledger.outcomes import apply_outcome
from streams.decision.ledger.preferences import BELIEVED_FROM_MS, FUTURE_TOLERANCE_MS, Withdrawal, apply_preference
from streams.decision.ledger.retention import Horizons, next_due_of, retained
from streams.decision.ledger.state import EMPTY_LEDGER, Ledger
from streams.decision.policy import Policy
from streams.exactly_once.changelog import CUSTOMER_PREFIX
from streams.exactly_once.interfaces import Batch, BatchResult
from streams.exactly_once.key_kinds import KeyKind, kind_of
from streams.records import Header, InputRecord, OutputRecord
from streams.telemetry.registry import OTHER
from streams.telemetry.tally import DEAD_LETTERS_NAMED_MAX, CountedField, DeadLetterPlace, Tally, Verdict
from streams.topics import TopicNames

MOMENT_DIGITS_MAX: Final = 15
"""Of a moment in milliseconds up to the year 9999. Nothing longer is read as a number."""


_WORD_OF: Final[Mapping[CountedField, Callable[[Intent], str | None]]] = {
    "campaign": lambda intent: intent.campaign_id,
    "sender": lambda intent: intent.sender_id,
    "country": lambda intent: intent.country,
}


class GateSettings(NamedTuple):
    """What the gate needs to know beside its policy."""

    topics: TopicNames
    partitions: int
    erasure_key: bytes
    # With the record clock nothing is forwarded: a misrouted record is a dead letter.
    is_bounded: bool
    dead_letter_bytes_max: int
    # Fields of intents that somebody asked to have counted, each by the words listed for it.
    counted_fields: tuple[CountedField, ...] = ()


class Gate:
    """Decides batches under one policy. A new policy is a new gate."""

    def __init__(self, policy: Policy, settings: GateSettings) -> None:
        self.policy = policy
        self.settings = settings
        specification = policy.specification
        self.policy_name = policy_fragment(specification.name, specification.version, specification.content_hash)
        self.ledger_store = LedgerStore(settings.erasure_key)

    approving_kinds: frozenset[KeyKind] = frozenset()
    """Retention decides nothing, so it needs no barrier."""

    def apply(self, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        """Apply a batch to a partition's store, without changing it."""
        return _Run(self, batch, store).result()

    @property
    def due_horizons(self) -> Horizons:
        """How long the policy remembers."""
        return self.policy.horizons

    def due_at(self, key: bytes, value: bytes) -> int | None:
        """When retention makes a customer's ledger shorter. Nothing else has work of its own."""
        return next_due_of(value, self.due_horizons) if kind_of(key) is KeyKind.CUSTOMER else None

    def ledger_of(self, customer_id: bytes, store: Mapping[bytes, bytes]) -> Ledger | None:
        """The ledger stored for a customer, or what an erasure left of it; None if nothing is known."""
        return self.ledger_store.ledger_of(customer_id, store)


def refuse_from_the_future(intent: Intent, now: int) -> None:
    """An intent from further ahead than clocks may differ is not decided.

    Raises:
        RecordRefused: it is one.
    """
    if intent.created_at > now + FUTURE_TOLERANCE_MS:
        raise RecordRefused(
            "from_the_future", f"`created_at` is further ahead than clocks may differ. {REMEDIES['from_the_future']}"
        )


def encode_decision(intent: Intent, decision: Decision, policy: Fragment, now: int) -> bytes:
    """The decision as it goes out. `policy` names the policy, see `policy_fragment`."""
    if decision.is_approved:
        return encode_approval(
            decision_id=decision.decision_id,
            intent_id=intent.intent_id,
            customer_id=intent.customer_id,
            channel=intent.channel,
            decided_at=now,
            valid_until=decision.valid_until,
            policy=policy,
            remaining=decision.remaining,
            obligations=decision.obligations,
            attributes=intent.attributes,
            zone=decision.zone,
            rules=decision.entries,
        )
    return encode_suppression(
        decision_id=decision.decision_id,
        intent_id=intent.intent_id,
        customer_id=intent.customer_id,
        channel=intent.channel,
        decided_at=now,
        reason=decision.reason,
        rule=decision.rule_id,
        next_eligible_at=decision.next_eligible_at,
        policy=policy,
        attributes=intent.attributes,
        zone=decision.zone,
        rules=decision.entries,
    )


def _timestamp_ms(record: InputRecord, first: OriginalPosition | None) -> int:
    """Its timestamp where it first stood: forwarding makes nothing younger. Negative if it has none."""
    return min(record.timestamp_ms if first is None else first.timestamp_ms, MOMENT_MAX_MS)


def _asked_ms(record: InputRecord, said_ms: int, now: int) -> int:
    """Since when the gate is asked. A dead letter that was replayed may keep the time at which it was said first: how
    long it lay is nothing that the gate took.
    """
    if record.headers:
        replayed = dict(record.headers).get(REPLAY_TIMESTAMP)
        if replayed is not None and replayed.isdigit() and len(replayed) <= MOMENT_DIGITS_MAX:
            said_ms = max(said_ms, min(int(replayed), now))
    return said_ms if said_ms >= BELIEVED_FROM_MS else now


class _Run:
    """One application of one batch."""

    def __init__(self, gate: Gate, batch: Batch, store: Mapping[bytes, bytes]) -> None:
        self._gate = gate
        self._policy = gate.policy
        self._topics = gate.settings.topics
        self._batch = batch
        self._ledgers = BatchLedgers(gate.ledger_store, gate.policy, batch.partition, store)
        self._outputs: list[OutputRecord] = []
        self._tally = Tally()
        barrier_topics = (self._topics.preferences, self._topics.outcomes)
        self._next_offsets = {topic: batch.positions.get(topic, 0) for topic in barrier_topics}
        self._applied = applied_headers(self._next_offsets)

    def result(self) -> BatchResult:
        """Everything the batch changes and says."""
        began = perf_counter()
        moments_ms = self._batch.moments_ms
        for number, record in enumerate(self._batch.records):
            self._take(record, moments_ms[number])
        for key in self._batch.due:
            if kind_of(key) is KeyKind.CUSTOMER:
                self._retain(key.removeprefix(CUSTOMER_PREFIX), self._batch.due_ms)
        changes, due_at_ms = self._ledgers.changes(max(self._batch.due_ms, *moments_ms[-1:], 0))
        self._tally.decide_seconds = perf_counter() - began
        return BatchResult(self._outputs, changes, due_at_ms, self._tally)

    def _take(self, record: InputRecord, now: int) -> None:
        topic, first = record.topic, None
        try:
            if topic in self._topics.intents:
                self._take_intent(record, None, now)
                return
            if topic == self._topics.rerouted:
                # `first` is the place where it first stood, whose topic says what kind of event it is.
                first = original_position(record.headers)
                topic = first.topic
            if topic in self._topics.intents:
                self._take_intent(record, first, now)
            elif topic == self._topics.preferences:
                self._take_preference(record, first, now)
            elif topic == self._topics.outcomes:
                self._take_outcome(record, first, now)
            else:
                raise RecordRefused(
                    "misrouted_again",
                    "forwarded from a topic that is no input of this gate; publish it on the topic of its kind",
                )
        except RecordRefused as refusal:
            self._dead_letter(record, topic, refusal)
        if record.topic in self._next_offsets:
            self._next_offsets[record.topic] = record.offset + 1
            self._applied = applied_headers(self._next_offsets)

    def _take_intent(self, record: InputRecord, first: OriginalPosition | None, now: int) -> None:
        if self._batch.too_large and (record.topic, record.offset) in self._batch.too_large:
            raise RecordRefused(
                "too_large",
                "the answer to it is longer than its topic takes; raise that topic's `max.message.bytes`",
            )
        intent, unknown = decode_intent(record.value, record.headers)
        customer = intent.customer_id.encode()
        if not self._is_at_home(record, intent.customer_id, customer):
            return
        refuse_from_the_future(intent, now)
        decision = decide(intent, self._ledgers.get(customer, now), self._policy, now)
        self._ledgers.keep(customer, decision.ledger)
        is_approved, reason = decision.is_approved, decision.reason
        value = encode_decision(intent, decision, self._gate.policy_name, now)
        topic = self._topics.approved if is_approved else self._topics.suppressed
        self._outputs.append(OutputRecord(topic, customer, value, self._headers(record, first)))
        tally = self._tally
        if unknown:
            tally.unknown_fields["intent"] += unknown
        verdict: Verdict = "approved" if is_approved else "suppressed"
        tally.decisions[intent.channel, verdict, reason] += 1
        tally.purposes[self._policy.purpose_of(intent), verdict] += 1
        if not is_approved:
            tally.rules[decision.rule_id] += 1
        for field in self._gate.settings.counted_fields:
            tally.fields[field, _WORD_OF[field](intent) or OTHER, verdict] += 1
        said_ms = _timestamp_ms(record, first)
        tally.intent_timestamps_ms.append(_asked_ms(record, said_ms, now))
        if decision.zone is not None and len(decision.zone) > 2:
            tally.not_understood["zone"] += 1
        if reason == "duplicate":
            tally.duplicates += 1
        elif reason == "ledger_full":
            tally.ledger_full += 1

    def _take_preference(self, record: InputRecord, first: OriginalPosition | None, now: int) -> None:
        event, unknown, doubts, refusal = decode_preference(record.value, record.headers, record.key)
        if event is None:
            assert refusal is not None, "what is not applied is refused"
            raise refusal
        customer = event.customer_id.encode()
        if not self._is_at_home(record, event.customer_id, customer):
            return
        said_ms = _timestamp_ms(record, first)
        result = apply_preference(
            event, self._ledgers.get(customer, now), recorded_ms=said_ms, now=now, vocabulary=self._policy.vocabulary
        )
        if result.refused is not None:
            raise PermissionRefused(result.refused)
        self._ledgers.keep(customer, result.ledger)
        self._withdraw(record, first, now, event.customer_id, result.withdrawals)
        tally = self._tally
        for doubt in doubts + result.not_understood:
            tally.not_understood[doubt] += 1
        if refusal is not None:  # nobody could read it, so it is heard as a no, and somebody has to look at it
            raise refusal
        if unknown:
            tally.unknown_fields["preference"] += unknown
        tally.preferences[event.type] += 1
        tally.preference_timestamps_ms.append(_asked_ms(record, said_ms, now))

    def _take_outcome(self, record: InputRecord, first: OriginalPosition | None, now: int) -> None:
        outcome, unknown, doubts = decode_outcome(record.value, record.headers, record.key)
        customer = outcome.customer_id.encode()
        if not self._is_at_home(record, outcome.customer_id, customer):
            return
        said_ms = _timestamp_ms(record, first)
        result = apply_outcome(
            outcome, self._ledgers.get(customer, now), recorded_ms=said_ms, now=now, policy=self._policy
        )
        self._ledgers.keep(customer, result.ledger)
        self._withdraw(record, first, now, outcome.customer_id, result.withdrawals)
        for doubt in doubts + result.not_understood:
            self._tally.not_understood[doubt] += 1
        if unknown:
            self._tally.unknown_fields["outcome"] += unknown
        self._tally.outcomes[outcome.type, result.matched] += 1

    def _retain(self, customer: bytes, now: int) -> None:
        """Keep what is not past its horizon of a ledger that no record of the batch may have asked for."""
        ledger = self._ledgers.get(customer, now)
        left = retained(self._policy.retention, ledger, now)
        if left is not ledger:
            self._ledgers.keep(customer, left)
            self._tally.ledgers_pruned += 1
            self._tally.ledgers_removed += left is EMPTY_LEDGER

    def _withdraw(
        self,
        record: InputRecord,
        first: OriginalPosition | None,
        now: int,
        customer_id: str,
        withdrawals: tuple[Withdrawal, ...],
    ) -> None:
        for withdrawal in withdrawals:
            value = encode_withdrawal(
                decision_id=withdrawal.decision_id,
                customer_id=customer_id,
                channel=withdrawal.channel,
                reason=withdrawal.reason,
                decided_at=now,
                policy=self._gate.policy_name,
            )
            topic = self._topics.approved
            self._outputs.append(OutputRecord(topic, customer_id.encode(), value, self._headers(record, first)))
            self._tally.withdrawals[withdrawal.reason] += 1

    def _is_at_home(self, record: InputRecord, customer_id: str, customer: bytes) -> bool:
        """Whether the record is under its customer's key and on its partition; if not it is forwarded, once.

        A customer this partition knows is at home here: only unknown ones cost a hash.
        """
        settings, partition = self._gate.settings, self._batch.partition
        if record.key == customer and (
            self._ledgers.knows(customer) or expected_partition(customer, settings.partitions) == partition
        ):
            return True
        if settings.is_bounded:
            raise RecordRefused("misrouted")
        topic = self._topics.rerouted
        self._outputs.append(reroute(record, partition, customer_id, partitions=settings.partitions, topic=topic))
        self._tally.rerouted[record.topic] += 1
        return False

    def _dead_letter(self, record: InputRecord, sent_to: str, refusal: RecordRefused) -> None:
        limit = self._gate.settings.dead_letter_bytes_max
        topic, partition = self._topics.dead_letter, self._batch.partition
        self._outputs.append(dead_letter(record, partition, refusal, topic=topic, value_bytes_max=limit))
        self._tally.dead_letters[sent_to, refusal.reason] += 1
        if len(self._tally.dead_letter_places) < DEAD_LETTERS_NAMED_MAX:
            self._tally.dead_letter_places.append(
                DeadLetterPlace(record.topic, partition, record.offset, refusal.reason)
            )
        if isinstance(refusal, PermissionRefused):
            self._tally.permissions_refused += 1
        elif sent_to == self._topics.preferences:
            self._tally.unreadable_opt_outs += 1
        elif sent_to == self._topics.outcomes:
            self._tally.unreadable_outcomes += 1

    def _headers(self, record: InputRecord, first: OriginalPosition | None) -> tuple[Header, ...]:
        return origin_headers(record.topic, self._batch.partition, record.offset, self._applied, first)
