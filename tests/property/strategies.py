"""Random policies and histories that collide, run late and stand on edges.

One generator, two sources of choice: `random.Random(seed)` for long campaigns, and Hypothesis for shrinking. Histories
are written next to a running model, so that they can go to where its answers are about to change: the moment a message
becomes eligible, an approval runs out, a window closes, a clock is set.

    case = random_history(seed)                 # a RecordedCase with the model's answers
    first = case.first_difference(answers)      # answers of another implementation, in the same shape
    print(case.report(first))
    small = minimise(case, lambda candidate: ...)

Hypothesis shrinks these cases for minutes; `minimise` takes seconds, also on a case that Hypothesis found.
"""

from __future__ import annotations

import bisect
import copy
import datetime as dt
import functools
import json
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import yaml
from hypothesis import strategies as st

from streams.oracle.model import PERMISSIVE, RESTRICTIVE, TRACK_OF, Model, decision_id
from streams.oracle.policy import (
    bucket,
    duration,
    instants_showing,
    local,
    read_policy,
    to_ms,
    transitions,
    utc,
)
from tests.golden.raw import Raw, raw_of, taken_by_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
FIRST_MOMENT = to_ms(dt.datetime(2025, 1, 1, tzinfo=dt.UTC))
LAST_MOMENT = to_ms(dt.datetime(2029, 1, 1, tzinfo=dt.UTC)) - 1
FAR_AWAY = to_ms(dt.datetime(2099, 1, 1, tzinfo=dt.UTC))

ZONES = (
    "America/Bogota",
    "Europe/Madrid",
    "America/New_York",
    "America/Santiago",  # clocks are set at midnight: one day begins at 01:00, one has 23:00 twice
    "Africa/Cairo",  # midnight too
    "America/Havana",  # set back onto midnight
    "Australia/Lord_Howe",  # by half an hour
    "Antarctica/Troll",  # by two hours
    "America/Scoresbysund",
    "Africa/Casablanca",  # around Ramadan
    "Pacific/Kiritimati",
    "Pacific/Chatham",
    "Asia/Kathmandu",
    "America/St_Johns",
    "UTC",
)
CHANNELS: dict[str, dict[str, str]] = {
    "sms": {"group": "text"},
    "voice": {"group": "phone"},
    "whatsapp": {"group": "text"},
    "email": {},
}
PURPOSES = ("marketing", "service", "otp")
TOPICS = ("loans", "cards")
BRANDS = ("north", "south")
CAMPAIGNS = ("spring", "autumn")
SENDERS = ("85785", "acme")
OTHER_NAMES: dict[str, dict[str, list[str]]] = {
    "channels": {"sms": ["SMS-MT", "texto"], "text": ["mensajes"]},
    "purposes": {"marketing": ["promo"]},
    "topics": {"loans": ["Credit"]},
    "brands": {"north": ["nord"]},
    "senders": {"acme": ["ACME Inc"]},
}
SOURCES = ("register", "Register ", "bank")
# As producers write words: spelled otherwise, names of groups, other names, and what no policy knows.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "channel": (
        "SMS",
        " sms",
        "s\u200bms",
        "\uff33\uff2d\uff33",
        "text",
        "Text",
        "phone",
        "texto",
        "sms-mt",
        "mensajes",
    ),
    "purpose": ("Marketing", "marke ting", "OTP", "promo", "PROMO"),
    "topic": ("Loans", "credit", "CARDS"),
    "brand": ("North", "nord", "so uth"),
    "sender_id": ("ACME", "acme inc", "８５７８５"),
}
UNKNOWN_WORDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("channel", "purpose"), ("all", "sms2", "any", "nothing-like-it")),
    **dict.fromkeys(("topic", "brand", "sender_id"), ("all", "Every", "*")),
}
# What stands in a field where something else belongs.
GARBAGE: tuple[Any, ...] = (5, "", [], {}, True, "x" * 129, 1.5, ["sms"], " ")
STOPS = ("stop", "STOP ", "Stop-All", "opt_out", "unsubscribe", "s t o p")
REPLIES = ("cancel", "END", "thanks", "yes", "quit", "help")
PLACES: tuple[dict[str, str], ...] = (
    {},
    {},
    {"country": "CO"},
    {"country": "CO"},
    {"country": "ES"},
    {"country": "ES", "region": "MD"},
    {"country": "US", "region": "FL"},
    {"country": "US", "region": "FL"},
    {"country": "CL"},
    {"country": "XX"},
    {"region": "FL"},
    {"country": "US"},
    {"country": "ES", "region": "M"},  # a province of MD
    {"country": "US", "region": "ZZZ"},  # does not exist
    {"country": "IN"},
)
CUSTOMERS = ("c-1", "ñ-2")
WINDOW_LENGTHS = ("2s", "30s", "5m", "1h", "4h", "24h", "1d", "3d", "7d", "1w", "30d")
NUDGES = (-2_001, -2_000, -1_999, -1, 0, 0, 0, 1)


# ---- where choices come from ----------------------------------------------------------------------------------------


class Chooser(Protocol):
    def integer(self, low: int, high: int) -> int: ...


class RandomChooser:
    def __init__(self, seed: int | str) -> None:
        self._random = random.Random(seed)

    def integer(self, low: int, high: int) -> int:
        return self._random.randint(low, high)


