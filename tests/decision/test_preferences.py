"""What preference events leave in the ledger, field by field."""

from __future__ import annotations

from typing import Any

from streams.decision.ledger import EMPTY_LEDGER, Ledger, Profile, ProfileValue
from streams.decision.preference import PreferenceEvent
from streams.decision.preferences import apply_preference
from tests.decision.builders import NOW


def said(ledger: Ledger, event_id: str, kind: Any, at: int, **fields: Any) -> Ledger:  # noqa: ANN401
    event = PreferenceEvent(event_id=event_id, customer_id="c-1", type=kind, **fields)
    return apply_preference(event, ledger, recorded_ms=at, now=NOW).ledger


def value(of: str | bool, order: int, event_id: str) -> ProfileValue:
    return ProfileValue(of, order, event_id)


EARLY = {"timezone": "Europe/Madrid", "country": "ES", "region": "MD", "minor": True}
LATE = {"timezone": "America/Bogota", "country": "CO", "region": "DC", "minor": False}


def test_every_field_of_a_profile_is_kept_with_its_order() -> None:
    ledger = said(EMPTY_LEDGER, "e-1", "profile", NOW, **EARLY)
    assert ledger.profile == Profile(*(value(of, NOW, "e-1") for of in EARLY.values()))


def test_each_field_stays_as_said_last() -> None:
    for name in EARLY:
        ledger = said(
            said(EMPTY_LEDGER, "e-1", "profile", NOW - 9, **EARLY), "e-2", "profile", NOW, **{name: LATE[name]}
        )
        for field, first in EARLY.items():
            wanted = value(LATE[name], NOW, "e-2") if field == name else value(first, NOW - 9, "e-1")
            assert getattr(ledger.profile, field) == wanted


def test_each_field_stays_though_something_older_arrives() -> None:
    ledger = said(EMPTY_LEDGER, "e-2", "profile", NOW, **LATE)
    assert said(ledger, "e-1", "profile", NOW - 9, **EARLY) == ledger


def test_an_event_id_is_taken_once_at_a_moment() -> None:
    ledger = said(EMPTY_LEDGER, "e-1", "profile", NOW, **LATE)
    assert said(ledger, "e-1", "profile", NOW, **EARLY) == ledger


def test_an_erasure_leaves_of_each_field_what_was_said_after_it() -> None:
    for name in EARLY:
        ledger = said(EMPTY_LEDGER, "e-1", "profile", NOW - 9, **EARLY)
        ledger = said(ledger, "e-2", "profile", NOW, **{name: LATE[name]})
        left = said(ledger, "e-3", "erasure", NOW - 1).profile
        assert left == Profile(**{name: value(LATE[name], NOW, "e-2")})


def test_an_erasure_of_everything_leaves_no_empty_profile() -> None:
    ledger = said(EMPTY_LEDGER, "e-1", "profile", NOW - 9, **EARLY)
    assert said(ledger, "e-3", "erasure", NOW - 9) == Ledger(erased_ms=NOW - 9)


def test_an_erasure_keeps_the_identities_of_intents_created_after_it() -> None:
    ledger = Ledger(identities={b"before": NOW - 10, b"at": NOW - 9, b"after": NOW - 8})
    assert said(ledger, "e-1", "erasure", NOW - 9).identities == {b"after": NOW - 8}
