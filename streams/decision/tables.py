"""Zones and holiday calendars as plain tables, so that no library for them is called per intent.

Rules of this module
1. A table is data: it was compiled when the policy was loaded, and says from where to where it knows.
2. Local dates are day numbers (days since 1970-01-01, a Thursday); local times of day are milliseconds since midnight.
3. A local day begins at the first instant whose local date is at or past it, so days never overlap and never go back,
   whatever the clock does at midnight.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final

SECOND_MS: Final = 1_000
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000

# No zone is further from UTC than this (Kiritimati +14, formerly Manila and Juneau within 16).
OFFSET_MAX_MS: Final = 16 * HOUR_MS
# "For ever" as a moment: later than any moment on the wire.
NEVER: Final = 1 << 62


@dataclass(frozen=True, slots=True, eq=False)
class ZoneTable:
    """One time zone: `offsets_ms[i]` holds from `starts_ms[i]` (first -NEVER) until `starts_ms[i + 1]`, or for ever."""

    name: str
    starts_ms: tuple[int, ...]
    offsets_ms: tuple[int, ...]

    def has_clock_of(self, other: ZoneTable) -> bool:
        """Whether both show the same time at every moment the tables know."""
        return self.offsets_ms == other.offsets_ms and self.starts_ms == other.starts_ms

    def offset_ms(self, moment_ms: int) -> int:
        """Offset of local time from UTC at the moment."""
        return self.offsets_ms[bisect_right(self.starts_ms, moment_ms) - 1]

    def segment(self, moment_ms: int) -> tuple[int, int]:
        """Offset at the moment, and the next moment at which it changes (or NEVER)."""
        index = bisect_right(self.starts_ms, moment_ms)
        end = self.starts_ms[index] if index < len(self.starts_ms) else NEVER
        return self.offsets_ms[index - 1], end

    def local(self, moment_ms: int) -> tuple[int, int, int]:
        """Local day and local time of day, and until when the offset holds."""
        offset_ms, until_ms = self.segment(moment_ms)
        day, time_of_day = divmod(moment_ms + offset_ms, DAY_MS)
        return day, time_of_day, until_ms

    def day_start(self, day: int) -> int:
        """First instant whose local date is `day` or later."""
        return self.first_at(day * DAY_MS)

    def first_at(self, local_ms: int) -> int:
        """First instant whose local date and time, in milliseconds since 1970-01-01 00:00, is that or later."""
        index = bisect_right(self.starts_ms, local_ms - OFFSET_MAX_MS) - 1
        while True:
            start = max(self.starts_ms[index], local_ms - self.offsets_ms[index])
            if index + 1 == len(self.starts_ms) or start < self.starts_ms[index + 1]:
                return start
            index += 1


@dataclass(frozen=True, slots=True, eq=False)
class HolidayCalendar:
    """Holidays by day number, known for `first_day` ≤ day ≤ `last_day`."""

    name: str
    days: frozenset[int]
    first_day: int
    last_day: int

    def covers(self, day: int) -> bool:
        """Whether the calendar knows about the day."""
        return self.first_day <= day <= self.last_day


def weekday(day: int) -> int:
    """0 = Monday … 6 = Sunday."""
    return (day + 3) % 7


def months_around(day: int, months: int) -> tuple[int, int]:
    """Day numbers of the first of the month, quarter or year (1, 3 or 12 months) that holds `day`, and of the next.

    Civil calendar arithmetic after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
    """
    shifted = day + 719_468
    era = shifted // 146_097
    day_of_era = shifted - era * 146_097
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    month_from_march = (5 * day_of_year + 2) // 153
    day_of_month = day_of_year - (153 * month_from_march + 2) // 5
    month = month_from_march + 3 if month_from_march < 10 else month_from_march - 9
    year = year_of_era + era * 400 + (1 if month <= 2 else 0)
    first, first_month = day - day_of_month, month - (month - 1) % months
    for earlier in range(first_month, month):
        first -= _days_in_month(year, earlier)
    after = first
    for each in range(first_month, first_month + months):
        after += _days_in_month(year, each)
    return first, after


def _days_in_month(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31
