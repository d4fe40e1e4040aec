"""Caps in the policy file and in words: at most so many contacts per window and scope."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.ledger.state import CONTACTS_MAX
from streams.decision.rules.cap import KIND, CapSpecification, Period
from streams.policy.horizons import HISTORY
from streams.policy.kinds.counting import (
    COUNTING_DEFINITIONS,
    COUNTING_FIELDS,
    advise_on_counting,
    contacts_in_words,
    counted_in_words,
    has_count,
    read_counting,
    scope_in_words,
)
from streams.policy.kinds.kind import Advice, Answer, Data, DemandingKind
from streams.policy.notation import duration_in_words, duration_text
from streams.policy.phrases import unless_known
from streams.policy.schema_parts import Schema, choice, definition

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.policy.context import Context
    from streams.policy.document import Path

_WINDOW: Final[Schema] = {
    "type": "object",
    "additionalProperties": False,
    "description": "{rolling: 7d}, {calendar: day, zone: recipient} or {lifetime: true}.",
    "oneOf": [{"properties": {name: True}, "required": [name]} for name in ("rolling", "calendar", "lifetime")],
    "dependentRequired": {"zone": ["calendar"]},
    "properties": {
        "rolling": definition("duration", "Elapsed time looked back over, 400d at most."),
        "calendar": choice(Period, "hour, day, week (from Monday), month, quarter or year."),
        "zone": {"type": "string", "description": "Whose days: recipient (default), policy, or a time zone's name."},
        "lifetime": {"const": True, "description": "true: all contacts ever."},
    },
}


class Cap(DemandingKind[CapSpecification]):
    """At most `limit` contacts in a rolling window, a calendar period, or ever."""

    kind = KIND
    exempted_as = "caps"
    passed_sentence = "There is room."
    description = "At most `limit` contacts per window and scope."
    required = ("limit", "window")
    look_back_field = "window"

    def fields(self) -> Schema:
        """The JSON Schema of its own fields."""
        return {
            **COUNTING_FIELDS,
            "limit": {
                "type": "integer",
                "minimum": 0,
                "maximum": CONTACTS_MAX,
                "description": f"A whole number from 0 (never) to {CONTACTS_MAX} (what one customer's ledger holds).",
            },
            "window": definition("cap_window"),
            "unit": {"const": "attempt", "description": "What is counted: attempt, the only unit of this version."},
            "on_missing": definition("on_missing"),
        }

    def definitions(self) -> Schema:
        """What its fields refer to."""
        return {**COUNTING_DEFINITIONS, "cap_window": _WINDOW}

    def read(self, context: Context, path: Path, data: Data, common: Data) -> CapSpecification:
        """The window, and whether `on_missing` has a meaning with it."""
        window = data["window"]
        at: Path = (*path, "window")
        fields = read_counting(context, path, data)
        if "rolling" in window:
            fields["rolling_ms"] = context.duration((*at, "rolling"), window["rolling"], HISTORY.most_ms)
        elif "calendar" in window:
            fields["calendar"] = window["calendar"]
            zone = window.get("zone", "recipient")
            fields["calendar_zone"] = context.zone((*at, "zone"), zone, besides=("recipient", "policy"))
        else:
            fields["lifetime"] = True
        if "on_missing" in data:
            fields["on_missing"] = data["on_missing"]
            if window.get("zone", "recipient") != "recipient" or "calendar" not in window:
                message = "`on_missing` has no effect unless the cap asks for the recipient's zone."
                context.report((*path, "on_missing"), message, "Remove it, or use {calendar: …, zone: recipient}.")
        return CapSpecification(**common, **fields, limit=data["limit"])

    def advise(self, rule: CapSpecification) -> Iterator[Advice]:
        """A lifetime cap knows little of the past, and a limit of 0 may not be what was meant."""
        if rule.lifetime:
            message = (
                "A lifetime cap is exact since it was switched on. "
                "Of earlier contacts it knows only those in the history."
            )
            yield Advice("window", message, "Switch it on before you need it.")
        if rule.limit == 0:
            message = "The limit 0 means never, so every intent to which the rule applies is suppressed."
            yield Advice("limit", message, "If you mean no limit, remove the rule.")

    def advise_in_context(self, rule: CapSpecification, context: Context) -> Iterator[Advice]:  # noqa: ARG002 - needs none
        """Whether more is left out of the count than the exception says."""
        yield from advise_on_counting(rule)

    def condition(self, rule: CapSpecification) -> str:
        """How many contacts, in which window and scope."""
        if rule.limit == 0:
            return "never"
        missing = unless_known(rule.on_missing, "the time zone") if rule.calendar_zone == "recipient" else ""
        contacts = contacts_in_words(rule.limit)
        return f"at most {contacts} {_window(rule)}{scope_in_words(rule)}{counted_in_words(rule)}{missing}"

    def limit_in_words(self, rule: CapSpecification) -> tuple[int | None, str]:
        """The limit, and the window: `any 7 days`, `the month`, `all time`."""
        if rule.rolling_ms is not None:
            return rule.limit, f"any {duration_in_words(rule.rolling_ms)}"
        return rule.limit, "all time" if rule.calendar is None else f"the {rule.calendar}"

    def is_exact_since_on(self, rule: CapSpecification) -> bool:
        """A lifetime cap counts from the moment at which it was switched on."""
        return rule.lifetime

    def answer_in_words(self, answer: Answer) -> str:
        """Numbers: the count; of a calendar window, its start and end."""
        if not has_count(answer):
            return answer.sentence
        count = answer.first or 0
        start, end = (answer.numbers[1], answer.numbers[2]) if len(answer.numbers) > 2 else (None, None)
        at = answer.moment_in_words
        if answer.verdict == "closing":
            return f"{answer.sentence} It ends {at(end)}." if end is not None else answer.sentence
        bounds = f", {at(start)} to {at(end)}" if start is not None and end is not None else ""
        if answer.limit is None:
            return f"{contacts_in_words(count)} counted{bounds}." + ("" if answer.has_passed else f" {answer.sentence}")
        if answer.limit == 0:
            return "Never, because the limit is 0."
        return f"{count} of {answer.limit} in {answer.window or 'its window'}{bounds}."


def _window(rule: CapSpecification) -> str:
    if rule.rolling_ms is not None:
        return f"in any {duration_text(rule.rolling_ms)}"
    if rule.calendar is None:
        return "ever"
    zone = {"recipient": "the recipient's time zone", "policy": "the policy's time zone"}.get(
        rule.calendar_zone, f"the time zone {rule.calendar_zone}"
    )
    return f"per {rule.calendar} (in {zone})"
