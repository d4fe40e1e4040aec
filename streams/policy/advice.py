"""What a policy's author should know although nothing is wrong: the warnings.

Rules of this module
1. A warning never changes what is loaded; it says what the policy will do that its author may not have meant.
2. Pure: today's date comes in, nothing is read from a clock.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from streams.decision.specification import (
    CapSpecification,
    ConsentSpecification,
    ExemptSpecification,
    GapSpecification,
    SenderSpecification,
    WindowSpecification,
)
from streams.policy.findings import Finding
from streams.policy.values import duration_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import date

    from streams.decision.specification import RuleSpecification, Selector
    from streams.policy.document import Document
    from streams.policy.header import Context, Header

# A quarter: holidays of the next year are enacted by then, and somebody has time to release a policy.
YEARS_END_WARNING: Final = timedelta(days=90)

_KIND_OF: Final[Mapping[type[RuleSpecification], str]] = {
    CapSpecification: "cap",
    GapSpecification: "gap",
    WindowSpecification: "window",
    ConsentSpecification: "consent",
    SenderSpecification: "sender",
}


def reach_ms(rule: RuleSpecification) -> int:
    """How far back the rule looks; 0 where a day, a week or a month is enough, or all that is known is taken."""
    if isinstance(rule, GapSpecification):
        return rule.minimum_ms
    if isinstance(rule, CapSpecification) and rule.rolling_ms is not None:
        return rule.rolling_ms
    if isinstance(rule, CapSpecification) and rule.calendar is not None:
        return {"day": 2, "week": 8, "month": 32}[rule.calendar] * 86_400_000
    return 0


def advise(
    context: Context, header: Header, rules: Mapping[int, RuleSpecification], today: date | None
) -> Iterator[Finding]:
    """All warnings of a sound policy; `rules` by their place in the file."""
    exemptions = [rule for rule in rules.values() if isinstance(rule, ExemptSpecification) and rule.state == "on"]
    for index, rule in rules.items():
        document, at = context.document, ("rules", index)
        if rule.state == "off":
            continue
        for field, message, fix in (
            *_about_history(rule, header),
            *_about_never(rule, context, exemptions),
            *_about_calendars(rule, context),
            *_about_exceptions(rule),
        ):
            yield Finding(document.line((*at, *field)), rule.rule_id, message, fix)
        if rule.state == "shadow":
            message = "It is in shadow: asked and listed, and it changes nothing."
            yield Finding(document.line((*at, "state")), rule.rule_id, message, "Write `state: on` to put it in force.")
    yield from _about_years(context.document, context, today)


_Said = tuple[tuple[str, ...], str, str]


def _about_history(rule: RuleSpecification, header: Header) -> Iterator[_Said]:
    reach = reach_ms(rule)
    if reach > header.history_ms:
        message = (
            f"It looks back {duration_text(reach)}, further than the history of {duration_text(header.history_ms)}. "
            "The history is raised to that, and the rule is exact once it has been kept for so long."
        )
        yield ("minimum" if isinstance(rule, GapSpecification) else "window",), message, f"Write `history: {duration_text(reach)}`."
    if isinstance(rule, CapSpecification) and rule.lifetime:
        message = "A lifetime cap counts what happened since it was first switched on, and what the history still holds from before."
        yield ("window",), message, ""
    if isinstance(rule, CapSpecification) and rule.limit == 0:
        yield ("limit",), "The limit 0 means never: every intent the rule applies to is suppressed.", "If no limit is meant, remove the rule."


def _about_never(
    rule: RuleSpecification, context: Context, exemptions: Iterable[ExemptSpecification]
) -> Iterator[_Said]:
    if isinstance(rule, WindowSpecification) and not any(rule.hours.values()):
        yield ("hours",), "It is never open: every intent the rule applies to is suppressed.", "Give it hours, or use a cap with limit 0."
    channels = context.channels or {}
    wanted = rule.applies_to
    if wanted.channels is not None and wanted.groups is not None:
        groups = {channels[channel] or channel for channel in wanted.channels}
        if not groups & wanted.groups:
            yield ("applies_to",), "It can never apply: none of its channels is in one of its groups.", "Name channels or groups, not both."
    if rule.excepting is not None and _covers(rule.excepting, wanted, context):
        yield ("except",), "It can never apply: `except` takes out everything that `applies_to` takes in.", "Narrow the exception."
    kind = _KIND_OF.get(type(rule))
    freed = frozenset().union(*(e.purposes for e in exemptions if kind in e.kinds))
    purposes = context.purposes or frozenset() if wanted.purposes is None else wanted.purposes
    if kind and purposes and purposes <= freed:
        yield ("applies_to",), f"It never decides: every purpose it applies to is exempt from kind {kind}.", "Remove it, or the exemption."


def _covers(excepting: Selector, wanted: Selector, context: Context) -> bool:
    """Whether every intent that matches `wanted` matches `excepting`."""
    everything = {"channels": context.channels, "groups": context.groups, "purposes": context.purposes}
    for name in ("channels", "groups", "purposes", "topics", "brands", "campaigns", "countries"):
        out = getattr(excepting, name)
        taken = getattr(wanted, name) or everything.get(name)
        if out is not None and (taken is None or not set(taken) <= out):
            return False
    return excepting.automated is None or excepting.automated == wanted.automated


def _about_calendars(rule: RuleSpecification, context: Context) -> Iterator[_Said]:
    if not isinstance(rule, WindowSpecification) or rule.holidays != "recipient" or rule.on_missing == "allow":
        return
    calendars = context.calendars or {}
    codes = rule.applies_to.countries
    if codes is None:
        if not calendars:
            yield ("holidays",), "No calendar is declared, so every intent would be suppressed for want of one.", "Declare calendars under `holidays`."
        return
    missing = sorted(code for code in codes if code not in calendars and code[:2] not in calendars)
    if missing:
        message = f"No calendar is declared for {', '.join(missing)}: intents from there would be suppressed for want of one."
        yield ("holidays",), message, "Declare it under `holidays`, `calendars`."
    thin = sorted(code for code in codes if "-" in code and code not in calendars and code[:2] in calendars)
    if thin:
        message = f"No calendar is declared for {', '.join(thin)}: the country's is used, without the region's own holidays."
        yield ("holidays",), message, "Declare it under `holidays`, `calendars`."


def _about_exceptions(rule: RuleSpecification) -> Iterator[_Said]:
    if not isinstance(rule, CapSpecification | GapSpecification) or rule.counts is not None:
        return
    out = rule.excepting
    if out is None or rule.counts_excepting is not None or (out.countries is None and out.automated is None):
        return
    fields = (out.channels, out.groups, out.purposes, out.topics, out.brands, out.campaigns)
    if any(field is not None for field in fields):
        message = (
            "A contact does not remember its country or whether it was automated, so `except` leaves out of the count every "
            "contact that matches its other fields."
        )
        yield ("except",), message, "Say with `counts` what is counted."


def _about_years(document: Document, context: Context, today: date | None) -> Iterator[Finding]:
    if not context.calendars:
        return
    line = document.line(("holidays", "years"))
    last = max(document.data["holidays"]["years"])
    if today is not None and (today + YEARS_END_WARNING).year > last:
        message = f"The holiday years end with {last}; after that no day is known to be none."
        yield Finding(line, None, message, f"Add {last + 1}.")
    for name, calendar in context.calendars.items():
        if calendar.estimated:
            message = f"The calendar `{name}` holds {len(calendar.estimated)} days that depend on the moon and are estimates."
            at = document.line(("holidays", "calendars", name))
            yield Finding(at, None, message, "Correct them with `add` and `remove` once they are announced.")
