"""Windows in the policy file and in words: allowed hours by kind of day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.rules.window import DAY_NAMES, KIND, WindowSpecification
from streams.policy.findings import did_you_mean
from streams.policy.kinds.kind import Advice, Answer, Data, DemandingKind
from streams.policy.notation import interval, interval_text
from streams.policy.phrases import unless_known
from streams.policy.schema_parts import Schema, definition

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streams.decision.rules.window import Interval
    from streams.policy.context import Context
    from streams.policy.document import Path

_DAYS: Final = {
    "workday": "Monday to Friday",
    "saturday": "Saturday",
    "sunday": "Sunday",
    **dict(zip(DAY_NAMES, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True)),
    "holiday": "holidays",
    "day_before_holiday": "days before a holiday",
}
_HOLIDAYS: Final = ("holiday", "day_before_holiday")
_HOURS: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "minProperties": 1,
    "description": "Allowed intervals by kind of day; a day given nowhere is closed.",
    "properties": {day: definition("intervals") for day in _DAYS},
}
_INTERVALS: Final[Schema] = {
    "type": "array",
    "maxItems": 24,
    "description": "Intervals in order, as [08:00-12:00, 14:00-18:00]; [] is closed.",
    "items": {
        "type": "string",
        "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$",
        "description": "An interval of wall time, as 08:00-12:00; 24:00 is the end of the day.",
    },
}


class Window(DemandingKind[WindowSpecification]):
    """Allowed hours, in the recipient's zone or another, with holidays or without."""

    kind = KIND
    exempted_as = "hours"
    passed_sentence = "Open."
    description = "Allowed hours, wall time, half-open: 08:00-12:00 ends before 12:00."
    required = ("hours",)
    decisive_fields = frozenset({"holidays"})

    def fields(self) -> Schema:
        """The JSON Schema of its own fields."""
        return {
            "hours": definition("hours"),
            "zone": {
                "type": "string",
                "description": "recipient (default), policy, or a time zone's name (the sender's hours).",
            },
            "holidays": {
                "type": "string",
                "description": (
                    "recipient, none, or a declared calendar. Required with holiday or day_before_holiday hours."
                ),
            },
            "on_missing": definition("on_missing"),
        }

    def definitions(self) -> Schema:
        """What its fields refer to."""
        return {"hours": _HOURS, "intervals": _INTERVALS}

    def read(self, context: Context, path: Path, data: Data, common: Data) -> WindowSpecification:
        """Hours, zone and calendar, and whether hours and calendar go together."""
        hours = {name: _intervals(context, (*path, "hours", name), texts) for name, texts in data["hours"].items()}
        fields: Data = {"hours": hours}
        if "zone" in data:
            fields["zone"] = context.zone((*path, "zone"), data["zone"], besides=("recipient", "policy"))
        if "on_missing" in data:
            fields["on_missing"] = data["on_missing"]
        if "holidays" in data:
            fields["holidays"] = data["holidays"]
        _check_calendar(context, path, data)
        return WindowSpecification(**common, **fields)

    def advise(self, rule: WindowSpecification) -> Iterator[Advice]:
        """Whether it is ever open."""
        if not any(rule.hours.values()):
            message = "The window is never open, so every intent to which the rule applies is suppressed."
            yield Advice("hours", message, "Give it hours, or use a cap with limit 0.")

    def advise_in_context(self, rule: WindowSpecification, context: Context) -> Iterator[Advice]:
        """Whether there are calendars for the places that it names."""
        if rule.holidays != "recipient" or rule.on_missing == "allow":
            return
        calendars = context.calendars or {}
        codes = rule.applies_to.countries
        fix = "Declare it under `holidays`, `calendars`."
        if codes is None and not calendars:
            yield Advice("holidays", "No calendar is declared, so every intent would be suppressed.", fix)
        missing = sorted(code for code in codes or () if code not in calendars and code[:2] not in calendars)
        if missing:
            message = (
                f"No calendar is declared for {', '.join(missing)}, so all intents for that place would be suppressed."
            )
            yield Advice("holidays", message, fix)
        thin = sorted(code for code in codes or () if code not in calendars and code[:2] in calendars)
        if thin:
            message = (
                f"No calendar is declared for {', '.join(thin)}, so the country's is used, "
                "without the region's own days."
            )
            yield Advice("holidays", message, fix)

    def condition(self, rule: WindowSpecification) -> str:
        """Which hours of which days, by whose clock and calendar."""
        days = "; ".join(f"{label} {_hours(rule.hours[name])}" for name, label in _DAYS.items() if name in rule.hours)
        zone = {"recipient": "in the recipient's time zone", "policy": "in the policy's time zone"}.get(
            rule.zone, f"in the time zone {rule.zone}"
        )
        calendar = {"none": "", "recipient": ", holidays of the recipient's place"}.get(
            rule.holidays, f", holidays of {rule.holidays}"
        )
        others = "" if _names_every_day(rule) else "; other days closed"
        missing = unless_known(rule.on_missing, "the time zone or calendar")
        return f"only {days}{others} ({zone}{calendar}){missing}"

    def answer_in_words(self, answer: Answer) -> str:
        """Number: when it closes if it is open, when it opens if it is closed."""
        if answer.first is None:
            return answer.sentence
        when = answer.moment_in_words(answer.first)
        if answer.has_passed:
            return f"Open, until {when}."
        if answer.verdict in {"window_closed", "holiday", "closing"}:
            return f"{answer.sentence} Open {'again ' if answer.verdict == 'closing' else ''}from {when} on."
        return answer.sentence


