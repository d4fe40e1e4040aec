"""Stored ledgers by their meaning: both binary forms, and what makes two meanings differ."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from streams.audit.ledgers import (
    ContactMeaning,
    Horizons,
    Meaning,
    PreferenceMeaning,
    UnreadableLedger,
    differences,
    read_ledger,
)

TAGS = ("sms", "service", None, None, "spring", None)
NAME = bytes(range(12))
OTHER = bytes(range(1, 13))
CONTACT = ContactMeaning(NAME.hex(), 1_000, 1_300, TAGS, True, False, False, True, False)
NO = PreferenceMeaning("opt_out", 900, 900, None, ("sms", None, None, None, None), False, None)
CONSENT = PreferenceMeaning("consent_granted", 800, 800, 5_000, (None,) * 5, True, None)
RESTRICTION = PreferenceMeaning("restriction", 700, 700, None, (None,) * 5, False, "register")
MEANING = Meaning(
    contacts=[CONTACT],
    identities={NAME.hex(): 950, OTHER.hex(): 960},
    preferences=frozenset({NO, CONSENT, RESTRICTION}),
    profile={"country": ("CO", 700)},
    erased_at=600,
    archived={TAGS: 3},
    refused=True,
)
BEHIND = [
    [
        ["opt_out", 900, 900, None, "sms"],
        ["consent_granted", 800, 800, 5_000, None, None, None, None, None, "form-1"],
        ["restriction", 700, 700, *(None,) * 7, "register"],
    ],
    [None, ["CO", 700]],
    600,
    {0: 3},
    True,
]
ROWS = [
    1,
    [[NAME, 1_000, 1_300, 0, 1 | 8]],
    {NAME: 950, OTHER: 960},
    [["sms", "service", None, None, "spring"]],
    *BEHIND,
]
COLUMNS = [
    *(2, 1_000, NAME + OTHER, [-50, -40], -50, [300], [0], b"\0", bytes([1 | 8])),
    *([1, 2, 0, 0, 3, 0], ["sms", "service", "spring"], *BEHIND),
]
HORIZONS = Horizons(contacts_after=1_000, identities_from=900)


@pytest.mark.parametrize("stored", [ROWS, COLUMNS], ids=["format 1", "format 2"])
def test_both_forms_say_the_same(stored: list[object]) -> None:
    assert read_ledger(msgspec.msgpack.encode(stored)) == MEANING


@pytest.mark.parametrize("stored", [b"", b"x", msgspec.msgpack.encode([99]), msgspec.msgpack.encode([2, 0, b"", 1])])
def test_what_is_no_ledger_is_said_to_be_none(stored: bytes) -> None:
    with pytest.raises(UnreadableLedger):
        read_ledger(stored)


def kinds(stored: Meaning, *, wanted: Meaning = MEANING, for_life: bool = False) -> list[str]:
    return [each.kind for each in differences(wanted, stored, HORIZONS, lambda tags: for_life)]


def test_what_is_past_its_horizon_may_be_there_or_not() -> None:
    past = CONTACT._replace(decision_id=OTHER.hex(), latest=1_000)
    wanted = replace(MEANING, contacts=[CONTACT, past], identities={**MEANING.identities, "0" * 24: 899})
    assert kinds(MEANING, wanted=wanted) == []
    assert kinds(wanted, wanted=wanted) == []


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"contacts": []}, ["ledger_differs"]),
        ({"contacts": [CONTACT, CONTACT]}, ["ledger_differs"]),
        ({"contacts": [CONTACT._replace(withdrawn=True)]}, ["ledger_differs"]),
        ({"contacts": [CONTACT._replace(confirmed=False, latest=1_500)]}, ["outcome_not_applied"]),
        ({"identities": {NAME.hex(): 950}}, ["ledger_differs"]),
        ({"identities": {**MEANING.identities, OTHER.hex(): 961}}, ["ledger_differs"]),
        ({"preferences": MEANING.preferences - {NO}}, ["preference_not_applied"]),
        ({"preferences": MEANING.preferences | {NO._replace(order=901)}}, ["ledger_differs"]),
        (
            {"preferences": MEANING.preferences - {RESTRICTION} | {RESTRICTION._replace(source=None)}},
            ["preference_not_applied"],
        ),
        ({"profile": {}}, ["preference_not_applied"]),
        ({"erased_at": None}, ["preference_not_applied"]),
        ({"refused": False}, ["ledger_differs"]),
    ],
)
def test_everything_else_makes_a_difference(changed: dict[str, object], expected: list[str]) -> None:
    assert kinds(replace(MEANING, **changed)) == expected  # type: ignore[arg-type]


def test_contacts_past_the_history_are_counted_where_a_lifetime_cap_counts_them() -> None:
    past = CONTACT._replace(decision_id=OTHER.hex(), latest=500)
    wanted = replace(MEANING, contacts=[CONTACT, past, past, past], archived={})
    assert kinds(MEANING, wanted=wanted, for_life=True) == []
    assert kinds(replace(MEANING, archived={TAGS: 2}), wanted=wanted, for_life=True) == ["ledger_differs"]
    assert kinds(replace(MEANING, archived={TAGS: 2}), wanted=wanted) == []
