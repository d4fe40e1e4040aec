"""The independent model of a decision: docs/semantics.md, section by section, slowly and in plain sight.

Nothing is pruned, encoded or kept as a running total. Every question is answered by counting again from everything ever
given. Moments (ends, next openings, `next_eligible_at`) are found by trying the instants at which something can change
and asking the same predicate that decides.

Where the page can be read in several ways the choice made here is marked READING.

The module is as long as the page that it follows, on purpose: whoever compares the two reads both from top to bottom.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import heapq
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from streams.oracle.places import Place, SaidPlace, one_clock, place_of, regions_of
from streams.oracle.policy import (
    BUILT_IN,
    DAY_MS,
    REGION_NAMED,
    WEEKDAYS,
    Interval,
    Policy,
    Rule,
    bucket,
    duration,
    hours_of,
    instant,
    instants_showing,
    known_zone_names,
    local,
    read_policy,
    transitions,
    utc,
    zones_by_country,
)
from streams.oracle.words import SCOPE_FIELDS, Words, folded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

VALIDITY_MIN_MS = 2_000
FUTURE_TOLERANCE_MS = 300_000
BELIEVED_FROM_MS = 946_684_800_000
NEXT_ELIGIBLE_HORIZON_MS = 366 * DAY_MS
WINDOW_END_HORIZON_MS = 8 * DAY_MS

MAX_CONTACTS = 1_000
MAX_IDENTITIES = 4_000
MAX_TAG_SETS = 256
MAX_PREFERENCES = 256

PASSED, EXEMPT = 0, 1
# Copied by hand from the published table: a renumbered reason must break a comparison.
REASON_NUMBERS = {
    "expired": 2,
    "duplicate": 3,
    "channel_unknown": 4,
    "purpose_unknown": 5,
    "ledger_full": 6,
    "campaign_off": 7,
    "campaign_shadow": 8,
    "restricted": 9,
    "opt_out": 10,
    "objection": 11,
    "paused": 12,
    "sender_missing": 13,
    "sender_not_allowed": 14,
    "consent_missing": 15,
    "consent_withdrawn": 16,
    "consent_expired": 17,
    "consent_unproven": 18,
    "country_unknown": 19,
    "zone_unknown": 20,
    "calendar_unknown": 21,
    "window_closed": 22,
    "holiday": 23,
    "closing": 24,
    "cap_reached": 25,
    "gap": 26,
    "not_understood": 27,
}

TRACK_OF = {
    "restriction": "restriction",
    "restriction_lifted": "restriction",
    "opt_out": "opt_out",
    "objection": "opt_out",
    "opt_in": "opt_out",
    "pause": "pause",
    "resume": "pause",
    "unread": "unread",
    "clarification": "unread",
    "consent_withdrawn": "consent",
    "consent_granted": "consent",
}
RESTRICTIVE = frozenset({"restriction", "opt_out", "objection", "pause", "unread", "consent_withdrawn"})
PERMISSIVE = frozenset({"restriction_lifted", "opt_in", "resume", "clarification", "consent_granted"})
REASONS_AGAINST_CONSENT = {"consent_withdrawn": "consent_withdrawn", "unread": "not_understood"}
DENYING_TRACKS = ("restriction", "opt_out", "pause", "unread")
TAGS = ("channel", "purpose", "topic", "brand", "campaign", "sender_id")
PROFILE_FIELDS = ("timezone", "country", "region", "minor")
STOP_CODES = frozenset({"stop", "stopall", "unsubscribe", "optout"})
STOP_CODES_OF_REPLIES = frozenset({"quit", "end", "revoke", "cancel"})
NOTHING_NAMED = (None,) * len(SCOPE_FIELDS)
NEVER = float("inf")


class DeadLetterError(Exception):
    """The record is no decision and no preference: it goes to dead-letter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


DeadLetter = DeadLetterError


def decision_id(customer_id: str, intent_id: str) -> str:
    size = str(len(customer_id.encode()))
    text = size + ":" + customer_id + intent_id
    return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


# ---- what is kept of a customer: everything ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Preference:
    type: str
    scope: tuple[str | None, ...]  # by SCOPE_FIELDS, words folded
    order: int
    effective_at: int
    end: int | None
    evidence: bool
    source: str | None = None  # folded, and only in the restriction track

    @property
    def track(self) -> str:
        return TRACK_OF[self.type]

    @property
    def restrictive(self) -> bool:
        return self.type in RESTRICTIVE

    @property
    def slot(self) -> tuple[str, bool, tuple[str | None, ...], str | None]:
        return self.track, self.restrictive, self.scope, self.source

    @property
    def rank(self) -> tuple[int, float, int, bool, bool]:
        """The greatest of one slot is kept."""
        return (
            self.order,
            NEVER if self.end is None else self.end,
            self.effective_at,
            self.type == "opt_out",
            self.evidence,
        )

    def covers(self, subject: dict[str, Any], words: Words) -> bool:
        for name, wanted in zip(SCOPE_FIELDS, self.scope, strict=True):
            if wanted is None:
                continue
            actual = subject[name]
            if actual is None:
                if not self.restrictive:
                    return False
            elif not words.covers(name, wanted, actual, restrictive=self.restrictive):
                return False
        return True

    def undoes(self, no: Preference, words: Words) -> bool:
        """Whether this yes, where it covers and is in force, undoes a no of its track."""
        if self.order <= no.order or self.source != no.source:
            return False
        if self.scope == NOTHING_NAMED:
            return True
        return all(
            named is None or (own is not None and words.same(name, named, own))
            for name, named, own in zip(SCOPE_FIELDS, no.scope, self.scope, strict=True)
        )


@dataclass(frozen=True, slots=True)
class ProfileValue:
    name: str
    value: object
    order: int


@dataclass(slots=True)
class Contact:
    decision_id: str
    decided_at: int
    valid_until: int
    tags: dict[str, str | None]
    counts_at_all: bool  # not approved under an exemption with still_counts: false
    exempt_from_opt_out: bool
    under_consent: bool
    reported: list[int] = field(default_factory=list)  # the clamped times of its outcomes
    withdrawn: bool = False
    erased: bool = False
    noted: Any = None  # whatever who asked wants to find again with it
    tag_values: tuple[str | None, ...] = ()

    def __post_init__(self) -> None:
        self.tag_values = tuple(self.tags.values())

    @property
    def latest(self) -> int:
        return min(self.reported) if self.reported else self.valid_until


@dataclass(slots=True)
class Identity:
    intent_id: str
    created_at: int
    erased: bool = False


