"""A decision as a document for people and tools: every rule asked, by name, with its numbers.

Rules of this module
1. Nothing is decided here; what is said comes from the decision and its policy alone.
2. Asking is not deciding: the ledger a question is put to is left as it was.
"""

from __future__ import annotations

from typing import Any

from streams.decision.decide import decide
from streams.decision.decision import Decision
from streams.decision.intent import Intent
from streams.decision.ledger.state import EMPTY_LEDGER, Ledger
from streams.decision.policy import BUILT_IN, Policy
from streams.decision.reasons import EXEMPT, PASSED, REASON_BY_NUMBER
from streams.decision.rules.cap import CapSpecification
from streams.decision.rules.gap import GapSpecification
from streams.decision.specification import RuleSpecification
from streams.decision.tables import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS


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


def duration_in_words(milliseconds: int) -> str:
    """`2 hours 5 minutes`: the two largest units, cut, not rounded."""
    parts = []
    for unit_ms, name in ((DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute"), (SECOND_MS, "second")):
        count, milliseconds = divmod(milliseconds, unit_ms)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "less than a second"


def limit_in_words(rule: RuleSpecification) -> tuple[int | None, str]:
    """What the rule compares its count with, and over what time; nothing for rules that do not count."""
    match rule:
        case CapSpecification(rolling_ms=int() as window_ms):
            return rule.limit, f"any {duration_in_words(window_ms)}"
        case CapSpecification(calendar=str() as period):
            return rule.limit, f"the {period}"
        case CapSpecification():
            return rule.limit, "all time"
        case GapSpecification():
            return 1, duration_in_words(rule.minimum_ms)
    return None, ""


def _rule(entry: tuple[int, ...], policy: Policy) -> dict[str, Any]:
    number, verdict = entry[:2]
    rule = policy.rule(number)
    limit, window = (None, "") if rule is None else limit_in_words(rule.specification)
    return {
        "id": policy.rule_table[number],
        "kind": BUILT_IN[number].partition(":")[0] if rule is None else rule.kind,
        "is_shadow": rule is not None and rule.is_shadow,
        "verdict": verdict_word(verdict),
        "text": _text(verdict),
        "because": "" if rule is None else rule.specification.because,
        "limit": limit,
        "window": window,
        "numbers": list(entry[2:]),
    }


def verdict_word(verdict: int) -> str:
    """`passed`, `exempt`, or the code of the reason."""
    if verdict == PASSED:
        return "passed"
    return "exempt" if verdict == EXEMPT else REASON_BY_NUMBER[verdict].code


def _text(verdict: int) -> str:
    return REASON_BY_NUMBER[verdict].sentence if verdict in REASON_BY_NUMBER else ""
