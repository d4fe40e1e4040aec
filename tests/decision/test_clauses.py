"""Clauses of docs/semantics.md that no golden case shows, each on the gate's core and on the independent model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streams.decision.ledger.retention import retained
from streams.decision.outcome_event import Outcome
from tests.decision.builders import DAY, MINUTE, NOW, SECOND, decided, policy_of, reported
from tests.golden.cases import Case
from tests.golden.play import SIDES, Played, expected, readable

if TYPE_CHECKING:
    from streams.decision.ledger.state import Ledger


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def answers(side: str, wanted: dict[str, Any], **body: Any) -> None:  # noqa: ANN401 - a case as its file has it
    """The side gives the answer wanted to a case that is written like a golden one."""
    case = Case("clause", "clause", {**body, "want": wanted})
    played = Played(case, SIDES[side](case.policy_text))
    found = expected(case, wanted)
    assert readable(case, played.ask(), played.side, found) == found


CONSENT = {"id": "consent", "kind": "consent"}
ASKED = {"at": "2026-07-07 10:00", "channel": "sms"}


def test_an_unproven_grant_undoes_no_withdrawal(side: str) -> None:
    """3.32."""
    history = [
        {"consent_granted": {"at": "2026-07-01 09:00", "evidence_ref": "doc-1"}},
        {"consent_withdrawn": {"at": "2026-07-02 09:00"}},
        {"consent_granted": {"at": "2026-07-03 09:00"}},
    ]
    wanted = {"verdict": "suppressed", "reason": "consent_withdrawn"}
    answers(side, wanted, policy={"rules": [CONSENT]}, history=history, ask=ASKED)


def test_a_consent_that_ended_has_expired_though_it_was_unproven(side: str) -> None:
    """3.36."""
    history = [{"consent_granted": {"at": "2026-07-01 09:00", "expires_at": "2026-07-02 09:00"}}]
    wanted = {"verdict": "suppressed", "reason": "consent_expired"}
    answers(side, wanted, policy={"rules": [CONSENT]}, history=history, ask=ASKED)


def test_a_contact_in_the_future_counts(side: str) -> None:
    """5.12: the approval a minute ago counts as if sent at its end, four minutes ahead."""
    rules = [{"id": "one", "kind": "cap", "limit": 1, "window": {"rolling": "30s"}}]
    answers(
        side,
        {"verdict": "suppressed", "reason": "cap_reached", "rules": {"one": ["cap_reached", 1]}},
        policy={"rules": rules},
        history=[{"approved": {"at": "2026-07-07 09:59", "channel": "sms"}}],
        ask=ASKED,
    )


def test_the_explanation_gives_the_order_and_the_end_of_the_no(side: str) -> None:
    """7.5, with an end and without one."""
    pause = [{"pause": {"at": "2026-07-07 08:00", "until": "2026-07-07 12:00"}}]
    answers(side, {"rules": {"opt-out": ["paused", "-2h", "2h"]}}, history=pause, ask=ASKED)
    opt_out = [{"opt_out": {"at": "2026-07-07 08:00"}}]
    answers(side, {"rules": {"opt-out": ["opt_out", "-2h"]}}, history=opt_out, ask=ASKED)


def test_a_no_that_there_was_no_room_to_keep_takes_approvals_back(side: str) -> None:
    """1.46: the 257th scope. Nothing is approved after it either."""
    answers(
        side,
        {"verdict": "suppressed", "reason": "ledger_full"},
        history=[
            {"opt_out": {"at": "2026-07-06 09:00", "topic": "topic-{n}", "times": 256}},
            {"approved": {"at": "2026-07-07 09:59", "channel": "sms", "topic": "news", "intent_id": "i-1"}},
            {"opt_out": {"at": "2026-07-07 09:59:30", "withdraws": {"i-1": "opt_out"}}},
        ],
        ask={**ASKED, "topic": "news"},
    )


def test_an_outcome_whose_moment_was_left_out_confirms_nothing(side: str) -> None:
    """2.4: the STOP is heard, and the contact still counts as if sent at its end, 10:04."""
    rules = [{"id": "one", "kind": "cap", "limit": 1, "window": {"rolling": "10m"}}]
    stop = {"at": "2026-07-07 10:01", "type": "reply", "of": "i-1", "detail": "stop", "without": ["occurred_at"]}
    answers(
        side,
        {"rules": {"opt-out": "opt_out", "one": "cap_reached"}},
        policy={"rules": rules},
        history=[
            {"approved": {"at": "2026-07-07 09:59", "channel": "sms"}},
            {"outcome": {**stop, "withdraws": {"i-1": "opt_out"}, "not_understood": ["field", "time"]}},
        ],
        ask={"at": "2026-07-07 10:13", "channel": "sms"},
    )


def test_a_stop_that_comes_after_the_history_is_a_no_either_way() -> None:
    """8.8: to the contact's channel while the contact is known, and to everything once it has been forgotten."""
    policy = policy_of()
    approved = decided(policy)
    late = NOW + policy.horizons.history_ms + DAY
    stop = Outcome(
        customer_id="c-1", type="reply", occurred_at=late - MINUTE, decision_id=approved.decision_id, detail="stop"
    )

    def closed(ledger: Ledger) -> list[str]:
        after = reported(stop, ledger, at=late - SECOND, now=late).ledger
        return [c for c in ("sms", "email") if decided(policy, after, late, channel=c).reason == "opt_out"]

    assert closed(approved.ledger) == ["sms"]
    assert closed(retained(policy.retention, approved.ledger, late)) == ["sms", "email"]


