"""Caps: at most N contacts per window and scope, never one more.

Rules of this module (docs/semantics.md, 5)
1. A contact not yet confirmed counts as if sent at the latest moment it can be: so no order of real sends breaks
   the cap.
2. A rolling window frees a place when the oldest contact ages out, not a whole period later.
3. An approval cannot leave the calendar bucket it was counted in.
4. A limit of 0 means never. It does not mean unlimited.
5. Every cap that applies holds; none replaces another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from streams.decision.answer import PASS, Answer, denial, too_short
from streams.decision.counting import Counting
from streams.decision.evaluation_context import EvaluationContext
from streams.decision.location import Zones
from streams.decision.request_context import RequestContext
from streams.decision.rules.kind import Compilation, Kind
from streams.decision.rules.rule import CountingRule, Limit
from streams.decision.specification import CountingSpecification, OnMissing
from streams.decision.tables import DAY_MS, HOUR_MS, ZoneTable, months_around, weekday

Period = Literal["hour", "day", "week", "month", "quarter", "year"]

# A calendar bucket reaches back its own length; a day more for the clocks of different zones, and for what a clock that
# is set back makes longer.
_BUCKET_REACH_MS: Final[dict[Period, int]] = {
    "hour": 2 * DAY_MS,
    "day": 2 * DAY_MS,
    "week": 8 * DAY_MS,
    "month": 32 * DAY_MS,
    "quarter": 93 * DAY_MS,
    "year": 367 * DAY_MS,
}
_MONTHS: Final[dict[Period, int]] = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True, kw_only=True)
class CapSpecification(CountingSpecification):
    """At most `limit` contacts per window and scope. Exactly one of rolling_ms, calendar, lifetime."""

    limit: int
    rolling_ms: int | None = None
    calendar: Period | None = None
    calendar_zone: str = "recipient"  # recipient, policy, or a zone's name
    lifetime: bool = False
    on_missing: OnMissing = "deny"

    @property
    def reach_ms(self) -> int:
        """The window; 0 for a lifetime cap, which has counters of its own."""
        if self.rolling_ms is not None:
            return self.rolling_ms
        return 0 if self.calendar is None else _BUCKET_REACH_MS[self.calendar]


class CapRule(CountingRule):
    """What caps of every window have in common."""

    kind = "cap"
    __slots__ = ("limit",)

    def __init__(self, number: int, specification: CapSpecification, counting: Counting) -> None:
        super().__init__(number, specification, counting, "cap_reached")
        self.limit = specification.limit

    def room(self, request: RequestContext) -> int | None:
        """What its limit leaves beside the intent's own contact, if that counts."""
        pair = request.channel_purpose
        is_counted = pair.is_counted and self.counting.counts_own(pair.number, request.label_set)
        return self.limit - 1 if is_counted else self.limit


class RollingCapRule(CapRule):
    """N per elapsed duration (now − W, now]."""

    __slots__ = ("_window_ms",)

    def __init__(self, number: int, specification: CapSpecification, counting: Counting, window_ms: int) -> None:
        super().__init__(number, specification, counting)
        self._window_ms = window_ms

    def limits(self, request: RequestContext, moment_ms: int) -> Answer | list[Limit]:  # noqa: ARG002 - ever the same
        """N in the window before the moment."""
        return [Limit(self.limit, self._window_ms)]

    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:
        """When the N-th newest counted contact ages out."""
        if self.limit == 0:
            return None
        oldest_ms = self.counting.greatest(context, self.limit)
        return moment_ms if oldest_ms is None else max(moment_ms, oldest_ms + self._window_ms)


class LifetimeCapRule(CapRule):
    """N, ever."""

    __slots__ = ()

    def limits(self, request: RequestContext, moment_ms: int) -> Answer | list[Limit]:  # noqa: ARG002 - ever is ever
        """N ever."""
        return [Limit(self.limit, 0, is_ever=True)]

    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:
        """Now or never."""
        return moment_ms if self.counting.count_ever(context) < self.limit else None

    def counts_for_life(self) -> Counting | None:
        """What it counts."""
        return self.counting


