"""Where recipients may be: the zones, regions and holiday calendars of a policy, as tables.

Rules of this module
1. A table is made once, when the policy is compiled, and never changes.
2. Zones of one clock are one zone, under the first of their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.decision.places import Place, Places
from streams.decision.tables import HolidayCalendar, ZoneTable

Zones = tuple[ZoneTable, ...]


class LocationTables:
    """What is known of places.

    Args:
        zones: every zone by its name.
        country_zones: by country the names of its zones.
        regions: by declared region (`CC-RR`) the names of its zones.
        recipient_zone: the zone of recipients of whom nothing is known, or None.
        calendars: the holiday calendars by name.
        places: the places that are told apart.
    """

    __slots__ = (
        "_zones_by_name",
        "calendar_names",
        "calendars",
        "country_zones",
        "places",
        "recipient_zone",
        "regions",
        "zone_names",
    )

    def __init__(
        self,
        *,
        zones: Mapping[str, ZoneTable],
        country_zones: Mapping[str, Iterable[str]],
        regions: Mapping[str, Iterable[str]],
        recipient_zone: str | None,
        calendars: Mapping[str, HolidayCalendar],
        places: Places,
    ) -> None:
        self._zones_by_name: dict[str, Zones] = {name: (zone,) for name, zone in zones.items()}
        self.country_zones = {key: _distinct(names, zones) for key, names in country_zones.items()}
        self.regions = {key: _distinct(names, zones) for key, names in regions.items()}
        self.recipient_zone = None if recipient_zone is None else zones[recipient_zone]
        self.calendars = calendars
        # Every name there is, and none for none.
        self.zone_names: dict[str | None, str | None] = {None: None, **{name: name for name in zones}}
        self.calendar_names: dict[str | None, str | None] = {None: None, **{name: name for name in calendars}}
        self.places = places

    def zone_by_name(self, name: str) -> Zones:
        """The zone of that name, or nothing if there is none."""
        return self._zones_by_name.get(name, ())

    def zones_of(self, place: Place) -> tuple[Zones, str | None, str]:
        """The zones of a place, its name, and whether they are those of its region or of all its country."""
        if place.region:
            zones = self.regions.get(f"{place.country}-{place.region}")
            if zones is not None:
                return zones, f"{place.country}-{place.region}", "region"
        if place.country is None:
            return (), None, ""
        return self.country_zones.get(place.country, ()), place.country, "country"


def _distinct(names: Iterable[str], zones: Mapping[str, ZoneTable]) -> Zones:
    """One zone for each clock among the names: the first by name."""
    seen: dict[tuple[tuple[int, ...], tuple[int, ...]], ZoneTable] = {}
    for name in sorted(names):
        zone = zones[name]
        seen.setdefault((zone.starts_ms, zone.offsets_ms), zone)
    return tuple(seen.values())
