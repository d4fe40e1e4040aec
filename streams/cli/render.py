"""Renders decisions in words: every rule that was asked, its numbers, the times they mean, and when to try again.

Rules of this module
1. The words follow only from the decision's positional explanation and its policy (docs/semantics.md, 7). Nothing is
   decided or guessed here. Without the policy only the limits are missing.
2. A moment is written in the recipient's zone, which is named, or in UTC if the zone is not known.
3. Each rule has one sentence. It is for people and may change. Tools read the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from streams.decision.policy import BUILT_IN
from streams.decision.reasons import EXEMPT, PASSED, REASON_BY_NUMBER, REASON_NUMBERS
from streams.decision.tables import MINUTE_MS
from streams.policy.describe import limit_in_words
from streams.policy.kinds.kind import Answer
from streams.policy.kinds.registry import explanation_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.contracts.control import PolicyRecord
    from streams.decision.policy import Policy

_SOURCES: Final = {
    "intent": "from the intent",
    "ledger": "from the customer's profile",
    "region": "from the region",
    "country": "from the country",
    "policy": "the policy's own",
}


@dataclass(frozen=True, slots=True)
class RuleView:
    """What rendering needs to know about a rule. `window` is a duration or a calendar period, in words."""

    rule_id: str
    kind: str
    because: str = ""
    limit: int | None = None
    window: str = ""
    is_shadow: bool = False


@dataclass(frozen=True, slots=True)
class PolicyView:
    """What rendering needs to know about a policy: its rules by number, and the zones of the regions that
    it declares.
    """

    rules: tuple[RuleView, ...] = ()
    regions: Mapping[str, Sequence[str]] = field(default_factory=dict)


class Line(NamedTuple):
    """One rule that was asked, in words. `verdict`: passed, exempt, or the reason's code."""

    rule_id: str
    kind: str
    verdict: str
    text: str
    because: str
    is_shadow: bool

    @property
    def denies(self) -> bool:
        """Whether the rule is a reason for which the intent was suppressed, alone or with others."""
        return self.verdict not in {"passed", "exempt"} and not self.is_shadow


def view_of_policy(policy: Policy) -> PolicyView:
    """The view of a compiled policy."""
    views = []
    for number, rule_id in enumerate(policy.rule_table):
        rule = policy.rule(number)
        if rule is None:
            views.append(RuleView(rule_id, rule_id))
            continue
        written = rule.specification
        limit, window = limit_in_words(written)
        views.append(RuleView(rule_id, rule.kind, written.because, limit, window, rule.is_shadow))
    return PolicyView(tuple(views), policy.specification.regions)


def view_of_record(record: PolicyRecord) -> PolicyView:
    """The view of a policy as the control topic has it, if its text cannot be compiled any more."""
    rules = (
        RuleView(
            rule.id,
            rule.id if rule.id in BUILT_IN else rule.kind,
            rule.because or "",
            rule.limit,
            rule.window or "",
            rule.state == "shadow",
        )
        for rule in record.rules
    )
    return PolicyView(tuple(rules))


def lines_of(decision: Mapping[str, Any], policy: PolicyView) -> list[Line]:
    """Every rule that a decision's explanation lists, in the order in which they were asked."""
    explanation = decision.get("explanation") or {}
    decided_ms = int(decision["decided_at"])
    zone = zone_of(explanation.get("zone"), policy)
    return [_line(entry, policy.rules, decided_ms, zone) for entry in explanation.get("rules", ())]


def in_words(decision: Mapping[str, Any], policy: PolicyView) -> Iterator[str]:
    """The whole decision: what was answered, why, every rule, and when to try again."""
    label = (decision.get("explanation") or {}).get("zone")
    zone = zone_of(label, policy)
    yield f"{verdict_in_words(decision, zone)}"
    yield f"Decided {moment_in_words(int(decision['decided_at']), zone)}. {zone_in_words(label)}"
    for line in lines_of(decision, policy):
        mark = "✗" if line.denies else "·" if line.verdict == "exempt" or line.is_shadow else "✓"
        trial = " It is in shadow, so it changes nothing." if line.is_shadow else ""
        yield f"  {mark} {line.rule_id}: {line.text}{trial}"
        if line.denies and line.because:
            yield f"      {line.because}"
    if decision.get("obligations"):
        yield f"The sender must: {', '.join(decision['obligations'])}."
    if decision.get("remaining"):
        left = ", ".join(f"{count} under {rule}" for rule, count in decision["remaining"].items())
        yield f"Remaining after this one: {left}."