@dataclass(slots=True)
class Customer:
    preferences: list[Preference] = field(default_factory=list)
    profile: list[ProfileValue] = field(default_factory=list)
    contacts: list[Contact] = field(default_factory=list)
    identities: list[Identity] = field(default_factory=list)
    erased_at: int | None = None
    refused: bool = False

    def standing(self) -> list[Preference]:
        """The preferences that neither a later one of their slot nor an erasure took away."""
        kept: dict[object, Preference] = {}
        for event in self.preferences:
            if event.track == "consent" and self.erased_at is not None and event.order <= self.erased_at:
                continue
            if event.slot not in kept or event.rank > kept[event.slot].rank:
                kept[event.slot] = event
        return list(kept.values())

    def profile_value(self, name: str) -> Any:  # noqa: ANN401 - whatever the customer's record holds
        best = self.profile_entry(name)
        return None if best is None else best.value

    def profile_entry(self, name: str) -> ProfileValue | None:
        best: ProfileValue | None = None
        for value in self.profile:
            if value.name != name or (self.erased_at is not None and value.order <= self.erased_at):
                continue
            if best is None or (value.order, str(value.value)) > (best.order, str(best.value)):
                best = value
        return best

    def held_contacts(self) -> list[Contact]:
        return [contact for contact in self.contacts if not contact.erased]

    def remembers(self, intent_id: str, since: int) -> Identity | None:
        for identity in self.identities:
            if identity.intent_id == intent_id and not identity.erased and identity.created_at >= since:
                return identity
        return None


# ---- one intent, with what was found out about it ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Zones:
    """The recipient's zones: names sorted, or none if unknown; and what they were taken from."""

    names: tuple[str, ...] = ()
    taken_from: tuple[str, ...] | None = None


@dataclass
class Case:
    customer: Customer
    subject: dict[str, Any]  # the intent's fields by the names the rules use
    intent_id: str
    created_at: int
    expires_at: int | None
    holiday_calendar: str | None
    place: Place
    standing: list[Preference]
    contacts: list[Contact]
    zones: Zones
    exemptions: list[Rule]
    # READING: what "an intent like this one" keeps is everything but its identity and created_at, expires_at too.
    like_it: bool = False  # a new identity, created at the moment asked about


@dataclass(slots=True)
class Answer:
    """What one rule says at one moment."""

    reason: str | None = None
    numbers: list[int | None] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    count: int | None = None


@dataclass(slots=True)
class Check:
    """One rule that is asked: how to ask it, and the instants after t at which a denial of it might turn."""

    number: int
    id: str
    kind: str
    ask: Callable[[int], Answer]
    turns: Callable[[int], Iterable[int]]
    shadow: bool = False
    exempt: bool = False
    rule: Rule | None = None
    # Costly numbers are looked for only when an explanation is written.
    explain: Callable[[int, Answer], list[int | None]] | None = None
    asks_zone: bool = False

    @property
    def decides(self) -> bool:
        return not self.shadow and not self.exempt


@dataclass(slots=True)
class Asked:
    check: Check
    answer: Answer


# ---- matching -------------------------------------------------------------------------------------------------------

SELECTOR_SUBJECT = {
    "channels": "channel",
    "groups": "group",
    "purposes": "purpose",
    "topics": "topic",
    "brands": "brand",
    "campaigns": "campaign",
}


def field_matches(name: str, wanted: Any, subject: dict[str, Any], *, missing_automated: bool) -> bool:  # noqa: ANN401
    if name == "automated":
        return missing_automated if subject["automated"] is None else subject["automated"] == wanted
    if name == "countries":
        return in_countries(wanted, subject) is True
    value = subject[SELECTOR_SUBJECT[name]]
    return value is not None and value in wanted


def in_countries(wanted: list[str], subject: dict[str, Any]) -> bool | None:
    """Whether the recipient is in one of the countries or regions; None if it cannot be told."""
    country, region = subject["country"], subject["region"]
    if country is None:
        return None
    if country in wanted or (region is not None and f"{country}-{region}" in wanted):
        return True
    if region is None and any(name.startswith(f"{country}-") for name in wanted):
        return None
    return False


def selected(selector: dict[str, Any], subject: dict[str, Any]) -> bool:
    return all(field_matches(name, wanted, subject, missing_automated=True) for name, wanted in selector.items())


def excepted(selector: dict[str, Any], subject: dict[str, Any]) -> bool:
    # READING: an `except` that names nothing excludes nothing.
    return bool(selector) and all(
        field_matches(name, wanted, subject, missing_automated=False) for name, wanted in selector.items()
    )


def but_for_countries(selector: dict[str, Any]) -> dict[str, Any]:
    return {name: wanted for name, wanted in selector.items() if name != "countries"}


def applies(rule: Rule, subject: dict[str, Any]) -> str:
    """`yes`, `no`, or `unknown` when the rule must deny because nobody can tell whether the country is one of its."""
    if rule.state == "off" or excepted(rule.except_, subject):
        return "no"
    if rule.kind == "campaign":
        return "yes" if subject["campaign"] in rule.body["campaigns"] else "no"
    if "countries" in rule.applies_to and in_countries(rule.applies_to["countries"], subject) is None:
        unknown = {"deny": "unknown", "apply": "yes", "skip": "no"}[rule.body.get("country_unknown", "deny")]
        return unknown if selected(but_for_countries(rule.applies_to), subject) else "no"
    return "yes" if selected(rule.applies_to, subject) else "no"


# ---- section 1: who wins --------------------------------------------------------------------------------------------


def in_force(event: Preference, t: int, end: int | None) -> bool:
    if not event.restrictive and t < event.effective_at:
        return False
    return end is None or t < end


def own_end(event: Preference) -> int | None:
    return event.end


def standing_noes(
    events: list[Preference],
    track: str,
    subject: dict[str, Any],
    t: int,
    words: Words,
    end_of: Callable[[Preference], int | None] = own_end,
) -> list[Preference]:
    """The noes of a track that stand at t."""
    acting = [e for e in events if e.track == track and in_force(e, t, end_of(e)) and e.covers(subject, words)]
    yeses = [e for e in acting if not e.restrictive]
    return [e for e in acting if e.restrictive and not any(yes.undoes(e, words) for yes in yeses)]


def standing_no(events: list[Preference], subject: dict[str, Any], t: int, words: Words) -> Preference | None:
    """The no for which the opt_out rule denies at t, if it does.

    READING: of several at the greatest order (no reason depends on it, the explanation's end does) the one that `rank`
    would keep, after opt_out over objection.
    """
    for track in DENYING_TRACKS:
        noes = standing_noes(events, track, subject, t, words)
        if noes:
            return max(noes, key=lambda e: (e.order, e.type == "opt_out", e.rank))
    return None


def opt_out_reason(no: Preference) -> str:
    reasons = {"restriction": "restricted", "opt_out": no.type, "pause": "paused", "unread": "not_understood"}
    return reasons[no.track]


def moments_of(events: list[Preference], end_of: Callable[[Preference], int | None], t: int) -> list[int]:
    """Every instant after t at which an event begins or ends to be in force."""
    found = {e.effective_at for e in events} | {end for e in events if (end := end_of(e)) is not None}
    return sorted(moment for moment in found if moment > t)


