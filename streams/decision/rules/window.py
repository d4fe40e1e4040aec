"""Allowed hours, in wall time, by weekday and kind of day.

Rules of this module (docs/semantics.md, 4)
1. Intervals are half-open `[open, close)`; a day's hours are the intersection of everything said about it.
2. Wall times that a clock change skips never come; those it repeats are open twice. Nothing is stored as an offset.
3. Open means open in every zone the recipient may be in, and long enough to be used.
4. What was found for zones and a calendar is kept together with the moments for which it holds. It depends on the
   policy alone, so keeping it changes no answer; it only spares looking at the same day again for every intent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from streams.decision.answer import NEXT_ELIGIBLE_HORIZON_MS, PASS, Answer, denial, too_short
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.location import Zones
from streams.decision.reasons import PASSED
from streams.decision.request_context import RequestContext
from streams.decision.rules.kind import Compilation, Kind
from streams.decision.rules.rule import ContextRule
from streams.decision.specification import OnMissing, RuleSpecification
from streams.decision.tables import DAY_MS, NEVER, HolidayCalendar, ZoneTable, weekday

Interval = tuple[int, int]  # wall time, milliseconds since midnight, half-open

DAY_NAMES: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# A window that closes later than this need not be told apart from one that never closes: approvals live for a day at
# most.
CLOSING_HORIZON_MS: Final = 8 * DAY_MS

OPEN: Final = 0
CLOSED: Final = 1
UNKNOWN_DAY: Final = 2
Hours = tuple[Interval, ...]
# Zones, calendar, and the day (of UTC) of a moment: intents are asked about now, and about some day to come.
Place = tuple[Zones, HolidayCalendar | None, int]

# Places a rule keeps something for: 400 zones on 40 days. Beyond it only time is lost; an entry takes 200 bytes.
PLACES_KEPT_MAX: Final = 16_384
Kept = TypeVar("Kept")
_CLOSED_DAY: Final[Hours] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSpecification(RuleSpecification):
    """Allowed hours. `hours` keys: mon…sun, workday, saturday, sunday, holiday, day_before_holiday."""

    hours: Mapping[str, tuple[Interval, ...]]
    zone: str = "recipient"  # recipient, policy, or a zone's name
    holidays: str = "none"  # recipient, none, or a calendar's name
    on_missing: OnMissing = "deny"


class WindowRule(ContextRule):
    """Passes while the window is open wherever the recipient may be."""

    kind = "window"
    __slots__ = (
        "_allow_missing",
        "_calendar",
        "_hours",
        "_openings",
        "_recipient_holidays",
        "_runs",
        "_uses_day",
        "_uses_next_day",
        "_zones",
    )

    def __init__(self, number: int, specification: WindowSpecification, tables: Compilation) -> None:
        super().__init__(number, specification)
        self._allow_missing = specification.on_missing == "allow"
        # None: the recipient's zones, known only per intent.
        self._zones: Zones | None = tables.fixed_zones(specification.zone)
        self.asks_zones = self._zones is None
        self.is_timed = True
        self._recipient_holidays = specification.holidays == "recipient"
        self._calendar = (
            None if specification.holidays in ("recipient", "none") else tables.calendars[specification.holidays]
        )
        self._uses_day = "holiday" in specification.hours
        self._uses_next_day = "day_before_holiday" in specification.hours
        self._hours = _hours_by_kind_of_day(specification)
        # By place: from which moment it is known to be open, until when, and whether it closes then.
        self._runs: dict[Place, tuple[int, int, bool]] = {}
        # By place: from which moment on it was asked when it opens, and the answer.
        self._openings: dict[Place, tuple[int, int]] = {}

    def answer(self, request: RequestContext, moment_ms: int) -> Answer:
        """Number: when it closes (if it is open), or the first moment at which it passes."""
        zones = self._zones if self._zones is not None else request.zones
        if not zones:
            return PASS if self._allow_missing else denial("zone_unknown")
        calendar = self._calendar_for(request)
        if calendar is None and self._recipient_holidays and not self._allow_missing:
            return denial("calendar_unknown")
        place = (zones, calendar, moment_ms // DAY_MS)
        end_ms = self._known_end(place, moment_ms)
        if not end_ms:
            state, change_ms = self._state(zones, calendar, moment_ms)
            if state == UNKNOWN_DAY:
                return denial("calendar_unknown")
            if state != OPEN:
                reason = self._why_closed(zones, calendar, moment_ms)
                opens_ms = self._opening(zones, calendar, moment_ms)
                return denial(reason) if opens_ms is None else denial(reason, opens_ms - moment_ms)
            end_ms = self._closing(zones, calendar, moment_ms, change_ms)
        if too_short(end_ms, moment_ms):
            return denial("closing", end_ms - moment_ms)
        return PASS if end_ms == NEVER else (PASSED, end_ms, (end_ms - moment_ms,))

    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:
        """The first moment from which it is open for long enough, within the horizon."""
        zones = self._zones if self._zones is not None else context.request.zones
        if not zones:
            return moment_ms if self._allow_missing else None
        calendar = self._calendar_for(context.request)
        if calendar is None and self._recipient_holidays and not self._allow_missing:
            return None
        return self._opening(zones, calendar, moment_ms)

    def _calendar_for(self, request: RequestContext) -> HolidayCalendar | None:
        return request.calendar if self._recipient_holidays else self._calendar

    def _known_end(self, place: Place, moment_ms: int) -> int:
        """What `_closing` would answer, as far as it is known without looking; else 0."""
        run = self._runs.get(place)
        if run is None or not run[0] <= moment_ms < run[1]:
            return 0
        if run[1] > moment_ms + CLOSING_HORIZON_MS:
            return NEVER
        return run[1] if run[2] else 0

    def _opening(self, zones: Zones, calendar: HolidayCalendar | None, moment_ms: int) -> int | None:
        place = (zones, calendar, moment_ms // DAY_MS)
        known_end_ms = self._known_end(place, moment_ms)
        if known_end_ms and not too_short(known_end_ms, moment_ms):
            return moment_ms
        known = self._openings.get(place)
        if known is not None and known[0] <= moment_ms <= known[1]:
            return known[1]
        asked_ms, limit_ms = moment_ms, moment_ms + NEXT_ELIGIBLE_HORIZON_MS
        while moment_ms <= limit_ms:
            state, change_ms = self._state(zones, calendar, moment_ms)
            if state == OPEN:
                change_ms = self._closing(zones, calendar, moment_ms, change_ms)
                if not too_short(change_ms, moment_ms):
                    _keep(self._openings, place, (asked_ms, moment_ms))
                    return moment_ms
            moment_ms = change_ms
        return None

    def _closing(self, zones: Zones, calendar: HolidayCalendar | None, moment_ms: int, change_ms: int) -> int:
        """The first later moment at which it is not open, or NEVER beyond the closing horizon.

        At `moment_ms` it is open, and stays so until `change_ms` at least.
        """
        asked_ms, limit_ms = moment_ms, moment_ms + CLOSING_HORIZON_MS
        state = OPEN
        while state == OPEN and change_ms <= limit_ms:
            moment_ms = change_ms
            state, change_ms = self._state(zones, calendar, moment_ms)
        closes = state != OPEN
        until_ms = moment_ms if closes else change_ms
        self._keep_run((zones, calendar, asked_ms // DAY_MS), asked_ms, until_ms, closes)
        return until_ms if closes else NEVER

    def _keep_run(self, place: Place, from_ms: int, until_ms: int, closes: bool) -> None:
        """Keep that it is open from then until then, joined with what was known of the same run."""
        known = self._runs.get(place)
        if known is not None and known[0] < until_ms and from_ms < known[1]:
            from_ms = min(from_ms, known[0])
            if known[1] > until_ms:
                until_ms, closes = known[1], known[2]
        _keep(self._runs, place, (from_ms, until_ms, closes))

    def _state(self, zones: Zones, calendar: HolidayCalendar | None, moment_ms: int) -> tuple[int, int]:
        """Open, closed or unknown at the moment, and a later moment until which that holds."""
        if len(zones) == 1:
            return self._state_in(zones[0], calendar, moment_ms)
        until_open, until_closed = NEVER, moment_ms
        worst = OPEN
        for zone in zones:
            state, change_ms = self._state_in(zone, calendar, moment_ms)
            if state == OPEN:
                until_open = min(until_open, change_ms)
            else:
                # Closed somewhere is closed: it stays so at least as long as the longest of them.
                until_closed = max(until_closed, change_ms)
                worst = max(worst, state)
        return (OPEN, until_open) if worst == OPEN else (worst, until_closed)

    def _state_in(self, zone: ZoneTable, calendar: HolidayCalendar | None, moment_ms: int) -> tuple[int, int]:
        day, time_of_day, segment_end_ms = zone.local(moment_ms)
        midnight_ms = moment_ms - time_of_day
        hours = self._hours_of(day, calendar)
        if hours is None:
            return UNKNOWN_DAY, min(midnight_ms + DAY_MS, segment_end_ms)
        for opens, closes in hours:
            if time_of_day < opens:
                return CLOSED, min(midnight_ms + opens, segment_end_ms)
            if time_of_day < closes:
                return OPEN, min(midnight_ms + closes, segment_end_ms)
        return CLOSED, min(midnight_ms + DAY_MS, segment_end_ms)

    def _hours_of(self, day: int, calendar: HolidayCalendar | None) -> Hours | None:
        """The hours of a local date, or None if the calendar does not cover it."""
        if calendar is None:
            return self._hours[weekday(day)]
        if not self._allow_missing and (
            (self._uses_day and not calendar.covers(day)) or (self._uses_next_day and not calendar.covers(day + 1))
        ):
            return None
        kind = weekday(day)
        if day in calendar.days:
            kind += 7
        if self._uses_next_day and day + 1 in calendar.days:
            kind += 14
        return self._hours[kind]

    def _why_closed(self, zones: Zones, calendar: HolidayCalendar | None, moment_ms: int) -> str:
        closed = next(zone for zone in zones if self._state_in(zone, calendar, moment_ms)[0] == CLOSED)
        day, time_of_day, _ = closed.local(moment_ms)
        is_holiday = calendar is not None and day in calendar.days
        return "holiday" if is_holiday and _contains(self._hours[weekday(day)], time_of_day) else "window_closed"


def _keep(kept: dict[Place, Kept], place: Place, found: Kept) -> None:
    if len(kept) >= PLACES_KEPT_MAX:
        kept.clear()
    kept[place] = found


def _contains(hours: Hours, time_of_day: int) -> bool:
    return any(opens <= time_of_day < closes for opens, closes in hours)


def _hours_by_kind_of_day(specification: WindowSpecification) -> tuple[Hours, ...]:
    """Hours by weekday (0…6), + 7 on a holiday, + 14 on the day before a holiday."""
    hours = specification.hours
    holiday = hours.get("holiday")
    eve = hours.get("day_before_holiday")
    ordinary = [hours.get(DAY_NAMES[day], hours.get(_class_of(day), _CLOSED_DAY)) for day in range(7)]
    on_holidays = [day if holiday is None else _intersection(day, holiday) for day in ordinary]
    every = (*ordinary, *on_holidays)
    return tuple(map(_joined, (*every, *(day if eve is None else _intersection(day, eve) for day in every))))


def _class_of(day: int) -> str:
    return "workday" if day < 5 else "saturday" if day == 5 else "sunday"


def _intersection(one: Hours, other: Hours) -> Hours:
    found = [(max(a, c), min(b, d)) for a, b in one for c, d in other]
    return tuple(sorted((opens, closes) for opens, closes in found if opens < closes))


def _joined(hours: Hours) -> Hours:
    """The same hours with intervals that touch made one."""
    joined: list[Interval] = []
    for opens, closes in sorted(hours):
        if joined and joined[-1][1] >= opens:
            joined[-1] = joined[-1][0], max(joined[-1][1], closes)
        else:
            joined.append((opens, closes))
    return tuple(joined)


KIND: Final[Kind] = Kind(WindowRule.kind, WindowSpecification, WindowRule)
