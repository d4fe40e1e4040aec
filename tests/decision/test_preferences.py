"""What preference events leave in the ledger, field by field."""

from __future__ import annotations

from typing import Any

import msgspec

from streams.decision.ledger.preferences import BELIEVED_FROM_MS, Withdrawal
from streams.decision.ledger.state import (
    EMPTY_LEDGER,
    NEEDED_CONSENT,
    PREFERENCES_MAX,
    WITHDRAWN,
    LabelSet,
    Ledger,
    Preference,
    Profile,
    ProfileValue,
)
from streams.decision.preference_event import PreferenceEvent
from tests.decision.builders import NOW, contact, heard, ledger_of, ledger_with


def said(ledger: Ledger, event_id: str, kind: Any, at: int, **fields: Any) -> Ledger:  # noqa: ANN401
    event = PreferenceEvent(event_id=event_id, customer_id="c-1", type=kind, **fields)
    return heard(event, ledger, at=at).ledger


EARLY = {"timezone": "Europe/Madrid", "country": "ES", "region": "MD", "minor": True}
LATE = {"timezone": "America/Bogota", "country": "CO", "region": "DC", "minor": False}


def test_every_field_of_a_profile_is_kept_with_its_order() -> None:
    ledger = said(EMPTY_LEDGER, "e-1", "profile", NOW, **EARLY)
    assert ledger.profile == Profile(*(ProfileValue(of, NOW) for of in EARLY.values()))


def test_each_field_stays_as_said_last() -> None:
    for name in EARLY:
        ledger = said(
            said(EMPTY_LEDGER, "e-1", "profile", NOW - 9, **EARLY), "e-2", "profile", NOW, **{name: LATE[name]}
        )
        for field, first in EARLY.items():
            wanted = ProfileValue(LATE[name], NOW) if field == name else ProfileValue(first, NOW - 9)
            assert getattr(ledger.profile, field) == wanted


def test_each_field_stays_though_something_older_arrives() -> None:
    ledger = said(EMPTY_LEDGER, "e-2", "profile", NOW, **LATE)
    assert said(ledger, "e-1", "profile", NOW - 9, **EARLY) == ledger


def test_of_two_profiles_of_one_moment_the_greater_value_stays_whichever_comes_first() -> None:
    ledger = said(EMPTY_LEDGER, "e-1", "profile", NOW, **LATE)
    both = Profile(*(ProfileValue(max(EARLY[name], LATE[name], key=str), NOW) for name in EARLY))
    assert said(ledger, "e-2", "profile", NOW, **EARLY).profile == both
    assert said(said(EMPTY_LEDGER, "e-2", "profile", NOW, **EARLY), "e-1", "profile", NOW, **LATE).profile == both


def test_an_erasure_leaves_of_each_field_what_was_said_after_it() -> None:
    for name in EARLY:
        ledger = said(EMPTY_LEDGER, "e-1", "profile", NOW - 9, **EARLY)
        ledger = said(ledger, "e-2", "profile", NOW, **{name: LATE[name]})
        left = said(ledger, "e-3", "erasure", NOW - 1).profile
        assert left == Profile(**{name: ProfileValue(LATE[name], NOW)})


def test_an_erasure_of_everything_leaves_no_empty_profile() -> None:
    ledger = said(EMPTY_LEDGER, "e-1", "profile", NOW - 9, **EARLY)
    assert said(ledger, "e-3", "erasure", NOW - 9) == Ledger(erased_ms=NOW - 9)


def test_an_erasure_keeps_the_identities_of_intents_created_after_it() -> None:
    ledger = ledger_with(identities={b"before": NOW - 10, b"at": NOW - 9, b"after": NOW - 8})
    assert said(ledger, "e-1", "erasure", NOW - 9).identities == {b"after".rjust(12, b"."): NOW - 8}


def test_an_event_is_kept_as_it_was_said() -> None:
    scope = {"channel": "sms", "purpose": "marketing", "topic": "loans", "brand": "north", "sender_id": "acme"}
    ledger = said(
        EMPTY_LEDGER, "e-1", "opt_out", NOW - 1, **scope, effective_at=NOW + 5, until=NOW + 9, evidence_ref="doc-1"
    )
    kept = ("opt_out", NOW - 1, NOW + 5, NOW + 9, "sms", "marketing", "loans", "north", "acme")
    assert ledger.preferences == (Preference(*kept),)


def test_only_a_consent_keeps_its_evidence_and_the_greater_stays() -> None:
    for one, other in (("doc-1", "doc-2"), ("doc-2", "doc-1"), (None, "doc-2"), ("doc-2", None)):
        ledger = said(EMPTY_LEDGER, "e-1", "consent_granted", NOW, evidence_ref=one)
        ledger = said(ledger, "e-2", "consent_granted", NOW, evidence_ref=other)
        assert [p.evidence_ref for p in ledger.preferences] == ["doc-2"]


