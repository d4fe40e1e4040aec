"""Where a recipient is: docs/semantics.md, section 3, "Place", and section 4, "Contradiction"."""

from __future__ import annotations

import datetime as dt
import functools
from typing import NamedTuple

import pycountry

from streams.oracle.policy import offset_ms, to_ms, transitions

FIRST_YEAR, LAST_YEAR = 2015, 2045


class Place(NamedTuple):
    """Country, region of the first level, and the province inside it if it is known. Any may be unknown."""

    country: str | None = None
    region: str | None = None
    province: str | None = None


class SaidPlace(NamedTuple):
    """Country and region as somebody said them."""

    country: str | None
    region: str | None


@functools.cache
def regions_of(country: str) -> dict[str, str]:
    """Every code of a country with the code of the first level it lies in, without the country."""
    parents = {each.code: each.parent_code for each in pycountry.subdivisions if each.country_code == country}
    found = {}
    for code in parents:
        first = code
        while parents.get(first):
            first = parents[first]
        found[code.partition("-")[2]] = first.partition("-")[2]
    return found


def place_of(intent: SaidPlace, profile: SaidPlace, divided: frozenset[str]) -> Place:
    """Where the recipient is. `divided`: the countries of which the policy names a region."""
    if intent.country is not None:
        country, region = intent
        if region is None and profile.country == country:
            region = profile.region
    else:
        country, region = profile
        # READING: another one is one written otherwise; a profile that names none is contradicted too.
        if intent.region is not None and intent.region != region:
            region = None
    if country is None or region is None or country not in divided:
        return Place(country, region if country is not None else None)
    first = regions_of(country).get(region)
    return Place(country, first, region if first not in {None, region} else None)


@functools.cache
def one_clock(name: str, other: str) -> bool:
    """Whether two zones agree from 2015 to 2045."""
    if name == other:
        return True
    first = to_ms(dt.datetime(FIRST_YEAR, 1, 1, tzinfo=dt.UTC))
    last = to_ms(dt.datetime(LAST_YEAR + 1, 1, 1, tzinfo=dt.UTC)) - 1
    middles = (to_ms(dt.datetime(year, month, 15, tzinfo=dt.UTC)) for year in (2016, 2026, 2044) for month in (1, 7))
    if any(offset_ms(name, t) != offset_ms(other, t) for t in (first, *middles)):
        return False
    changes = sorted({*transitions(name, first, last), *transitions(other, first, last)})
    return all(offset_ms(name, t) == offset_ms(other, t) for t in changes)
