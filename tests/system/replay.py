"""The same decisions, made again without the gate: from the records as they stand on the topics.

Two ways. `CoreReplay` drives contracts and decision core one record at a time, with the ledger encoded, decoded and
pruned at every step: its outputs are compared with the gate's byte for byte. `ModelReplay` asks the independent model,
which shares no code with the gate, not even to read a record: its answers are compared field by field.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.audit.events import BadRecord, read_event
from streams.contracts.decode import decode_intent, decode_outcome, decode_preference
from streams.contracts.encode import encode_approval, encode_suppression, encode_withdrawal, policy_fragment
from streams.contracts.errors import RecordRefused
from streams.contracts.header_names import ERROR_REASON
from streams.contracts.routing import expected_partition
from streams.decision.decide import decide
from streams.decision.ledger.codec import decode_ledger, encode_ledger
from streams.decision.ledger.outcomes import apply_outcome
from streams.decision.ledger.preferences import FUTURE_TOLERANCE_MS, apply_preference
from streams.decision.ledger.state import EMPTY_LEDGER, Ledger
from streams.decision.policy import Policy, compile_policy
from streams.oracle.model import DeadLetter, Model
from streams.policy.loader import load_policy
from tests.system.harness import Account, Place, header, place_of, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from streams.testing.kafka_io import StoredRecord
    from tests.system.harness import Progress, World


class Step(NamedTuple):
    """One record as it is applied: what it is, when it first was recorded, and the moment of application."""

    record: StoredRecord
    kind: str  # preference, outcome, intent
    recorded_ms: int
    now: int

    @property
    def place(self) -> Place:
        return place_of(self.record)


# ---- in which order -------------------------------------------------------------------------------------------------


def by_record_clock(world: World, inputs: Iterable[StoredRecord]) -> list[Step]:
    """Each partition's heads merged by (timestamp, preference < outcome < intent, offset); now is the maximum yet."""
    kinds = {world.names.preferences: "preference", world.names.outcomes: "outcome", world.names.intents[0]: "intent"}
    queues: dict[int, dict[str, list[StoredRecord]]] = {p: {t: [] for t in kinds} for p in range(world.partitions)}
    for record in sorted(inputs, key=lambda record: record.offset, reverse=True):
        queues[record.partition][record.topic].append(record)
    steps: list[Step] = []
    ranks = {topic: rank for rank, topic in enumerate(kinds)}
    for _, queue in sorted(queues.items()):
        now = 0
        while heads := [waiting[-1] for waiting in queue.values() if waiting]:
            record = min(heads, key=lambda head: (head.timestamp_ms, ranks[head.topic], head.offset))
            queue[record.topic].pop()
            now = max(now, record.timestamp_ms)
            steps.append(Step(record, kinds[record.topic], record.timestamp_ms, now))
    return steps


def by_batches(world: World, account: Account, progress: Progress) -> list[Step]:
    """The order of service: batch after batch as the meta records tell, within each by the topics' ranks."""
    kinds = {world.names.preferences: "preference", world.names.outcomes: "outcome"}
    kinds |= dict.fromkeys(world.names.intents, "intent")
    order = (world.names.preferences, world.names.outcomes, world.names.rerouted, *world.names.intents)
    stored: dict[tuple[str, int], list[StoredRecord]] = defaultdict(list)
    for record in (*account.inputs.values(), *account.rerouted.values()):
        stored[record.topic, record.partition].append(record)
    for records in stored.values():
        records.sort(key=lambda record: record.offset)
    steps: list[Step] = []
    for partition, batches in progress.batches.items():
        for batch in batches:
            for topic in order:
                first, end = batch.before.get(topic, 0), batch.meta.positions[topic]
                steps += [
                    _service_step(record, kinds, batch.meta.latest_ms)
                    for record in stored[topic, partition]
                    if first <= record.offset < end
                ]
    return steps


def _service_step(record: StoredRecord, kinds: Mapping[str, str], now: int) -> Step:
    kind = kinds.get(record.topic)
    if kind is not None:
        return Step(record, kind, record.timestamp_ms, now)
    # Forwarded: what it is, and how old, is said by the place it first stood at.
    topic, moment = header(record, "mesura.origin.topic"), header(record, "mesura.origin.timestamp")
    return Step(record, kinds.get(topic or "", "stranger"), int(moment or 0), now)


# ---- the core, one record at a time ---------------------------------------------------------------------------------


class Expected(NamedTuple):
    """One record the gate must have written: on which topic (`dead_letter`: its reason is the value)."""

    topic: str
    key: bytes | None
    value: bytes


