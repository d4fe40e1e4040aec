"""A rule of the file → its typed specification, with everything wrong about it reported.

Rules of this module
1. Only rules that the schema accepts come here. What is left to check is what a schema cannot express.
2. A rule with a finding still yields a specification, so that all findings are reported together. The loader discards
   it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.decision.policy_specification import Obligation
from streams.decision.rules.campaign import CampaignSpecification
from streams.decision.rules.cap import CapSpecification
from streams.decision.rules.consent import ConsentSpecification
from streams.decision.rules.exempt import ExemptSpecification
from streams.decision.rules.gap import GapSpecification
from streams.decision.rules.sender import SenderSpecification
from streams.decision.rules.window import WindowSpecification
from streams.decision.specification import RuleSpecification, Selector
from streams.decision.tables import DAY_MS
from streams.policy.findings import did_you_mean
from streams.policy.header import HISTORY
from streams.policy.values import duration_ms, interval, interval_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.decision.rules.window import Interval
    from streams.policy.document import Path
    from streams.policy.header import Context

# No law that was read lets a consent last longer than it was given for. More than ten years is a typing error.
CONSENT_AGE_MAX_MS: Final = 3_650 * DAY_MS
# Names that the rule table already contains.
RESERVED_IDS: Final = frozenset({"opt-out", "duplicate", "vocabulary"})

Data = dict[str, Any]


def selector(context: Context, path: Path, data: Data) -> Selector:
    """A selector, its references checked."""
    context.known((*path, "channels"), "channel", data.get("channels", ()), context.channels)
    context.known((*path, "groups"), "group", data.get("groups", ()), context.groups)
    context.known((*path, "purposes"), "purpose", data.get("purposes", ()), context.purposes)
    for index, code in enumerate(data.get("countries", ())):
        context.place((*path, "countries", index), code)
    names = ("channels", "groups", "purposes", "topics", "brands", "campaigns", "countries")
    fields: dict[str, Any] = {name: frozenset(data[name]) for name in names if name in data}
    return Selector(**fields, automated=data.get("automated"))


def rule(context: Context, index: int, data: Data) -> RuleSpecification:
    """One rule of the file."""
    path: Path = ("rules", index)
    _identity(context, path, data)
    _source(context, path, data)
    common: Data = {"rule_id": data["id"]}
    for key in ("state", "because", "source", "country_unknown"):
        if key in data:
            common[key] = data[key]
    if "applies_to" in data:
        common["applies_to"] = selector(context, (*path, "applies_to"), data["applies_to"])
    if "except" in data:
        common["excepting"] = selector(context, (*path, "except"), data["except"])
    if "country_unknown" in data and "countries" not in data.get("applies_to", {}):
        message = "`country_unknown` has no effect without `countries` in applies_to."
        context.report((*path, "country_unknown"), message, "Remove it, or name the countries.")
    return _BUILDERS[data["kind"]](context, path, data, common)


def obligation(context: Context, index: int, data: Data) -> Obligation:
    """One obligation of the file."""
    applies_to = selector(context, ("obligations", index, "applies_to"), data.get("applies_to", {}))
    return Obligation(data["id"], applies_to, data["text"])


def _identity(context: Context, path: Path, data: Data) -> None:
    name = data["id"]
    if name in RESERVED_IDS:
        fix = "Remove the rule. The check cannot be switched off." if name == "opt-out" else "Choose another id."
        context.report((*path, "id"), f"The id `{name}` belongs to a check that is always there.", fix)


def _source(context: Context, path: Path, data: Data) -> None:
    source = data.get("source")
    if source and source["confidence"] == "memory" and data.get("state", "on") != "off":
        message = "The source is known from memory only. A rule may be switched on only if its source was read."
        context.report((*path, "source", "confidence"), message, "Find the text, or write `state: off`.")


def _limited(context: Context, path: Path, text: str, most_ms: int) -> int:
    value = duration_ms(text)
    if value > most_ms:
        most = f"{most_ms // DAY_MS}d"
        context.report(path, f"`{path[-1]}` is {text}, which is too long.", f"Write at most {most}.")
        return most_ms
    return value


def _counting(context: Context, path: Path, data: Data) -> Data:
    fields: Data = {"scope": tuple(data.get("scope", ()))}
    for key, name in (("counts", "counts"), ("counts_except", "counts_excepting")):
        if key in data:
            fields[name] = selector(context, (*path, key), data[key])
    return fields


def _cap(context: Context, path: Path, data: Data, common: Data) -> CapSpecification:
    window = data["window"]
    at: Path = (*path, "window")
    fields = _counting(context, path, data)
    if "rolling" in window:
        fields["rolling_ms"] = _limited(context, (*at, "rolling"), window["rolling"], HISTORY.most_ms)
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


def _gap(context: Context, path: Path, data: Data, common: Data) -> GapSpecification:
    minimum = _limited(context, (*path, "minimum"), data["minimum"], HISTORY.most_ms)
    return GapSpecification(**common, **_counting(context, path, data), minimum_ms=minimum)


def _window(context: Context, path: Path, data: Data, common: Data) -> WindowSpecification:
    hours = {name: _intervals(context, (*path, "hours", name), texts) for name, texts in data["hours"].items()}
    fields: Data = {"hours": hours}
    if "zone" in data:
        fields["zone"] = context.zone((*path, "zone"), data["zone"], besides=("recipient", "policy"))
    if "on_missing" in data:
        fields["on_missing"] = data["on_missing"]
    special = [name for name in ("holiday", "day_before_holiday") if name in hours]
    calendar = data.get("holidays")
    if special and calendar in {None, "none"}:
        message = f"The hours name `{special[0]}`, but no calendar says which days those are."
        at = (*path, "holidays") if calendar else (*path, "hours", special[0])
        context.report(at, message, "Add `holidays: recipient`, or the name of a calendar.")
    if calendar not in {None, "none"}:
        if not special:
            message = "`holidays` is given, but the hours do not mention holidays, so these would be ordinary days."
            context.report((*path, "holidays"), message, "Add `holiday: []` to the hours, or write `holidays: none`.")
        if calendar != "recipient" and context.calendars is not None and calendar not in context.calendars:
            known = [*context.calendars, "recipient", "none"]
            fix = did_you_mean(calendar, known, "Declare it under `holidays`, `calendars`.")
            context.report((*path, "holidays"), f"The calendar `{calendar}` is not declared.", fix)
    if calendar is not None:
        fields["holidays"] = calendar
    return WindowSpecification(**common, **fields)


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


def _consent(context: Context, path: Path, data: Data, common: Data) -> ConsentSpecification:
    fields: Data = {"evidence_required": data.get("evidence", "required") == "required"}
    if "max_age" in data:
        fields["max_age_ms"] = _limited(context, (*path, "max_age"), data["max_age"], CONSENT_AGE_MAX_MS)
    if "on_missing" in data:
        fields["on_missing"] = data["on_missing"]
    return ConsentSpecification(**common, **fields)


def _sender(context: Context, path: Path, data: Data, common: Data) -> SenderSpecification:  # noqa: ARG001
    fields: Data = {"on_missing": data["on_missing"]} if "on_missing" in data else {}
    return SenderSpecification(**common, **fields, allowed=frozenset(data["allowed"]))


def _campaign(context: Context, path: Path, data: Data, common: Data) -> CampaignSpecification:  # noqa: ARG001
    applies_to = Selector(campaigns=frozenset(data["campaigns"]))
    return CampaignSpecification(**common, applies_to=applies_to, switch=data["switch"])


def _exempt(context: Context, path: Path, data: Data, common: Data) -> ExemptSpecification:
    context.known((*path, "purposes"), "purpose", data["purposes"], context.purposes)
    frees_opt_out = "opt_out" in data["from"]
    if frees_opt_out and "even_if_opted_out" not in data:
        message = "The rule exempts from opt_out, so people who said no would be contacted."
        fix = "If you mean that, add `even_if_opted_out: true`. Otherwise remove opt_out."
        context.report((*path, "from"), message, fix)
    if not frees_opt_out and "even_if_opted_out" in data:
        message = "`even_if_opted_out` is given, but `from` does not name opt_out."
        context.report((*path, "even_if_opted_out"), message, "Remove it, or add opt_out to `from`.")
    purposes, kinds = frozenset(data["purposes"]), frozenset(data["from"])
    return ExemptSpecification(**common, purposes=purposes, kinds=kinds, still_counts=data["still_counts"])


_BUILDERS: Final[Mapping[str, Callable[[Context, Path, Data, Data], RuleSpecification]]] = {
    "cap": _cap,
    "gap": _gap,
    "window": _window,
    "consent": _consent,
    "sender": _sender,
    "campaign": _campaign,
    "exempt": _exempt,
}
