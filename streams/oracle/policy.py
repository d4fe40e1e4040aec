"""The model's own reading of a policy file: docs/policy.md and nothing else.

It trusts the file to be valid (refusing bad policies is the product's job) and keeps things as plain as the YAML has
them, so that the rules of the model can be compared with the page line by line.
"""

from __future__ import annotations

import bisect
import datetime as dt
import functools
import importlib.resources
import re
import zoneinfo
from dataclasses import dataclass, field
from typing import Any

import holidays
import yaml

from streams.oracle.words import OTHER_NAMES_OF, Words, folded

DAY_MS = 86_400_000
BEYOND = 10**18  # after every instant
UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS, "w": 7 * DAY_MS}
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

# Order in which the kinds are asked. `opt_out` stands second here but is number 6 of the rule table.
KIND_ORDER = ("campaign", "opt_out", "sender", "consent", "window", "cap", "gap")
BUILT_IN = ("expired:horizon", "expired:erasure", "expired:deadline", "duplicate", "vocabulary", "ledger_full")
OPT_OUT_NUMBER = len(BUILT_IN)
COUNTS_FIELDS = ("channels", "groups", "purposes", "topics", "brands", "campaigns")
REGION_NAMED = re.compile("([A-Z]{2})-[A-Z0-9]{1,3}")
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# For how many days a calendar window needs contacts to be kept.
CALENDAR_DAYS = {"hour": 2, "day": 2, "week": 8, "month": 32, "quarter": 93, "year": 367}
# Kinds of rule that ask for no contact.
LOOKING_NOWHERE_BACK = frozenset({"campaign", "opt_out", "sender", "consent", "window"})

Interval = tuple[int, int]  # wall time in milliseconds since the wall clock's midnight, half-open


# ---- instants and zones ---------------------------------------------------------------------------------------------


@functools.cache
def known_zone_names() -> frozenset[str]:
    # All but `Factory`, which is a clock that nobody has set.
    return frozenset((importlib.resources.files("tzdata") / "zones").read_text(encoding="utf-8").split()) - {"Factory"}


@functools.cache
def zone(name: str) -> zoneinfo.ZoneInfo:
    """The zone as the pinned tzdata package has it, never the machine's own copy."""
    path = importlib.resources.files("tzdata") / "zoneinfo"
    for part in name.split("/"):
        path /= part
    with path.open("rb") as file:
        return zoneinfo.ZoneInfo.from_file(file, key=name)


