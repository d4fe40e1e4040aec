"""Places: country, region and province, as far as a policy tells them apart.

Rules of this module (docs/semantics.md, 3 and 4)
1. What is said less precisely is not taken for one of the places it may be, nor for none of them: it is unknown.
2. Regions are looked at only in countries of which the policy names one; there, a code that does not exist is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from streams.decision.intent import Intent
from streams.decision.ledger.state import Profile
from streams.decision.tables import HolidayCalendar

# A region that exists and that the policy does not name.
OTHER: Final = ""


class Place(NamedTuple):
    """Where a recipient is: country, region of the first level (or `OTHER`) and province; None where it is unknown."""

    country: str | None
    region: str | None = None
    province: str | None = None


class Places:
    """The places a policy tells apart.

    Args:
        subdivisions: of each country that regions are looked at in, its regions and provinces, each with the region of
            the first level it lies in or is.
        calendars: the holiday calendars by name; that of a place has its name.
        named: every `CC` and `CC-RR` that the policy names.
    """

    __slots__ = ("_calendars", "_first_levels", "_found", "_tokens")

    def __init__(
        self,
        subdivisions: Mapping[str, Mapping[str, str]],
        calendars: Mapping[str, HolidayCalendar],
        named: frozenset[str],
    ) -> None:
        self._calendars = calendars
        self._found: dict[Place, HolidayCalendar | None] = {}
        self._first_levels = {
            f"{country}-{code}": first for country, regions in subdivisions.items() for code, first in regions.items()
        }
        named = self._with_first_levels(named)
        parts: dict[str, list[str]] = {}
        for place, first in self._first_levels.items():
            parts.setdefault(f"{place[:2]}-{first}", []).append(place)
        self._tokens = {
            place: token for region, places in parts.items() for place, token in _tokens(region, places, named).items()
        }

    def _with_first_levels(self, named: frozenset[str]) -> frozenset[str]:
        return named | {f"{place[:2]}-{self._first_levels[place]}" for place in named if place in self._first_levels}

    def token(self, country: str, region: str) -> str | None:
        """What of a region's code the policy can tell apart: the code, that of another province that stands for it, its
        first level's, or `OTHER`; None: unknown.
        """
        return self._tokens.get(f"{country}-{region}")

    def place(self, country: str | None, token: str | None) -> Place:
        """The place with this country and this token of a region."""
        if country is None or not token:
            return Place(country, token)
        first = self._first_levels[f"{country}-{token}"]
        return Place(country, first, None if first == token else token)

    def calendar(self, place: Place) -> HolidayCalendar | None:
        """The holidays at the place, or None if the policy has none for it. One object for one place."""
        if place not in self._found:
            self._found[place] = self._calendar(place)
        return self._found[place]

    def _calendar(self, place: Place) -> HolidayCalendar | None:
        country, region, province = place
        candidates = (f"{country}-{province}", f"{country}-{region}", str(country))
        base = next((self._calendars[name] for name in candidates if name in self._calendars), None)
        if province is not None:
            return base
        parts = [calendar for name, calendar in self._calendars.items() if self._is_part(name, country, region)]
        if not parts:
            return base
        # Without a calendar of its own no day of the place is known; what its parts keep counts all the same.
        return replace(_all_of(*parts), first_day=0, last_day=-1) if base is None else _all_of(base, *parts)

    def _is_part(self, calendar: str, country: str | None, region: str | None) -> bool:
        """Whether it is the calendar of a part of a place that is not known more precisely."""
        first = self._first_levels.get(calendar)
        if first is None or calendar[:2] != country:
            return False
        return region is None or (first == region and calendar[3:] != region)


def _tokens(region: str, places: list[str], named: frozenset[str]) -> dict[str, str]:
    """The tokens of a region of the first level and of its provinces.

    Where the policy names a province, the others are known not to be it: one of them stands for them all.
    """
    if region not in named:
        return dict.fromkeys(places, OTHER)
    others = [place for place in places if place not in named]
    is_told_apart = any(place in named for place in places if place != region)
    stands_for_others = min(others)[3:] if is_told_apart and others else region[3:]
    return {place: place[3:] if place in named else stands_for_others for place in places}


def _all_of(*calendars: HolidayCalendar) -> HolidayCalendar:
    """A calendar in which every day is a holiday that is one in any of these, and known that is known in all."""
    return HolidayCalendar(
        name="+".join(calendar.name for calendar in calendars),
        days=frozenset[int]().union(*(calendar.days for calendar in calendars)),
        first_day=max(calendar.first_day for calendar in calendars),
        last_day=min(calendar.last_day for calendar in calendars),
    )


def country_and_region(intent: Intent, profile: Profile | None) -> tuple[str | None, str | None]:
    """Country and region as said: the intent's, else the profile's.

    An intent that names its country alone keeps the profile's region if the profile's country is the same. One that
    names its region alone says of the profile's country which region it is not.
    """
    country, region = intent.country, intent.region
    if profile is None or profile.country is None:
        return country, None if country is None else region
    known, known_region = str(profile.country.value), None
    if profile.region is not None and profile.region.order_ms >= profile.country.order_ms:
        known_region = str(profile.region.value)
    if country is None:
        return known, known_region if region in {None, known_region} else None
    if region is None and country == known:
        return country, known_region
    return country, region


def countries_in_part(countries: frozenset[str]) -> frozenset[str]:
    """The countries of which the list names regions and not the whole."""
    return frozenset(place[:2] for place in countries if place[:2] not in countries)
