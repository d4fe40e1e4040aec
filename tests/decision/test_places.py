"""Where a recipient is: whose country, whose region, how precisely, and which holidays are kept there."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from streams.decision.ledger.state import Profile, ProfileValue
from streams.decision.places import Place, Places, country_and_region
from streams.decision.policy_specification import named_places
from streams.decision.tables import HolidayCalendar
from tests.decision.builders import intent_of, policy_of

# Two levels, as in ISO 3166-2: B and L lie in CT, M in MD.
SPAIN = {"CT": "CT", "B": "CT", "L": "CT", "T": "CT", "MD": "MD", "M": "MD", "AN": "AN"}
NAMED = {"id": "madrid", "kind": "cap", "limit": 0, "window": {"rolling": "1d"}, "applies_to": {"countries": ["ES-MD"]}}


def places(**calendars: HolidayCalendar) -> Places:
    specification = policy_of(NAMED).specification
    by_place = {name.replace("_", "-"): calendar for name, calendar in calendars.items()}
    return Places({"ES": SPAIN}, by_place, named_places(replace(specification, calendars=by_place)))


def calendar(name: str, *days: int, first: int = 1, last: int = 100) -> HolidayCalendar:
    return HolidayCalendar(name=name, days=frozenset(days), first_day=first, last_day=last)


@pytest.mark.parametrize(
    ("region", "place"),
    [
        ("MD", Place("ES", "MD")),
        ("M", Place("ES", "MD")),  # a province stands for the region it lies in, where nothing is declared of it
        ("AN", Place("ES", "")),  # a region that nobody names
        ("B", Place("ES", "")),
        ("ZZ", Place("ES", None)),  # there is none such
    ],
)
def test_a_region_is_one_of_the_first_level_that_the_policy_names_another_one_or_unknown(
    region: str, place: Place
) -> None:
    found = places()
    assert found.place("ES", found.token("ES", region)) == place


def test_a_province_is_told_apart_where_the_policy_names_it() -> None:
    found = places(ES_B=calendar("ES-B"))
    assert found.place("ES", found.token("ES", "B")) == Place("ES", "CT", "B")
    # Not that one, whichever other it is; and the region alone may be any.
    assert found.token("ES", "L") == found.token("ES", "T") != found.token("ES", "CT")
    assert found.place("ES", found.token("ES", "T")) == Place("ES", "CT", "L")
    assert found.place("ES", found.token("ES", "CT")) == Place("ES", "CT")
    assert found.place("ES", found.token("ES", "M")) == Place("ES", "MD")


def test_regions_of_countries_of_which_the_policy_names_none_are_not_looked_at() -> None:
    assert places().token("US", "FL") is None
    assert places().token("US", "ZZZ") is None


ALL = {
    "ES": calendar("ES", 1, last=90),
    "ES_CT": calendar("ES-CT", 1, 2),
    "ES_B": calendar("ES-B", 1, 2, 3, first=5),
    "ES_MD": calendar("ES-MD", 1, 4),
    "US": calendar("US", 7),
    "bank": calendar("bank", 8),
}


@pytest.mark.parametrize(
    ("place", "days"),
    [
        (Place("ES", "CT", "B"), {1, 2, 3}),
        (Place("ES", "CT", "L"), {1, 2}),
        (Place("ES", "CT"), {1, 2, 3}),  # which province, is not known
        (Place("ES", "MD"), {1, 4}),
        (Place("ES", "AN"), {1}),
        (Place("ES", ""), {1}),  # some region that has no calendar
        (Place("ES"), {1, 2, 3, 4}),
        (Place("US"), {7}),
    ],
)
def test_the_holidays_of_a_place_are_those_of_every_part_it_may_be_in(place: Place, days: set[int]) -> None:
    found = places(**ALL).calendar(place)
    assert found is not None
    assert found.days == days


def test_a_day_of_a_place_said_less_precisely_is_known_if_every_calendar_knows_it() -> None:
    found = places(**ALL).calendar(Place("ES"))
    assert found is not None
    assert (found.first_day, found.last_day) == (5, 90)


def test_without_a_calendar_of_the_country_no_day_is_known_but_in_its_parts() -> None:
    parts = places(ES_CT=ALL["ES_CT"])
    unknown = parts.calendar(Place("ES"))
    assert unknown is not None
    assert (unknown.days, [day for day in range(100) if unknown.covers(day)]) == ({1, 2}, [])
    assert parts.calendar(Place("ES", "")) is None
    found = parts.calendar(Place("ES", "CT"))
    assert found is not None
    assert found.days == {1, 2}
    assert parts.calendar(Place(None)) is None


def test_a_place_has_one_calendar() -> None:
    known = places(**ALL)
    assert known.calendar(Place("ES")) is known.calendar(Place("ES"))


def test_country_and_region_of_every_intent_beside_every_profile() -> None:
    for country, region, known, known_region, is_later in product(
        (None, "US", "ES"), (None, "FL", "MD"), (None, "US"), (None, "FL"), (True, False)
    ):
        profile = Profile(
            country=None if known is None else ProfileValue(known, 5),
            region=None if known_region is None else ProfileValue(known_region, 6 if is_later else 4),
        )
        found = country_and_region(intent_of(country=country, region=region), profile)
        assert found == by_the_page(country, region, known, known_region if is_later else None)


def by_the_page(
    country: str | None, region: str | None, known: str | None, known_region: str | None
) -> tuple[str | None, str | None]:
    """docs/semantics.md, 3, one sentence after the other."""
    if country is not None:
        if region is not None:
            return country, region
        return country, known_region if known == country else None
    if known is None:
        return None, None
    return known, known_region if region in {None, known_region} else None


def test_without_a_profile_it_is_the_intents_word() -> None:
    assert country_and_region(intent_of(country="US", region="FL"), None) == ("US", "FL")
    assert country_and_region(intent_of(region="FL"), None) == (None, None)