def test_of_an_opt_out_and_an_objection_alike_in_all_else_the_opt_out_stays() -> None:
    for one, other in (("opt_out", "objection"), ("objection", "opt_out")):
        ledger = said(said(EMPTY_LEDGER, "e-1", one, NOW), "e-2", other, NOW)
        assert [p.type for p in ledger.preferences] == ["opt_out"]


def test_what_there_is_no_room_to_keep_takes_approvals_back_all_the_same() -> None:
    full = tuple(Preference("opt_out", NOW, NOW, None, topic=f"t-{number}") for number in range(PREFERENCES_MAX))
    ledger = msgspec.structs.replace(
        ledger_of(contact(NOW + 9, number=1), label_sets=(LabelSet("voice", "marketing", "other"),)), preferences=full
    )
    event = PreferenceEvent(event_id="e-1", customer_id="c-1", type="opt_out", topic="other")
    result = heard(event, ledger)
    assert [w.reason for w in result.withdrawals] == ["opt_out"]
    assert result.ledger.preferences == full
    assert result.ledger.preference_refused


def test_of_two_events_of_one_order_and_end_the_one_that_acts_later_stays() -> None:
    for one, other in ((NOW + 1, NOW + 2), (NOW + 2, NOW + 1)):
        ledger = said(EMPTY_LEDGER, "e-1", "opt_in", NOW, effective_at=one)
        ledger = said(ledger, "e-1", "opt_in", NOW, effective_at=other)
        assert [p.effective_ms for p in ledger.preferences] == [NOW + 2]


def test_an_event_replaces_just_the_one_before_it_in_its_place() -> None:
    ledger = EMPTY_LEDGER
    for topic in ("t-1", "t-2", "t-3", "t-4"):
        ledger = said(ledger, topic, "opt_out", NOW - 9, topic=topic)
    ledger = said(ledger, "later", "opt_out", NOW, topic="t-2")
    assert [(p.topic, p.order_ms) for p in ledger.preferences] == [
        ("t-1", NOW - 9),
        ("t-2", NOW),
        ("t-3", NOW - 9),
        ("t-4", NOW - 9),
    ]


def test_a_withdrawal_names_decision_channel_and_reason() -> None:
    ledger = ledger_of(contact(NOW + 9, number=1), contact(NOW, number=2), label_sets=(LabelSet("voice", "marketing"),))
    event = PreferenceEvent(event_id="e-1", customer_id="c-1", type="objection")
    result = heard(event, ledger)
    assert result.withdrawals == (Withdrawal((1).to_bytes(12, "big").hex(), "voice", "objection"),)
    assert [c.flags for c in result.ledger.contacts] == [WITHDRAWN, 0]
    assert result.refused is None


def test_an_erasure_does_not_bring_back_what_was_forgotten() -> None:
    assert said(Ledger(forgotten_ms=NOW - 5), "e-1", "erasure", NOW - 9).forgotten_ms == NOW - 5


def test_of_two_consents_alike_in_all_else_the_proven_one_stays() -> None:
    for one, other in (("A", None), (None, "A")):
        ledger = said(EMPTY_LEDGER, "e-1", "consent_granted", NOW, evidence_ref=one)
        ledger = said(ledger, "e-2", "consent_granted", NOW, evidence_ref=other)
        assert [p.evidence_ref for p in ledger.preferences] == ["A"]


def test_a_no_of_before_an_erasure_says_what_was_not_understood_of_it() -> None:
    erased = said(EMPTY_LEDGER, "e-1", "erasure", NOW)
    event = PreferenceEvent(event_id="e-2", customer_id="c-1", type="consent_withdrawn", channel="pager")
    result = heard(event, erased, at=NOW - 1)
    assert result.ledger is erased
    assert result.not_understood == ("scope_word",)


def test_a_no_of_the_first_believed_moment_keeps_its_end() -> None:
    fields = {"effective_at": BELIEVED_FROM_MS, "until": NOW + 9}
    assert [p.end_ms for p in said(EMPTY_LEDGER, "e-1", "opt_out", NOW, **fields).preferences] == [NOW + 9]
    fields = {"effective_at": BELIEVED_FROM_MS - 1, "until": NOW + 9}
    assert [p.end_ms for p in said(EMPTY_LEDGER, "e-1", "opt_out", NOW, **fields).preferences] == [None]


def test_a_no_takes_nothing_back_where_an_older_one_was_undone_by_the_words_it_names() -> None:
    for flags, no, yes in ((0, "opt_out", "opt_in"), (NEEDED_CONSENT, "consent_withdrawn", "consent_granted")):
        ledger = ledger_of(contact(NOW + 9, number=1, flags=flags))
        ledger = said(said(ledger, "e-1", no, NOW - 9, channel="sms"), "e-2", yes, NOW - 8, channel="SMS")
        open_again = msgspec.structs.replace(ledger, flags=bytes((flags,)))
        event = PreferenceEvent(event_id="e-3", customer_id="c-1", type=no, channel="voice")  # type: ignore[arg-type]
        assert heard(event, open_again).withdrawals == ()