class CalendarCapRule(CapRule):
    """N per local hour, day, ISO week, month, quarter or year; in every zone the recipient may be in."""

    __slots__ = ("_allow_missing", "_period", "_zones")

    def __init__(
        self, number: int, specification: CapSpecification, counting: Counting, period: Period, tables: Compilation
    ) -> None:
        super().__init__(number, specification, counting)
        self._period = period
        self._zones: Zones | None = tables.fixed_zones(specification.calendar_zone)
        self.asks_zones = self._zones is None
        self.is_timed = True
        self._allow_missing = specification.on_missing == "allow"

    def limits(self, request: RequestContext, moment_ms: int) -> Answer | list[Limit]:
        """N in the bucket of each zone. Numbers behind the count: the bucket's start and end."""
        zones = self._zones if self._zones is not None else request.zones
        if not zones:
            return PASS if self._allow_missing else denial("zone_unknown")
        found = []
        for zone in zones:
            start_ms, end_ms = bucket(zone, self._period, moment_ms)
            numbers = start_ms - moment_ms, end_ms - moment_ms
            back_ms, is_closing = moment_ms - start_ms + 1, too_short(end_ms, moment_ms)
            found.append(Limit(self.limit, back_ms, False, numbers, end_ms, is_closing))
        return found

    def earliest(self, context: EvaluationContext, moment_ms: int) -> int | None:
        """The first bucket start, in every zone, after the N-th newest counted contact."""
        zones = self._zones if self._zones is not None else context.request.zones
        if not zones:
            return moment_ms if self._allow_missing else None
        if self.limit == 0:
            return None
        newest_ms = self.counting.greatest(context, self.limit)
        if newest_ms is not None:
            moment_ms = max(moment_ms, *(bucket(zone, self._period, newest_ms)[1] for zone in zones))
        return _first_with_room(zones, self._period, moment_ms)


def _first_with_room(zones: Zones, period: Period, moment_ms: int) -> int:
    """The first moment from which every zone's bucket lasts long enough; bucket ends of two zones may lie close
    together.
    """
    while True:
        ends = [bucket(zone, period, moment_ms)[1] for zone in zones]
        short = [end_ms for end_ms in ends if too_short(end_ms, moment_ms)]
        if not short:
            return moment_ms
        moment_ms = max(short)


def bucket(zone: ZoneTable, period: Period, moment_ms: int) -> tuple[int, int]:
    """Start (inclusive) and end (exclusive) of the hour, day, ISO week, month, quarter or year that holds the moment in
    the zone.
    """
    first_ms, after_ms = _local_bounds(period, moment_ms + zone.offset_ms(moment_ms))
    start_ms, end_ms = zone.first_at(first_ms), zone.first_at(after_ms)
    while moment_ms >= end_ms:
        # A clock set back over midnight repeats yesterday's last hour after today has begun: that hour is today's.
        first_ms, after_ms = _local_bounds(period, after_ms)
        start_ms, end_ms = zone.first_at(first_ms), zone.first_at(after_ms)
    return start_ms, end_ms


def _local_bounds(period: Period, local_ms: int) -> tuple[int, int]:
    """Local date and time at which the period that holds the local moment begins, and the next one."""
    if period == "hour":
        first_ms = local_ms - local_ms % HOUR_MS
        return first_ms, first_ms + HOUR_MS
    first, after = _dates(period, local_ms // DAY_MS)
    return first * DAY_MS, after * DAY_MS


def _dates(period: Period, day: int) -> tuple[int, int]:
    if period == "day":
        return day, day + 1
    if period == "week":
        monday = day - weekday(day)
        return monday, monday + 7
    return months_around(day, _MONTHS[period])


def _compiled(number: int, specification: CapSpecification, compilation: Compilation) -> CapRule:
    counting = compilation.counting(specification)
    if specification.rolling_ms is not None:
        return RollingCapRule(number, specification, counting, specification.rolling_ms)
    if specification.calendar is not None:
        return CalendarCapRule(number, specification, counting, specification.calendar, compilation)
    return LifetimeCapRule(number, specification, counting)


KIND: Final[Kind] = Kind(CapRule.kind, CapSpecification, _compiled)