def masked_in_words(answer: Mapping[str, Any]) -> Iterator[str]:
    """What the role support is shown: the answer and what stands against it."""
    if answer["verdict"] == "approved":
        yield "Approved."
    else:
        yield verdict_in_words(answer, UTC)
    for rule in answer["rules"]:
        yield f"  ✗ {rule['id']}: {rule['text']}"
        if rule.get("because"):
            yield f"      {rule['because']}"
    yield "Your role is shown no counts and no exact moments. The role compliance is."


def verdict_in_words(decision: Mapping[str, Any], zone: tzinfo) -> str:
    """The answer in a sentence or two: what, why, and until or from when."""
    kind = decision.get("type") or decision.get("verdict")
    if kind == "approved":
        return f"Approved. It may be sent until {moment_in_words(int(decision['valid_until']), zone)}, but not later."
    reason = str(decision.get("reason"))
    if kind == "withdrawn":
        return f"Withdrawn. Do not send it any more. {reason_in_words(reason)}"
    text = f"Suppressed by {decision.get('rule')}: {reason_in_words(reason)}"
    if reason == "duplicate":
        first = decision.get("duplicate_of") or decision.get("decision_id")
        return text if first is None else f"{text} See decision {first}."
    at_ms = decision.get("next_eligible_at")
    if at_ms is None:
        return f"{text} {_never_in_words(decision)}"
    return f"{text} As things stand it would be approved from {moment_in_words(int(at_ms), zone)} on."


def _never_in_words(decision: Mapping[str, Any]) -> str:
    if decision.get("rule") in BUILT_IN:
        return "Trying this intent again does not help."
    return "As things stand, there is no known later moment at which it would be approved."


def reason_in_words(code: str) -> str:
    """The sentence of a reason's code."""
    if code == "erased":
        return "The customer asked to be erased."
    number = REASON_NUMBERS.get(code)
    return f"{code}." if number is None else REASON_BY_NUMBER[number].sentence


def zone_of(label: Sequence[str] | None, policy: PolicyView) -> tzinfo:
    """The zone in which to write times: the one that the explanation names, or the only one of its place, or UTC."""
    if not label:
        return UTC
    name, source = label[:2]
    if source in {"region", "country"}:
        names = policy.regions.get(name) if source == "region" else _zones_of(name)
        # Only if there is no choice, because another zone's clock would be a guess.
        name = names[0] if names and len(names) == 1 else "UTC"
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _zones_of(country: str) -> Sequence[str]:
    from streams.policy.zones import load_zones

    return load_zones().by_country.get(country, ())


def zone_in_words(label: Sequence[str] | None) -> str:
    """The source of the recipient's zone."""
    if not label:
        return "The recipient's time zone was not asked for, or is not known."
    name, source, *contradicted = label
    what = "zones" if source in {"region", "country"} else "zone"
    said = f"The recipient's {what}: {name}, {_SOURCES.get(source, source)}."
    if not contradicted:
        return said
    return (
        f"{said} It cannot be a zone of {contradicted[0]}, where the recipient is said to be, so the hours of "
        "both count."
    )


def moment_in_words(moment_ms: int, zone: tzinfo) -> str:
    """`Wed 25 Nov 2026 08:00 (America/Bogota)`, with seconds only if there are any."""
    local = datetime.fromtimestamp(moment_ms / 1000, zone)
    form = "%a %-d %b %Y %H:%M" if moment_ms % MINUTE_MS == 0 else "%a %-d %b %Y %H:%M:%S"
    return f"{local.strftime(form)} ({getattr(zone, 'key', 'UTC')})"


def _line(entry: Sequence[int | None], views: Sequence[RuleView], decided_ms: int, zone: tzinfo) -> Line:
    number, verdict_number, *numbers = entry
    number, verdict_number = number or 0, verdict_number or 0
    view = views[number] if number < len(views) else RuleView(f"rule {number}", "")
    if verdict_number == EXEMPT:
        return Line(
            view.rule_id, view.kind, "exempt", "The purpose is exempt from this rule.", view.because, view.is_shadow
        )
    verdict = "passed" if verdict_number == PASSED else _code(verdict_number)
    text = _text(view, verdict, numbers, decided_ms, zone)
    return Line(view.rule_id, view.kind, verdict, text, view.because, view.is_shadow)


def _code(number: int) -> str:
    reason = REASON_BY_NUMBER.get(number)
    return f"verdict {number}" if reason is None else reason.code


def _text(view: RuleView, verdict: str, numbers: Sequence[int | None], decided_ms: int, zone: tzinfo) -> str:
    words = explanation_words(view.kind)
    sentence = words.passed_sentence if verdict == "passed" else reason_in_words(verdict)

    def moment(offset_ms: int) -> str:
        return moment_in_words(decided_ms + offset_ms, zone)

    return words.answer_in_words(Answer(verdict, numbers, sentence, view.limit, view.window, moment))
