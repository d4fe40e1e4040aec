"""A decision as an answer for people and tools: every rule that was asked, by name, with its numbers.

Rules of this module
1. Nothing is decided here; what is said comes from the decision and its policy alone.
2. Asking is not deciding: the ledger a question is put to is left as it was.
3. The fields and their order are those of the JSON that `POST /explain` returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from streams.decision.decide import decide
from streams.decision.decision import Decision
from streams.decision.intent import Intent
from streams.decision.ledger.state import EMPTY_LEDGER, Ledger
from streams.decision.policy import BUILT_IN, Policy
from streams.decision.reasons import EXEMPT, PASSED, REASON_BY_NUMBER
from streams.policy.describe import limit_in_words


class PolicyIdentity(Struct, frozen=True):
    """Which policy answered."""

    name: str
    version: str
    hash: str


class RuleAnswer(Struct, frozen=True, kw_only=True):
    """What one rule, or one built-in check, said."""

    id: str
    kind: str
    is_shadow: bool
    verdict: str
    """`passed`, `exempt`, or the code of a reason."""
    text: str
    because: str
    limit: int | None
    window: str
    numbers: Sequence[int]
    """What the rule counted or found; what they mean depends on the kind (docs/semantics.md)."""


class RecordedExplanation(Struct, frozen=True):
    """The explanation as a decision's record carries it."""

    zone: Sequence[str] | None
    rules: Sequence[Sequence[int]]


class Explanation(Struct, frozen=True, kw_only=True):
    """What would be answered, and why. Moments are epoch milliseconds."""

    verdict: Literal["approved", "suppressed"]
    decision_id: str
    decided_at: int
    reason: str | None
    rule: str | None
    valid_until: int | None
    next_eligible_at: int | None
    remaining: Mapping[str, int]
    obligations: Sequence[str]
    policy: PolicyIdentity
    explanation: RecordedExplanation
    rules: Sequence[RuleAnswer]

    def as_document(self) -> dict[str, Any]:
        """The same as JSON has it: dicts and lists."""
        document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return document


def explain(intent: Intent, ledger: Ledger | None, policy: Policy, now: int) -> Explanation:
    """What the gate would answer at `now`, and why; nothing is recorded."""
    return explanation_of(decide(intent, ledger or EMPTY_LEDGER, policy, now), policy, now)


def explanation_of(decision: Decision, policy: Policy, now: int) -> Explanation:
    """The decision, explained."""
    return Explanation(
        verdict="approved" if decision.is_approved else "suppressed",
        decision_id=decision.decision_id,
        decided_at=now,
        reason=decision.reason or None,
        rule=decision.rule_id or None,
        valid_until=decision.valid_until if decision.is_approved else None,
        next_eligible_at=decision.next_eligible_at,
        remaining=decision.remaining,
        obligations=decision.obligations,
        policy=identity_of(policy),
        explanation=RecordedExplanation(decision.zone, decision.entries),
        rules=[_rule_answer(entry, policy) for entry in decision.entries],
    )


def identity_of(policy: Policy) -> PolicyIdentity:
    """Name, version and hash of a policy."""
    specification = policy.specification
    return PolicyIdentity(specification.name, specification.version, specification.content_hash)


def _rule_answer(entry: tuple[int, ...], policy: Policy) -> RuleAnswer:
    number, verdict = entry[:2]
    rule = policy.rule(number)
    limit, window = (None, "") if rule is None else limit_in_words(rule.specification)
    return RuleAnswer(
        id=policy.rule_table[number],
        kind=BUILT_IN[number].partition(":")[0] if rule is None else rule.kind,
        is_shadow=rule is not None and rule.is_shadow,
        verdict=_verdict_word(verdict),
        text=REASON_BY_NUMBER[verdict].sentence if verdict in REASON_BY_NUMBER else "",
        because="" if rule is None else rule.specification.because,
        limit=limit,
        window=window,
        numbers=entry[2:],
    )


def _verdict_word(verdict: int) -> str:
    if verdict == PASSED:
        return "passed"
    return "exempt" if verdict == EXEMPT else REASON_BY_NUMBER[verdict].code