# ---- section 4: hours -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opening:
    """The hours of one window rule for one holiday calendar. `calendar` None: no holidays are asked for."""

    hours: dict[str, list[Interval]]
    calendar: frozenset[dt.date] | None
    years: frozenset[int]
    unknown_is_closed: bool

    def base(self, date: dt.date) -> list[Interval]:
        day = WEEKDAYS[date.weekday()]
        if day in self.hours:
            return self.hours[day]
        return self.hours.get({"sat": "saturday", "sun": "sunday"}.get(day, "workday"), [])

    def is_holiday(self, date: dt.date) -> bool:
        return self.calendar is not None and date.year in self.years and date in self.calendar

    def unknown(self, date: dt.date) -> bool:
        if self.calendar is None or not self.unknown_is_closed:
            return False
        tomorrow = date + dt.timedelta(days=1)
        return ("holiday" in self.hours and date.year not in self.years) or (
            "day_before_holiday" in self.hours and tomorrow.year not in self.years
        )

    def layers(self, date: dt.date) -> list[list[Interval]]:
        """The sets of hours whose intersection are the hours of the date."""
        found = [self.base(date)]
        if "holiday" in self.hours and self.is_holiday(date):
            found.append(self.hours["holiday"])
        if "day_before_holiday" in self.hours and self.is_holiday(date + dt.timedelta(days=1)):
            found.append(self.hours["day_before_holiday"])
        return found

    def says(self, zone_name: str, t: int) -> str:
        """`open`, `closed`, `holiday` (closed for nothing but the holiday it is) or `unknown`."""
        date, wall = local(zone_name, t)
        if self.unknown(date):
            return "unknown"
        layers = self.layers(date)
        if all(within(layer, wall) for layer in layers):
            return "open"
        # READING: for the day before a holiday, which is itself none, this is an ordinary closed window.
        if self.is_holiday(date) and within(self.base(date), wall):
            return "holiday"
        return "closed"


def within(intervals: list[Interval], wall: int) -> bool:
    return any(opening <= wall < closing for opening, closing in intervals)


