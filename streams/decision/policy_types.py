"""The tables a policy resolved at load, in the form its rules use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streams.decision.tables import HolidayCalendar, ZoneTable


@dataclass(frozen=True, slots=True)
class PolicyTables:
    """Zones by name, the policy's own zone, and its holiday calendars."""

    zones: Mapping[str, ZoneTable]
    policy_zone: str
    calendars: Mapping[str, HolidayCalendar]

    def fixed_zones(self, zone: str) -> tuple[ZoneTable, ...] | None:
        """The one zone a rule names (`policy` or a zone's name), or None if it means the recipient's."""
        if zone == "recipient":
            return None
        return (self.zones[self.policy_zone if zone == "policy" else zone],)