def _intervals(context: Context, path: Path, texts: list[str]) -> tuple[Interval, ...]:
    read: list[Interval] = []
    for index, text in enumerate(texts):
        opens, closes = interval(text)
        if opens >= closes:
            fix = f"Write a night as two intervals: {text[:5]}-24:00 and, on the next day, 00:00-{text[6:]}."
            context.report((*path, index), f"The interval {text} ends before it begins.", fix)
        elif read and opens < read[-1][1]:
            problem = "overlaps" if closes > read[-1][0] else "comes before"
            fix = "Put the intervals in order, without overlap."
            context.report((*path, index), f"The interval {text} {problem} {interval_text(read[-1])}.", fix)
        read.append((opens, closes))
    return tuple(read)


def _check_calendar(context: Context, path: Path, data: Data) -> None:
    special = [name for name in _HOLIDAYS if name in data["hours"]]
    calendar = data.get("holidays")
    if special and calendar in {None, "none"}:
        message = f"The hours name `{special[0]}`, but no calendar says which days those are."
        at = (*path, "holidays") if calendar else (*path, "hours", special[0])
        context.report(at, message, "Add `holidays: recipient`, or the name of a calendar.")
    if calendar in {None, "none"}:
        return
    if not special:
        message = "`holidays` is given, but the hours do not mention holidays, so these would be ordinary days."
        context.report((*path, "holidays"), message, "Add `holiday: []` to the hours, or write `holidays: none`.")
    if calendar != "recipient" and context.calendars is not None and calendar not in context.calendars:
        known = [*context.calendars, "recipient", "none"]
        fix = did_you_mean(calendar, known, "Declare it under `holidays`, `calendars`.")
        context.report((*path, "holidays"), f"The calendar `{calendar}` is not declared.", fix)


def _names_every_day(rule: WindowSpecification) -> bool:
    named = set(rule.hours)
    is_workday_named = "workday" in named or set(DAY_NAMES[:5]) <= named
    return is_workday_named and bool({"saturday", "sat"} & named) and bool({"sunday", "sun"} & named)


def _hours(intervals: Iterable[Interval]) -> str:
    return " and ".join(interval_text(each) for each in intervals) or "closed"
