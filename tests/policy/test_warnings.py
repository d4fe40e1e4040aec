"""What a sound policy's author is told all the same."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import pytest

from streams.policy.loader import LoadedPolicy, load_policy

if TYPE_CHECKING:
    from collections.abc import Callable

CAP = "- id: r\n  kind: cap\n  limit: 3\n  window: {rolling: 7d}\n"
WINDOW = "- id: r\n  kind: window\n"


@pytest.mark.parametrize(
    ("rules", "line", "message", "fix"),
    [
        (CAP.replace("7d", "60d"), 4, "looks back 60d, further than the history of 35d", "`history: 60d`"),
        ("- id: r\n  kind: gap\n  minimum: 40d\n", 3, "looks back 40d", "`history: 40d`"),
        (CAP.replace("rolling: 7d", "lifetime: true"), 4, "exact since it was switched on", "before you need it"),
        (CAP.replace("limit: 3", "limit: 0"), 3, "0 means never", "remove the rule"),
        (CAP + "  state: shadow\n", 5, "in shadow", "`state: on`"),
        (WINDOW + "  hours: {sat: []}\n", 3, "never open", "limit 0"),
        (CAP + "  applies_to: {channels: [sms], groups: [phone]}\n", 5, "can never apply", "not both"),
        (CAP + "  applies_to: {channels: [sms]}\n  except: {channels: [sms, email]}\n", 6, "can never apply", "Narrow"),
        (CAP + "  except: {purposes: [marketing, service, otp]}\n", 5, "can never apply", "Narrow"),
        (CAP + "  except: {automated: true, channels: [sms]}\n", 5, "do not remember", "`counts`"),
        (WINDOW + "  hours: {sun: [08:00-09:00], holiday: []}\n  holidays: recipient\n"
         "  applies_to: {countries: [CO, FR]}\n", 4, "No calendar is declared for FR", "Declare it"),
        (WINDOW + "  hours: {sun: [08:00-09:00], holiday: []}\n  holidays: recipient\n"
         "  applies_to: {countries: [CO-DC]}\n", 4, "CO-DC, so the country's is used", "Declare it"),
    ],
)  # fmt: skip
def test_warning(
    rules: str,
    line: int,
    message: str,
    fix: str,
    loaded: Callable[[str], LoadedPolicy],
    with_rules: Callable[[str], str],
) -> None:
    first = with_rules("").count("\n")
    (warning,) = loaded(rules).warnings
    assert (warning.line - first, warning.rule_id) == (line, "r")
    assert message in warning.message
    assert fix in warning.fix


def test_history_is_raised_to_what_the_longest_rule_needs(loaded: Callable[[str], LoadedPolicy]) -> None:
    day = 86_400_000
    assert loaded(CAP).specification.history_ms == 35 * day
    assert loaded(CAP.replace("7d", "60d")).specification.history_ms == 60 * day
    # Switched on again it must find its past.
    assert loaded(CAP.replace("7d", "60d") + "  state: off\n").specification.history_ms == 60 * day


def test_a_short_history_is_raised_for_a_calendar(with_rules: Callable[[str], str]) -> None:
    rules = CAP.replace("rolling: 7d", "calendar: month, zone: policy")
    loaded = load_policy(with_rules(rules).replace("regions:", "history: 7d\nregions:"))
    assert loaded.specification.history_ms == 32 * 86_400_000
    assert "looks back 32d" in loaded.warnings[0].message


@pytest.mark.parametrize("kind", ["cap", "gap", "window", "consent", "sender"])
def test_a_rule_all_of_whose_purposes_are_exempt(kind: str, loaded: Callable[[str], LoadedPolicy]) -> None:
    fields = {
        "cap": "limit: 3, window: {rolling: 7d}",
        "gap": "minimum: 1h",
        "window": "hours: {sat: [08:00-09:00]}",
        "consent": "evidence: required",
        "sender": "allowed: [a]",
    }[kind]
    rule = f"- {{id: r, kind: {kind}, {fields}, applies_to: {{purposes: [otp]}}}}\n"
    exempt = f"- {{id: e, kind: exempt, purposes: [otp, service], from: [{kind}], still_counts: true}}\n"
    assert "every purpose to which it applies is exempt" in loaded(rule + exempt).warnings[0].message
    assert loaded(rule.replace("[otp]", "[otp, marketing]") + exempt).warnings == ()
    assert loaded(rule + exempt.replace("kind: exempt", "kind: exempt, state: off")).warnings == ()


def test_no_calendar_at_all() -> None:
    text = (
        'mesura: 1\nname: t\nversion: "1"\nzone: UTC\ndefault_purpose: a\nchannels: {sms: }\npurposes: [a]\n'
        "rules:\n  - {id: r, kind: window, hours: {sat: [08:00-09:00], holiday: []}, holidays: recipient}\n"
    )
    assert "No calendar is declared, so every intent" in load_policy(text).warnings[0].message
    assert load_policy(text.replace("recipient}", "recipient, on_missing: allow}")).warnings == ()


def test_rules_switched_off_are_not_talked_about(loaded: Callable[[str], LoadedPolicy]) -> None:
    assert loaded(CAP.replace("limit: 3", "limit: 0") + "  state: off\n").warnings == ()
    memory = CAP + "  state: off\n  source: {text: Heard, confidence: memory}\n"
    assert loaded(memory).specification.rules[0].state == "off"


@pytest.mark.parametrize(
    ("today", "warns"),
    [(date(2026, 10, 1), False), (date(2026, 10, 2), False), (date(2026, 10, 3), True), (date(2027, 1, 1), True)],
)
def test_holiday_years_about_to_end(today: date, warns: bool, with_rules: Callable[[str], str]) -> None:
    warnings = load_policy(with_rules(CAP), today=today).warnings
    assert [finding.message.partition(".")[0] for finding in warnings] == ["The holiday years end with 2026"] * warns
    if warns:
        assert warnings[0].fix == "Add 2027."


def test_days_that_depend_on_the_moon(with_rules: Callable[[str], str]) -> None:
    text = with_rules(CAP).replace("CO: {country: CO}", "MA: {country: MA}")
    (warning,) = load_policy(text).warnings
    assert "depend on the moon" in warning.message
    assert warning.line == 16