@functools.lru_cache(maxsize=10_000)
def _integers(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


class HypothesisChooser:
    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(_integers(low, high))


def pick(chooser: Chooser, values: Sequence[T]) -> T:
    """The first values are where Hypothesis shrinks to: put the plain ones there."""
    return values[chooser.integer(0, len(values) - 1)]


def chance(chooser: Chooser, percent: int) -> bool:
    """Shrinks to no."""
    return chooser.integer(0, 99) >= 100 - percent


def some(chooser: Chooser, values: Sequence[T], most: int = 2) -> list[T]:
    chosen: list[T] = []
    for _ in range(chooser.integer(1, min(most, len(values)))):
        value = pick(chooser, values)
        if value not in chosen:
            chosen.append(value)
    return chosen


def _dumped(policy: dict[str, Any], **style: Any) -> str:  # noqa: ANN401 - what PyYAML takes
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    return str(yaml.dump(policy, Dumper=dumper, sort_keys=False, allow_unicode=True, **style))


# ---- policies -------------------------------------------------------------------------------------------------------


def _selector(chooser: Chooser, percent: int, *, counting: bool = False) -> dict[str, Any]:
    """Fields of `applies_to`, `except` or `counts`; often none."""
    fields: dict[str, Callable[[], Any]] = {
        "channels": lambda: some(chooser, tuple(CHANNELS)),
        "groups": lambda: some(chooser, ("text", "phone", "email"), 1),
        "purposes": lambda: some(chooser, PURPOSES),
        "topics": lambda: some(chooser, TOPICS, 1),
        "brands": lambda: some(chooser, BRANDS, 1),
        "campaigns": lambda: some(chooser, CAMPAIGNS, 1),
    }
    if not counting:
        fields["countries"] = lambda: some(chooser, ("CO", "US-FL", "US", "ES-MD"))
        fields["automated"] = lambda: chance(chooser, 50)
    if not chance(chooser, percent):
        return {}
    return {name: fields[name]() for name in some(chooser, tuple(fields))}


def _intervals(chooser: Chooser) -> list[str]:
    return pick(
        chooser,
        (
            ["08:00-19:00"],
            ["00:00-24:00"],
            ["06:00-23:30"],
            [],
            ["09:30-12:00", "14:00-18:00"],
            ["00:00-01:00", "23:00-24:00"],
            ["00:30-02:30"],
            ["01:00-03:00"],
            ["22:00-24:00"],
            ["00:00-00:01"],
            ["07:00-12:00", "12:00-21:00"],
        ),
    )


def _hours(chooser: Chooser) -> dict[str, list[str]]:
    hours: dict[str, list[str]] = {"workday": _intervals(chooser)}
    for day, percent in (("saturday", 60), ("sunday", 40), ("mon", 10), ("wed", 10), ("fri", 10), ("sun", 10)):
        if chance(chooser, percent):
            hours[day] = _intervals(chooser)
    for day, percent in (("holiday", 45), ("day_before_holiday", 20)):
        if chance(chooser, percent):
            hours[day] = pick(chooser, ([], [], ["09:00-13:00"], _intervals(chooser)))
    return hours


def _missing(chooser: Chooser, rule: dict[str, Any], values: Sequence[str | None]) -> None:
    value = pick(chooser, values)
    if value is not None:
        rule["on_missing"] = value


ON_MISSING = (None, None, "deny", "hold", "allow", "allow")
PERIODS = ("day", "day", "day", "week", "month", "hour", "quarter", "year")
ZONE_WORDS = ("recipient", "recipient", "recipient", "policy", "Europe/Madrid", "America/Santiago", "Africa/Cairo")


def _counting(chooser: Chooser, rule: dict[str, Any]) -> None:
    if chance(chooser, 60):
        rule["scope"] = some(chooser, ("channel", "channel_group", "purpose", "topic", "campaign", "brand"))
    if chance(chooser, 20):
        rule["counts"] = _selector(chooser, 80, counting=True)
    if chance(chooser, 8):
        rule["counts_except"] = _selector(chooser, 100, counting=True)


def _cap(chooser: Chooser) -> dict[str, Any]:
    rule: dict[str, Any] = {"limit": pick(chooser, (1, 1, 2, 3, 5, 0))}
    form = pick(chooser, ("rolling", "rolling", "calendar", "calendar", "lifetime"))
    if form == "rolling":
        rule["window"] = {"rolling": pick(chooser, WINDOW_LENGTHS)}
    elif form == "calendar":
        rule["window"] = {"calendar": pick(chooser, PERIODS), "zone": pick(chooser, ZONE_WORDS)}
        if rule["window"]["zone"] == "recipient":
            _missing(chooser, rule, ON_MISSING)
    else:
        rule["limit"] = pick(chooser, (3, 5, 8, 0))
        rule["window"] = {"lifetime": True}
    if chance(chooser, 20):
        rule["unit"] = "attempt"
    _counting(chooser, rule)
    return rule


def _gap(chooser: Chooser) -> dict[str, Any]:
    rule: dict[str, Any] = {"minimum": pick(chooser, WINDOW_LENGTHS[:8])}
    _counting(chooser, rule)
    return rule


def _window(chooser: Chooser) -> dict[str, Any]:
    rule: dict[str, Any] = {"hours": _hours(chooser)}
    word = pick(chooser, (None, *ZONE_WORDS))
    if word is not None:
        rule["zone"] = word
    for_holidays = "holiday" in rule["hours"] or "day_before_holiday" in rule["hours"]
    if for_holidays:
        rule["holidays"] = pick(chooser, ("recipient", "recipient", "CO", "office"))
    if for_holidays or word in {None, "recipient"}:
        _missing(chooser, rule, ON_MISSING)
    return rule


def _consent(chooser: Chooser) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    if chance(chooser, 60):
        rule["evidence"] = pick(chooser, ("optional", "required"))
    if chance(chooser, 30):
        rule["max_age"] = pick(chooser, ("30d", "24h", "5m"))
    _missing(chooser, rule, (None, "allow", "deny", "allow"))
    return rule


def _sender(chooser: Chooser) -> dict[str, Any]:
    rule: dict[str, Any] = {"allowed": some(chooser, SENDERS)}
    _missing(chooser, rule, ("allow", "allow", None, "deny"))
    return rule


def _campaign(chooser: Chooser) -> dict[str, Any]:
    return {"campaigns": some(chooser, CAMPAIGNS, 1), "switch": pick(chooser, ("off", "shadow_only"))}


def _exempt(chooser: Chooser) -> dict[str, Any]:
    kinds = some(chooser, ("cap", "gap", "window", "consent", "campaign", "sender", "opt_out"), 4)
    rule: dict[str, Any] = {
        "purposes": some(chooser, ("otp", "otp", "service"), 1),
        "from": kinds,
        "still_counts": chance(chooser, 50),
    }
    if "opt_out" in kinds:
        rule["even_if_opted_out"] = True
    return rule


KINDS: dict[str, Callable[[Chooser], dict[str, Any]]] = {
    "cap": _cap,
    "window": _window,
    "gap": _gap,
    "consent": _consent,
    "sender": _sender,
    "campaign": _campaign,
    "exempt": _exempt,
}
KIND_WEIGHTS = ("cap",) * 8 + ("window",) * 5 + ("gap",) * 4 + ("consent", "consent", "sender", "campaign", "exempt")
NARROWED = {"cap": 45, "gap": 45, "window": 35, "consent": 75, "sender": 75}


def _rule(chooser: Chooser, number: int) -> dict[str, Any]:
    kind = pick(chooser, KIND_WEIGHTS)
    rule: dict[str, Any] = {"id": f"{kind}-{number}", "kind": kind}
    if kind != "exempt" and chance(chooser, 20):
        rule["state"] = pick(chooser, ("shadow", "off", "on"))
    elif chance(chooser, 10):
        rule["state"] = pick(chooser, ("on", "off"))
    rule.update(KINDS[kind](chooser))
    if kind in NARROWED:
        applies_to = _selector(chooser, NARROWED[kind])
        if applies_to:
            rule["applies_to"] = applies_to
            if "countries" in applies_to and chance(chooser, 60):
                rule["country_unknown"] = pick(chooser, ("skip", "apply", "deny"))
        if chance(chooser, 12):
            rule["except"] = _selector(chooser, 100)
    return rule


def _calendars(chooser: Chooser) -> dict[str, Any]:
    calendars: dict[str, Any] = {
        "CO": {"country": "CO"},
        "office": {"country": "CO", "add": ["2026-12-24"], "remove": ["2026-12-08"], "because": "house rules"},
    }
    more = {
        "ES": {"country": "ES"},
        "ES-MD": {"country": "ES", "subdivision": "MD"},
        "US": {"country": "US"},
        "US-FL": {"country": "US", "subdivision": "FL"},
        "ES-M": {"country": "ES", "subdivision": "MD", "add": ["2026-05-15"], "because": "patron of the city"},
    }
    return calendars | {name: body for name, body in more.items() if chance(chooser, 60)}


def _policy(chooser: Chooser) -> str:
    policy: dict[str, Any] = {"mesura": 1, "name": "random", "version": "1", "zone": pick(chooser, ZONES)}
    if chance(chooser, 50):
        policy["recipient_zone"] = pick(chooser, ZONES)
    if chance(chooser, 50):
        policy["time_to_live"] = pick(chooser, ("5m", "3s", "30s", "1h", "24h"))
    if chance(chooser, 30):
        policy["history"] = pick(chooser, ("35d", "14d", "60d"))
    if chance(chooser, 40):
        policy["identities"] = pick(chooser, ("7d", "1d", "1h"))
    policy["default_purpose"] = pick(chooser, PURPOSES)
    policy["channels"] = copy.deepcopy(CHANNELS)
    if chance(chooser, 10):
        policy["channels"]["text"] = {"group": "text"}  # a channel by the name of its group
    policy["purposes"] = list(PURPOSES)
    if chance(chooser, 60):
        policy["other_names"] = copy.deepcopy(OTHER_NAMES)
    if chance(chooser, 50):
        policy["regions"] = {"US-FL": ["America/New_York", "America/Chicago"]}
    policy["holidays"] = {
        "years": pick(chooser, ([2025, 2026, 2027, 2028], [2025, 2026, 2027, 2028], [2026, 2027])),
        "calendars": _calendars(chooser),
    }
    if chance(chooser, 30):
        policy["obligations"] = [
            {"id": "include-opt-out", "applies_to": {"purposes": ["marketing"]}, "text": "Say how to opt out."},
            {"id": "say-who", "applies_to": {"channels": ["voice"], "automated": True}, "text": "Say who calls."},
        ]
    many = chance(chooser, 12)
    count = chooser.integer(10, 24) if many else chooser.integer(0, 6)
    policy["rules"] = [_rule(chooser, number) for number in range(count)]
    return _dumped(policy, default_flow_style=None, width=110)


# ---- a history and what the model says of it ------------------------------------------------------------------------


class Step(NamedTuple):
    kind: str  # preference, outcome, intent
    event: dict[str, Any]
    record_timestamp: int
    now: int
    sent: Raw | None = None  # the record, if it is not the event as a sound producer sends it

    @property
    def raw(self) -> Raw:
        return raw_of(self.event) if self.sent is None else self.sent


def apply_step(model: Model, step: Step) -> Any:  # noqa: ANN401 - an answer, withdrawals, or a dead letter
    """What the model makes of one step, in the shape that answers are compared in."""
    return taken_by_model(model, step.kind, step.raw, step.record_timestamp, step.now)


def iso(instant_ms: int) -> str:
    return utc(instant_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass
class RecordedCase:
    """A policy, the steps of a history, and the model's answers to each."""

    policy_text: str
    steps: list[Step]
    expected: list[Any] = field(default_factory=list)
    seed: int | str | None = None

    @classmethod
    def of(cls, policy_text: str, steps: list[Step], seed: int | str | None = None) -> RecordedCase:
        model = Model(policy_text)
        return cls(policy_text, steps, [apply_step(model, step) for step in steps], seed)

    def first_difference(self, answers: Sequence[Any]) -> int | None:
        for index, (wanted, found) in enumerate(zip(self.expected, answers, strict=False)):
            if wanted != found:
                return index
        return None if len(answers) >= len(self.expected) else len(answers)

    def report(self, index: int | None = None, found: Any = None) -> str:  # noqa: ANN401
        """The case for people, up to the step in question; paste `steps` back into `RecordedCase.of`."""
        until = len(self.steps) if index is None else index + 1
        lines = [f"seed {self.seed!r}", "policy_text = '''\\", self.policy_text + "'''", "steps = ["]
        for number, step in enumerate(self.steps[:until]):
            lines.append(f"  # {number}: now {iso(step.now)}, record {iso(step.record_timestamp)}")
            sent = f", {step.sent!r}" if step.sent is not None else ""
            lines.append(f"  Step({step.kind!r}, {step.event!r}, {step.record_timestamp}, {step.now}{sent}),")
            lines.append(f"  #   model: {json.dumps(self.expected[number], ensure_ascii=False)}")
        lines.append("]")
        if found is not None:
            lines.append(f"found: {json.dumps(found, ensure_ascii=False, default=repr)}")
        if index is not None and self.steps[index].kind == "intent":
            model = Model(self.policy_text)
            for step in self.steps[:index]:
                apply_step(model, step)
            customer_id = self.steps[index].event["customer_id"]
            lines.append(f"customer before: {json.dumps(model.standing(customer_id), ensure_ascii=False, indent=1)}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.report()


class _Writer:
    """Writes one history, next to a model that answers it."""

    def __init__(self, chooser: Chooser, policy_text: str) -> None:
        self.chooser = chooser
        self.policy_text = policy_text
        self.policy = read_policy(policy_text)
        self.model = Model(policy_text)
        self.steps: list[Step] = []
        self.expected: list[Any] = []
        self.zones = self._zones_in_play()
        self.spans = self._spans()
        self.interesting: list[int] = []
        self.preferences: list[tuple[dict[str, Any], Raw | None]] = []
        self.intents: list[dict[str, Any]] = []
        self.approvals: list[tuple[dict[str, Any], dict[str, Any], int]] = []  # intent, answer, decided at
        self.places = {customer: pick(chooser, PLACES) for customer in CUSTOMERS}
        self.now = self._start()

    # -- time --

    def _zones_in_play(self) -> list[str]:
        wanted = {self.policy.zone, pick(self.chooser, ZONES)}
        if self.policy.recipient_zone is not None:
            wanted.add(self.policy.recipient_zone)
        for rule in self.policy.rules:
            for name in (rule.body.get("zone"), (rule.body.get("window") or {}).get("zone")):
                if name is not None and "/" in name:
                    wanted.add(name)
        return sorted(wanted)

    def _spans(self) -> list[int]:
        spans = [self.policy.time_to_live, self.policy.identities]
        for rule in self.policy.rules:
            window = rule.body.get("window") or {}
            spans += [duration(text) for text in (window.get("rolling"), rule.body.get("minimum")) if text]
            spans += [duration(rule.body["max_age"])] if "max_age" in rule.body else []
        return [span for span in spans if span <= 40 * DAY]

    def _start(self) -> int:
        chooser = self.chooser
        form = pick(chooser, ("workday", "clock", "any", "holiday", "date", "clock", "holiday"))
        if form == "workday":
            return to_ms(dt.datetime(2026, 3, 11, 15, tzinfo=dt.UTC)) + chooser.integer(0, 7) * HOUR
        if form == "clock":
            changes = transitions(pick(chooser, self.zones), FIRST_MOMENT + 3 * DAY, LAST_MOMENT - 9 * DAY)
            if changes:
                return pick(chooser, changes) - pick(chooser, (HOUR, 1, 0, 2 * SECOND, 6 * HOUR, 30 * HOUR, 3 * DAY))
        if form == "holiday":
            # Of Colombia, Spain or the United States, or next to one.
            days = ("2026-07-13", "2026-05-01", "2026-12-25", "2025-12-25", "2027-01-01", "2026-12-08", "2026-07-04")
            date = pick(chooser, (*days, "2026-05-02"))
            day = to_ms(dt.datetime.fromisoformat(f"{date}T00:00:00Z"))
            return day + chooser.integer(-24, 40) * HOUR
        if form == "date":
            dates = ("2026-07-10", "2025-12-31", "2026-12-24", "2028-02-28", "2028-12-20", "2026-04-30", "2026-07-02")
            return to_ms(dt.datetime.fromisoformat(f"{pick(chooser, dates)}T12:00:00Z")) + chooser.integer(0, 24) * HOUR
        return chooser.integer(FIRST_MOMENT // HOUR + 24, LAST_MOMENT // HOUR - 24 * 90) * HOUR

    def _note(self, *moments: int | None) -> None:
        for moment in moments:
            if moment is not None and FIRST_MOMENT < moment < LAST_MOMENT:
                bisect.insort(self.interesting, moment)

    def _edge(self) -> int:
        """A coming moment at which something changes: near ones more often."""
        chooser = self.chooser
        form = pick(chooser, ("noted", "noted", "noted", "wall", "bucket", "clock"))
        name = pick(chooser, self.zones)
        if form == "noted":
            at = bisect.bisect_right(self.interesting, self.now)
            ahead = self.interesting[at : at + 8]
            if ahead:
                return pick(chooser, ahead)
        if form == "wall":
            edges = (0, 30 * MINUTE, HOUR, 2 * HOUR, 8 * HOUR, 19 * HOUR, 23 * HOUR)
            date = local(name, self.now)[0] + dt.timedelta(days=chooser.integer(0, 3))
            shown = instants_showing(name, date, pick(chooser, edges))
            if shown:
                return shown[-1]
        if form == "clock":
            changes = transitions(name, self.now + 1, self.now + 200 * DAY)
            if changes and chance(chooser, 30):
                return changes[0]
        return bucket(name, pick(chooser, PERIODS), self.now)[1]

    def _advance(self) -> None:
        chooser = self.chooser
        form = pick(chooser, ("same", "little", "edge", "edge", "edge", "span", "hours", "days"))
        if form == "little":
            step = pick(chooser, (1, 999, 1_000, 1_999, 2_000, 2_001, MINUTE, 5 * MINUTE, HOUR))
        elif form == "edge":
            step = self._edge() + pick(chooser, NUDGES) - self.now
        elif form == "span":
            step = pick(chooser, self.spans) + pick(chooser, NUDGES) if self.spans else HOUR
        elif form == "hours":
            step = chooser.integer(1, 30) * HOUR
        elif form == "days":
            step = chooser.integer(1, 9) * DAY if chance(chooser, 50) else 0
        else:
            step = 0
        self.now = min(self.now + max(0, step), LAST_MOMENT)

    def _written(self, moment: int) -> int | str:
        """A time as producers write it."""
        form = pick(self.chooser, ("ms", "ms", "ms", "Z", "offset"))
        if form == "ms" or moment < 0:
            return moment
        if form == "Z":
            return iso(moment)
        hours = pick(self.chooser, (-5, 2))
        return utc(moment).astimezone(dt.timezone(dt.timedelta(hours=hours))).isoformat(timespec="milliseconds")

    # -- steps --

    def _add(self, kind: str, event: dict[str, Any], record_timestamp: int, sent: Raw | None = None) -> Any:  # noqa: ANN401
        step = Step(kind, event, record_timestamp, self.now, sent)
        answer = apply_step(self.model, step)
        self.steps.append(step)
        self.expected.append(answer)
        return answer

    def _fields(self, percents: dict[str, int]) -> dict[str, Any]:
        words: dict[str, Sequence[str]] = {
            "channel": tuple(CHANNELS),
            "purpose": PURPOSES,
            "topic": TOPICS,
            "brand": BRANDS,
            "campaign_id": CAMPAIGNS,
            "sender_id": SENDERS,
        }
        return {
            name: pick(self.chooser, words[name]) for name, percent in percents.items() if chance(self.chooser, percent)
        }

    def _scope(self, kind: str) -> dict[str, Any]:
        """The words of an event's scope, as producers write them."""
        chooser = self.chooser
        scope = self._fields({"channel": 60, "purpose": 35, "topic": 15, "brand": 15, "sender_id": 12})
        for name in scope:
            if chance(chooser, 25):
                scope[name] = pick(chooser, SPELLINGS[name])
            elif chance(chooser, 3 if kind in PERMISSIVE else 8):
                scope[name] = pick(chooser, UNKNOWN_WORDS[name])
            elif chance(chooser, 1 if kind in PERMISSIVE else 4):
                scope[name] = pick(chooser, GARBAGE)
        return scope

    def _time(self, moment: int) -> Any:  # noqa: ANN401 - whatever a producer takes for a time
        """A time as producers write it, sometimes in another unit, or none."""
        if not chance(self.chooser, 6):
            return self._written(moment)
        return pick(self.chooser, (moment // 1_000, moment * 1_000, "soon", 0, None, float(moment), str(moment)))

    def _timestamp(self, moment: int) -> int:
        """A record's timestamp, sometimes one that nobody can believe."""
        return pick(self.chooser, (0, 1, -1, moment // 1_000)) if chance(self.chooser, 3) else moment

    def intent(self) -> None:
        chooser = self.chooser
        if self.intents and chance(chooser, 12):
            event = dict(pick(chooser, self.intents[-6:]))
            if chance(chooser, 30):
                event["created_at"] = self._written(self._created_at())
        else:
            event = self._new_intent()
            self.intents.append(event)
        answer = self._add("intent", event, self.now - pick(chooser, (0, 0, 5, MINUTE)))
        if "dead_letter" in answer:
            return
        self._note(answer["next_eligible_at"])
        for entry in answer["explanation"]:
            # Bounds of windows, buckets and consents, and of preferences that denied.
            self._note(*(self.now + number for number in entry[2:] if abs(number) > 50))
        if answer["verdict"] == "approved":
            self.approvals.append((event, answer, self.now))
            self._note(answer["valid_until"], *(answer["valid_until"] + span for span in self.spans))

    def _created_at(self) -> int:
        chooser = self.chooser
        form = pick(chooser, ("now",) * 16 + ("past", "past", "horizon", "future", "erased"))
        if form == "past":
            return self.now - pick(chooser, (1, MINUTE, HOUR, DAY))
        if form == "horizon":
            return self.now - self.policy.identities + pick(chooser, (-1, 0, 1, HOUR))
        if form == "future":
            return self.now + pick(chooser, (300_000, 300_001, 299_999, 1))
        erased = [c.erased_at for c in self.model.customers.values() if c.erased_at is not None]
        if form == "erased" and erased:
            return min(pick(chooser, erased) + pick(chooser, (0, 1, -1)), self.now + 300_000)
        return self.now

    def _new_intent(self) -> dict[str, Any]:
        chooser = self.chooser
        customer = pick(chooser, (CUSTOMERS[0], CUSTOMERS[0], CUSTOMERS[1]))
        event: dict[str, Any] = {
            "intent_id": f"i-{len(self.intents)}",
            "customer_id": customer,
            "channel": "fax"
            if chance(chooser, 1)
            else pick(chooser, tuple(CHANNELS)[: 2 if chance(chooser, 70) else 4]),
            "created_at": self._written(self._created_at()),
        }
        event |= self._fields({"purpose": 85, "topic": 30, "brand": 30, "campaign_id": 30, "sender_id": 45})
        if chance(chooser, 1):
            event["purpose"] = "gossip"
        place = dict(self.places[customer] if chance(chooser, 80) else pick(chooser, PLACES))
        if chance(chooser, 25):
            place.pop(pick(chooser, ("region", "region", "country")), None)
        event |= place
        if chance(chooser, 35):
            event["timezone"] = "Mars/Base" if chance(chooser, 5) else pick(chooser, self.zones)
        if chance(chooser, 8):
            event["holiday_calendar"] = pick(chooser, ("CO", "ES-MD", "office", "nowhere"))
        if chance(chooser, 30):
            event["automated"] = chance(chooser, 50)
        if chance(chooser, 20):
            left = pick(chooser, (HOUR, DAY, 10 * DAY, 2 * DAY, MINUTE, 3 * DAY, 2_000, 2_001, 2_002, 0))
            event["expires_at"] = self._written(self.now + left)
        return event

    def preference(self) -> None:
        chooser = self.chooser
        if self.preferences and chance(chooser, 15):
            event, sent = pick(chooser, self.preferences[-6:])
        else:
            event, sent = self._sent(self._new_preference())
            self.preferences.append((event, sent))
        lateness = pick(chooser, (0, 0, 0, 0, 0, 1, MINUTE, HOUR, DAY, -1, -299_999, -300_000, -300_001, -DAY))
        record_timestamp = self._timestamp(self.now - lateness)
        orders = [e.order for c in self.model.customers.values() for e in c.preferences]
        if orders and chance(chooser, 15):
            record_timestamp = pick(chooser, orders[-4:])
        self._add("preference", event, record_timestamp, sent)

    def _sent(self, event: dict[str, Any]) -> tuple[dict[str, Any], Raw | None]:
        """The event, or what a careless producer makes of it and sends."""
        chooser = self.chooser
        if not chance(chooser, 10):
            return event, None
        forms = (
            "field",
            "spelling",
            "nameless",
            "unknown",
            "unread",
            "attributes",
            "no event_id",
            "unknown",
            "unknown",
        )
        form = pick(chooser, forms)
        key = event["customer_id"].encode()
        careless = dict(event)
        if form == "field":
            name = pick(chooser, (*event, "expires_at", "source"))
            careless[name] = pick(chooser, GARBAGE)
        elif form == "spelling":
            written = event["type"]
            spellings = (
                written.upper(),
                written.replace("_", "-"),
                written.title(),
                f" {written}",
                "Unsubscribe",
                "STOP",
            )
            careless["type"] = pick(chooser, spellings)
        elif form == "nameless":
            careless.pop("customer_id")
        elif form == "unknown":
            unknown = ("chanel", "list_id", "minor", "channels", "timezone", "until", "topic", "source", "detail")
            careless[pick(chooser, unknown)] = pick(chooser, ("sms", None, 5))
        elif form == "attributes":
            careless["attributes"] = pick(chooser, ({"list": "spring"}, {}, {"deep": {}}, 5))
        elif form == "no event_id":
            careless.pop("event_id")
        else:
            return event, self._unread(event, key)
        return event, Raw(json.dumps(careless, ensure_ascii=False).encode(), (), key)

    def _unread(self, event: dict[str, Any], key: bytes) -> Raw:
        """A record that nobody can read."""
        text = json.dumps(event).encode()
        twice = text[:-1] + b', "type": "opt_in"}'
        typeless = json.dumps({name: said for name, said in event.items() if name != "type"}).encode()
        unknown = json.dumps({**event, "type": pick(self.chooser, ("unread", "no_more", 7))}).encode()
        values = (text[:-1], twice, typeless, unknown, b"[]", b"\xff", b"", None)
        headers = (("content-type", b"application/cloudevents-batch+json"),) if chance(self.chooser, 10) else ()
        return Raw(pick(self.chooser, values), headers, pick(self.chooser, (key, key, key, None)))

    def _new_preference(self) -> dict[str, Any]:
        chooser = self.chooser
        kinds = (
            ("opt_out", "opt_in", "consent_granted", "consent_granted", "consent_granted", "pause", "resume") * 3
            + (
                "opt_out",
                "objection",
                "consent_withdrawn",
                "consent_withdrawn",
                *("restriction", "restriction_lifted") * 2,
                *("clarification",) * 2,
                *("profile",) * 4,
            )
            + ("erasure",)
        )
        kind = pick(chooser, kinds)
        event: dict[str, Any] = {
            "event_id": f"e-{chooser.integer(0, 999_999)}-{len(self.preferences)}",
            "customer_id": pick(chooser, (CUSTOMERS[0], CUSTOMERS[0], CUSTOMERS[1])),
            "type": kind,
        }
        if chance(chooser, 40):
            moment = self.now + pick(chooser, (-1, 0, 1, -HOUR, HOUR, -DAY, DAY, -5 * MINUTE, 5 * MINUTE))
            if chance(chooser, 5):
                moment = FAR_AWAY
            event["effective_at"] = self._time(moment)
            self._note(moment)
        if kind == "profile":
            event |= self.places[event["customer_id"]] if chance(chooser, 50) else pick(chooser, PLACES)
            if chance(chooser, 35):
                event["timezone"] = "Mars/Base" if chance(chooser, 5) else pick(chooser, self.zones)
            if chance(chooser, 10):
                event["minor"] = chance(chooser, 50)
            return event
        if kind in {"erasure", "clarification"}:
            return event
        event |= self._about(kind)
        # What denies for ever leaves nothing to look at: most of it ends.
        if chance(chooser, 75 if kind in RESTRICTIVE else 40):
            end = self.now + pick(chooser, (HOUR, DAY, 2_000, 1, 5 * MINUTE, -1, 0, 3 * DAY))
            name = "expires_at" if kind == "consent_granted" else "until"
            event[name] = self._time(end)
            if kind in PERMISSIVE and chance(chooser, 10):
                event[{"until": "expires_at", "expires_at": "until"}[name]] = self._written(end + HOUR)
            self._note(end)
        if kind == "consent_granted" and chance(chooser, 65):
            event["evidence_ref"] = "doc-1"
        return event

    def _about(self, kind: str) -> dict[str, Any]:
        """Scope and source of a new event, or those of an earlier event of its track, or nearly."""
        chooser = self.chooser
        earlier = [e for e, _ in self.preferences[-8:] if TRACK_OF.get(e["type"]) == TRACK_OF[kind]]
        if not earlier or not chance(chooser, 50):
            placed = kind in {"restriction", "restriction_lifted"} and chance(chooser, 70)
            found = {"source": pick(chooser, SOURCES)} if placed else {}
            return found | (self._scope(kind) if chance(chooser, 70) else {})
        event = pick(chooser, earlier)
        kept = ("channel", "purpose", "topic", "brand", "sender_id", "source", "customer_id")
        found = {name: event[name] for name in kept if name in event and not chance(chooser, 10)}
        if "source" in found and chance(chooser, 30):
            found["source"] = pick(chooser, SOURCES)
        if chance(chooser, 15):
            found |= self._scope(kind)
        if chance(chooser, 15):
            found["effective_at"] = event.get("effective_at", self.now)
        return found

    def outcome(self) -> None:
        chooser = self.chooser
        # Younger than any history by far: what the ledger has forgotten cannot be confirmed.
        recent = [approval for approval in self.approvals[-8:] if approval[2] > self.now - 3 * DAY]
        kinds = ("delivered", "sent", "reply", "reply", "failed", "expired", "read", "conversation", "refusal")
        event: dict[str, Any] = {"type": pick(chooser, kinds)}
        if recent and not chance(chooser, 8):
            intent, answer, decided_at = pick(chooser, recent)
            event["customer_id"] = intent["customer_id"]
            event["decision_id"] = answer["decision_id"]
            valid_until = answer["valid_until"]
            inside = (decided_at, decided_at + 1, valid_until, self.now, (decided_at + valid_until) // 2)
            early = decided_at - pick(chooser, (300_000, 300_001))
            moment = pick(chooser, (*inside, valid_until + 1, decided_at - 1, self.now + HOUR, early))
            if chance(chooser, 15):
                event["channel"] = pick(chooser, (*CHANNELS, *SPELLINGS["channel"], *UNKNOWN_WORDS["channel"]))
        else:
            event["customer_id"] = pick(chooser, CUSTOMERS)
            moment = self.now - pick(chooser, (0, 1, HOUR, -HOUR))
            if event["type"] != "reply" or chance(chooser, 30):
                event["decision_id"] = decision_id(event["customer_id"], "never-seen")
            event["channel"] = pick(chooser, (*CHANNELS, *SPELLINGS["channel"]))
        event["occurred_at"] = self._time(moment)
        if chance(chooser, 50 if event["type"] == "reply" else 6):
            event["detail"] = pick(chooser, (*STOPS, *REPLIES))
        self._add("outcome", event, self._timestamp(self.now - pick(chooser, (0, 0, 0, MINUTE, -MINUTE, -300_001))))

    def write(self, length: int) -> None:
        for _ in range(length):
            if chance(self.chooser, 75):
                self._advance()
            pick(self.chooser, (self.intent,) * 12 + (self.preference,) * 4 + (self.outcome,) * 3)()


def _write(chooser: Chooser, policy_text: str, length: int, seed: int | str | None) -> RecordedCase:
    writer = _Writer(chooser, policy_text)
    writer.write(length)
    return RecordedCase(policy_text, writer.steps, writer.expected, seed)


# ---- without Hypothesis ---------------------------------------------------------------------------------------------


def random_policy(seed: int | str) -> str:
    return _policy(RandomChooser(f"policy-{seed}"))


def random_history(seed: int | str, policy_text: str | None = None, length: int = 40) -> RecordedCase:
    """One case of a campaign: the same seed gives the same policy, steps and answers."""
    text = random_policy(seed) if policy_text is None else policy_text
    return _write(RandomChooser(f"history-{seed}"), text, length, seed)


def minimise(case: RecordedCase, fails: Callable[[RecordedCase], bool]) -> RecordedCase:
    """A smaller case that still fails: fewer steps, then fewer rules and fields, as long as anything can go."""
    best, shrunk = case, True
    while shrunk:
        shrunk = False
        for candidate in _smaller(best):
            try:
                failing = fails(candidate)
            except AssertionError:
                failing = True
            if failing:
                best, shrunk = candidate, True
                break
    return best


def _smaller(case: RecordedCase) -> Iterator[RecordedCase]:
    steps = case.steps
    size = max(1, len(steps) // 2)
    while True:
        for start in range(0, len(steps), size):
            fewer = steps[:start] + steps[start + size :]
            if fewer:
                yield RecordedCase.of(case.policy_text, fewer, case.seed)
        if size == 1:
            break
        size //= 2
    for policy in _smaller_policies(case.policy_text):
        yield RecordedCase.of(policy, steps, case.seed)
    required = {"intent_id", "event_id", "customer_id", "channel", "created_at", "type", "occurred_at", "decision_id"}
    for index, step in enumerate(steps):
        if step.sent is not None:
            plain = step._replace(sent=None)
            yield RecordedCase.of(case.policy_text, [*steps[:index], plain, *steps[index + 1 :]], case.seed)
            continue
        for name in [name for name in step.event if name not in required]:
            event = {key: value for key, value in step.event.items() if key != name}
            yield RecordedCase.of(case.policy_text, [*steps[:index], step._replace(event=event), *steps[index + 1 :]])


def _smaller_policies(text: str) -> Iterator[str]:
    policy = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    for index in range(len(policy["rules"])):
        rules = policy["rules"][:index] + policy["rules"][index + 1 :]
        yield _dumped({**policy, "rules": rules})
    optional = (
        "state",
        "applies_to",
        "except",
        "counts",
        "counts_except",
        "scope",
        "country_unknown",
        "max_age",
        "unit",
    )
    for index, rule in enumerate(policy["rules"]):
        for name in [name for name in optional if name in rule]:
            gone = {name} | ({"country_unknown"} if name == "applies_to" else set())
            smaller = {key: value for key, value in rule.items() if key not in gone}
            rules = [*policy["rules"][:index], smaller, *policy["rules"][index + 1 :]]
            yield _dumped({**policy, "rules": rules})
    for name in ("obligations", "regions", "other_names", "recipient_zone", "history", "identities", "time_to_live"):
        if name in policy:
            smaller_policy = {key: value for key, value in policy.items() if key != name}
            yield _dumped(smaller_policy)


# ---- with Hypothesis ------------------------------------------------------------------------------------------------


@st.composite
def policies(draw: st.DrawFn) -> str:
    """The text of a random valid policy."""
    return _policy(HypothesisChooser(draw))


@st.composite
def histories(draw: st.DrawFn, policy_text: str, max_length: int = 25) -> RecordedCase:
    """A history under one policy, with the model's answers."""
    chooser = HypothesisChooser(draw)
    return _write(chooser, policy_text, chooser.integer(1, max_length), None)


@st.composite
def cases(draw: st.DrawFn, max_length: int = 25) -> RecordedCase:
    """A random policy and a history under it."""
    return draw(histories(draw(policies()), max_length))
