"""Holiday calendars for the policy's fixed years, from the pinned `holidays` package, as plain tables.

Rules of this module
1. Only the years the policy names are known; any other date is unknown, never "no holiday".
2. Only dates decide. Names are for people, and are English if the package has English names, whatever the machine's
   language.
3. The policy adds days that the package does not know (municipal days, days of mourning, bridge days decreed last week)
   and removes days that it should not have. Both need a reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import holidays

from streams.decision.tables import HolidayCalendar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_EPOCH: Final = date(1970, 1, 1).toordinal()
_LANGUAGE: Final = "en_US"
# The package's mark, in English, on days that depend on sighting the moon and can still move by a day.
_ESTIMATED: Final = "(estimated"


@dataclass(frozen=True, slots=True)
class Calendar:
    """One calendar of the policy, resolved: its days with their names, and which of them are estimates."""

    table: HolidayCalendar
    days: Mapping[date, str]
    estimated: frozenset[date]


@dataclass(frozen=True, slots=True)
class Country:
    """What the package can say about a country."""

    subdivisions: tuple[str, ...]
    categories: tuple[str, ...]


def version() -> str:
    """Version of the package the calendars come from."""
    return str(holidays.__version__)


@cache
def countries() -> Mapping[str, tuple[str, ...]]:
    """Country codes the package knows, each with its subdivisions."""
    supported: dict[str, list[str]] = holidays.list_supported_countries(include_aliases=False)
    return {code: tuple(subdivisions) for code, subdivisions in supported.items()}


@cache
def country(code: str) -> Country:
    """Subdivisions, aliases included, and categories of a country. Raises `KeyError` if it is not in the package."""
    subdivisions = countries()[code]
    entity = holidays.country_holidays(code)
    aliases: Sequence[str] = tuple(getattr(entity, "subdivisions_aliases", {}))
    return Country((*subdivisions, *aliases), tuple(entity.supported_categories))


def resolve(
    name: str,
    years: Sequence[int],
    code: str | None,
    subdivision: str | None = None,
    categories: Sequence[str] = ("public",),
    add: Mapping[date, str] | Sequence[date] = (),
    remove: Sequence[date] = (),
) -> Calendar:
    """The calendar's days within `years` (which must be consecutive). Without a country these are only the added days.

    Raises `ValueError` if a removed date is not a holiday, because the removal would hide a mistake.
    """
    found = _library_days(code, subdivision, tuple(categories), tuple(sorted(years))) if code else {}
    days = {day: label for day, label in found.items() if day.year in years}
    for day in remove:
        if day not in days:
            raise ValueError(f"{day.isoformat()} is not a holiday of calendar {name}")
        del days[day]
    for day in add:
        days.setdefault(day, "added by the policy")
    first = date(min(years), 1, 1).toordinal() - _EPOCH
    last = date(max(years), 12, 31).toordinal() - _EPOCH
    table = HolidayCalendar(name, frozenset(day.toordinal() - _EPOCH for day in days), first, last)
    estimated = frozenset(day for day, label in days.items() if _ESTIMATED in label)
    return Calendar(table, dict(sorted(days.items())), estimated)


@cache
def _library_days(
    code: str, subdivision: str | None, categories: tuple[str, ...], years: tuple[int, ...]
) -> Mapping[date, str]:
    options: dict[str, Any] = {"subdiv": subdivision, "categories": categories, "expand": False}
    # A New Year's Day on a Saturday may be observed in the previous year, so ask for the neighbouring years too.
    wanted = range(years[0] - 1, years[-1] + 2)
    entity = holidays.country_holidays(code, years=wanted, language=_LANGUAGE, **options)
    if _LANGUAGE not in entity.supported_languages:
        entity = holidays.country_holidays(code, years=wanted, language=entity.default_language, **options)
    return {day: str(label) for day, label in entity.items()}
