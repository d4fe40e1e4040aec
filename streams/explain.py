"""Durations and limits in words, as answers and commands write them."""

from __future__ import annotations

from streams.decision.rules.cap import CapSpecification
from streams.decision.rules.gap import GapSpecification
from streams.decision.specification import RuleSpecification
from streams.decision.tables import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS


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