@functools.cache
def zones_by_country() -> dict[str, tuple[str, ...]]:
    text = (importlib.resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            country, _coordinates, name = line.split("\t")[:3]
            found.setdefault(country, []).append(name)
    return {country: tuple(sorted(names)) for country, names in found.items()}


def utc(instant_ms: int) -> dt.datetime:
    return EPOCH + dt.timedelta(milliseconds=instant_ms)


def to_ms(moment: dt.datetime) -> int:
    return (moment - EPOCH) // dt.timedelta(milliseconds=1)


def instant(value: int | str | None) -> int | None:
    """Epoch milliseconds, or RFC 3339 with a zone."""
    if value is None or isinstance(value, int):
        return value
    moment = dt.datetime.fromisoformat(value)
    if moment.tzinfo is None:
        msg = "a time needs a zone"
        raise ValueError(msg)
    return to_ms(moment)


@functools.lru_cache(maxsize=500_000)
def local(name: str, instant_ms: int) -> tuple[dt.date, int]:
    """Local date, and wall time in milliseconds since midnight, as clocks in the zone show them."""
    shown = utc(instant_ms).astimezone(zone(name))
    wall = ((shown.hour * 60 + shown.minute) * 60 + shown.second) * 1_000 + shown.microsecond // 1_000
    return shown.date(), wall


def offset_ms(name: str, instant_ms: int) -> int:
    shown = utc(instant_ms).astimezone(zone(name)).utcoffset()
    assert shown is not None
    return shown // dt.timedelta(milliseconds=1)


@functools.cache
def transitions_of_year(name: str, year: int) -> tuple[int, ...]:
    """Every instant of a UTC year at which the zone's offset changes, found by walking through the year."""
    step = 6 * 3_600_000
    start = to_ms(dt.datetime(year, 1, 1, tzinfo=dt.UTC))
    end = to_ms(dt.datetime(year + 1, 1, 1, tzinfo=dt.UTC))
    found = []
    at, before = start - step, offset_ms(name, start - step)
    while at < end:
        after = offset_ms(name, at + step)
        if after != before:
            low, high = at, at + step  # the offset differs between these two: halve until they touch
            while high - low > 1:
                middle = (low + high) // 2
                if offset_ms(name, middle) == before:
                    low = middle
                else:
                    high = middle
            if start <= high < end:
                found.append(high)
        at, before = at + step, after
    return tuple(found)


def transitions(name: str, low: int, high: int) -> list[int]:
    years = range(utc(low).year, utc(high).year + 1)
    return [t for year in years for t in transitions_of_year(name, year) if low <= t <= high]


@functools.lru_cache(maxsize=200_000)
def instants_showing(name: str, date: dt.date, wall_ms: int) -> tuple[int, ...]:
    """Every instant at which clocks in the zone show this wall time: none, one or two. 24:00 is tomorrow's 00:00."""
    if wall_ms == DAY_MS:
        return instants_showing(name, date + dt.timedelta(days=1), 0)
    as_if_utc = to_ms(dt.datetime.combine(date, dt.time(), tzinfo=dt.UTC)) + wall_ms
    offsets = {offset_ms(name, as_if_utc + hours * 3_600_000) for hours in (-36, -24, -12, 0, 12, 24, 36)}
    candidates = {as_if_utc - offset for offset in offsets}
    return tuple(sorted(c for c in candidates if local(name, c) == (date, wall_ms)))


@functools.lru_cache(maxsize=100_000)
def first_instant(name: str, date: dt.date) -> int:
    """The first instant whose local date is at or past `date`."""
    around = to_ms(dt.datetime.combine(date, dt.time(), tzinfo=dt.UTC))
    low, high = around - 36 * 3_600_000, around + 36 * 3_600_000
    # The local date can reach `date` only where a midnight is shown or where the clock jumps.
    candidates = {*instants_showing(name, date, 0), *transitions(name, low, high)}
    return min(c for c in candidates if local(name, c)[0] >= date)


def first_showing(name: str, shown: dt.datetime) -> int:
    """The first instant at which clocks in the zone show this date and full hour, or a later one."""
    around = to_ms(shown.replace(tzinfo=dt.UTC))
    wall_ms = shown.hour * 3_600_000
    changes = transitions(name, around - 36 * 3_600_000, around + 36 * 3_600_000)
    candidates = {*instants_showing(name, shown.date(), wall_ms), *changes}
    return min(each for each in candidates if local(name, each) >= (shown.date(), wall_ms))


def bucket_first_date(unit: str, date: dt.date) -> dt.date:
    if unit == "day":
        return date
    if unit == "week":
        return date - dt.timedelta(days=date.weekday())
    if unit == "quarter":
        return date.replace(month=(1, 4, 7, 10)[(date.month - 1) // 3], day=1)
    if unit == "year":
        return date.replace(month=1, day=1)
    assert unit == "month"
    return date.replace(day=1)


def bucket_next_date(unit: str, first: dt.date) -> dt.date:
    if unit == "day":
        return first + dt.timedelta(days=1)
    if unit == "week":
        return first + dt.timedelta(days=7)
    if unit == "quarter":
        return (first + dt.timedelta(days=95)).replace(day=1)
    if unit == "year":
        return first.replace(year=first.year + 1)
    return (first + dt.timedelta(days=31)).replace(day=1)


_buckets: dict[tuple[str, str], list[Interval]] = {}


def bucket(name: str, unit: str, instant_ms: int) -> Interval:
    """The calendar bucket that holds the instant, as instants [start, end). Those found before are remembered."""
    known = _buckets.setdefault((name, unit), [])
    place = bisect.bisect_right(known, (instant_ms, BEYOND)) - 1
    if place >= 0 and instant_ms < known[place][1]:
        return known[place]
    found = find_bucket(name, unit, instant_ms)
    bisect.insort(known, found)
    return found


def find_bucket(name: str, unit: str, instant_ms: int) -> Interval:
    """The bucket, found from the local dates, or from the hours that clocks show."""
    if unit == "hour":
        date, wall_ms = local(name, instant_ms)
        shown = dt.datetime.combine(date, dt.time(wall_ms // 3_600_000))
        step = dt.timedelta(hours=1)
        while first_showing(name, shown) > instant_ms:
            shown -= step
        while first_showing(name, shown + step) <= instant_ms:
            shown += step
        return first_showing(name, shown), first_showing(name, shown + step)
    # A clock set back over midnight shows an old date again, so that the date shown is only where to begin to look.
    first = bucket_first_date(unit, local(name, instant_ms)[0])
    while first_instant(name, first) > instant_ms:
        first = bucket_first_date(unit, first - dt.timedelta(days=1))
    while first_instant(name, bucket_next_date(unit, first)) <= instant_ms:
        first = bucket_next_date(unit, first)
    return first_instant(name, first), first_instant(name, bucket_next_date(unit, first))


# ---- the file -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    id: str
    kind: str
    state: str
    number: int  # in the rule table; -1 for exemptions, which are never asked and have no entry
    body: dict[str, Any]

    @functools.cached_property
    def applies_to(self) -> dict[str, Any]:
        return self.body.get("applies_to") or {}

    @functools.cached_property
    def except_(self) -> dict[str, Any]:
        return self.body.get("except") or {}

    @functools.cached_property
    def counts(self) -> dict[str, Any]:
        if "counts" in self.body:
            return self.body["counts"] or {}
        return {name: values for name, values in self.applies_to.items() if name in COUNTS_FIELDS}

    @functools.cached_property
    def counts_except(self) -> dict[str, Any]:
        if "counts_except" in self.body:
            return self.body["counts_except"] or {}
        if "counts" in self.body or not set(self.except_) <= set(COUNTS_FIELDS):
            return {}
        return self.except_


@dataclass
class Policy:
    name: str
    version: str
    zone: str
    recipient_zone: str | None
    time_to_live: int
    history: int
    identities: int
    default_purpose: str | None
    channels: dict[str, str]  # channel to group
    purposes: list[str]
    regions: dict[str, list[str]]
    holiday_years: frozenset[int]
    calendars: dict[str, frozenset[dt.date]]
    obligations: list[dict[str, Any]]
    words: Words
    rules: list[Rule] = field(default_factory=list)  # in the order in which they are asked, opt_out among them
    exemptions: list[Rule] = field(default_factory=list)

    @functools.cached_property
    def divided(self) -> frozenset[str]:
        """The countries of which the policy names a region anywhere."""
        selectors = [part for rule in self.rules for part in (rule.applies_to, rule.except_)]
        selectors += [o.get(part) or {} for o in self.obligations for part in ("applies_to", "except")]
        named = [place for selector in selectors for place in selector.get("countries") or ()]
        found = (REGION_NAMED.fullmatch(name) for name in (*named, *self.regions, *self.calendars))
        return frozenset(match[1] for match in found if match is not None)

    @functools.cached_property
    def history_needed(self) -> int:
        """History, raised to what the longest rule needs."""
        needs = [self.history]
        for rule in self.rules:
            if rule.kind == "gap":
                needs.append(duration(rule.body["minimum"]))
            elif rule.kind == "cap":
                window = rule.body["window"]
                needs.append(duration(window["rolling"]) if "rolling" in window else 0)
                needs.append(CALENDAR_DAYS.get(window.get("calendar"), 0) * DAY_MS)
            else:
                assert rule.kind in LOOKING_NOWHERE_BACK, f"how far does {rule.kind} look back?"
        return max(needs)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """What is written is what is read: `on`, `NO`, `08:30` and `2026-12-24` are text. In C, for long campaigns."""


_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), ["t", "f"])
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile("^(null|~|)$"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile("^-?(0|[1-9][0-9]*)$"), list("-0123456789"))


@functools.cache
def duration(text: str) -> int:
    return int(text[:-1]) * UNITS_MS[text[-1]]


def wall_time(text: str) -> int:
    hours, minutes = text.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000


def hours_of(raw: dict[str, list[str]]) -> dict[str, list[Interval]]:
    parsed: dict[str, list[Interval]] = {}
    for day, intervals in raw.items():
        pairs = [text.split("-") for text in intervals or []]
        parsed[day] = [(wall_time(opening), wall_time(closing)) for opening, closing in pairs]
    return parsed


@functools.cache
def published_holidays(
    country: str, subdivision: str | None, categories: tuple[str, ...], years: frozenset[int]
) -> frozenset[dt.date]:
    found = holidays.country_holidays(country, subdiv=subdivision, years=sorted(years), categories=categories)
    return frozenset(date for date in found if date.year in years)


def calendar_of(raw: dict[str, Any], years: frozenset[int]) -> frozenset[dt.date]:
    dates: set[dt.date] = set()
    if raw.get("country"):
        categories = tuple(raw.get("categories") or ["public"])
        dates |= published_holidays(raw["country"], raw.get("subdivision"), categories, years)
    dates |= {dt.date.fromisoformat(value) for value in raw.get("add") or []}
    dates -= {dt.date.fromisoformat(value) for value in raw.get("remove") or []}
    return frozenset(dates)


def read_rules(raw: list[dict[str, Any]]) -> tuple[list[Rule], list[Rule]]:
    rules: list[Rule] = []
    number = OPT_OUT_NUMBER + 1
    for kind in KIND_ORDER:
        if kind == "opt_out":
            # Always there and never off, whether or not the file writes it.
            rules.append(Rule("opt-out", "opt_out", "on", OPT_OUT_NUMBER, {}))
            continue
        for body in raw:
            if body["kind"] == kind:
                rules.append(Rule(body["id"], kind, body.get("state", "on"), number, body))
                number += 1
    exemptions = [
        Rule(body["id"], "exempt", body.get("state", "on"), -1, body) for body in raw if body["kind"] == "exempt"
    ]
    return rules, exemptions


def words_of(raw: dict[str, Any], channels: dict[str, str]) -> Words:
    other_names: dict[str, dict[str, str]] = {}
    for written, name in OTHER_NAMES_OF.items():
        declared = (raw.get("other_names") or {}).get(written) or {}
        other_names[name] = {folded(other): folded(word) for word, others in declared.items() for other in others}
    return Words(channels, frozenset(map(folded, raw["purposes"])), other_names)


@functools.lru_cache(maxsize=64)
def read_policy(text: str) -> Policy:
    """The policy of a text; nobody changes what is given back."""
    raw = yaml.load(text, Loader=_Loader)  # noqa: S506  # a safe loader, with fewer resolvers
    named = raw.get("holidays") or {}
    years = frozenset(named.get("years") or [])
    rules, exemptions = read_rules(raw.get("rules") or [])
    # A channel without a group is its own group.
    channels = {name: (declared or {}).get("group") or name for name, declared in raw["channels"].items()}
    history = duration(raw.get("history", "35d"))
    return Policy(
        name=str(raw.get("name", "")),
        version=str(raw.get("version", "")),
        zone=raw["zone"],
        recipient_zone=raw.get("recipient_zone"),
        time_to_live=duration(raw.get("time_to_live", "5m")),
        history=history,
        identities=duration(raw["identities"]) if "identities" in raw else min(7 * DAY_MS, history),
        default_purpose=raw.get("default_purpose"),
        channels=channels,
        purposes=list(raw["purposes"]),
        regions=raw.get("regions") or {},
        holiday_years=years,
        calendars={name: calendar_of(body, years) for name, body in (named.get("calendars") or {}).items()},
        obligations=raw.get("obligations") or [],
        words=words_of(raw, channels),
        rules=rules,
        exemptions=exemptions,
    )
