"""A decision as a document for people and tools: every rule asked, by name, with its numbers.

Rules of this module
1. Nothing is decided here; what is said comes from the decision and its policy alone.
2. Asking is not deciding: the ledger a question is put to is left as it was.
"""

from __future__ import annotations

from typing import Any

from streams.decision.decide import Decision, decide
from streams.decision.intent import Intent
from streams.decision.ledger import EMPTY_LEDGER, Ledger
from streams.decision.policy import BUILT_IN, Policy
from streams.decision.reasons import EXEMPT, PASSED, REASON_BY_NUMBER
from streams.decision.rules.rule import Rule


def explain(intent: Intent, ledger: Ledger | None, policy: Policy, now: int) -> dict[str, Any]:
    """What the gate would answer at `now`, and why; nothing is recorded."""
    return explained(decide(intent, ledger or EMPTY_LEDGER, policy, now), policy, now)


def explained(decision: Decision, policy: Policy, now: int) -> dict[str, Any]:
    """The decision as a document. Moments are epoch milliseconds."""
    specification = policy.specification
    return {
        "verdict": "approved" if decision.is_approved else "suppressed",
        "decision_id": decision.decision_id,
        "decided_at": now,
        "reason": decision.reason or None,
        "rule": decision.rule_id or None,
        "valid_until": decision.valid_until if decision.is_approved else None,
        "next_eligible_at": decision.next_eligible_at,
        "remaining": decision.remaining,
        "obligations": list(decision.obligations),
        "policy": {
            "name": specification.name,
            "version": specification.version,
            "hash": specification.content_hash,
        },
        "explanation": {"zone": decision.zone, "rules": decision.entries},
        "rules": [_rule(entry, policy) for entry in decision.entries],
    }


def _rule(entry: tuple[int | None, ...], policy: Policy) -> dict[str, Any]:
    number, verdict = entry[0] or 0, entry[1] or 0
    rule = policy.rule(number)
    return {
        "id": policy.rule_table[number],
        "kind": BUILT_IN[number].partition(":")[0] if rule is None else rule.kind,
        "is_shadow": rule is not None and rule.is_shadow,
        "verdict": verdict_word(verdict),
        "text": _text(verdict, rule),
        "numbers": list(entry[2:]),
    }


def verdict_word(verdict: int) -> str:
    """`passed`, `exempt`, or the code of the reason."""
    if verdict == PASSED:
        return "passed"
    return "exempt" if verdict == EXEMPT else REASON_BY_NUMBER[verdict].code


def _text(verdict: int, rule: Rule | None) -> str:
    if verdict in REASON_BY_NUMBER:
        return REASON_BY_NUMBER[verdict].sentence
    return "" if rule is None else rule.specification.because
