"""When things happen in the demonstration: over seven fixed weeks, or within a live run that begins now.

Rules of this module
1. A recorded timeline has fixed ends, so that a run with the record clock gives the same answers for ever. Between them
   lie the end of summer time in Europe (25 October 2026) and in the United States (1 November), and holidays in
   Colombia (12 October, 2 November) and in Spain (12 October, 1 November).
2. A live timeline is decided by the wall clock within seconds of being published. Customers are therefore in places
   where people are at work now, if there are any. On Sundays there are none, and the run is `quiet`.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final, Literal, Protocol

from streams.demo.places import PLACES, Place, is_at_work, working_minutes

if TYPE_CHECKING:
    from random import Random

Style = Literal["work", "off", "closing", "any"]

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

FIRST_DAY: Final = date(2026, 9, 14)
LAST_DAY: Final = date(2026, 11, 2)
RECORDED_START_MS: Final = 1_789_362_000_000
"""2026-09-14T05:00:00Z, a Monday, 00:00 in Bogotá."""
RECORDED_END_MS: Final = 1_793_663_999_999
"""2026-11-02T23:59:59.999Z, a holiday in Colombia, 18:59 there."""

# How much is sent on a day of the week, Monday first.
_DAY_WEIGHTS: Final = (100, 100, 100, 100, 100, 35, 6)
# The last two seconds before Colombia's hours end on a working day, which is too late to be sent in time (2 000 ms).
_LAST_MOMENT_MS: Final = 1_900
_CLOSES_HOUR: Final = 19
_FRIDAY: Final = 4


class Timeline(Protocol):
    """When things happen."""

    is_live: bool
    is_quiet: bool
    start_ms: int
    end_ms: int

    def background(self, rng: Random) -> int:
        """A moment before the first intent, for what was said before."""
        ...

    def place(self, rng: Random, style: Style) -> Place:
        """A place."""
        ...

    def moment(self, rng: Random, place: Place, style: Style) -> int:
        """A moment for an intent to a customer in that place."""
        ...

    def soon(self, rng: Random, moment_ms: int, seconds: tuple[float, float]) -> int:
        """A little later on the scale of this timeline, but never after its end."""
        ...


class RecordedTimeline:
    """Seven weeks of 2026. See rule 1."""

    is_live = False
    is_quiet = False
    start_ms = RECORDED_START_MS
    end_ms = RECORDED_END_MS

    def __init__(self) -> None:
        count = (LAST_DAY - FIRST_DAY).days + 1
        self._days = [FIRST_DAY + timedelta(days=number) for number in range(count)]
        self._day_weights = [_DAY_WEIGHTS[day.weekday()] for day in self._days]
        self._place_weights = [place.weight for place in PLACES]

    def background(self, rng: Random) -> int:
        return self.start_ms + rng.randrange(3 * HOUR_MS)

    def place(self, rng: Random, style: Style) -> Place:  # noqa: ARG002  # the same at any time
        return rng.choices(PLACES, self._place_weights)[0]

    def moment(self, rng: Random, place: Place, style: Style) -> int:
        while True:
            day = rng.choices(self._days, self._day_weights)[0]
            if style == "closing" and day.weekday() > _FRIDAY:
                continue
            moment_ms = _local(rng, place, day, style)
            if self.start_ms + 9 * HOUR_MS <= moment_ms <= self.end_ms - HOUR_MS // 4:
                return moment_ms

    def soon(self, rng: Random, moment_ms: int, seconds: tuple[float, float]) -> int:
        return min(self.end_ms, moment_ms + int(rng.uniform(*seconds) * 1000))


class LiveTimeline:
    """A run that begins at `start_ms` and lasts `duration_ms`. See rule 2."""

    is_live = True

    def __init__(self, start_ms: int, duration_ms: int) -> None:
        self.start_ms = start_ms
        self.end_ms = start_ms + duration_ms
        at_work = [is_at_work(place, start_ms + duration_ms // 2) for place in PLACES]
        self._working = [place.weight if works else 0 for place, works in zip(PLACES, at_work, strict=True)]
        self._resting = [0 if works else place.weight for place, works in zip(PLACES, at_work, strict=True)]
        self._all = [place.weight for place in PLACES]
        self.is_quiet = not any(at_work)

    def background(self, rng: Random) -> int:
        # Up to three weeks, which is within any retention, so that a broker does not delete it at once.
        return self.start_ms - 1 - rng.randrange(21 * DAY_MS)

    def place(self, rng: Random, style: Style) -> Place:
        weights = self._resting if style == "off" else self._all if style == "any" else self._working
        return rng.choices(PLACES, weights if any(weights) else self._all)[0]

    def moment(self, rng: Random, place: Place, style: Style) -> int:  # noqa: ARG002  # now is now, everywhere
        return rng.randrange(self.start_ms, self.end_ms)

    def soon(self, rng: Random, moment_ms: int, seconds: tuple[float, float]) -> int:
        # Minutes of the recorded timeline are seconds here, because the run is over before minutes would pass.
        return min(self.end_ms, moment_ms + int(min(8.0, 1.5 + rng.uniform(*seconds) / 20) * 1000))


def _local(rng: Random, place: Place, day: date, style: Style) -> int:
    """A moment on that local day. Nobody is at work on Sundays, so whatever arrives then is a planning mistake."""
    opens, closes = working_minutes(day.weekday())
    if style == "closing":
        end = datetime.combine(day, time(_CLOSES_HOUR), place.clock)
        return int(end.timestamp() * 1000) - 1 - rng.randrange(_LAST_MOMENT_MS)
    if style == "any":
        minute = rng.random() * 24 * 60
    elif style == "off":
        minute = rng.uniform(5.5, 7) * 60 if rng.random() < 0.3 else rng.uniform(20.2, 22.5) * 60
    else:
        opens, closes = (opens, closes) if closes else (10 * 60, 18 * 60)
        minute = rng.triangular(opens, closes, opens + (closes - opens) * 0.25)
    local = datetime.combine(day, time(), place.clock) + timedelta(minutes=minute)
    return int(local.timestamp() * 1000)
