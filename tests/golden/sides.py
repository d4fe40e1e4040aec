"""The two implementations of docs/semantics.md behind one face: the gate's core and the independent model.

Steps are plain data (field names of the events, times as integers or RFC 3339); answers are plain data in the model's
shape: what of them differs, differs in meaning.
"""

from __future__ import annotations

import copy
import datetime as dt
from functools import cache
from typing import Any, Protocol, TypeVar

import msgspec

from streams.contracts.decode import OutcomeReading, PreferenceReading, decode_intent, decode_outcome, decode_preference
from streams.contracts.errors import RecordRefused
from streams.decision.decide import decide
from streams.decision.decision import Decision
from streams.decision.intent import Intent
from streams.decision.ledger.outcomes import apply_outcome
from streams.decision.ledger.preferences import FUTURE_TOLERANCE_MS, Withdrawal, apply_preference
from streams.decision.ledger.state import EMPTY_LEDGER, Ledger
from streams.decision.outcome_event import Outcome
from streams.decision.policy import Policy, compile_policy
from streams.decision.policy_specification import PolicySpecification
from streams.decision.preference_event import PreferenceEvent
from streams.oracle.model import DeadLetter, Model
from streams.policy.loader import load_policy
from tests.golden.raw import Raw, ordered, raw_of, taken_by_model

Event = dict[str, Any]
Answer = dict[str, Any]
Withdrawals = list[dict[str, str]]
Applied = Withdrawals | dict[str, Any]
E = TypeVar("E", Intent, PreferenceEvent, Outcome)

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TIMES = ("created_at", "expires_at", "effective_at", "until", "occurred_at")


class Side(Protocol):
    """What a case may ask of an implementation. A record that is refused comes back as `{"dead_letter": reason}`."""

    name: str

    def preference(self, event: Event, recorded_ms: int, now: int) -> Applied: ...
    def outcome(self, event: Event, recorded_ms: int, now: int) -> Applied: ...
    def record(self, kind: str, raw: Raw, recorded_ms: int, now: int) -> Any: ...  # noqa: ANN401
    def intent(self, event: Event, now: int) -> Answer: ...
    def approves(self, event: Event, now: int) -> bool: ...
    def rule_ids(self) -> list[str]: ...
    def copied(self) -> Side: ...
    def under(self, policy_text: str) -> Side: ...


@cache
def specified(policy_text: str) -> PolicySpecification:
    """The policy, loaded as in service."""
    return load_policy(policy_text).specification


def compiled(policy_text: str) -> Policy:
    """The policy, compiled anew each time: mutation testing needs to see which test compiles what."""
    return compile_policy(specified(policy_text))


def milliseconds(value: int | str) -> int:
    """A time as producers write it."""
    if isinstance(value, int):
        return value
    return (dt.datetime.fromisoformat(value) - EPOCH) // dt.timedelta(milliseconds=1)


def typed(event: Event, kind: type[E]) -> E:
    """The event as the core takes it."""
    times = {name: milliseconds(event[name]) for name in TIMES if event.get(name) is not None}
    return msgspec.convert({**event, **times}, kind)