class Clockwork:
    """Where the openness of one `Opening` changes in one zone, day by UTC day, remembered."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.days: dict[tuple[str, int], list[tuple[int, bool]]] = {}

    def is_open(self, zone_name: str, t: int) -> bool:
        return self.opening.says(zone_name, t) == "open"

    def changes_of_day(self, zone_name: str, day: int) -> list[tuple[int, bool]]:
        """Within one UTC day: the instants at which anything could change, and whether it is open then."""
        if (zone_name, day) not in self.days:
            low, high = day * DAY_MS, (day + 1) * DAY_MS
            around = utc(low).date()
            candidates = set(transitions(zone_name, low, high))
            for ahead in range(-2, 4):
                date = around + dt.timedelta(days=ahead)
                edges = {0} | {edge for layer in self.opening.layers(date) for interval in layer for edge in interval}
                for edge in edges:
                    candidates.update(instants_showing(zone_name, date, edge))
            inside = sorted(t for t in candidates if low <= t < high)
            self.days[zone_name, day] = [(t, self.is_open(zone_name, t)) for t in inside]
        return self.days[zone_name, day]

    def changes(self, zone_name: str, after: int, until: int, *, to_open: bool) -> Iterator[int]:
        """The instants in (after, until] at which the zone is found open (or not), in order."""
        for day in range(after // DAY_MS, until // DAY_MS + 1):
            for t, is_open in self.changes_of_day(zone_name, day):
                if after < t <= until and is_open == to_open:
                    yield t

    def openings(self, zones: tuple[str, ...], after: int, until: int) -> Iterator[int]:
        """The moments in (after, until] at which all zones are found open again, in order.

        While a zone is closed all are waiting for it, so that the search goes on where that zone opens.
        """
        moment: int | None = after
        while moment is not None:
            closed = next((name for name in zones if not self.is_open(name, moment)), None)
            if closed is not None:
                moment = next(self.changes(closed, moment, until, to_open=True), None)
                continue
            if moment > after:
                yield moment
            moment = self.closes(zones, moment, until)

    def closes(self, zones: tuple[str, ...], t: int, until: int) -> int | None:
        """The first moment in (t, until] at which one of the zones is not open."""
        firsts = (next(self.changes(name, t, until, to_open=False), None) for name in zones)
        return min((first for first in firsts if first is not None), default=None)


class Calendars(NamedTuple):
    """The declared calendars in any of which a holiday is one, by name; and whether they are what was asked for.

    READING: with `allow`, holidays of declared parts count where the place itself has no calendar.
    """

    names: tuple[str, ...]
    is_declared: bool


def calendars_of_place(place: Place, declared: Iterable[str]) -> Calendars:
    country, region, province = place
    if country is None:
        return Calendars((), is_declared=False)
    precise = [f"{country}-{province}"] if province is not None else []
    precise += [f"{country}-{region}"] if region is not None else []
    own = next((name for name in (*precise, country) if name in declared), None)
    parts = set()
    if province is None:
        for name in declared:
            if REGION_NAMED.fullmatch(name) and name.startswith(f"{country}-"):
                code = name.partition("-")[2]
                if region is None or (code != region and regions_of(country).get(code) == region):
                    parts.add(name)
    return Calendars(tuple(sorted(parts | {own} if own is not None else parts)), is_declared=own is not None)


@functools.lru_cache(maxsize=64)
def clockworks_of(policy_text: str) -> dict[tuple[int, Calendars | None], Clockwork]:
    """By rule and holiday calendars; filled as they are asked for."""
    return {}


# ---- the model ------------------------------------------------------------------------------------------------------


class Model:
    """Every customer of one policy, from the first event on. `now` must not go back for a customer."""

    def __init__(self, policy_text: str) -> None:
        self.policy: Policy = read_policy(policy_text)
        self.customers: dict[str, Customer] = {}
        self.hours: dict[int, dict[str, list[Interval]]] = {
            rule.number: hours_of(rule.body["hours"]) for rule in self.policy.rules if rule.kind == "window"
        }
        # The hours of a policy are the same whoever asks.
        self.clockworks = clockworks_of(policy_text)
        # What was found to match once is not matched again: by the values that matching looks at.
        self.makers: dict[str, Callable[[Rule, Case], Check]] = {
            "campaign": self._campaign,
            "opt_out": self._opt_out,
            "sender": self._sender,
            "consent": self._consent,
            "window": self._window,
            "cap": self._cap,
            "gap": self._gap,
        }
        # Whether each `next_eligible_at` is confirmed by two more whole decisions: then, and a millisecond before.
        self.confirms = True
        self.applicable: dict[tuple[Any, ...], list[tuple[Rule, str]]] = {}
        self.counted: dict[tuple[Any, ...], dict[tuple[Any, ...], bool]] = {}

    def customer(self, customer_id: str) -> Customer:
        found = self.customers.get(customer_id)
        if found is None:
            found = self.customers[customer_id] = Customer()
        return found

    # ---- preferences ----

    def apply_preference(self, event: dict[str, Any], record_timestamp_ms: int, now_ms: int) -> list[dict[str, str]]:
        """Apply what a customer said; give back the withdrawals it causes, in order of approval.

        `event` holds what of a record could be read: this is about what it means, not about how it was written.
        """
        customer = self.customer(event["customer_id"])
        kind = event["type"]
        order, effective_at, end = self._accepted(event, record_timestamp_ms, now_ms)
        if kind == "unread":
            for earlier in customer.standing():
                if earlier.type == "clarification":
                    order = max(order, earlier.order)
        if kind == "erasure":
            return self._erase(customer, order, now_ms)
        if kind == "profile":
            for name in PROFILE_FIELDS:
                if event.get(name) is not None:
                    customer.profile.append(ProfileValue(name, event[name], order))
            return []
        said = words_said(event)
        source = event.get("source") if TRACK_OF[kind] == "restriction" else None
        preference = Preference(
            type=kind,
            scope=tuple(said.get(name) for name in SCOPE_FIELDS),
            order=order,
            effective_at=effective_at,
            end=end,
            evidence=event.get("evidence_ref") is not None,
            source=None if source is None else folded(source),
        )
        if preference.track == "consent" and customer.erased_at is not None and order <= customer.erased_at:
            return []
        standing = customer.standing()
        if len(standing) >= MAX_PREFERENCES and preference.slot not in {e.slot for e in standing}:
            customer.refused = True
            standing.append(preference)
        else:
            customer.preferences.append(preference)
            standing = customer.standing()
        # READING: a restrictive event is applied, and looks for what to withdraw, even if a later one supersedes it.
        return self._withdraw(customer, standing, preference.type, now_ms) if preference.restrictive else []

    def refusal(self, event: dict[str, Any], record_timestamp_ms: int, now_ms: int) -> str | None:
        """Why what a customer said would be a dead letter, if it would be one."""
        try:
            self._accepted(event, record_timestamp_ms, now_ms)
        except DeadLetterError as dead:
            return dead.reason
        return None

    def _accepted(self, event: dict[str, Any], record_timestamp_ms: int, now_ms: int) -> tuple[int, int, int | None]:
        """Order, effective_at and end of an event that is no dead letter."""
        restricts = event["type"] in RESTRICTIVE or event["type"] == "erasure"
        read_times = believed_times if restricts else plausible_times
        recorded_ms, effective_at, end = read_times(event, record_timestamp_ms, now_ms)
        order = min(effective_at, recorded_ms)
        if order > now_ms + FUTURE_TOLERANCE_MS:
            if not restricts:
                raise DeadLetterError("from_the_future")
            order = now_ms
        if event["type"] in PERMISSIVE:
            understood = self.policy.words.understood
            if not all(understood(name, word) for name, word in words_said(event).items()):
                raise DeadLetterError("unknown_word")
        return order, effective_at, end

    def _erase(self, customer: Customer, order: int, now: int) -> list[dict[str, str]]:
        if customer.erased_at is not None and order <= customer.erased_at:
            return []
        # READING: contacts have no order; all there are go with an erasure that is news.
        withdrawn = []
        for contact in customer.held_contacts():
            if self._can_be_withdrawn(contact, now):
                contact.withdrawn = True
                withdrawn.append({"decision_id": contact.decision_id, "reason": "erased"})
            contact.erased = True
        customer.erased_at = order
        for identity in customer.identities:
            identity.erased = identity.erased or identity.created_at <= customer.erased_at
        return withdrawn

    @staticmethod
    def _can_be_withdrawn(contact: Contact, now: int) -> bool:
        return not contact.reported and not contact.withdrawn and contact.latest > now

    def _withdraw(
        self, customer: Customer, standing: list[Preference], event_type: str, now: int
    ) -> list[dict[str, str]]:
        words = self.policy.words
        withdrawn = []
        for contact in customer.held_contacts():
            if not self._can_be_withdrawn(contact, now):
                continue
            reason = None
            # READING: only what the customer said withdraws, not the rule's `closing`.
            denies = standing_no(standing, contact.tags, now, words)
            if denies is not None and not contact.exempt_from_opt_out:
                reason = opt_out_reason(denies)
            elif (
                event_type in REASONS_AGAINST_CONSENT
                and contact.under_consent
                and standing_noes(standing, TRACK_OF[event_type], contact.tags, now, words)
            ):
                reason = REASONS_AGAINST_CONSENT[event_type]
            if reason is not None:
                contact.withdrawn = True
                withdrawn.append({"decision_id": contact.decision_id, "reason": reason})
        return withdrawn

    # ---- outcomes ----

    def apply_outcome(self, outcome: dict[str, Any], record_timestamp_ms: int, now_ms: int) -> list[dict[str, str]]:
        """Apply what became of a message; a STOP gives withdrawals back as an opt-out does.

        Of one with a stop code any field but customer, type and detail may be missing.
        """
        customer = self.customer(outcome["customer_id"])
        named = outcome.get("decision_id")
        occurred_at = instant(outcome.get("occurred_at"))
        # An identity forgotten and used again names two contacts: the one decided last is meant.
        contacts = [c for c in customer.held_contacts() if named is not None and c.decision_id == named][-1:]
        # READING: an outcome whose moment could not be read says of no contact when it was sent.
        if outcome["type"] != "expired" and occurred_at is not None:
            for contact in contacts:
                if occurred_at >= max(BELIEVED_FROM_MS, contact.decided_at - FUTURE_TOLERANCE_MS):
                    high = max(contact.valid_until, now_ms)
                    contact.reported.append(max(contact.decided_at, min(occurred_at, high)))
        if not is_stop(outcome):
            return []
        channels = [contact.tags["channel"] for contact in contacts]
        own = outcome.get("channel")
        if own is not None and folded(own) not in map(folded, filter(None, channels)):
            channels.append(own)
        withdrawn = []
        for channel in channels or [None]:  # with neither a known contact nor a channel everything is closed
            opt_out = {
                "customer_id": outcome["customer_id"],
                "type": "opt_out",
                "channel": channel,
                "effective_at": occurred_at,
            }
            withdrawn += self.apply_preference(opt_out, record_timestamp_ms, now_ms)
        return withdrawn

    # ---- decisions ----

    def decide(self, intent: dict[str, Any], now_ms: int) -> dict[str, Any]:
        """The answer to one intent; an approval is added to the customer's contacts."""
        created_at = instant(intent["created_at"])
        assert created_at is not None
        if created_at > now_ms + FUTURE_TOLERANCE_MS:
            raise DeadLetterError("from_the_future")
        customer = self.customer(intent["customer_id"])
        case = self._case(customer, intent, created_at)
        asked = self._ask_all(case, now_ms)
        denied = next((a for a in asked if a.check.decides and a.answer.reason is not None), None)
        own_id = decision_id(intent["customer_id"], intent["intent_id"])
        reason = None if denied is None else denied.answer.reason
        answer: dict[str, Any] = {
            "verdict": "approved" if denied is None else "suppressed",
            "reason": reason,
            "rule": None if denied is None else denied.check.id,
            "decision_id": own_id,
            "duplicate_of": own_id if reason == "duplicate" else None,
            "valid_until": None,
            "next_eligible_at": None,
            "remaining": {},
            "obligations": [],
            "explanation": [entry(a, now_ms) for a in asked],
            "zone": self._zone_asked(case, asked),
        }
        if denied is None:
            self._approve(case, asked, answer, now_ms)
        elif denied.check.number not in range(len(BUILT_IN)):
            answer["next_eligible_at"] = self._next_eligible_at(case, asked, now_ms)
        self._remember(case, asked, now_ms)
        return answer

    def approves(self, intent: dict[str, Any], now_ms: int) -> bool:
        """Whether an intent would be approved; nothing is kept of it."""
        return self._approves(self._case_of(intent), now_ms)

    def denying_no(self, intent: dict[str, Any], now_ms: int) -> Preference | None:
        """The no for which the opt_out rule denies the intent, if it does."""
        case = self._case_of(intent)
        return standing_no(case.standing, case.subject, now_ms, self.policy.words)

    def denied_by_contacts(self, intent: dict[str, Any], now_ms: int, decided_from_ms: int) -> bool:
        """Whether a cap or gap denies the intent for contacts decided from a moment on, wherever the customer is."""
        case = self._case_of(intent)
        case.contacts = [contact for contact in case.contacts if contact.decided_at >= decided_from_ms]
        return any(
            check.ask(now_ms).reason is not None
            for check in self._checks_of_policy(case)
            if check.decides and check.rule is not None and counts_anywhere(check.rule)
        )

    def approve_anyway(self, intent: dict[str, Any], now_ms: int, valid_until: int) -> None:
        """Take it that an intent just suppressed was approved all the same, until then: it may have been sent."""
        case = self._case_of(intent)
        customer = case.customer
        asked = [Asked(check, check.ask(now_ms)) for check in self._checks_of_policy(case) if not check.exempt]
        answer: dict[str, Any] = {"decision_id": decision_id(intent["customer_id"], intent["intent_id"])}
        self._approve(case, asked, {**answer, "remaining": {}}, now_ms)
        customer.contacts[-1].valid_until = valid_until
        if customer.remembers(case.intent_id, now_ms - self.policy.identities) is None:
            customer.identities.append(Identity(case.intent_id, case.created_at))

    def _case_of(self, intent: dict[str, Any]) -> Case:
        created_at = instant(intent["created_at"])
        assert created_at is not None
        return self._case(self.customer(intent["customer_id"]), intent, created_at)

    def _case(self, customer: Customer, intent: dict[str, Any], created_at: int) -> Case:
        said = SaidPlace(intent.get("country"), intent.get("region"))
        place = place_of(said, said_in_profile(customer), self.policy.divided)
        purpose = intent.get("purpose")
        channel = intent["channel"]
        subject = {
            "channel": channel,
            "group": self.policy.channels.get(channel, channel),
            "purpose": purpose if purpose is not None else self.policy.default_purpose,
            "topic": intent.get("topic"),
            "brand": intent.get("brand"),
            "campaign": intent.get("campaign_id"),
            "sender_id": intent.get("sender_id"),
            "country": place.country,
            "region": place.region,
            "automated": intent.get("automated"),
        }
        return Case(
            customer=customer,
            subject=subject,
            intent_id=intent["intent_id"],
            created_at=created_at,
            expires_at=instant(intent.get("expires_at")),
            holiday_calendar=intent.get("holiday_calendar"),
            place=place,
            standing=customer.standing(),
            contacts=customer.held_contacts(),
            zones=self._recipient_zones(intent, customer, place),
            exemptions=[
                rule
                for rule in self.policy.exemptions
                if rule.state != "off" and subject["purpose"] in rule.body["purposes"]
            ],
        )

    def _recipient_zones(self, intent: dict[str, Any], customer: Customer, place: Place) -> Zones:
        of_place = self._zones_of_place(place)
        for name, source in ((intent.get("timezone"), "intent"), (customer.profile_value("timezone"), "ledger")):
            if name is None:
                continue
            if name not in known_zone_names():
                return Zones()
            if not of_place.names or name in of_place.names or any(one_clock(name, other) for other in of_place.names):
                return Zones((name,), (name, source))
            assert of_place.taken_from is not None
            return Zones(tuple(sorted({name, *of_place.names})), (name, source, of_place.taken_from[0]))
        if place.country is not None:
            return of_place
        if self.policy.recipient_zone is not None:
            return Zones((self.policy.recipient_zone,), (self.policy.recipient_zone, "policy"))
        return Zones()

    def _zones_of_place(self, place: Place) -> Zones:
        if place.country is None:
            return Zones()
        code = f"{place.country}-{place.region}"
        if place.region is not None and code in self.policy.regions:
            return Zones(tuple(sorted(set(self.policy.regions[code]))), (code, "region"))
        names = zones_by_country().get(place.country)
        return Zones(names, (place.country, "country")) if names else Zones()

    def _ask_all(self, case: Case, t: int) -> list[Asked]:
        """Everything that is asked, in order; nothing stops at a denial, but built-ins keep the policy's rules out."""
        # READING: all six built-in checks are always asked and listed, also after one of them has denied.
        asked = [Asked(check, check.ask(t)) for check in self._built_in(case)]
        if all(a.answer.reason is None for a in asked):
            asked += [
                Asked(check, Answer() if check.exempt else check.ask(t)) for check in self._checks_of_policy(case)
            ]
        return asked

    @staticmethod
    def _zone_asked(case: Case, asked: list[Asked]) -> list[str] | None:
        wanted = any(a.check.asks_zone and not a.check.exempt for a in asked)
        return list(case.zones.taken_from) if wanted and case.zones.taken_from is not None else None

    def _approve(self, case: Case, asked: list[Asked], answer: dict[str, Any], now: int) -> None:
        deciding = [a for a in asked if a.check.decides]
        bounds = [now + self.policy.time_to_live]
        if case.expires_at is not None:
            bounds.append(case.expires_at - 1)
        bounds += [end - 1 for a in deciding for end in a.answer.ends]
        answer["valid_until"] = min(bounds)
        counts_at_all = all(rule.body["still_counts"] for rule in case.exemptions)
        for a in deciding:
            if a.check.kind == "cap" and a.answer.count is not None:
                assert a.check.rule is not None
                counted = counts_at_all and self._counts(a.check.rule, case.subject)
                answer["remaining"][a.check.id] = a.check.rule.body["limit"] - a.answer.count - (1 if counted else 0)
        answer["obligations"] = [
            obligation["id"] for obligation in self.policy.obligations if obliges(obligation, case.subject)
        ]
        case.customer.contacts.append(
            Contact(
                decision_id=answer["decision_id"],
                decided_at=now,
                valid_until=answer["valid_until"],
                tags={name: case.subject[name] for name in TAGS},
                counts_at_all=counts_at_all,
                exempt_from_opt_out=any("opt_out" in rule.body["from"] for rule in case.exemptions),
                under_consent=any(a.check.kind == "consent" for a in deciding),
            )
        )

    @staticmethod
    def _remember(case: Case, asked: list[Asked], now: int) -> None:
        denying = {a.check.id for a in asked if a.answer.reason is not None}
        # Also where another check gave the answer: the first created_at stays, and a full ledger does not grow.
        if not denying & {"expired:horizon", "expired:erasure", "duplicate", "ledger_full"}:
            case.customer.identities.append(Identity(case.intent_id, case.created_at))

    # ---- next_eligible_at ----

    def _next_eligible_at(self, case: Case, asked: list[Asked], now: int) -> int | None:
        """The first moment at which every check passes, found by asking them, then confirmed by a whole decision.

        From a moment at which some check denies, nothing can be approved before that check passes: so the search goes
        on from the next moment at which it does, among the instants at which its denial might turn.
        """
        limit = now + NEXT_ELIGIBLE_HORIZON_MS
        case = Case(**{**vars(case), "like_it": True})
        # Only the built-in checks look at what is new of an intent like this one.
        of_policy = [a.check for a in asked if a.check.number not in range(len(BUILT_IN))]
        checks = [c for c in [*self._built_in(case), *of_policy] if c.decides]
        t = now + 1
        while t <= limit:
            denying = next((check for check in checks if check.ask(t).reason is not None), None)
            if denying is None:
                if self.confirms:
                    assert self._approves(case, t)
                    assert t == now + 1 or not self._approves(case, t - 1)
                return t
            passes = first_pass(denying, t, limit)
            if passes is None:
                return None
            t = passes
        return None

    def _approves(self, case: Case, t: int) -> bool:
        return all(a.answer.reason is None for a in self._ask_all(case, t) if a.check.decides)

    # ---- section 3: built-in checks ----

    def _built_in(self, case: Case) -> list[Check]:
        policy, customer = self.policy, case.customer

        def created(t: int) -> int:
            return t if case.like_it else case.created_at

        def horizon(t: int) -> Answer:
            return Answer("expired" if created(t) < t - policy.identities else None)

        def erasure(t: int) -> Answer:
            erased_at = customer.erased_at
            return Answer("expired" if erased_at is not None and created(t) <= erased_at else None)

        def deadline(t: int) -> Answer:
            if case.expires_at is None:
                return Answer()
            too_late = case.expires_at - 1 - t < VALIDITY_MIN_MS
            return Answer("expired" if too_late else None, [case.expires_at - t])

        def duplicate(t: int) -> Answer:
            known = None if case.like_it else customer.remembers(case.intent_id, t - policy.identities)
            return Answer("duplicate" if known is not None else None)

        def vocabulary(t: int) -> Answer:
            if case.subject["channel"] not in policy.channels:
                return Answer("channel_unknown")
            return Answer("purpose_unknown" if case.subject["purpose"] not in policy.purposes else None)

        def ledger_full(t: int) -> Answer:
            return Answer("ledger_full" if self._is_full(case, t) else None)

        def after_erasure(t: int) -> list[int]:
            return [] if customer.erased_at is None else [customer.erased_at + 1]

        asks = (horizon, erasure, deadline, duplicate, vocabulary, ledger_full)
        return [
            Check(number, BUILT_IN[number], "built-in", ask, after_erasure if ask is erasure else no_turn)
            for number, ask in enumerate(asks)
        ]

    def _is_full(self, case: Case, t: int) -> bool:
        """Whether a ledger that forgets exactly at its horizons would have no room.

        READING: contacts with latest > t - history (raised to the longest rule) and identities with
        created_at >= t - identities are held; tag sets are those of held contacts, and one that is already known needs
        no room; a refused preference keeps the customer full for ever. A lifetime cap keeps no contact longer here.
        """
        if case.customer.refused:
            return True
        if len(case.contacts) < MAX_TAG_SETS and len(case.customer.identities) < MAX_IDENTITIES:
            return False  # all there ever were would find room
        held = [c for c in case.contacts if c.latest > t - self.policy.history_needed]
        known = [i for i in case.customer.identities if not i.erased and i.created_at >= t - self.policy.identities]
        tag_sets = {tuple(c.tags.values()) for c in held} if len(held) >= MAX_TAG_SETS else set()
        own = tuple(case.subject[name] for name in TAGS)
        return (
            len(held) >= MAX_CONTACTS
            or len(known) >= MAX_IDENTITIES
            or (len(tag_sets) >= MAX_TAG_SETS and own not in tag_sets)
        )

    # ---- section 3: the policy's rules ----

    def _checks_of_policy(self, case: Case) -> list[Check]:
        exempted = {kind for rule in case.exemptions for kind in rule.body["from"]}
        checks = []
        for rule, applicable in self._applicable(case.subject):
            check = self._country_check(rule) if applicable == "unknown" else self._check(rule, case)
            check.rule = rule
            check.shadow = rule.state == "shadow"
            check.exempt = rule.kind in exempted
            checks.append(check)
        return checks

    def _applicable(self, subject: dict[str, Any]) -> list[tuple[Rule, str]]:
        key = tuple(subject.values())
        if key not in self.applicable:
            asked = [(rule, applies(rule, subject)) for rule in self.policy.rules]
            self.applicable[key] = [(rule, applicable) for rule, applicable in asked if applicable != "no"]
        return self.applicable[key]

    @staticmethod
    def _country_check(rule: Rule) -> Check:
        return Check(rule.number, rule.id, rule.kind, lambda t: Answer("country_unknown"), no_turn)

    def _check(self, rule: Rule, case: Case) -> Check:
        return self.makers[rule.kind](rule, case)

    def _campaign(self, rule: Rule, case: Case) -> Check:
        reason = "campaign_shadow" if rule.body["switch"] == "shadow_only" else "campaign_off"
        return Check(rule.number, rule.id, rule.kind, lambda t: Answer(reason), no_turn)

    def _opt_out(self, rule: Rule, case: Case) -> Check:
        def no_at(t: int) -> Preference | None:
            return standing_no(case.standing, case.subject, t, self.policy.words)

        def ask(t: int) -> Answer:
            no = no_at(t)
            if no is None:
                later = moments_of(case.standing, own_end, t)
                return ending(next((m for m in later if no_at(m) is not None), None), t, [])
            return Answer(opt_out_reason(no), [no.order - t, None if no.end is None else no.end - t])

        return Check(rule.number, rule.id, rule.kind, ask, lambda t: moments_of(case.standing, own_end, t))

    def _sender(self, rule: Rule, case: Case) -> Check:
        sender = case.subject["sender_id"]

        def ask(t: int) -> Answer:
            if sender is None:
                return Answer("sender_missing" if on_missing(rule) == "deny" else None)
            return Answer(None if sender in rule.body["allowed"] else "sender_not_allowed")

        return Check(rule.number, rule.id, rule.kind, ask, no_turn)

    def _consent(self, rule: Rule, case: Case) -> Check:
        max_age = duration(rule.body["max_age"]) if "max_age" in rule.body else None
        evidence_required = rule.body.get("evidence", "required") == "required"

        def end_of(event: Preference) -> int | None:
            if event.restrictive or max_age is None:
                return event.end
            aged = event.effective_at + max_age
            return aged if event.end is None else min(event.end, aged)

        words = self.policy.words
        track = [e for e in case.standing if e.track == "consent"]
        admitted = [e for e in track if e.restrictive or e.evidence or not evidence_required]
        grants = [e for e in track if not e.restrictive and e.covers(case.subject, words)]
        unread = [e for e in case.standing if e.track == "unread"]

        def moments(t: int) -> list[int]:
            return sorted({*moments_of(track, end_of, t), *moments_of(unread, own_end, t)})

        def refusal(t: int) -> str | None:
            if standing_noes(admitted, "consent", case.subject, t, words, end_of):
                return "consent_withdrawn"
            return "not_understood" if standing_noes(unread, "unread", case.subject, t, words) else None

        def granted(t: int) -> bool:
            return refusal(t) is None and any(e in admitted and in_force(e, t, end_of(e)) for e in grants)

        def ask(t: int) -> Answer:
            if granted(t):
                end = next((m for m in moments(t) if not granted(m)), None)
                return ending(end, t, [] if end is None else [end - t])
            if (reason := refusal(t)) is not None:
                return Answer(reason)
            if any(e not in admitted and in_force(e, t, end_of(e)) for e in grants):
                return Answer("consent_unproven")
            if any((end := end_of(e)) is not None and end <= t for e in grants):
                return Answer("consent_expired")
            return Answer("consent_missing" if on_missing(rule) == "deny" else None)

        return Check(rule.number, rule.id, rule.kind, ask, moments)

    # ---- section 4: windows ----

    def _zones_of(self, rule: Rule, case: Case, wanted: str) -> tuple[str, ...]:
        if wanted == "recipient":
            return case.zones.names
        return (self.policy.zone,) if wanted == "policy" else (wanted,)

    def _calendars(self, rule: Rule, case: Case) -> Calendars | None:
        """The calendars a window asks, or None where it asks none."""
        hours = self.hours[rule.number]
        # READING: hours that make no difference for holidays need no calendar.
        if "holiday" not in hours and "day_before_holiday" not in hours:
            return None
        wanted = rule.body["holidays"]
        if wanted == "none":
            return None
        declared = self.policy.calendars
        if wanted == "recipient":
            if case.holiday_calendar is None:
                return calendars_of_place(case.place, declared)
            wanted = case.holiday_calendar
        return Calendars((wanted,) if wanted in declared else (), is_declared=wanted in declared)

    def _clockwork(self, rule: Rule, calendars: Calendars | None) -> Clockwork:
        key = (rule.number, calendars)
        if key not in self.clockworks:
            dates = None
            if calendars is not None:
                dates = frozenset(date for name in calendars.names for date in self.policy.calendars[name])
            self.clockworks[key] = Clockwork(
                Opening(
                    hours=self.hours[rule.number],
                    calendar=dates,
                    years=self.policy.holiday_years,
                    unknown_is_closed=on_missing(rule) == "deny",
                )
            )
        return self.clockworks[key]

    def _window(self, rule: Rule, case: Case) -> Check:
        wanted = rule.body.get("zone", "recipient")
        zones = self._zones_of(rule, case, wanted)
        calendars = self._calendars(rule, case)
        lenient = on_missing(rule) == "allow"
        undeclared = calendars is not None and not calendars.is_declared and not lenient
        clockwork = self._clockwork(rule, calendars)

        def ask(t: int) -> Answer:
            if not zones:
                return Answer(None if lenient else "zone_unknown")
            if undeclared:
                return Answer("calendar_unknown")
            said = [clockwork.opening.says(name, t) for name in zones]
            if "unknown" in said:
                return Answer("calendar_unknown")
            for word in said:
                if word != "open":
                    return Answer("holiday" if word == "holiday" else "window_closed")
            end = clockwork.closes(zones, t, t + WINDOW_END_HORIZON_MS)
            if end is None:
                return Answer()
            return Answer(None if end - 1 - t >= VALIDITY_MIN_MS else "closing", [end - t], [end])

        def turns(t: int) -> Iterator[int]:
            if not zones or undeclared:
                return iter(())
            return clockwork.openings(zones, t, t + NEXT_ELIGIBLE_HORIZON_MS + DAY_MS)

        check = Check(rule.number, rule.id, rule.kind, ask, turns, asks_zone=wanted == "recipient")

        def explain(t: int, answer: Answer) -> list[int | None]:
            if answer.reason not in {"window_closed", "holiday"}:
                return list(answer.numbers)
            passes = first_pass(check, t, t + NEXT_ELIGIBLE_HORIZON_MS)
            return [None if passes is None else passes - t]

        check.explain = explain
        return check

    # ---- section 5: caps and gaps ----

    def _selectable(self, tags: dict[str, str | None]) -> dict[str, Any]:
        channel = tags["channel"]
        assert channel is not None
        return {**tags, "group": self.policy.channels.get(channel, channel)}

    @staticmethod
    def _counts(rule: Rule, selectable: dict[str, Any]) -> bool:
        return selected(rule.counts, selectable) and not excepted(rule.counts_except, selectable)

    def _counted(self, rule: Rule, case: Case) -> list[int]:
        """The latest times of the contacts that a cap or gap counts for this intent."""
        found = []
        known = self.counted.setdefault((rule.number, *map(case.subject.get, TAGS)), {})
        for contact in case.contacts:
            if not contact.counts_at_all:
                continue
            counts = known.get(contact.tag_values)
            if counts is None:
                selectable = self._selectable(contact.tags)
                counts = self._counts(rule, selectable) and shares(rule, selectable, case.subject)
                known[contact.tag_values] = counts
            if counts:
                found.append(contact.latest)
        return found

    def counts_for_life(self, tag_values: tuple[str | None, ...]) -> bool:
        """Whether a lifetime cap counts contacts with these tags, however old."""
        selectable = self._selectable(dict(zip(TAGS, tag_values, strict=True)))
        caps = [rule for rule in self.policy.rules if rule.kind == "cap" and "lifetime" in rule.body["window"]]
        return any(rule.state != "off" and self._counts(rule, selectable) for rule in caps)

    def _cap(self, rule: Rule, case: Case) -> Check:
        window = rule.body["window"]
        limit = rule.body["limit"]
        if "calendar" in window:
            return self._calendar_cap(rule, case)
        latest = self._counted(rule, case)
        width = duration(window["rolling"]) if "rolling" in window else None

        def ask(t: int) -> Answer:
            count = len(latest) if width is None else sum(1 for moment in latest if moment > t - width)
            return Answer("cap_reached" if count >= limit else None, [count], count=count)

        def turns(t: int) -> list[int]:
            return [] if width is None else sorted(moment + width for moment in latest if moment + width > t)

        return Check(rule.number, rule.id, rule.kind, ask, turns)

    def _calendar_cap(self, rule: Rule, case: Case) -> Check:
        limit, unit = rule.body["limit"], rule.body["window"]["calendar"]
        wanted = rule.body["window"].get("zone", "recipient")
        zones = self._zones_of(rule, case, wanted)
        lenient = on_missing(rule) == "allow"
        latest = self._counted(rule, case)

        def in_zone(name: str, t: int) -> tuple[str | None, int, int, int]:
            start, end = bucket(name, unit, t)
            count = sum(1 for moment in latest if moment >= start)
            if count >= limit:
                return "cap_reached", count, start, end
            return "closing" if end - 1 - t < VALIDITY_MIN_MS else None, count, start, end

        def ask(t: int) -> Answer:
            if not zones:
                return Answer(None if lenient else "zone_unknown")
            each = [in_zone(name, t) for name in zones]
            # READING: the first zone by name that denies gives reason and numbers; `remaining` uses that same count.
            reason, count, start, end = next((found for found in each if found[0] is not None), each[0])
            return Answer(reason, [count, start - t, end - t], [found[3] for found in each], count)

        def bucket_starts(name: str, t: int) -> Iterator[int]:
            start = bucket(name, unit, t)[1]
            while limit > 0 and start <= t + NEXT_ELIGIBLE_HORIZON_MS + DAY_MS:
                yield start
                start = bucket(name, unit, start)[1]

        def turns(t: int) -> Iterator[int]:
            return heapq.merge(*(bucket_starts(name, t) for name in zones))

        return Check(rule.number, rule.id, rule.kind, ask, turns, asks_zone=wanted == "recipient")

    def _gap(self, rule: Rule, case: Case) -> Check:
        minimum = duration(rule.body["minimum"])
        latest = self._counted(rule, case)

        def ask(t: int) -> Answer:
            count = sum(1 for moment in latest if moment > t - minimum)
            return Answer("gap" if count else None, [count], count=count)

        def turns(t: int) -> list[int]:
            return sorted(moment + minimum for moment in latest if moment + minimum > t)

        return Check(rule.number, rule.id, rule.kind, ask, turns)

    # ---- for people ----

    def standing(self, customer_id: str) -> dict[str, Any]:
        """What is known of a customer, for a person who looks into a disagreement."""
        customer = self.customer(customer_id)
        return {
            "preferences": [asdict(event) for event in customer.standing()],
            "profile": {name: customer.profile_value(name) for name in PROFILE_FIELDS},
            "contacts": [{**asdict(contact), "latest": contact.latest} for contact in customer.held_contacts()],
            "identities": [asdict(identity) for identity in customer.identities if not identity.erased],
            "erased_at": customer.erased_at,
            "refused": customer.refused,
        }


