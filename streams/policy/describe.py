"""One English sentence per rule, for people who will never read the file.

Rules of this module
1. The sentence says everything that changes a decision, including defaults whose omission would mislead.
2. The sentence follows the specification, not the file, so that two ways of writing a rule give the same sentence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.rules.campaign import CampaignSpecification
from streams.decision.rules.cap import CapSpecification
from streams.decision.rules.consent import ConsentSpecification
from streams.decision.rules.exempt import ExemptSpecification
from streams.decision.rules.gap import GapSpecification
from streams.decision.rules.opt_out import OptOutSpecification
from streams.decision.rules.registry import kind_of
from streams.decision.rules.sender import SenderSpecification
from streams.decision.rules.window import DAY_NAMES, WindowSpecification
from streams.decision.specification import CountingSpecification, RuleSpecification
from streams.policy.values import duration_text, interval_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.decision.specification import Selector

OPT_OUT_SENTENCE: Final = (
    "Nobody is contacted after an opt-out, an objection, a pause or a restriction, or after an event that could not be "
    "read."
)

_SCOPES: Final = {
    "channel": "channel",
    "channel_group": "group of channels",
    "purpose": "purpose",
    "topic": "topic",
    "campaign": "campaign",
    "brand": "brand",
}
_DAYS: Final = {
    "workday": "Monday to Friday",
    "saturday": "Saturday",
    "sunday": "Sunday",
    **dict(zip(DAY_NAMES, ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"), strict=True)),
    "holiday": "holidays",
    "day_before_holiday": "days before a holiday",
}
_CAMPAIGN: Final = {"off": "switched off", "shadow_only": "decided in shadow only, and nothing is sent"}
_KINDS: Final = {
    "campaign": "switched-off campaigns",
    "opt_out": "opt-outs",
    "sender": "sender rules",
    "consent": "consent rules",
    "window": "hours",
    "cap": "caps",
    "gap": "gaps",
}


def describe_rule(rule: RuleSpecification) -> str:
    """The rule as one sentence, with its state if it is not on."""
    text = _sentence(rule)
    if rule.state != "on":
        text = f"({'Switched off' if rule.state == 'off' else 'In shadow'}) {text}"
    return text


def describe_selector(selector: Selector) -> str:
    """What a selector selects: `on sms or voice, for marketing, in CO`. Empty if it selects everything."""
    parts = []
    if selector.channels is not None:
        parts.append(f"on {_either(selector.channels)}")
    if selector.groups is not None:
        parts.append(f"on channels of {_either(selector.groups)}")
    if selector.purposes is not None:
        parts.append(f"for {_either(selector.purposes)}")
    for name in ("topics", "brands", "campaigns"):
        words = getattr(selector, name)
        if words is not None:
            parts.append(f"of {name[:-1]} {_either(words)}")
    if selector.countries is not None:
        parts.append(f"in {_either(selector.countries)}")
    if selector.automated is not None:
        parts.append("by a machine" if selector.automated else "by a person")
    return ", ".join(parts)


def _sentence(rule: RuleSpecification) -> str:
    match rule:
        case CapSpecification():
            what = _cap(rule)
        case GapSpecification():
            what = (
                f"at least {duration_text(rule.minimum_ms)} since the last contact{_scope(rule.scope)}{_counting(rule)}"
            )
        case WindowSpecification():
            what = _window(rule)
        case ConsentSpecification():
            proof = " with evidence" if rule.evidence_required else ""
            age = f", not older than {duration_text(rule.max_age_ms)}" if rule.max_age_ms is not None else ""
            what = f"only with consent{proof}{age}{_allowing(rule.on_missing, 'no consent is known')}"
        case SenderSpecification():
            what = f"only from {_either(rule.allowed)}{_allowing(rule.on_missing, 'no sender is named')}"
        case CampaignSpecification():
            names = rule.applies_to.campaigns or ()
            return f"{'Campaign' if len(names) == 1 else 'Campaigns'} {_all(names)}: {_CAMPAIGN[rule.switch]}."
        case ExemptSpecification():
            return _exempt(rule)
        case OptOutSpecification():
            return OPT_OUT_SENTENCE
        case _:
            raise NotImplementedError(f"A rule of kind {kind_of(rule).name} has no words yet.")
    return f"{_subject(rule)}: {what}{_country_unknown(rule)}."


def _cap(rule: CapSpecification) -> str:
    if rule.limit == 0:
        return "never"
    missing = _missing(rule.on_missing, "the time zone") if rule.calendar_zone == "recipient" else ""
    contacts = "contact" if rule.limit == 1 else "contacts"
    return f"at most {rule.limit} {contacts} {_cap_window(rule)}{_scope(rule.scope)}{_counting(rule)}{missing}"


def _exempt(rule: ExemptSpecification) -> str:
    freed = _all(_KINDS[kind] for kind in rule.kinds)
    counts = "still counted toward the limits" if rule.still_counts else "not counted toward any limit"
    even = ", even for people who opted out" if "opt_out" in rule.kinds else ""
    return f"For {_all(rule.purposes)}: exempt from {freed}{even}, and {counts}."


def _window(rule: WindowSpecification) -> str:
    days = "; ".join(f"{label} {_hours(rule.hours[name])}" for name, label in _DAYS.items() if name in rule.hours)
    zone = {"recipient": "in the recipient's time zone", "policy": "in the policy's time zone"}.get(
        rule.zone, f"in the time zone {rule.zone}"
    )
    calendar = {"none": "", "recipient": ", holidays of the recipient's place"}.get(
        rule.holidays, f", holidays of {rule.holidays}"
    )
    others = "" if _names_every_day(rule) else "; other days closed"
    return f"only {days}{others} ({zone}{calendar}){_missing(rule.on_missing, 'the time zone or calendar')}"


def _names_every_day(rule: WindowSpecification) -> bool:
    named = set(rule.hours)
    is_workday_named = "workday" in named or set(DAY_NAMES[:5]) <= named
    return is_workday_named and bool({"saturday", "sat"} & named) and bool({"sunday", "sun"} & named)


def _hours(intervals: Iterable[tuple[int, int]]) -> str:
    return " and ".join(interval_text(interval) for interval in intervals) or "closed"


def _cap_window(rule: CapSpecification) -> str:
    if rule.rolling_ms is not None:
        return f"in any {duration_text(rule.rolling_ms)}"
    if rule.calendar is None:
        return "ever"
    zone = {"recipient": "the recipient's time zone", "policy": "the policy's time zone"}.get(
        rule.calendar_zone, f"the time zone {rule.calendar_zone}"
    )
    return f"per {rule.calendar} (in {zone})"


def _scope(scope: Iterable[str]) -> str:
    names = [_SCOPES[name] for name in scope]
    return f", separately for each {_joined(names, 'and')}" if names else ""


def _subject(rule: RuleSpecification) -> str:
    about = describe_selector(rule.applies_to) or "everything"
    out = f", but not {describe_selector(rule.excepting)}" if rule.excepting is not None else ""
    text = f"{about}{out}"
    return text[0].upper() + text[1:]


def _country_unknown(rule: RuleSpecification) -> str:
    if rule.applies_to.countries is None:
        return ""
    says = {"deny": "nothing is allowed", "apply": "the same holds", "skip": "this rule sets no limit"}
    return f"; if the country is not known, {says[rule.country_unknown]}"


def _counting(rule: CountingSpecification) -> str:
    text = ""
    if rule.counts is not None:
        text = f", counting contacts {describe_selector(rule.counts) or 'of every kind'}"
    if rule.counts_excepting is not None:
        text += f", not counting contacts {describe_selector(rule.counts_excepting)}"
    return text


def _missing(on_missing: str, what: str) -> str:
    return f"; not asked if {what} is not known" if on_missing == "allow" else ""


def _allowing(on_missing: str, when: str) -> str:
    return f", or if {when}" if on_missing == "allow" else ""


def _either(words: Iterable[str]) -> str:
    return _joined(sorted(words), "or")


def _all(words: Iterable[str]) -> str:
    return _joined(sorted(words), "and")


def _joined(words: list[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
