"""Decisions in words: every kind of rule, every verdict, every number with what it means."""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from streams.cli.render import (
    PolicyView,
    RuleView,
    in_words,
    lines_of,
    moment_in_words,
    reason_in_words,
    view_of_policy,
    zone_in_words,
    zone_of,
)
from streams.decision.policy import compile_policy
from streams.decision.reasons import REASON_NUMBERS, REASONS, WITHDRAWAL_REASONS
from streams.policy.loader import load_policy
from streams.policy.notation import duration_in_words
from streams.policy.packs import PACKS, pack_path

AT = 1_795_622_400_000  # 2026-11-25T16:00:00Z, a Wednesday
HOUR = 3_600_000
BOGOTA = ["America/Bogota", "intent"]


def said(view: RuleView, reason: str, *numbers: int | None) -> str:
    verdict = {"passed": 0, "exempt": 1, **REASON_NUMBERS}[reason]
    decision = {"decided_at": AT, "explanation": {"zone": BOGOTA, "rules": [[0, verdict, *numbers]]}}
    [line] = lines_of(decision, PolicyView((view,)))
    assert line.verdict == reason
    return line.text


def check(name: str) -> RuleView:
    return RuleView(name, name)


ROLLING = RuleView("weekly", "cap", limit=3, window="any 7 days")
DAILY = RuleView("daily", "cap", limit=1, window="the day")
EVER = RuleView("once", "cap", limit=1, window="all time")
NEVER = RuleView("never", "cap", limit=0, window="any 1 day")
GAP = RuleView("gap", "gap", limit=1, window="2 hours")
WINDOW = RuleView("hours", "window")
NO = RuleView("opt-out", "opt_out")
CONSENT = RuleView("consent", "consent")


@pytest.mark.parametrize(
    ("view", "reason", "numbers", "text"),
    [
        (
            check("expired:horizon"),
            "passed",
            [],
            "Recent enough for the gate to remember whether it was answered before.",
        ),
        (
            check("expired:horizon"),
            "expired",
            [],
            "Created before the time from which the gate remembers what it answered.",
        ),
        (check("expired:erasure"), "expired", [], "Created before the customer asked to be erased."),
        (check("expired:deadline"), "passed", [], "It has no deadline."),
        (check("expired:deadline"), "passed", [HOUR], "Its deadline: Wed 25 Nov 2026 12:00 (America/Bogota)."),
        (
            check("expired:deadline"),
            "expired",
            [-HOUR],
            "Too late for its own deadline. That was Wed 25 Nov 2026 10:00 (America/Bogota).",
        ),
        (check("duplicate"), "duplicate", [], "The same intent was answered before."),
        (check("vocabulary"), "passed", [], "The policy knows the channel and the purpose."),
        (check("vocabulary"), "channel_unknown", [], "The policy declares no such channel."),
        (NO, "passed", [], "The customer has not opted out of it."),
        (NO, "opt_out", [-HOUR], "The customer opted out. Since Wed 25 Nov 2026 10:00 (America/Bogota)."),
        (
            NO,
            "paused",
            [-HOUR, 24 * HOUR],
            (
                "The customer paused contact. Since Wed 25 Nov 2026 10:00 (America/Bogota), "
                "until Thu 26 Nov 2026 11:00 (America/Bogota)."
            ),
        ),
        (NO, "closing", [], "The allowed period ends in under two seconds."),
        (CONSENT, "passed", [], "There is a consent."),
        (CONSENT, "passed", [HOUR], "There is a consent, which ends Wed 25 Nov 2026 12:00 (America/Bogota)."),
        (CONSENT, "consent_missing", [], "Consent is required and none is known."),
        (WINDOW, "passed", [HOUR], "Open, until Wed 25 Nov 2026 12:00 (America/Bogota)."),
        (WINDOW, "passed", [], "Open."),
        (
            WINDOW,
            "window_closed",
            [HOUR],
            "It is outside the allowed hours. Open from Wed 25 Nov 2026 12:00 (America/Bogota) on.",
        ),
        (WINDOW, "window_closed", [], "It is outside the allowed hours."),
        (WINDOW, "zone_unknown", [], "The rule depends on local time, and the recipient's zone is not known."),
        (ROLLING, "passed", [2], "2 of 3 in any 7 days."),
        (ROLLING, "cap_reached", [3], "3 of 3 in any 7 days."),
        (ROLLING, "country_unknown", [], "The rule depends on the country or region, and it is not known."),
        (RuleView("weekly", "cap"), "passed", [2], "2 contacts counted."),
        (RuleView("weekly", "cap"), "cap_reached", [1], "1 contact counted. The cap has been reached."),
        (
            DAILY,
            "cap_reached",
            [1, -11 * HOUR, 13 * HOUR],
            "1 of 1 in the day, Wed 25 Nov 2026 00:00 (America/Bogota) to Thu 26 Nov 2026 00:00 (America/Bogota).",
        ),
        (
            DAILY,
            "closing",
            [0, -24 * HOUR, 1_000],
            "The allowed period ends in under two seconds. It ends Wed 25 Nov 2026 11:00:01 (America/Bogota).",
        ),
        (EVER, "cap_reached", [1], "1 of 1 in all time."),
        (NEVER, "cap_reached", [0], "Never, because the limit is 0."),
        (GAP, "passed", [0], "No contact in the last 2 hours."),
        (GAP, "gap", [1], "1 contact in the last 2 hours."),
        (RuleView("gap", "gap"), "gap", [2], "2 contacts in the required time."),
        (GAP, "exempt", [], "The purpose is exempt from this rule."),
        (
            RuleView("numbers", "sender"),
            "sender_missing",
            [],
            "The intent names no sender, and the policy requires one.",
        ),
    ],
)
def test_a_rule(view: RuleView, reason: str, numbers: list[int | None], text: str) -> None:
    assert said(view, reason, *numbers) == text