def ending(end: int | None, t: int, numbers: list[int | None]) -> Answer:
    """A pass that ends, or a denial because it ends too soon.

    READING: "less than VALIDITY_MIN_MS before its end" is counted to the last valid moment, `end` - 1, as windows and
    buckets count it: otherwise something would be approved with 1 999 ms left.
    """
    if end is None:
        return Answer()
    if end - 1 - t < VALIDITY_MIN_MS:
        return Answer("closing")
    return Answer(None, numbers, [end])


def no_turn(t: int) -> Iterable[int]:
    return ()


def first_pass(check: Check, after: int, limit: int) -> int | None:
    """The first moment after `after`, at which the check denies, at which it passes."""
    for t in check.turns(after):
        if t > limit:
            return None
        if check.ask(t).reason is None:
            return t
    return None


def counts_anywhere(rule: Rule) -> bool:
    """Whether a rule counts contacts, whatever the customer's country and zone."""
    is_counting = rule.kind == "gap" or (rule.kind == "cap" and "calendar" not in rule.body["window"])
    return is_counting and "countries" not in rule.applies_to and "countries" not in rule.except_


def on_missing(rule: Rule) -> str:
    """`hold` acts as `deny` in this version."""
    return "allow" if rule.body.get("on_missing") == "allow" else "deny"


