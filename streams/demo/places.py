"""Where the demonstration's customers live, and when people there are at work."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Place:
    """A place with one time zone. `senders`: the suffix of the numbers declared for it, or None if there are none."""

    country: str
    region: str | None
    zone: str
    weight: int
    senders: str | None

    @property
    def clock(self) -> ZoneInfo:
        """Its time zone."""
        return ZoneInfo(self.zone)


PLACES: Final = (
    Place("CO", None, "America/Bogota", 620, "co"),
    Place("ES", "MD", "Europe/Madrid", 70, "es"),
    Place("ES", "CT", "Europe/Madrid", 45, "es"),
    Place("ES", "AN", "Europe/Madrid", 35, "es"),
    Place("ES", "CN", "Atlantic/Canary", 20, "es"),
    Place("US", "NY", "America/New_York", 40, "us"),
    Place("US", "FL", "America/New_York", 30, "us"),
    Place("US", "FL", "America/Chicago", 10, "us"),
    Place("US", "TX", "America/Chicago", 35, "us"),
    Place("US", "CA", "America/Los_Angeles", 35, "us"),
    Place("MX", None, "America/Mexico_City", 60, "mx"),
    Place("MX", "BCN", "America/Tijuana", 15, "mx"),
    Place("FR", None, "Europe/Paris", 25, None),
    Place("IN", None, "Asia/Kolkata", 25, None),
    Place("BR", "SP", "America/Sao_Paulo", 20, None),
    Place("JP", None, "Asia/Tokyo", 15, None),
)

# Inside every window of the starter policy, with a margin at both ends.
_WORKDAY_MINUTES: Final = (9 * 60 + 10, 18 * 60 + 30)
_SATURDAY_MINUTES: Final = (9 * 60 + 10, 14 * 60 + 30)


def working_minutes(weekday: int) -> tuple[int, int]:
    """When a sensible sender contacts people, in minutes of the local day; Monday is 0. There is no time on Sundays."""
    return (0, 0) if weekday == 6 else _SATURDAY_MINUTES if weekday == 5 else _WORKDAY_MINUTES


def is_at_work(place: Place, moment_ms: int) -> bool:
    """Whether this is a sensible time to contact people there."""
    local = datetime.fromtimestamp(moment_ms / 1000, place.clock)
    opens, closes = working_minutes(local.weekday())
    return opens <= local.hour * 60 + local.minute < closes
