"""Zones and calendars as tables, days and buckets in them; clocks that no zone has had since 2015 too."""

from __future__ import annotations

import datetime as dt

import pytest

from streams.decision.rules.cap import Period, bucket
from streams.decision.tables import DAY_MS, NEVER, HolidayCalendar, ZoneTable, months_around, weekday
from streams.oracle.policy import find_bucket
from streams.policy.zones import load_zones

HOUR, MINUTE = 3_600_000, 60_000
EPOCH = dt.date(1970, 1, 1)
# Newfoundland until 2011: at 00:01 the clock was set back to 23:01 of the day before. Here on day 100 at 00:01 UTC.
CHANGE = 100 * DAY_MS + MINUTE
BACK_OVER_MIDNIGHT = ZoneTable("Test/Back", (-NEVER, CHANGE), (0, -HOUR))


def day_number(date: dt.date) -> int:
    return (date - EPOCH).days


@pytest.mark.parametrize("year", [1970, 1999, 2000, 2026, 2027, 2028, 2100, 2400])
@pytest.mark.parametrize("months", [1, 3, 12])
def test_months_quarters_and_years_begin_and_end_as_in_the_calendar(year: int, months: int) -> None:
    first = dt.date(year, 1, 1)
    for day in range(366):
        date = first + dt.timedelta(days=day)
        start = date.replace(month=date.month - (date.month - 1) % months, day=1)
        end = (start + dt.timedelta(days=months * 31 + 3)).replace(day=1)
        found = months_around(day_number(date), months)
        assert found == (day_number(start), day_number(end))
        assert [type(number) for number in found] == [int, int]


@pytest.mark.parametrize("period", ["hour", "day", "week", "month", "quarter", "year"])
@pytest.mark.parametrize("name", ["Asia/Kolkata", "Australia/Lord_Howe", "Europe/Madrid", "America/St_Johns", "UTC"])
def test_buckets_are_those_of_the_independent_model(name: str, period: Period) -> None:
    """5.14, around the ends and beginnings of summer time and of years, in zones with half hours too."""
    zone = load_zones().by_name[name]
    for at in ("2026-04-04T15:00", "2026-10-03T15:30", "2026-10-25T00:00", "2026-11-01T04:30", "2026-12-31T23:00"):
        around = int(dt.datetime.fromisoformat(at + "+00:00").timestamp() * 1000)
        for moment_ms in range(around - 3 * HOUR, around + 4 * HOUR, 10 * MINUTE):
            assert bucket(zone, period, moment_ms) == find_bucket(name, period, moment_ms)


def test_the_week_begins_on_monday() -> None:
    assert [weekday(day_number(dt.date(2026, 7, date))) for date in range(6, 13)] == [0, 1, 2, 3, 4, 5, 6]
    assert weekday(0) == 3


def test_a_zone_says_its_offset_and_when_it_changes() -> None:
    zone = BACK_OVER_MIDNIGHT
    assert zone.offset_ms(CHANGE - 1) == 0
    assert zone.offset_ms(CHANGE) == -HOUR
    assert zone.segment(CHANGE - 1) == (0, CHANGE)
    assert zone.segment(CHANGE) == (-HOUR, NEVER)


def test_a_day_begins_once_though_its_midnight_comes_twice() -> None:
    assert BACK_OVER_MIDNIGHT.day_start(99) == 99 * DAY_MS
    assert BACK_OVER_MIDNIGHT.day_start(100) == 100 * DAY_MS
    assert BACK_OVER_MIDNIGHT.day_start(101) == 101 * DAY_MS + HOUR


def test_an_hour_of_yesterday_that_comes_again_after_midnight_is_todays() -> None:
    today = (100 * DAY_MS, 101 * DAY_MS + HOUR)
    assert bucket(BACK_OVER_MIDNIGHT, "day", CHANGE - 1) == today
    assert bucket(BACK_OVER_MIDNIGHT, "day", CHANGE) == today
    assert bucket(BACK_OVER_MIDNIGHT, "day", today[1] - 1) == today
    assert bucket(BACK_OVER_MIDNIGHT, "day", today[0] - 1) == (99 * DAY_MS, today[0])
    assert bucket(BACK_OVER_MIDNIGHT, "day", today[1]) == (today[1], today[1] + DAY_MS)


def test_a_day_that_the_clock_skips_has_no_length() -> None:
    # Apia, end of 2011: from UTC-10 to UTC+14 at midnight; 30 December never came.
    change = 50 * DAY_MS + 10 * HOUR
    zone = ZoneTable("Test/Skip", (-NEVER, change), (-10 * HOUR, 14 * HOUR))
    assert zone.day_start(49) == 49 * DAY_MS + 10 * HOUR
    assert zone.day_start(50) == change
    assert zone.day_start(51) == change
    assert bucket(zone, "day", change - 1) == (49 * DAY_MS + 10 * HOUR, change)
    assert bucket(zone, "day", change) == (change, change + DAY_MS)


def test_a_calendar_covers_its_first_and_last_day() -> None:
    calendar = HolidayCalendar("CO", frozenset({11}), 10, 12)
    assert [calendar.covers(day) for day in (9, 10, 11, 12, 13)] == [False, True, True, True, False]