def test_an_approval_ends_with_the_yes_of_one_track_whatever_another_holds(side: str) -> None:
    """An opt-in that was given for a time, beside a pause that is over and an opt-out it undid."""
    history = [
        {"opt_out": {"at": "2026-07-01 09:00"}},
        {"opt_in": {"at": "2026-07-02 09:00", "until": "2026-07-07 10:03"}},
        {"pause": {"at": "2026-07-03 09:00", "until": "2026-07-04 09:00"}},
    ]
    answers(side, {"verdict": "approved", "valid_until": "2026-07-07 10:02:59.999"}, history=history, ask=ASKED)


def test_a_region_that_one_rule_names_is_none_of_another_rule(side: str) -> None:
    """Both are known to the policy, so each is told apart, where the rules select and where they make an exception."""
    never = {"kind": "cap", "limit": 0, "window": {"rolling": "1d"}}
    florida = {"id": "florida", **never, "applies_to": {"countries": ["US-FL"]}}
    texas = {"id": "texas", **never, "applies_to": {"countries": ["US-TX"]}, "state": "shadow"}
    spared = {"id": "spared", **never, "except": {"countries": ["US-FL"]}, "applies_to": {"countries": ["US"]}}
    asked = ASKED | {"country": "US", "region": "TX"}
    answers(side, {"verdict": "approved"}, policy={"rules": [florida, texas]}, ask=asked)
    wanted = {"verdict": "suppressed", "rule": "spared"}
    answers(side, wanted, policy={"rules": [florida, texas, spared]}, ask=asked)
    wanted |= {"rule": "florida"}
    answers(side, wanted, policy={"rules": [florida, texas, spared]}, ask=asked | {"region": "FL"})


def test_a_grant_that_has_become_too_old_undoes_no_withdrawal(side: str) -> None:
    """What it undid while it held stands again."""
    history = [
        {"consent_withdrawn": {"at": "2026-06-01 09:00"}},
        {"consent_granted": {"at": "2026-06-02 09:00", "evidence_ref": "doc-1"}},
    ]
    young, old = CONSENT | {"max_age": "90d"}, CONSENT | {"max_age": "30d"}
    answers(side, {"verdict": "approved"}, policy={"rules": [young]}, history=history, ask=ASKED)
    wanted = {"verdict": "suppressed", "reason": "consent_withdrawn"}
    answers(side, wanted, policy={"rules": [old]}, history=history, ask=ASKED)


def test_an_approval_that_would_end_with_what_it_rests_on_ends_a_millisecond_before(side: str) -> None:
    """Approvals of the base policy are valid for five minutes, and the end of a yes or of an intent is exclusive."""
    wanted = {"verdict": "approved", "valid_until": "2026-07-07 10:04:59.999"}
    history = [
        {"opt_out": {"at": "2026-07-01 09:00"}},
        {"opt_in": {"at": "2026-07-02 09:00", "until": "2026-07-07 10:05"}},
    ]
    answers(side, wanted, history=history, ask=ASKED)
    answers(side, wanted, ask=ASKED | {"expires_at": "2026-07-07 10:05"})
    hours = {"id": "hours", "kind": "window", "hours": {"tue": ["08:00-10:05"]}, "zone": "policy"}
    answers(side, wanted, policy={"rules": [hours]}, ask=ASKED)
    answers(side, {"verdict": "approved", "valid_until": "2026-07-07 10:05"}, ask=ASKED)


def test_what_is_left_counts_the_approval_if_its_channel_and_topic_are_counted(side: str) -> None:
    """Where a rule counts by more than channel and purpose, the approval is compared in all that it names."""
    of_bills = {"channels": ["sms"], "topics": ["bills"]}
    rule = {"id": "bills", "kind": "cap", "limit": 3, "window": {"rolling": "1d"}, "counts": of_bills}
    for asked, left in (({"topic": "bills"}, 2), ({"topic": "news"}, 3), ({"topic": "bills", "channel": "email"}, 3)):
        wanted = {"verdict": "approved", "remaining": {"bills": left}}
        answers(side, wanted, policy={"rules": [rule]}, ask=ASKED | asked)
