"""What an outcome tells the caller, and the opt-out a STOP leaves in the ledger."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from streams.decision.intent import MOMENT_MAX_MS
from streams.decision.ledger.outcomes import OutcomeResult
from streams.decision.ledger.preferences import BELIEVED_FROM_MS, FUTURE_TOLERANCE_MS
from streams.decision.ledger.state import CONFIRMED, EMPTY_LEDGER, LabelSet, Ledger
from streams.decision.outcome_event import Outcome, OutcomeType
from tests.decision.builders import MINUTE, NOW, contact, ledger_of, ledger_with, reported

KNOWN, UNKNOWN = (1).to_bytes(12, "big").hex(), (9).to_bytes(12, "big").hex()


def said(kind: Any, ledger: Ledger, **fields: Any) -> OutcomeResult:  # noqa: ANN401
    return reported(Outcome(**{"customer_id": "c-1", "type": kind, "occurred_at": NOW, **fields}), ledger)


def one_contact() -> Ledger:
    return ledger_of(contact(NOW + MINUTE, number=1))


def test_an_outcome_says_whether_its_decision_is_known() -> None:
    for kind, detail in (("sent", None), ("reply", "stop"), ("expired", None)):
        assert said(kind, one_contact(), decision_id=KNOWN, detail=detail).matched is True
        assert said(kind, one_contact(), decision_id=UNKNOWN, detail=detail).matched is False


def test_an_outcome_confirms_its_contact() -> None:
    (found,) = said("sent", one_contact(), decision_id=KNOWN).ledger.contacts
    assert (found.assumed_sent_ms, found.flags) == (NOW, CONFIRMED)


def test_an_outcome_of_a_decision_nobody_knows_changes_no_ledger() -> None:
    ledger = one_contact()
    assert said("sent", ledger, decision_id=UNKNOWN).ledger is ledger


def test_a_stop_closes_the_channel_of_what_it_answers() -> None:
    (answer,) = said("reply", one_contact(), decision_id=KNOWN, detail="stop").ledger.preferences
    assert (answer.type, answer.channel) == ("opt_out", "sms")
    (unsolicited,) = said("reply", EMPTY_LEDGER, channel="sms", detail="stop").ledger.preferences
    assert unsolicited.channel == "sms"
    (of_nothing_known,) = said("reply", EMPTY_LEDGER, decision_id=UNKNOWN, detail="stop").ledger.preferences
    assert of_nothing_known.channel is None


def test_a_stop_is_heard_in_whatever_case_it_is_written() -> None:
    for written in ("STOP", " Stop "):
        assert len(said("reply", EMPTY_LEDGER, channel="sms", detail=written).ledger.preferences) == 1
    for other in ("stopped", None):
        assert said("reply", EMPTY_LEDGER, channel="sms", detail=other).ledger.preferences == ()


def channels_closed(result: OutcomeResult) -> set[str | None]:
    return {p.channel for p in result.ledger.preferences if p.type == "opt_out"}


@pytest.mark.parametrize("kind", get_args(OutcomeType))
@pytest.mark.parametrize(
    "code", ["stop", "STOP ALL", "stop-all", "Unsubscribe", "OPT_OUT", "opt-out", "ｓｔｏｐ", "st\u200bop"]
)
def test_a_stop_code_is_a_no_wherever_it_stands(kind: str, code: str) -> None:
    assert channels_closed(said(kind, one_contact(), decision_id=KNOWN, detail=code)) == {"sms"}


@pytest.mark.parametrize("kind", get_args(OutcomeType))
@pytest.mark.parametrize("code", ["quit", "End", "REVOKE", "cancel"])
def test_a_customers_word_for_stop_is_a_no_in_a_reply(kind: str, code: str) -> None:
    wanted = {"sms"} if kind == "reply" else set()
    assert channels_closed(said(kind, one_contact(), decision_id=KNOWN, detail=code)) == wanted


@pytest.mark.parametrize("kind", get_args(OutcomeType))
@pytest.mark.parametrize("code", ["help", "INFO", "start", "unstop", "yes", "no", "stopped", "parada", "1", None])
def test_other_codes_are_no_answer_and_those_of_replies_leave_a_trace(kind: str, code: str | None) -> None:
    found = said(kind, one_contact(), decision_id=KNOWN, detail=code)
    assert channels_closed(found) == set()
    is_understood = code is None or code.lower() in {"help", "info", "start", "unstop", "yes"}
    assert found.not_understood == (() if kind != "reply" or is_understood else ("reply_code",))


def test_a_stop_is_for_the_channel_of_the_contact_and_for_its_own() -> None:
    for channel, closed in (("email", {"sms", "email"}), (" SMS", {"sms"}), (None, {"sms"})):
        found = said("reply", one_contact(), decision_id=KNOWN, channel=channel, detail="stop")
        assert channels_closed(found) == closed
        assert found.not_understood == ()


def test_a_stop_of_a_channel_nobody_knows_covers_everything_and_leaves_one_trace() -> None:
    found = said("reply", one_contact(), decision_id=KNOWN, channel="pager", detail="stop")
    assert channels_closed(found) == {"sms", "pager"}
    assert found.not_understood == ("scope_word",)


@pytest.mark.parametrize(
    ("occurred_ms", "is_believed"),
    [
        (0, False),
        (1_783_436_400, False),  # in seconds
        (BELIEVED_FROM_MS - 1, False),
        (BELIEVED_FROM_MS, False),  # long before the decision
        (NOW - 4 * MINUTE - FUTURE_TOLERANCE_MS - 1, False),
        (NOW - 4 * MINUTE - FUTURE_TOLERANCE_MS, True),
        (NOW, True),
        (NOW + 3_600_000, True),
        (MOMENT_MAX_MS, True),
    ],
)
def test_a_time_that_cannot_be_true_confirms_nothing(occurred_ms: int, is_believed: bool) -> None:
    found = said("sent", one_contact(), decision_id=KNOWN, occurred_at=occurred_ms)
    assert found.matched is True
    assert bool(found.ledger.contacts[0].flags & CONFIRMED) is is_believed
    assert found.not_understood == (() if is_believed else ("time",))


def test_a_doubtful_time_of_a_stop_leaves_one_trace() -> None:
    for decision in (KNOWN, UNKNOWN):
        found = said("reply", one_contact(), decision_id=decision, occurred_at=0, detail="stop")
        assert found.not_understood == ("time",)
        assert [(p.order_ms, p.effective_ms) for p in found.ledger.preferences] == [(NOW, NOW)]


def test_a_stop_of_two_channels_takes_back_the_approvals_of_both() -> None:
    label_sets = (LabelSet("sms", "marketing"), LabelSet("email", "marketing"))
    ledger = ledger_of(
        contact(NOW + MINUTE, number=1), contact(NOW + MINUTE, label_set=1, number=2), label_sets=label_sets
    )
    for channel, own in (("email", 1), ("sms", 2)):
        found = said("expired", ledger, decision_id=own.to_bytes(12, "big").hex(), channel=channel, detail="stop")
        assert {withdrawal.channel for withdrawal in found.withdrawals} == {"sms", "email"}


def test_a_doubtful_time_and_an_unknown_reply_leave_a_trace_each() -> None:
    found = said("reply", one_contact(), decision_id=KNOWN, occurred_at=0, detail="parada")
    assert found.not_understood == ("time", "reply_code")


def test_a_contact_of_the_first_believed_moment_is_confirmed_by_it() -> None:
    ledger = ledger_of(contact(BELIEVED_FROM_MS + 5 * MINUTE, number=1))
    found = said("sent", ledger, decision_id=KNOWN, occurred_at=BELIEVED_FROM_MS)
    assert found.not_understood == ()
    assert found.ledger.contacts[0].flags == CONFIRMED


def test_a_decision_that_approved_nothing_is_no_contact() -> None:
    refused = ledger_with(identities={bytes.fromhex(UNKNOWN): NOW})
    found = said("sent", refused, decision_id=UNKNOWN)
    assert found.matched is False
    assert found.ledger is refused
