"""The holiday calendars that a policy declares.

Rules of this module
1. A calendar with an error is not resolved, and then no reference to a calendar is checked.
2. A date outside the declared years is refused, because nothing would be known about it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams.policy import holidays
from streams.policy.context import REGION
from streams.policy.findings import did_you_mean
from streams.policy.notation import day
from streams.policy.subdivisions import subdivisions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from streams.policy.context import Context
    from streams.policy.document import Path
    from streams.policy.holidays import Calendar


def read_calendars(context: Context, data: Mapping[str, Any]) -> None:
    """Check the calendars that the head declares, and record them in the context."""
    if "holidays" not in data:
        context.calendars = {}
        return
    if not context.is_sound("holidays"):
        return
    years = sorted(data["holidays"]["years"])
    if years != list(range(years[0], years[-1] + 1)):
        missing = next(year for year in range(years[0], years[-1]) if year not in years)
        message = f"The years are not consecutive: {missing} is missing."
        context.report(("holidays", "years"), message, f"Add {missing}.")
        return
    calendars = {}
    before = len(context.findings)
    for name, entry in data["holidays"]["calendars"].items():
        calendar = _calendar(context, name, entry, years)
        if calendar is not None:
            calendars[name] = calendar
    context.calendars = calendars if len(context.findings) == before else None


def _calendar(context: Context, name: str, entry: Mapping[str, Any], years: list[int]) -> Calendar | None:
    path: Path = ("holidays", "calendars", name)
    before = len(context.findings)
    code, subdivision = entry.get("country"), entry.get("subdivision")
    categories = entry.get("categories", ["public"])
    if REGION.fullmatch(name) and name[:2] in context.zones.countries and name[3:] not in subdivisions(name[:2]):
        message = f"No recipient can be in `{name}`, because there is no such region."
        context.report(path, message, context.region_fix(name[:2], name[3:]))
    if name in {"recipient", "none"}:
        context.report(
            path, f"A calendar cannot be called `{name}`, because rules use that word.", "Give it another name."
        )
    if code is not None:
        _check_country(context, path, code, subdivision, categories)
    add, remove = (_dates(context, (*path, key), entry.get(key, []), years) for key in ("add", "remove"))
    if (add or remove) and not entry.get("because"):
        message = f"The calendar `{name}` adds or removes days without `because`."
        context.report(path, message, "Say why, for the reader.")
    if code is None and not add:
        context.report(path, f"The calendar `{name}` has neither a country nor days.", "Give it `country` or `add`.")
    if len(context.findings) > before:
        return None
    calendar = holidays.resolve(name, years, code, subdivision, categories, add, ())
    for index, date_removed in enumerate(remove):
        if date_removed not in calendar.days:
            message = f"{date_removed.isoformat()} is not a holiday in the calendar `{name}`."
            context.report((*path, "remove", index), message, "Remove the line, because it would hide a mistake.")
    if len(context.findings) > before:
        return None
    return holidays.resolve(name, years, code, subdivision, categories, add, remove)


def _check_country(context: Context, path: Path, code: str, subdivision: str | None, categories: Iterable[str]) -> None:
    if code not in holidays.countries():
        fix = did_you_mean(code, holidays.countries(), "Leave `country` out and `add` the days.")
        context.report((*path, "country"), f"No holidays are known for the country `{code}`.", fix)
        return
    known = holidays.country(code)
    if subdivision is not None and subdivision not in known.subdivisions:
        otherwise = "Leave it out." if not known.subdivisions else ""
        fix = did_you_mean(subdivision, known.subdivisions, otherwise)
        context.report((*path, "subdivision"), f"`{code}` has no subdivision `{subdivision}`.", fix)
    for index, category in enumerate(categories):
        if category not in known.categories:
            message = f"`{code}` has no holidays of category `{category}`."
            context.report((*path, "categories", index), message, did_you_mean(category, known.categories))


def _dates(context: Context, path: Path, texts: Iterable[str], years: list[int]) -> list[date]:
    dates = []
    for index, text in enumerate(texts):
        try:
            value = day(text)
        except ValueError:
            context.report((*path, index), f"There is no day {text}.", "Write a date, such as 2026-12-24.")
            continue
        if value.year not in years:
            message = f"{text} is outside the years {years[0]} to {years[-1]}."
            context.report((*path, index), message, "Add the year, or remove the date.")
        dates.append(value)
    return dates