class CoreReplay:
    """Contracts and decision core, driven one record at a time."""

    def __init__(self, world: World, policy: Path) -> None:
        self.world = world
        self.policy: Policy = compile_policy(load_policy(policy).specification)
        specification = self.policy.specification
        self._named = policy_fragment(specification.name, specification.version, specification.content_hash)
        self._ledgers: dict[str, bytes] = {}

    def run(self, steps: Iterable[Step]) -> dict[Place, list[Expected]]:
        """What is expected of each record, by its place; nothing for what is only applied."""
        return {step.place: self._expected(step) for step in steps}

    def _expected(self, step: Step) -> list[Expected]:
        found: list[Expected] = []
        try:
            found.extend(self._taken(step))
        except RecordRefused as refused:
            found.append(Expected("dead_letter", step.record.key, refused.reason.encode()))
        return found

    def _taken(self, step: Step) -> Iterator[Expected]:
        record, now = step.record, step.now
        if step.kind == "intent":
            intent, _ = decode_intent(record.value, record.headers)
            self._check_home(step, intent.customer_id)
            if intent.created_at > now + FUTURE_TOLERANCE_MS:
                raise RecordRefused("from_the_future")
            decision = decide(intent, self._ledger(intent.customer_id), self.policy, now)
            self._keep(intent.customer_id, decision.ledger, now)
            common: dict[str, Any] = {
                "decision_id": decision.decision_id,
                "intent_id": intent.intent_id,
                "customer_id": intent.customer_id,
                "channel": intent.channel,
                "decided_at": now,
                "policy": self._named,
                "attributes": intent.attributes,
                "zone": decision.zone,
                "rules": decision.entries,
            }
            if decision.is_approved:
                value = encode_approval(
                    valid_until=decision.valid_until,
                    remaining=decision.remaining,
                    obligations=decision.obligations,
                    **common,
                )
                yield Expected("approved", intent.customer_id.encode(), value)
            else:
                value = encode_suppression(
                    reason=decision.reason,
                    rule=decision.rule_id,
                    next_eligible_at=decision.next_eligible_at,
                    **common,
                )
                yield Expected("suppressed", intent.customer_id.encode(), value)
            return
        if step.kind == "preference":
            event, _, _, refusal = decode_preference(record.value, record.headers, record.key)
            if event is None:
                assert refusal is not None
                raise refusal
            customer_id = event.customer_id
            self._check_home(step, customer_id)
            before, words = self._ledger(customer_id), self.policy.vocabulary
            applied = apply_preference(event, before, recorded_ms=step.recorded_ms, now=now, vocabulary=words)
            if applied.refused is not None:
                raise RecordRefused(applied.refused)
            ledger, withdrawals = applied.ledger, applied.withdrawals
        else:
            outcome = decode_outcome(record.value, record.headers, record.key).event
            customer_id, refusal = outcome.customer_id, None
            self._check_home(step, customer_id)
            before = self._ledger(customer_id)
            reported = apply_outcome(outcome, before, recorded_ms=step.recorded_ms, now=now, policy=self.policy)
            ledger, withdrawals = reported.ledger, reported.withdrawals
        self._keep(customer_id, ledger, now)
        for withdrawal in withdrawals:
            value = encode_withdrawal(
                decision_id=withdrawal.decision_id,
                customer_id=customer_id,
                channel=withdrawal.channel,
                reason=withdrawal.reason,
                decided_at=now,
                policy=self._named,
            )
            yield Expected("approved", customer_id.encode(), value)
        if refusal is not None:
            raise refusal

    def _check_home(self, step: Step, customer_id: str) -> None:
        key = customer_id.encode()
        if step.record.key != key or expected_partition(key, self.world.partitions) != step.record.partition:
            raise RecordRefused("misrouted")

    def _ledger(self, customer_id: str) -> Ledger:
        stored = self._ledgers.get(customer_id)
        return EMPTY_LEDGER if stored is None else decode_ledger(stored)

    def _keep(self, customer_id: str, ledger: Ledger, now: int) -> None:
        self._ledgers[customer_id] = encode_ledger(self.policy.retention.prune(ledger, now))


def written(world: World, account: Account) -> dict[Place, list[Expected]]:
    """What the gate did write, by the place of the record it read."""
    topics = {world.names.approved: "approved", world.names.suppressed: "suppressed"}
    found: dict[Place, list[Expected]] = {place: [] for place in account.inputs}
    for place, record in account.decisions.items():
        found[place].append(Expected(topics[record.topic], record.key, record.value or b""))
    for place, records in account.withdrawals.items():
        found[place] += [Expected(topics[record.topic], record.key, record.value or b"") for record in records]
    for place, record in account.dead_letters.items():
        found[place].append(Expected("dead_letter", record.key, dict(record.headers)[ERROR_REASON]))
    return found


