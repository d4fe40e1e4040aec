"""Durations, intervals and dates of the policy file, to and from numbers.

Rules of this module
1. The text has already passed the schema's pattern, so only a value can still be refused, never a shape.
2. Values are written back as people write them (`7d`, not `604800000`).
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Final

from streams.decision.tables import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

if TYPE_CHECKING:
    from streams.decision.rules.window import Interval

UNITS_MS: Final = {"s": SECOND_MS, "m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}


def duration_ms(text: str) -> int:
    """`90s`, `5m`, `24h`, `7d`, `2w` in milliseconds."""
    return int(text[:-1]) * UNITS_MS[text[-1]]


def duration_text(milliseconds: int) -> str:
    """The shortest way to write a duration. Weeks are written as days, because laws and people say 7 days."""
    for unit in ("d", "h", "m"):
        if milliseconds and milliseconds % UNITS_MS[unit] == 0 and (unit != "d" or milliseconds > DAY_MS):
            return f"{milliseconds // UNITS_MS[unit]}{unit}"
    return f"{milliseconds / SECOND_MS:g}s"


def duration_in_words(milliseconds: int) -> str:
    """`2 hours 5 minutes`: the two largest units. The rest is cut off, not rounded."""
    parts = []
    for unit_ms, name in ((DAY_MS, "day"), (HOUR_MS, "hour"), (MINUTE_MS, "minute"), (SECOND_MS, "second")):
        count, milliseconds = divmod(milliseconds, unit_ms)
        if count:
            parts.append(f"{count} {name}{'s' if count > 1 else ''}")
    return " ".join(parts[:2]) or "less than a second"


def interval(text: str) -> Interval:
    """`08:00-12:00` in milliseconds since midnight. The ends are not compared."""
    opens, closes = text.split("-")
    return _wall_ms(opens), _wall_ms(closes)


def interval_text(value: Interval) -> str:
    """`08:00-12:00`."""
    return "-".join(f"{end // HOUR_MS:02}:{end % HOUR_MS // MINUTE_MS:02}" for end in value)


def day(text: str) -> date:
    """A date. Raises `ValueError` if there is no such day."""
    return date.fromisoformat(text)


def _wall_ms(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * HOUR_MS + int(minutes) * MINUTE_MS
