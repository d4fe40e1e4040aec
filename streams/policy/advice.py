"""Warnings: what the author of a correct policy should know about it.

Rules of this module
1. A warning never changes what is loaded. It says what the policy will do that its author may not have intended.
2. This module is pure: today's date is a parameter, and no clock is read.
3. There are no warnings about rules that are switched off.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from streams.decision.rules.exempt import exemption
from streams.policy.context import SELECTOR_LISTS
from streams.policy.findings import Finding
from streams.policy.kinds.kind import Advice
from streams.policy.kinds.registry import file_kind_of
from streams.policy.notation import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date

    from streams.decision.specification import RuleSpecification, Selector
    from streams.policy.context import Context
    from streams.policy.document import Document
    from streams.policy.header import Header
    from streams.policy.kinds.kind import FileKind

# A quarter of a year: by then the holidays of the next year are enacted, and there is still time to release a policy.
YEARS_END_WARNING: Final = timedelta(days=90)


def advise(
    context: Context, header: Header, rules: Mapping[int, RuleSpecification], today: date | None
) -> Iterator[Finding]:
    """All warnings of a sound policy; `rules` by their place in the file."""
    exempted = {purpose: exemption(purpose, rules.values()).kinds for purpose in context.purposes or ()}
    for index, rule in rules.items():
        if rule.state == "off":
            continue
        kind = file_kind_of(rule)
        advice = (
            *_about_state(rule),
            *_about_history(rule, kind, header),
            *kind.advise(rule),
            *_about_selectors(rule, context),
            *_about_exemptions(rule, kind, context, exempted),
            *kind.advise_in_context(rule, context),
        )
        for field, message, fix in advice:
            yield Finding(context.document.line(("rules", index, field)), rule.rule_id, message, fix)
    yield from _about_years(context.document, context, today)


def _about_state(rule: RuleSpecification) -> Iterator[Advice]:
    if rule.state == "shadow":
        message = "The rule is in shadow, so it is asked and listed but changes nothing."
        yield Advice("state", message, "Write `state: on` to put it in force.")


def _about_history(rule: RuleSpecification, kind: FileKind[Any], header: Header) -> Iterator[Advice]:
    reach = rule.reach_ms
    if reach > header.history_ms:
        message = (
            f"The rule looks back {duration_text(reach)}, further than the history of "
            f"{duration_text(header.history_ms)}. The history is raised accordingly, and the rule is exact once "
            "contacts have been kept that long."
        )
        yield Advice(kind.look_back_field, message, f"Write `history: {duration_text(reach)}`.")


def _about_selectors(rule: RuleSpecification, context: Context) -> Iterator[Advice]:
    channels = context.channels or {}
    wanted = rule.applies_to
    if wanted.channels is not None and wanted.groups is not None:
        groups = {channels.get(channel) or channel for channel in wanted.channels}
        if not groups & wanted.groups:
            message = "The rule can never apply, because none of its channels is in one of its groups."
            yield Advice("applies_to", message, "Name channels or groups, not both.")
    if rule.excepting is not None and _covers(rule.excepting, wanted, context):
        message = "The rule can never apply, because `except` excludes everything that `applies_to` selects."
        yield Advice("except", message, "Narrow the exception.")


def _about_exemptions(
    rule: RuleSpecification, kind: FileKind[Any], context: Context, exempted: Mapping[str, frozenset[str]]
) -> Iterator[Advice]:
    wanted = rule.applies_to.purposes
    purposes = (context.purposes or frozenset()) if wanted is None else wanted
    if kind.has_selectors and all(kind.name in exempted[purpose] for purpose in purposes):
        message = (
            "The rule has no effect, because every purpose to which it applies is exempt from rules of kind "
            f"{kind.name}."
        )
        yield Advice("applies_to", message, "Remove the rule, or the exemption.")


def _covers(excepting: Selector, wanted: Selector, context: Context) -> bool:
    """Whether every intent that matches `wanted` matches `excepting`."""
    everything = {"channels": context.channels, "groups": context.groups, "purposes": context.purposes}
    for name in SELECTOR_LISTS:
        out = getattr(excepting, name)
        taken = getattr(wanted, name)
        if taken is None:
            taken = everything.get(name)
        if out is not None and (taken is None or not set(taken) <= out):
            return False
    return excepting.automated is None or excepting.automated == wanted.automated


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
