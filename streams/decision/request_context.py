"""A request: what rules may ask of an intent beside its customer's history, resolved once for all intents alike.

Rules of this module
1. Nothing is guessed: a zone, country or calendar is known or it is not, and where it came from is part of the answer.
2. A request is made of nothing but its channel and purpose, its `RequestKey` and the location tables: intents that
   share the key share the request, whoever came first. It knows no moment, no contact and no preference.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from streams.decision.ledger.state import LabelSet
from streams.decision.location import LocationTables, Zones
from streams.decision.places import Place
from streams.decision.tables import HolidayCalendar, ZoneTable

# Topic, brand, campaign, sender; automated; country, token of the region (`Places.token`); zone, where it was said,
# holiday calendar.
RequestKey = tuple[
    str | None, str | None, str | None, str | None, bool | None, str | None, str | None, str | None, str, str | None
]
# In a key: there is a word, and the policy knows none such.
UNNAMED: Final = ""


class ChannelPurpose(NamedTuple):
    """A channel and a purpose, the number of the two, and whether contacts of them count toward any limit."""

    channel: str
    purpose: str
    number: int
    is_counted: bool


class RequestContext:
    """Label set, place, zones and calendar of an intent, as far as the rules of its plan can tell."""

    __slots__ = ("automated", "calendar", "channel_purpose", "label_set", "place", "zone_label", "zones")

    def __init__(self, channel_purpose: ChannelPurpose, key: RequestKey, location: LocationTables) -> None:
        topic, brand, campaign, sender, automated, country, region, zone, source, calendar = key
        self.channel_purpose = channel_purpose
        self.label_set = LabelSet(channel_purpose.channel, channel_purpose.purpose, topic, brand, campaign, sender)
        self.automated = automated
        self.place = location.places.place(country, region)
        self.zones, self.zone_label = _recipient_zones(zone, source, self.place, location)
        """The zones the recipient may be in, empty if unknown; and what they were taken from: name, source, and the
        place that the name contradicts."""
        self.calendar: HolidayCalendar | None = (
            location.places.calendar(self.place) if calendar is None else location.calendars.get(calendar)
        )
        """The holidays where the recipient is, or None if the policy has none for that place."""


def _recipient_zones(
    named: str | None, source: str, place: Place, location: LocationTables
) -> tuple[Zones, tuple[str, ...] | None]:
    local, code, local_source = location.zones_of(place)
    if named is not None:
        zones = location.zone_by_name(named)
        if not zones:
            return (), None
        if local and code is not None and not any(zone.has_clock_of(zones[0]) for zone in local):
            return tuple(sorted((*zones, *local), key=_name_of)), (named, source, code)
        return zones, (named, source)
    if code is not None:
        return local, (code, local_source) if local else None
    if location.recipient_zone is not None:
        return (location.recipient_zone,), (location.recipient_zone.name, "policy")
    return (), None


def _name_of(zone: ZoneTable) -> str:
    return zone.name
