"""A request: what rules may ask of an intent beside its customer's history, resolved once for all intents alike.

Rules of this module
1. Nothing is guessed: a zone, country or calendar is known or it is not, and where it came from is part of the answer.
2. A request is made of nothing but its channel, its purpose and its `RequestKey`, and of the policy: intents that
   share the key share the request, whoever came first. It knows no moment, no contact and no preference.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.ledger.state import LabelSet
from streams.decision.tables import HolidayCalendar, ZoneTable

if TYPE_CHECKING:
    from streams.decision.places import Place
    from streams.decision.policy import Policy

Zones = tuple[ZoneTable, ...]
# Topic, brand, campaign, sender; automated; country, token of the region (`Places.token`); zone, where it was said,
# holiday calendar.
RequestKey = tuple[
    str | None, str | None, str | None, str | None, bool | None, str | None, str | None, str | None, str, str | None
]
# In a key: there is a word, and the policy knows none such.
UNNAMED: Final = ""


class RequestContext:
    """Label set, place, zones and calendar of an intent, as far as the rules of its plan can tell."""

    __slots__ = ("automated", "calendar", "label_set", "place", "zone_label", "zones")

    def __init__(self, channel: str, purpose: str, key: RequestKey, policy: Policy) -> None:
        topic, brand, campaign, sender, automated, country, region, zone, source, calendar = key
        self.label_set = LabelSet(channel, purpose, topic, brand, campaign, sender)
        self.automated = automated
        self.place: Place = policy.places.place(country, region)
        self.zones, self.zone_label = _recipient_zones(zone, source, self.place, policy)
        """The zones the recipient may be in, empty if unknown; and what they were taken from: name, source, and the
        place that the name contradicts."""
        self.calendar: HolidayCalendar | None = (
            policy.places.calendar(self.place) if calendar is None else policy.calendars.get(calendar)
        )
        """The holidays where the recipient is, or None if the policy has none for that place."""


def _recipient_zones(
    named: str | None, source: str, place: Place, policy: Policy
) -> tuple[Zones, tuple[str, ...] | None]:
    local, code, local_source = _zones_of(place, policy)
    if named is not None:
        zones = policy.zone_by_name(named)
        if not zones:
            return (), None
        if local and code is not None and not any(zone.has_clock_of(zones[0]) for zone in local):
            return tuple(sorted((*zones, *local), key=_name_of)), (named, source, code)
        return zones, (named, source)
    if code is not None:
        return local, (code, local_source) if local else None
    if policy.recipient_zone is not None:
        return (policy.recipient_zone,), (policy.recipient_zone.name, "policy")
    return (), None


def _name_of(zone: ZoneTable) -> str:
    return zone.name


def _zones_of(place: Place, policy: Policy) -> tuple[Zones, str | None, str]:
    """The zones of a place, its name, and whether they are those of its region or of all its country."""
    if place.region:
        zones = policy.regions.get(f"{place.country}-{place.region}")
        if zones is not None:
            return zones, f"{place.country}-{place.region}", "region"
    if place.country is None:
        return (), None, ""
    return policy.country_zones.get(place.country, ()), place.country, "country"
