"""A situation: what rules may ask of an intent beside its customer's history, resolved once for all intents alike.

Rules of this module
1. Nothing is guessed: a zone, country or calendar is known or it is not, and where it came from is part of the answer.
2. A situation depends on the policy and on its own fields alone. It knows no moment, no contact and no preference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.decision.tables import HolidayCalendar, ZoneTable

if TYPE_CHECKING:
    from streams.decision.intent import Intent
    from streams.decision.ledger import Profile, Tag
    from streams.decision.policy import Policy

Zones = tuple[ZoneTable, ...]
# Country and region, or nothing.
Place = tuple[str | None, str | None]


class Situation:
    """Tag, place, zones and calendar of an intent."""

    __slots__ = ("automated", "calendar", "place", "tag", "zone_label", "zones")

    def __init__(self, intent: Intent, tag: Tag, profile: Profile | None, policy: Policy) -> None:
        self.tag = tag
        self.automated = intent.automated
        self.place = place_of(intent, profile)
        self.zones, name, source = self._recipient_zones(intent, profile, policy)
        """The zones the recipient may be in, by name; empty if unknown."""
        self.zone_label = (name, source) if self.zones else None
        """What they were taken from: name and source."""
        self.calendar = self._recipient_calendar(intent, policy)
        """The holidays where the recipient is, or None if the policy has none for that place."""

    def _recipient_zones(self, intent: Intent, profile: Profile | None, policy: Policy) -> tuple[Zones, str, str]:
        name = intent.timezone
        if name is not None:
            return policy.zone_by_name(name), name, "intent"
        if profile is not None and profile.timezone is not None:
            name = str(profile.timezone.value)
            return policy.zone_by_name(name), name, "ledger"
        country, region = self.place
        if country is not None:
            if region is not None:
                key = f"{country}-{region}"
                zones = policy.regions.get(key)
                if zones is not None:
                    return zones, key, "region"
            return policy.country_zones.get(country, ()), country, "country"
        if policy.recipient_zone is not None:
            return (policy.recipient_zone,), policy.recipient_zone.name, "policy"
        return (), "", ""

    def _recipient_calendar(self, intent: Intent, policy: Policy) -> HolidayCalendar | None:
        calendars = policy.calendars
        named = intent.holiday_calendar
        if named is not None:
            return calendars.get(named)
        country, region = self.place
        if country is None:
            return None
        if region is not None:
            regional = calendars.get(f"{country}-{region}")
            if regional is not None:
                return regional
        return calendars.get(country)


def place_of(intent: Intent, profile: Profile | None) -> Place:
    """Country and region: the intent's, else the profile's; the region goes with the country it came with."""
    if intent.country is not None:
        return intent.country, intent.region
    if profile is None or profile.country is None:
        return None, None
    country, region = profile.country, profile.region
    if region is None or region.order_ms < country.order_ms:
        return str(country.value), None
    return str(country.value), str(region.value)
