"""One answer, compared with the oracle's.

Invariant: one answer gives at most one finding, the gravest. Its details name fields, reasons, rules and moments, never
a value that a customer or a sender chose.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.audit.log import Record

NO: Final = frozenset(
    {
        *("restricted", "opt_out", "objection", "paused", "not_understood"),
        *("consent_missing", "consent_withdrawn", "consent_expired", "consent_unproven"),
    }
)
CAPS: Final = frozenset({"cap_reached", "gap"})
GIVEN_BACK: Final = ("intent_id", "customer_id", "channel", "attributes")
TYPES: Final = frozenset({"approved", "suppressed", "withdrawn"})


class Difference(NamedTuple):
    """How an answer differs: the finding's kind, the rule it is about, and what was expected."""

    kind: str
    rule: str | None
    detail: str


def read_answer(record: Record) -> dict[str, Any] | None:
    """What stands on an output topic, if it is an answer."""
    try:
        answer = json.loads(record.value or b"")
    except ValueError:
        return None
    if not isinstance(answer, dict) or answer.get("type") not in TYPES:
        return None
    if not isinstance(answer.get("decided_at"), int) or not isinstance(answer.get("decision_id"), str):
        return None
    if answer["type"] == "approved" and not isinstance(answer.get("valid_until"), int):
        return None
    return answer


def difference(
    wanted: Mapping[str, Any], found: Mapping[str, Any], event: Mapping[str, Any], key: bytes | None
) -> Difference | None:
    """How a decision differs from the oracle's, if it does."""
    if found["type"] != wanted["verdict"]:
        return _other_verdict(wanted, found)
    is_approved = found["type"] == "approved"
    if found.get("reason") != wanted["reason"] or found.get("rule") != wanted["rule"]:
        detail = f"{wanted['reason']} by {wanted['rule']} expected, {found.get('reason')} by {found.get('rule')} found"
        return Difference("wrong_reason", wanted["rule"], detail)
    bounds = ("valid_until", "remaining", "obligations") if is_approved else ("next_eligible_at", "duplicate_of")
    off = [name for name in bounds if (wanted[name] or None) != (found.get(name) or None)]
    if off:
        first = off[0]
        return Difference(
            "wrong_bounds", wanted["rule"], f"{first}: {wanted[first]} expected, {found.get(first)} found"
        )
    explained = found.get("explanation") or {}
    if wanted["explanation"] != explained.get("rules") or wanted["zone"] != explained.get("zone"):
        return Difference("wrong_explanation", None, _first_entry(wanted["explanation"], explained.get("rules")))
    off = [name for name in GIVEN_BACK if event.get(name) != found.get(name)]
    if found["decision_id"] != wanted["decision_id"]:
        off.append("decision_id")
    if key != event["customer_id"].encode():
        off.append("key")
    return Difference("wrong_contents", None, f"not the intent's: {', '.join(off)}") if off else None


def _other_verdict(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Difference:
    if found["type"] != "approved":
        detail = f"suppressed as {found.get('reason')} by {found.get('rule')}, nothing denies"
        return Difference("wrong_verdict", found.get("rule"), detail)
    reason, rule = wanted["reason"], wanted["rule"]
    detail = f"approved, {reason} expected"
    if reason in CAPS:
        return Difference("cap_exceeded", rule, detail)
    if reason in NO:
        return Difference("approved_despite_no", rule, detail)
    if reason == "expired":
        return Difference("approved_expired", rule, detail)
    return Difference("wrong_verdict", rule, detail)


def _first_entry(wanted: Any, found: Any) -> str:  # noqa: ANN401 - whatever was said
    if not isinstance(found, list):
        return "no list of rules"
    for number, (one, other) in enumerate(zip(wanted, found, strict=False)):
        if one != other:
            return f"entry {number}: {one} expected, {other} found"
    return f"{len(wanted)} entries expected, {len(found)} found" if len(wanted) != len(found) else "zone"
