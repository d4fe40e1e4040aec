"""One English sentence per rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from streams.decision.rules.opt_out import OptOutSpecification
from streams.decision.specification import RuleSpecification
from streams.policy.describe import describe_rule
from streams.policy.notation import duration_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.policy.loader import LoadedPolicy

SENTENCES = [
    (
        "kind: cap, limit: 3, window: {rolling: 7d}",
        "Everything: at most 3 contacts in any 7d.",
    ),
    (
        (
            "kind: cap, limit: 1, window: {calendar: day}, scope: [channel, brand], applies_to: {groups: [text]},"
            " state: shadow"
        ),
        (
            "(In shadow) On channels of text: at most 1 contact per day (in the recipient's time zone), "
            "separately for each channel and brand."
        ),
    ),
    (
        "kind: cap, limit: 2, window: {calendar: week, zone: policy}, counts: {}, counts_except: {purposes: [otp]}",
        (
            "Everything: at most 2 contacts per week (in the policy's time zone), counting contacts of every "
            "kind, not counting contacts for otp."
        ),
    ),
    (
        "kind: cap, limit: 2, window: {calendar: month}, on_missing: allow, applies_to: {automated: true}",
        (
            "By a machine: at most 2 contacts per month (in the recipient's time zone); not asked if the time "
            "zone is not known."
        ),
    ),
    (
        (
            "kind: cap, limit: 5, window: {lifetime: true}, applies_to: {campaigns: [b, a], brands: [x], "
            "automated: false}"
        ),
        "Of brand x, of campaign a or b, by a person: at most 5 contacts ever.",
    ),
    (
        (
            "kind: cap, limit: 0, window: {rolling: 1d}, except: {topics: [news]}, applies_to: {channels: [sms, "
            "voice, email]}"
        ),
        "On email, sms or voice, but not of topic news: never.",
    ),
    (
        "kind: gap, minimum: 90s, scope: [channel_group], state: off",
        "(Switched off) Everything: at least 90s since the last contact, separately for each group of channels.",
    ),
    (
        "kind: window, hours: {workday: [08:00-12:00, 14:00-24:00], sat: []}, applies_to: {purposes: [marketing]}",
        (
            "For marketing: only Monday to Friday 08:00-12:00 and 14:00-24:00; Saturday closed; other days closed"
            " (in the recipient's time zone)."
        ),
    ),
    (
        (
            "kind: window, hours: {workday: [08:00-12:00], saturday: [], sunday: [], holiday: []}, holidays: CO, "
            "zone: UTC"
        ),
        (
            "Everything: only Monday to Friday 08:00-12:00; Saturday closed; Sunday closed; holidays closed (in "
            "the time zone UTC, holidays of CO)."
        ),
    ),
    (
        (
            "kind: window, hours: {sun: [08:00-12:00], day_before_holiday: []}, holidays: recipient, zone: "
            "policy, on_missing: allow, applies_to: {countries: [CO, US-FL]}, country_unknown: apply"
        ),
        (
            "In CO or US-FL: only Sunday 08:00-12:00; days before a holiday closed; other days closed (in "
            "the policy's time zone, holidays of the recipient's place); not asked if the time zone or calendar is "
            "not known; if the country is not known, the same holds."
        ),
    ),
    (
        "kind: consent, max_age: 730d, applies_to: {countries: [CO]}",
        "In CO: only with consent with evidence, not older than 730d; if the country is not known, nothing is allowed.",
    ),
    (
        "kind: consent, evidence: optional, on_missing: allow, applies_to: {countries: [CO]}, country_unknown: skip",
        ("In CO: only with consent, or if no consent is known; if the country is not known, this rule sets no limit."),
    ),
    (
        "kind: sender, allowed: [b, a], on_missing: allow",
        "Everything: only from a or b, or if no sender is named.",
    ),
    (
        "kind: campaign, campaigns: [b, a], switch: off",
        "Campaigns a and b: switched off.",
    ),
    (
        "kind: campaign, campaigns: [a], switch: shadow_only",
        "Campaign a: decided in shadow only, and nothing is sent.",
    ),
    (
        "kind: exempt, purposes: [otp, service], from: [cap, gap], still_counts: false",
        "For otp and service: exempt from caps and gaps, and not counted toward any limit.",
    ),
    (
        "kind: exempt, purposes: [otp], from: [opt_out], even_if_opted_out: true, still_counts: true",
        "For otp: exempt from opt-outs, even for people who opted out, and still counted toward the limits.",
    ),
]


@pytest.mark.parametrize(("fields", "sentence"), SENTENCES, ids=[fields[:40] for fields, _ in SENTENCES])
def test_sentence(fields: str, sentence: str, loaded: Callable[[str], LoadedPolicy]) -> None:
    (rule,) = loaded(f"- {{id: r, {fields}}}\n").specification.rules
    assert describe_rule(rule) == sentence


def test_opt_out() -> None:
    assert describe_rule(OptOutSpecification()) == (
        "Nobody is contacted after an opt-out, an objection, a pause or a restriction, or after an event that could "
        "not be read."
    )


@dataclass(frozen=True, slots=True)
class UnregisteredSpecification(RuleSpecification):
    """A kind of rule that somebody has added to the language and to nothing else."""


@pytest.mark.parametrize(
    "rule",
    [UnregisteredSpecification(rule_id="new"), RuleSpecification(rule_id="plain")],
    ids=lambda rule: rule.rule_id,
)
def test_a_kind_of_rule_that_is_not_registered_is_a_mistake_and_no_opt_out(rule: RuleSpecification) -> None:
    with pytest.raises(TypeError, match=f"{type(rule).__name__} is no kind of rule"):
        describe_rule(rule)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(90_000, "90s"), (300_000, "5m"), (86_400_000, "24h"), (604_800_000, "7d"), (1_500, "1.5s"), (0, "0s")],
)
def test_durations(milliseconds: int, text: str) -> None:
    assert duration_text(milliseconds) == text
