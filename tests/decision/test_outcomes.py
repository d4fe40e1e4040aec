"""What an outcome tells the caller, and the opt-out a STOP leaves in the ledger."""

from __future__ import annotations

from typing import Any

from streams.decision.ledger import CONFIRMED, EMPTY_LEDGER, Ledger
from streams.decision.outcome import Outcome
from streams.decision.outcomes import OutcomeResult, apply_outcome
from tests.decision.builders import MINUTE, NOW, contact, ledger_of

KNOWN, UNKNOWN = (1).to_bytes(12, "big").hex(), (9).to_bytes(12, "big").hex()


def reported(kind: Any, ledger: Ledger, **fields: Any) -> OutcomeResult:  # noqa: ANN401
    outcome = Outcome(customer_id="c-1", type=kind, occurred_at=NOW, **fields)
    return apply_outcome(outcome, ledger, recorded_ms=NOW, now=NOW)


def one_contact() -> Ledger:
    return ledger_of(contact(NOW + MINUTE, number=1))


def test_an_outcome_says_whether_its_decision_is_known() -> None:
    for kind, detail in (("sent", None), ("reply", "stop"), ("expired", None)):
        assert reported(kind, one_contact(), decision_id=KNOWN, detail=detail).matched is True
        assert reported(kind, one_contact(), decision_id=UNKNOWN, detail=detail).matched is False


def test_an_outcome_confirms_its_contact() -> None:
    (found,) = reported("sent", one_contact(), decision_id=KNOWN).ledger.contacts
    assert (found.latest_ms, found.flags) == (NOW, CONFIRMED)


def test_an_outcome_of_a_decision_nobody_knows_changes_no_ledger() -> None:
    ledger = one_contact()
    assert reported("sent", ledger, decision_id=UNKNOWN).ledger is ledger


def test_a_stop_closes_the_channel_of_what_it_answers() -> None:
    (answer,) = reported("reply", one_contact(), decision_id=KNOWN, detail="stop").ledger.preferences
    assert (answer.type, answer.channel) == ("opt_out", "sms")
    (unsolicited,) = reported("reply", EMPTY_LEDGER, channel="sms", detail="stop").ledger.preferences
    assert unsolicited.channel == "sms"
    (of_nothing_known,) = reported("reply", EMPTY_LEDGER, decision_id=UNKNOWN, detail="stop").ledger.preferences
    assert of_nothing_known.channel is None


def test_a_stop_is_heard_in_whatever_case_it_is_written() -> None:
    for written in ("STOP", " Stop "):
        assert len(reported("reply", EMPTY_LEDGER, channel="sms", detail=written).ledger.preferences) == 1
    for other in ("stopped", None):
        assert reported("reply", EMPTY_LEDGER, channel="sms", detail=other).ledger.preferences == ()
