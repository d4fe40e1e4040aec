"""Holiday calendars, with the days that laws of recent years moved or added."""

from __future__ import annotations

from datetime import date

import pytest

from streams.policy import holidays
from streams.policy.holidays import resolve

YEARS = [2025, 2026, 2027, 2028]


def in_year(days: object, year: int) -> list[date]:
    return [day for day in days if day.year == year]  # type: ignore[attr-defined]


def test_colombia_has_nineteen_holidays_since_2026() -> None:
    days = resolve("CO", YEARS, "CO").days
    assert [len(in_year(days, year)) for year in (2025, 2026, 2027)] == [17, 19, 19]
    assert " and " in days[date(2025, 6, 30)] or ";" in days[date(2025, 6, 30)], "two of the eighteen on one day"
    assert date(2026, 7, 13) in days, "Ley 2578 de 2026: 9 July, moved to Monday"
    assert date(2027, 7, 12) in days
    assert date(2026, 4, 4) not in days, "Holy Saturday is no holiday"


@pytest.mark.parametrize(
    ("country", "subdivision", "categories", "count"),
    [
        ("ES", None, ["public"], 8),
        ("ES", "MD", ["public"], 12),
        ("ES", "CT", ["public"], 12),
        ("ES", "AN", ["public"], 12),
        ("ES", "PV", ["public"], 12),
        ("FR", None, ["public"], 11),
        ("MX", None, ["public"], 7),
        ("UY", None, ["public"], 5),
        ("UY", None, ["public", "bank"], 18),
        ("PE", None, ["public"], 17),
        ("EC", None, ["public"], 12),
        ("CR", None, ["public"], 9),
        ("CA", None, ["public"], 5),
    ],
)
def test_counts_of_2026(country: str, subdivision: str | None, categories: list[str], count: int) -> None:
    assert len(resolve("c", [2026], country, subdivision, categories).days) == count


def test_days_that_are_not_public() -> None:
    assert date(2026, 2, 17) not in resolve("BR", [2026], "BR").days, "Carnival"
    assert date(2026, 2, 17) in resolve("BR", [2026], "BR", None, ["public", "optional"]).days
    assert date(2026, 12, 31) in resolve("CL", [2026], "CL", None, ["public", "bank"]).days
    assert date(2026, 10, 4) in resolve("IT", [2026], "IT").days, "Law 151/2025"


def test_observed_days_reach_over_the_turn_of_the_year() -> None:
    assert date(2027, 7, 5) in resolve("US", [2027], "US").days
    assert date(2027, 12, 31) in resolve("US", [2027], "US").days, "New Year's Day 2028 is a Saturday"
    assert date(2027, 12, 31) in resolve("US", YEARS, "US").days


def test_add_and_remove() -> None:
    calendar = resolve("office", [2026], "CO", add=[date(2026, 12, 24)], remove=[date(2026, 12, 8)])
    assert date(2026, 12, 24) in calendar.days
    assert date(2026, 12, 8) not in calendar.days
    with pytest.raises(ValueError, match="2026-12-23 is not a holiday"):
        resolve("office", [2026], "CO", remove=[date(2026, 12, 23)])
    assert list(resolve("own", [2026], None, add=[date(2026, 5, 2)]).days) == [date(2026, 5, 2)]


def test_the_table_knows_its_years_and_no_others() -> None:
    table = resolve("CO", YEARS, "CO").table
    first, last = (date(*day).toordinal() - date(1970, 1, 1).toordinal() for day in ((2025, 1, 1), (2028, 12, 31)))
    assert table.covers(first)
    assert table.covers(last)
    assert not table.covers(first - 1)
    assert not table.covers(last + 1)
    assert first in table.days
    assert all(first <= day <= last for day in table.days)


def test_names_do_not_depend_on_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    english = dict(resolve("CO", [2026], "CO").days)
    monkeypatch.setenv("LANGUAGE", "es")
    monkeypatch.setenv("LANG", "es_CO.UTF-8")
    holidays._library_days.cache_clear()
    assert dict(resolve("CO", [2026], "CO").days) == english
    assert english[date(2026, 1, 1)] == "New Year's Day"


def test_days_that_depend_on_the_moon_are_marked() -> None:
    assert resolve("CO", [2026], "CO").estimated == frozenset()
    estimated = resolve("ES-CE", [2028], "ES", "CE").estimated
    assert estimated
    assert estimated <= set(resolve("ES-CE", [2028], "ES", "CE").days)


def test_what_the_package_knows() -> None:
    assert "MD" in holidays.countries()["ES"]
    assert holidays.country("UY").categories == ("bank", "public")
    assert "Madrid" in holidays.country("ES").subdivisions
    with pytest.raises(KeyError):
        holidays.country("XX")


def test_a_country_without_english_names_has_its_own() -> None:
    codes = [
        c for c in holidays.countries() if "en_US" not in holidays.holidays.country_holidays(c).supported_languages
    ]
    if codes:
        assert resolve("c", [2026], codes[0]).days
