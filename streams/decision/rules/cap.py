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

from streams.decision.counting import Counting
from streams.decision.policy_types import PolicyTables
from streams.decision.question import Question, Zones
from streams.decision.reasons import PASSED
from streams.decision.rules.rule import PASS, Answer, Rule, denial, too_short
from streams.decision.specification import CapSpecification, Period
from streams.decision.tables import DAY_MS, NEVER, OFFSET_MAX_MS, ZoneTable, first_of_month, weekday


class CapRule(Rule):
    """What caps of every window have in common."""

    kind = "cap"
    __slots__ = ("counting", "limit")

    def __init__(self, number: int, specification: CapSpecification, counting: Counting) -> None:
        super().__init__(number, specification)
        self.limit = specification.limit
        self.counting = counting

    def remaining(self, answer: Answer, question: Question, *, is_counted: bool) -> int | None:
        """How many more contacts fit after the approval this answer led to, if it `is_counted` at all."""
        if not answer[2]:
            return None  # passed without a count, for want of a zone
        count = answer[2][0] or 0
        own = 1 if is_counted and self.counting.counts_own(question) else 0
        return self.limit - count - own


class RollingCapRule(CapRule):
    """N per elapsed duration (now − W, now]."""

    __slots__ = ("_window_ms",)

    def __init__(self, number: int, specification: CapSpecification, counting: Counting, window_ms: int) -> None:
        super().__init__(number, specification, counting)
        self._window_ms = window_ms

    def ask(self, question: Question, moment_ms: int) -> Answer:
        """Number: the count."""
        count = self.counting.count_after(question, moment_ms - self._window_ms)
        return denial("cap_reached", count) if count >= self.limit else (PASSED, NEVER, (count,))

    def earliest(self, question: Question, moment_ms: int) -> int | None:
        """When the N-th newest counted contact ages out."""
        if self.limit == 0:
            return None
        oldest_ms = self.counting.greatest(question, self.limit)
        return moment_ms if oldest_ms is None else max(moment_ms, oldest_ms + self._window_ms)


class LifetimeCapRule(CapRule):
    """N, ever."""

    __slots__ = ()

    def ask(self, question: Question, moment_ms: int) -> Answer:  # noqa: ARG002 - ever is ever
        """Number: the count."""
        count = self.counting.count_ever(question)
        return denial("cap_reached", count) if count >= self.limit else (PASSED, NEVER, (count,))

    def earliest(self, question: Question, moment_ms: int) -> int | None:
        """Now or never."""
        return moment_ms if self.counting.count_ever(question) < self.limit else None


class CalendarCapRule(CapRule):
    """N per local day, ISO week or month; in every zone the recipient may be in."""

    __slots__ = ("_allow_missing", "_period", "_zones")

    def __init__(
        self, number: int, specification: CapSpecification, counting: Counting, period: Period, tables: PolicyTables
    ) -> None:
        super().__init__(number, specification, counting)
        self._period = period
        self._zones: Zones | None = tables.fixed_zones(specification.calendar_zone)
        self._allow_missing = specification.on_missing == "allow"

    def ask(self, question: Question, moment_ms: int) -> Answer:
        """Numbers: count, start and end of the bucket of the first zone that denies, else of the first."""
        zones = self._zones if self._zones is not None else question.recipient_zones()
        if not zones:
            return PASS if self._allow_missing else denial("zone_unknown")
        end_ms = NEVER
        passing: tuple[int | None, ...] = ()
        closing: Answer | None = None
        for zone in zones:
            bucket_start_ms, bucket_end_ms = _bucket_of(question, zone, self._period, moment_ms)
            count = self.counting.count_after(question, bucket_start_ms - 1)
            numbers = (count, bucket_start_ms - moment_ms, bucket_end_ms - moment_ms)
            if count >= self.limit:
                return denial("cap_reached", *numbers)
            if closing is None and too_short(bucket_end_ms, moment_ms):
                closing = denial("closing", *numbers)
            passing = passing or numbers
            end_ms = min(end_ms, bucket_end_ms)
        return closing or (PASSED, end_ms, passing)

    def earliest(self, question: Question, moment_ms: int) -> int | None:
        """The first bucket start, in every zone, after the N-th newest counted contact."""
        zones = self._zones if self._zones is not None else question.recipient_zones()
        if not zones:
            return moment_ms if self._allow_missing else None
        if self.limit == 0:
            return None
        newest_ms = self.counting.greatest(question, self.limit)
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


def _bucket_of(question: Question, zone: ZoneTable, period: Period, moment_ms: int) -> tuple[int, int]:
    """The bucket, without looking the zone up again where its clock does not change inside it."""
    _, time_of_day, segment_end_ms = question.local(zone, moment_ms)
    if period == "day":
        start_ms = moment_ms - time_of_day
        end_ms = start_ms + DAY_MS
        if end_ms < segment_end_ms and zone.segment(start_ms - OFFSET_MAX_MS)[1] == segment_end_ms:
            return start_ms, end_ms
    return bucket(zone, period, moment_ms)


def bucket(zone: ZoneTable, period: Period, moment_ms: int) -> tuple[int, int]:
    """Start (inclusive) and end (exclusive) of the day, ISO week or month that holds the moment in the zone."""
    first, after = _dates(period, (moment_ms + zone.offset_ms(moment_ms)) // DAY_MS)
    start_ms, end_ms = zone.day_start(first), zone.day_start(after)
    if moment_ms >= end_ms:
        # A clock set back over midnight repeats yesterday's last hour after today has begun: that hour is today's.
        first, after = _dates(period, after)
        start_ms, end_ms = zone.day_start(first), zone.day_start(after)
    return start_ms, end_ms


def _dates(period: Period, day: int) -> tuple[int, int]:
    if period == "day":
        return day, day + 1
    if period == "week":
        monday = day - weekday(day)
        return monday, monday + 7
    return first_of_month(day)