def test_every_reason_has_a_sentence() -> None:
    for reason in REASONS:
        assert reason_in_words(reason.code) == reason.sentence
    for code in WITHDRAWAL_REASONS:
        assert reason_in_words(code) != f"{code}."
    assert reason_in_words("of_a_later_version") == "of_a_later_version."


def decision(**more: object) -> dict[str, object]:
    rules = [[0, 0], [1, REASON_NUMBERS["cap_reached"], 3], [2, REASON_NUMBERS["gap"], 1], [3, 1]]
    common = {"decided_at": AT, "explanation": {"zone": BOGOTA, "rules": rules}}
    return {"type": "suppressed", "reason": "cap_reached", "rule": "weekly", "next_eligible_at": None, **common, **more}


def test_a_whole_decision() -> None:
    shadow = RuleView("on-trial", "gap", limit=1, window="2 hours", is_shadow=True)
    because = RuleView("weekly", "cap", "Three are enough.", 3, "any 7 days")
    policy = PolicyView((check("duplicate"), because, shadow, RuleView("free", "window")))
    assert list(in_words(decision(next_eligible_at=AT + HOUR), policy)) == [
        (
            "Suppressed by weekly: The cap has been reached. As things stand it would be approved from "
            "Wed 25 Nov 2026 12:00 (America/Bogota) on."
        ),
        "Decided Wed 25 Nov 2026 11:00 (America/Bogota). The recipient's zone: America/Bogota, from the intent.",
        "  ✓ duplicate: Not answered before.",
        "  ✗ weekly: 3 of 3 in any 7 days.",
        "      Three are enough.",
        "  · on-trial: 1 contact in the last 2 hours. It is in shadow, so it changes nothing.",
        "  · free: The purpose is exempt from this rule.",
    ]


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "As things stand, there is no known later moment at which it would be approved."),
        ({"reason": "expired", "rule": "expired:deadline"}, "Trying this intent again does not help."),
        ({"reason": "duplicate", "rule": "duplicate", "duplicate_of": "d" * 24}, f"See decision {'d' * 24}."),
        ({"type": "withdrawn", "reason": "erased"}, "Do not send it any more. The customer asked to be erased."),
        (
            {"type": "approved", "valid_until": AT + 999},
            "until Wed 25 Nov 2026 11:00:00 (America/Bogota), but not later.",
        ),
    ],
)
def test_the_answer(more: dict[str, object], text: str) -> None:
    assert next(iter(in_words(decision(**more), PolicyView()))).endswith(text)


def test_an_approval_says_what_is_left_and_what_must_be_done() -> None:
    approval = decision(
        type="approved", valid_until=AT + HOUR, remaining={"weekly": 2, "daily": 0}, obligations=["say-how-to-stop"]
    )
    assert list(in_words(approval, PolicyView()))[-2:] == [
        "The sender must: say-how-to-stop.",
        "Remaining after this one: 2 under weekly, 0 under daily.",
    ]


@pytest.mark.parametrize("name", PACKS)
def test_every_rule_of_the_ready_made_policies_has_words(name: str) -> None:
    view = view_of_policy(compile_policy(load_policy(pack_path(name)).specification))
    for number, rule in enumerate(view.rules):
        entry = {"decided_at": AT, "explanation": {"rules": [[number, 0, 1]]}}
        [line] = lines_of(entry, PolicyView(view.rules))
        assert line.text.endswith(".")
        assert line.text != "It passed.", rule


@pytest.mark.parametrize(
    ("label", "regions", "zone"),
    [
        (None, {}, "UTC"),
        (["Europe/Madrid", "ledger"], {}, "Europe/Madrid"),
        (["CO", "country"], {}, "America/Bogota"),
        (["US", "country"], {}, "UTC"),
        (["US-NY", "region"], {"US-NY": ["America/New_York"]}, "America/New_York"),
        (["US-FL", "region"], {"US-FL": ["America/New_York", "America/Chicago"]}, "UTC"),
        (["US-FL", "region"], {}, "UTC"),
        (["Nowhere/Land", "intent"], {}, "UTC"),
    ],
)
def test_times_are_written_in_a_zone_that_is_known(
    label: list[str] | None, regions: dict[str, list[str]], zone: str
) -> None:
    found = zone_of(label, PolicyView((), regions))
    assert getattr(found, "key", "UTC") == zone


def test_where_the_zone_was_taken_from() -> None:
    assert zone_in_words(["US-FL", "region"]) == "The recipient's zones: US-FL, from the region."
    assert zone_in_words(["Asia/Tokyo", "policy"]) == "The recipient's zone: Asia/Tokyo, the policy's own."
    assert zone_in_words(None).startswith("The recipient's time zone was not asked for")


def test_moments_and_durations() -> None:
    assert moment_in_words(AT, UTC) == "Wed 25 Nov 2026 16:00 (UTC)"
    # The hour that comes twice is told apart by nothing but the day's order; the zone is named.
    assert moment_in_words(1_792_888_200_000, ZoneInfo("Europe/Madrid")) == "Sun 25 Oct 2026 02:30 (Europe/Madrid)"
    assert duration_in_words(7 * 24 * HOUR) == "7 days"
    assert duration_in_words(HOUR + 61_000) == "1 hour 1 minute"
    assert duration_in_words(999) == "less than a second"
