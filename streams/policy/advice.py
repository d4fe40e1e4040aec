"""Warnings: what the author of a correct policy should know about it.

Rules of this module
1. A warning never changes what is loaded. It says what the policy will do that its author may not have intended.
2. This module is pure: today's date is a parameter, and no clock is read.
3. There are no warnings about rules that are switched off.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from streams.decision.rules.cap import CapSpecification
from streams.decision.rules.consent import ConsentSpecification
from streams.decision.rules.exempt import ExemptSpecification
from streams.decision.rules.gap import GapSpecification
from streams.decision.rules.sender import SenderSpecification
from streams.decision.rules.window import WindowSpecification
from streams.policy.findings import Finding
from streams.policy.values import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from streams.decision.specification import RuleSpecification, Selector
    from streams.policy.document import Document
    from streams.policy.header import Context, Header

# A quarter of a year: by then the holidays of the next year are enacted, and there is still time to release a policy.
YEARS_END_WARNING: Final = timedelta(days=90)

_KIND_OF: Final[Mapping[type[RuleSpecification], str]] = {
    CapSpecification: "cap",
    GapSpecification: "gap",
    WindowSpecification: "window",
    ConsentSpecification: "consent",
    SenderSpecification: "sender",
}
# Field of the rule it is about, message, fix.
_Said = tuple[str, str, str]


def advise(
    context: Context, header: Header, rules: Mapping[int, RuleSpecification], today: date | None
) -> Iterator[Finding]:
    """All warnings of a sound policy; `rules` by their place in the file."""
    exemptions = [rule for rule in rules.values() if isinstance(rule, ExemptSpecification) and rule.state == "on"]
    for index, rule in rules.items():
        if rule.state == "off":
            continue
        said = (
            *_about_state(rule),
            *_about_history(rule, header),
            *_about_caps(rule),
            *_about_never(rule, context),
            *_about_exemptions(rule, context, exemptions),
            *_about_calendars(rule, context),
            *_about_exceptions(rule),
        )
        for field, message, fix in said:
            yield Finding(context.document.line(("rules", index, field)), rule.rule_id, message, fix)
    yield from _about_years(context.document, context, today)


def _about_state(rule: RuleSpecification) -> Iterator[_Said]:
    if rule.state == "shadow":
        message = "The rule is in shadow, so it is asked and listed but changes nothing."
        yield "state", message, "Write `state: on` to put it in force."


def _about_history(rule: RuleSpecification, header: Header) -> Iterator[_Said]:
    reach = rule.reach_ms
    if reach > header.history_ms:
        message = (
            f"The rule looks back {duration_text(reach)}, further than the history of "
            f"{duration_text(header.history_ms)}. The history is raised accordingly, and the rule is exact once "
            "contacts have been kept that long."
        )
        field = "minimum" if isinstance(rule, GapSpecification) else "window"
        yield field, message, f"Write `history: {duration_text(reach)}`."


def _about_caps(rule: RuleSpecification) -> Iterator[_Said]:
    if not isinstance(rule, CapSpecification):
        return
    if rule.lifetime:
        message = (
            "A lifetime cap is exact since it was switched on. Of earlier contacts it knows only those in the history."
        )
        yield "window", message, "Switch it on before you need it."
    if rule.limit == 0:
        message = "The limit 0 means never, so every intent to which the rule applies is suppressed."
        yield "limit", message, "If you mean no limit, remove the rule."


def _about_never(rule: RuleSpecification, context: Context) -> Iterator[_Said]:
    if isinstance(rule, WindowSpecification) and not any(rule.hours.values()):
        message = "The window is never open, so every intent to which the rule applies is suppressed."
        yield "hours", message, "Give it hours, or use a cap with limit 0."
    channels = context.channels or {}
    wanted = rule.applies_to
    if wanted.channels is not None and wanted.groups is not None:
        groups = {channels.get(channel) or channel for channel in wanted.channels}
        if not groups & wanted.groups:
            message = "The rule can never apply, because none of its channels is in one of its groups."
            yield "applies_to", message, "Name channels or groups, not both."
    if rule.excepting is not None and _covers(rule.excepting, wanted, context):
        message = "The rule can never apply, because `except` excludes everything that `applies_to` selects."
        yield "except", message, "Narrow the exception."


def _about_exemptions(
    rule: RuleSpecification, context: Context, exemptions: Iterable[ExemptSpecification]
) -> Iterator[_Said]:
    kind = _KIND_OF.get(type(rule))
    wanted = rule.applies_to.purposes
    purposes = (context.purposes or frozenset()) if wanted is None else wanted
    freed = frozenset[str]().union(*(exemption.purposes for exemption in exemptions if kind in exemption.kinds))
    if kind is not None and purposes <= freed:
        message = (
            f"The rule has no effect, because every purpose to which it applies is exempt from rules of kind {kind}."
        )
        yield "applies_to", message, "Remove the rule, or the exemption."


def _covers(excepting: Selector, wanted: Selector, context: Context) -> bool:
    """Whether every intent that matches `wanted` matches `excepting`."""
    everything = {"channels": context.channels, "groups": context.groups, "purposes": context.purposes}
    for name in ("channels", "groups", "purposes", "topics", "brands", "campaigns", "countries"):
        out = getattr(excepting, name)
        taken = getattr(wanted, name)
        if taken is None:
            taken = everything.get(name)
        if out is not None and (taken is None or not set(taken) <= out):
            return False
    return excepting.automated is None or excepting.automated == wanted.automated


def _about_calendars(rule: RuleSpecification, context: Context) -> Iterator[_Said]:
    if not isinstance(rule, WindowSpecification) or rule.holidays != "recipient" or rule.on_missing == "allow":
        return
    calendars = context.calendars or {}
    codes = rule.applies_to.countries
    fix = "Declare it under `holidays`, `calendars`."
    if codes is None and not calendars:
        yield "holidays", "No calendar is declared, so every intent would be suppressed.", fix
    missing = sorted(code for code in codes or () if code not in calendars and code[:2] not in calendars)
    if missing:
        message = (
            f"No calendar is declared for {', '.join(missing)}, so all intents for that place would be suppressed."
        )
        yield "holidays", message, fix
    thin = sorted(code for code in codes or () if code not in calendars and code[:2] in calendars)
    if thin:
        message = (
            f"No calendar is declared for {', '.join(thin)}, so the country's is used, without the region's own days."
        )
        yield "holidays", message, fix


def _about_exceptions(rule: RuleSpecification) -> Iterator[_Said]:
    out = rule.excepting
    if not isinstance(rule, CapSpecification | GapSpecification) or out is None:
        return
    is_told = rule.counts is not None or rule.counts_excepting is not None
    fields = (out.channels, out.groups, out.purposes, out.topics, out.brands, out.campaigns)
    if not is_told and (out.countries, out.automated) != (None, None) and any(field is not None for field in fields):
        message = (
            "Contacts do not remember their country or whether they were automated, so every contact that matches "
            "the other fields of `except` is left out of the count."
        )
        yield "except", message, "Use `counts` to say what is counted."


def _about_years(document: Document, context: Context, today: date | None) -> Iterator[Finding]:
    if not context.calendars:
        return
    last = max(document.data["holidays"]["years"])
    if today is not None and (today + YEARS_END_WARNING).year > last:
        message = f"The holiday years end with {last}. No calendar knows whether later days are holidays."
        yield Finding(document.line(("holidays", "years")), None, message, f"Add {last + 1}.")
    for name, calendar in context.calendars.items():
        if calendar.estimated:
            message = f"{len(calendar.estimated)} days of the calendar `{name}` depend on the moon and are estimates."
            line = document.line(("holidays", "calendars", name))
            yield Finding(line, None, message, "Correct them with `add` and `remove` once they are announced.")