def words_said(event: dict[str, Any]) -> dict[str, str]:
    """The words of an event's scope, folded."""
    return {name: folded(event[name]) for name in SCOPE_FIELDS if event.get(name) is not None}


def believed_times(event: dict[str, Any], record_timestamp_ms: int, now: int) -> tuple[int, int, int | None]:
    """Timestamp, effective_at and end of a restrictive event, of which only what is plausible is believed."""
    effective_at, end = instant(event.get("effective_at")), instant(event.get("until"))
    # With one time that is not believed the event is taken to have been said when it arrived, and for good.
    if min(moment for moment in (record_timestamp_ms, effective_at, end) if moment is not None) < BELIEVED_FROM_MS:
        end = None
    recorded_ms = record_timestamp_ms if record_timestamp_ms >= BELIEVED_FROM_MS else now
    if effective_at is None or effective_at < BELIEVED_FROM_MS:
        effective_at = recorded_ms
    if end is not None and end <= effective_at:
        end = None
    return recorded_ms, effective_at, end


def plausible_times(event: dict[str, Any], record_timestamp_ms: int, now: int) -> tuple[int, int, int | None]:
    """Timestamp, effective_at and end of any other event, all of which must be plausible."""
    said = [instant(event.get(name)) for name in ("until", "expires_at")]
    end = min((moment for moment in said if moment is not None), default=None)
    effective_at = instant(event.get("effective_at"))
    if effective_at is None:
        effective_at = record_timestamp_ms
    # An end before all belief would be one before effective_at.
    if min(record_timestamp_ms, effective_at) < BELIEVED_FROM_MS or (end is not None and end <= effective_at):
        raise DeadLetterError("implausible_time")
    return record_timestamp_ms, effective_at, end