class Core:
    """The gate's own decision core."""

    name = "core"

    def __init__(self, policy_text: str) -> None:
        self.policy = compiled(policy_text)
        self.ledgers: dict[str, Ledger] = {}
        # As the gate counts it.
        self.not_understood: list[str] = []

    def ledger(self, customer_id: str) -> Ledger:
        return self.ledgers.get(customer_id, EMPTY_LEDGER)

    def preference(self, event: Event, recorded_ms: int, now: int) -> Applied:
        return self.record("preference", raw_of(event), recorded_ms, now)

    def outcome(self, event: Event, recorded_ms: int, now: int) -> Applied:
        return self.record("outcome", raw_of(event), recorded_ms, now)

    def record(self, kind: str, raw: Raw, recorded_ms: int, now: int) -> Any:  # noqa: ANN401 - see taken_by_model
        try:
            if kind == "intent":
                return self._decided(decode_intent(raw.value, raw.headers)[0], now)
            if kind == "outcome":
                return self._reported(decode_outcome(raw.value, raw.headers, raw.key), recorded_ms, now)
            return self._said(decode_preference(raw.value, raw.headers, raw.key), recorded_ms, now)
        except RecordRefused as refused:
            return {"dead_letter": refused.reason}

    def _said(self, reading: PreferenceReading, recorded_ms: int, now: int) -> Applied:
        event, refusal = reading.event, reading.refusal
        if event is None:
            assert refusal is not None
            raise refusal
        before, words = self.ledger(event.customer_id), self.policy.vocabulary
        result = apply_preference(event, before, recorded_ms=recorded_ms, now=now, vocabulary=words)
        self.ledgers[event.customer_id] = result.ledger
        if result.refused:
            return {"dead_letter": result.refused}
        self.not_understood += reading.not_understood + result.not_understood
        withdrawals = _plain(result.withdrawals)
        return withdrawals if refusal is None else {"dead_letter": refusal.reason, "withdrawals": withdrawals}

    def _reported(self, reading: OutcomeReading, recorded_ms: int, now: int) -> Withdrawals:
        outcome = reading.event
        before = self.ledger(outcome.customer_id)
        result = apply_outcome(outcome, before, recorded_ms=recorded_ms, now=now, policy=self.policy)
        self.ledgers[outcome.customer_id] = result.ledger
        self.not_understood += reading.not_understood + result.not_understood
        return _plain(result.withdrawals)

    def intent(self, event: Event, now: int) -> Answer:
        return self._decided(typed(event, Intent), now)

    def approves(self, event: Event, now: int) -> bool:
        return bool(self.copied().intent(event, now)["verdict"] == "approved")

    def _decided(self, intent: Intent, now: int) -> Answer:
        if intent.created_at > now + FUTURE_TOLERANCE_MS:  # the gate sets such records aside before it decides
            return {"dead_letter": "from_the_future"}
        decision = decide(intent, self.ledger(intent.customer_id), self.policy, now)
        self.ledgers[intent.customer_id] = decision.ledger
        return plain_answer(decision)

    def rule_ids(self) -> list[str]:
        return list(self.policy.rule_table)

    def copied(self) -> Core:
        return copy.copy(self)._with(dict(self.ledgers))

    def under(self, policy_text: str) -> Core:
        return Core(policy_text)._with(self.ledgers)

    def _with(self, ledgers: dict[str, Ledger]) -> Core:
        self.ledgers = ledgers
        return self


class Independent:
    """The slow model that shares no code with the core."""

    name = "model"

    def __init__(self, policy_text: str) -> None:
        self.model = Model(policy_text)

    def preference(self, event: Event, recorded_ms: int, now: int) -> Applied:
        return self.record("preference", raw_of(event), recorded_ms, now)

    def outcome(self, event: Event, recorded_ms: int, now: int) -> Applied:
        return self.record("outcome", raw_of(event), recorded_ms, now)

    def record(self, kind: str, raw: Raw, recorded_ms: int, now: int) -> Any:  # noqa: ANN401 - see taken_by_model
        return taken_by_model(self.model, kind, raw, recorded_ms, now)

    def intent(self, event: Event, now: int) -> Answer:
        try:
            return self.model.decide(event, now)
        except DeadLetter as dead:
            return {"dead_letter": dead.reason}

    def approves(self, event: Event, now: int) -> bool:
        return self.model.approves(event, now)

    def rule_ids(self) -> list[str]:
        asked = {rule.number: rule.id for rule in self.model.policy.rules}
        return list(compiled_names(asked))

    def copied(self) -> Independent:
        other = copy.copy(self)
        other.model = copy.copy(self.model)
        other.model.customers = copy.deepcopy(self.model.customers)
        return other

    def under(self, policy_text: str) -> Independent:
        other = Independent(policy_text)
        other.model.customers = self.model.customers
        return other


def compiled_names(asked: dict[int, str]) -> list[str]:
    """The rule table: built-in checks, then the rules by number."""
    from streams.oracle.policy import BUILT_IN

    return [*BUILT_IN, *(asked[number] for number in sorted(asked))]


def plain_answer(decision: Decision) -> Answer:
    """A decision of the core in the model's shape."""
    return {
        "verdict": "approved" if decision.is_approved else "suppressed",
        "reason": decision.reason or None,
        "rule": decision.rule_id or None,
        "decision_id": decision.decision_id,
        "duplicate_of": decision.decision_id if decision.is_duplicate else None,
        "valid_until": decision.valid_until if decision.is_approved else None,
        "next_eligible_at": decision.next_eligible_at,
        "remaining": decision.remaining,
        "obligations": list(decision.obligations),
        "explanation": [list(entry) for entry in decision.entries],
        "zone": None if decision.zone is None else list(decision.zone),
    }


def _plain(withdrawals: tuple[Withdrawal, ...]) -> Withdrawals:
    return ordered([{"decision_id": w.decision_id, "reason": w.reason} for w in withdrawals])