def at_default_names(world: World, found: Mapping[Place, list[Expected]]) -> dict[Place, list[Expected]]:
    """The same, with topics under their default names, so that runs on other topics can be compared."""
    return {place._replace(topic=place.topic.removeprefix(world.prefix)): each for place, each in found.items()}


# ---- the independent model ------------------------------------------------------------------------------------------

ANSWERED = (
    "decision_id", "reason", "rule", "duplicate_of", "valid_until", "next_eligible_at", "remaining", "obligations",
)  # fmt: skip
GIVEN_BACK = ("intent_id", "customer_id", "channel", "attributes")


@dataclass
class Judgement:
    """What the comparison with the model found."""

    decisions: int = 0
    approved: int = 0
    withdrawals: int = 0
    refused: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def differs(self, place: Place, what: str, wanted: object, found: object) -> None:
        self.differences.append(f"{place.topic}[{place.partition}]@{place.offset} {what}: {wanted!r}, found {found!r}")


class ModelReplay:
    """The model asked step by step, and the gate's outputs held against it."""

    def __init__(self, policy: Path) -> None:
        self._model = Model(policy.read_text(encoding="utf-8"))

    def judge(self, account: Account, steps: Iterable[Step]) -> Judgement:
        judgement = Judgement()
        for step in steps:
            if step.place in account.forwarded:
                continue
            refused = account.dead_letters.get(step.place)
            if refused is not None:
                self._judge_refused(judgement, step, refused)
            elif step.kind == "intent":
                self._judge_decision(judgement, step, account.decisions[step.place])
            else:
                self._judge_withdrawals(judgement, step, account.withdrawals.get(step.place, []))
        return judgement

    def _judge_refused(self, judgement: Judgement, step: Step, refused: StoredRecord) -> None:
        judgement.refused += 1
        reason = header(refused, ERROR_REASON)
        try:
            event, is_unread = read(step), False
        except BadRecord as bad:
            if bad.unread is None:
                return
            event, is_unread = bad.unread, True
        if reason in {"misrouted", "misrouted_again"}:
            return
        try:
            self._apply(step, event)
        except DeadLetter as dead:
            if dead.reason != reason:
                judgement.differs(step.place, "dead letter", dead.reason, reason)
        else:
            if not is_unread:
                judgement.differs(step.place, "dead letter", None, reason)

    def _judge_decision(self, judgement: Judgement, step: Step, record: StoredRecord) -> None:
        found = value_of(record)
        event = read(step)
        try:
            wanted = self._model.decide(event, step.now)
        except DeadLetter as dead:
            judgement.differs(step.place, "verdict", dead.reason, found["type"])
            return
        judgement.decisions += 1
        judgement.approved += found["type"] == "approved"
        judgement.reasons[found.get("reason") or "approved"] += 1
        for what, expected, answered in (
            ("verdict", wanted["verdict"], found["type"]),
            ("decided_at", step.now, found["decided_at"]),
            ("explanation", wanted["explanation"], found["explanation"]["rules"]),
            ("zone", wanted["zone"], found["explanation"].get("zone")),
            *((name, wanted[name] or None, found.get(name) or None) for name in ANSWERED),
            *((name, event.get(name), found.get(name)) for name in GIVEN_BACK),
        ):
            if expected != answered:
                judgement.differs(step.place, what, expected, answered)

    def _judge_withdrawals(self, judgement: Judgement, step: Step, records: list[StoredRecord]) -> None:
        wanted = self._apply(step, read(step))
        answers = [value_of(record) for record in records]
        judgement.withdrawals += len(answers)
        expected = sorted((each["decision_id"], each["reason"], step.now, step.now) for each in wanted)
        found = sorted(
            (each["decision_id"], each["reason"], each["decided_at"], each["valid_until"]) for each in answers
        )
        if expected != found:
            judgement.differs(step.place, "withdrawals", expected, found)

    def _apply(self, step: Step, event: dict[str, Any]) -> list[dict[str, str]]:
        """The withdrawals of a preference or an outcome; of an intent nothing, but it may be refused."""
        if step.kind == "preference":
            return self._model.apply_preference(event, step.recorded_ms, step.now)
        if step.kind == "outcome":
            return self._model.apply_outcome(event, step.recorded_ms, step.now)
        self._model.decide(event, step.now)
        return []


def read(step: Step) -> dict[str, Any]:
    """The event of a record, read without the gate's decoder.

    Raises:
        BadRecord: it cannot be read.
    """
    return read_event(step.kind, step.record.value, step.record.headers, step.record.key)