def is_stop(outcome: dict[str, Any]) -> bool:
    """Whether an outcome's detail is a stop code."""
    code = folded(outcome.get("detail") or "").replace("-", "").replace("_", "")
    return code in STOP_CODES or (code in STOP_CODES_OF_REPLIES and outcome["type"] == "reply")


def said_in_profile(customer: Customer) -> SaidPlace:
    country, region = customer.profile_entry("country"), customer.profile_entry("region")
    if country is None:
        return SaidPlace(None, None)
    is_of_it = region is not None and region.order >= country.order
    return SaidPlace(str(country.value), str(region.value) if region is not None and is_of_it else None)


def shares(rule: Rule, contact: dict[str, Any], subject: dict[str, Any]) -> bool:
    for name in rule.body.get("scope") or []:
        key = "group" if name == "channel_group" else name
        if contact[key] is not None and subject[key] is not None and contact[key] != subject[key]:
            return False
    return True


def obliges(obligation: dict[str, Any], subject: dict[str, Any]) -> bool:
    # READING: an obligation has no `country_unknown`; where nobody can tell the country the sender must do it.
    selector = obligation.get("applies_to") or {}
    if "countries" in selector and in_countries(selector["countries"], subject) is None:
        selector = but_for_countries(selector)
    return selected(selector, subject) and not excepted(obligation.get("except") or {}, subject)


def entry(asked: Asked, now: int) -> list[int]:
    """One entry of the explanation, positional, relative to `now`."""
    check, answer = asked.check, asked.answer
    if check.exempt:
        return [check.number, EXEMPT]
    numbers = answer.numbers if check.explain is None else check.explain(now, answer)
    verdict = PASSED if answer.reason is None else REASON_NUMBERS[answer.reason]
    trimmed: list[Any] = [check.number, verdict, *numbers]
    while trimmed[-1] is None:
        trimmed.pop()
    return trimmed


__all__ = ["DeadLetter", "DeadLetterError", "Model", "decision_id"]
