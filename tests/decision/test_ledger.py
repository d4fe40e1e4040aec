"""The ledger as a value: its binary form, its order, and what pruning takes."""

from __future__ import annotations

import msgspec
import pytest

from streams.decision.ledger import (
    CONFIRMED,
    EMPTY_LEDGER,
    LEDGER_FORMAT,
    UNCOUNTED,
    Contact,
    Ledger,
    LedgerUnreadable,
    Preference,
    Profile,
    ProfileValue,
    Tag,
    decode_ledger,
    encode_ledger,
    pruned,
    with_changed_contact,
    with_contact,
    with_identity,
)
from tests.decision.builders import DAY, NOW, contact, ledger_of

SMS, VOICE = Tag("sms", "marketing"), Tag("voice", "service", topic="loans", sender="acme")
FULL = Ledger(
    contacts=(contact(NOW, number=2), contact(NOW - DAY, tag=1, flags=CONFIRMED, number=1)),
    identities={b"a" * 12: NOW, b"b" * 12: NOW - 1},
    tags=(SMS, VOICE),
    preferences=(Preference("consent_granted", NOW, NOW + 1, None, channel="sms", evidence_ref="doc-1"),),
    profile=Profile(timezone=ProfileValue("America/Bogota", NOW), minor=ProfileValue(True, NOW)),
    erased_ms=NOW - DAY,
    archived={1: 3},
    preference_refused=True,
)


def test_a_ledger_is_read_as_it_was_written() -> None:
    assert decode_ledger(encode_ledger(FULL)) == FULL
    assert decode_ledger(encode_ledger(EMPTY_LEDGER)) == EMPTY_LEDGER


def test_the_binary_form_is_an_array_that_begins_with_its_format() -> None:
    plain = msgspec.msgpack.decode(encode_ledger(FULL))
    assert plain[0] == LEDGER_FORMAT == 1
    # Fields may be added at the end of a format, never moved.
    assert plain[1] == [
        [(2).to_bytes(12, "big"), NOW - 300_000, NOW, 0, 0],
        [(1).to_bytes(12, "big"), NOW - DAY - 300_000, NOW - DAY, 1, 1],
    ]
    assert plain[2] == {b"a" * 12: NOW, b"b" * 12: NOW - 1}
    assert plain[3] == [["sms", "marketing", None, None, None, None], ["voice", "service", "loans", None, None, "acme"]]
    assert plain[4] == [["consent_granted", NOW, NOW + 1, None, "sms", None, None, None, None, "doc-1"]]
    assert plain[5] == [["America/Bogota", NOW], None, None, [True, NOW]]
    assert plain[6:] == [NOW - DAY, {1: 3}, True, 0]


def test_a_ledger_of_an_earlier_day_without_later_fields_is_read() -> None:
    assert decode_ledger(msgspec.msgpack.encode([1])) == EMPTY_LEDGER


@pytest.mark.parametrize(
    "value", [b"", b"\xc1", b"not a ledger", msgspec.msgpack.encode([1, 7]), msgspec.msgpack.encode({})]
)
def test_what_is_no_ledger_is_refused_and_never_read_as_an_empty_one(value: bytes) -> None:
    with pytest.raises(LedgerUnreadable, match=f"of {len(value)} bytes cannot be read"):
        decode_ledger(value)


def test_a_ledger_of_an_unknown_format_is_refused_by_its_number() -> None:
    with pytest.raises(
        LedgerUnreadable,
        match=r"^A stored ledger has format 2; this version reads format 1\. Run the version that wrote it\.$",
    ):
        decode_ledger(msgspec.msgpack.encode([2]))


def test_a_contact_takes_its_place_newest_first_with_its_tag_and_identity() -> None:
    ledger = EMPTY_LEDGER
    for number, (latest, tag) in enumerate([(NOW, SMS), (NOW + 2, VOICE), (NOW + 1, SMS)]):
        ledger = with_contact(
            ledger, contact(latest, number=number), tag, identity=bytes([number]), created_ms=latest - 9
        )
    assert [(c.latest_ms, ledger.tags[c.tag]) for c in ledger.contacts] == [
        (NOW + 2, VOICE),
        (NOW + 1, SMS),
        (NOW, SMS),
    ]
    assert ledger.tags == (SMS, VOICE)
    assert ledger.identities == {b"\0": NOW - 9, b"\1": NOW - 7, b"\2": NOW - 8}


def test_a_new_contact_leaves_all_else_as_it_was() -> None:
    after = with_contact(FULL, contact(NOW + 1, number=3), VOICE, identity=b"c", created_ms=NOW)
    before = msgspec.structs.replace(after, contacts=after.contacts[1:], identities=FULL.identities)
    assert before == FULL
    assert after.identities == {**FULL.identities, b"c": NOW}
    assert after.contacts[0] == contact(NOW + 1, tag=1, number=3)


def test_a_new_identity_leaves_all_else_as_it_was() -> None:
    after = with_identity(FULL, b"c", NOW)
    assert msgspec.structs.replace(after, identities=FULL.identities) == FULL


def test_of_contacts_of_one_moment_the_last_added_comes_first() -> None:
    ledger = EMPTY_LEDGER
    for number in range(3):
        ledger = with_contact(ledger, contact(NOW, number=number), SMS, identity=bytes([number]), created_ms=NOW)
    assert [c.decision_id[-1] for c in ledger.contacts] == [2, 1, 0]


def test_a_changed_contact_moves_to_its_new_place() -> None:
    ledger = ledger_of(contact(NOW, number=1), contact(NOW + 1, number=2), contact(NOW + 2, number=3))
    first = ledger.contacts[0]
    changed = with_changed_contact(ledger, 0, msgspec.structs.replace(first, latest_ms=NOW))
    assert [c.latest_ms for c in changed.contacts] == [NOW + 1, NOW, NOW]
    assert sorted(c.decision_id for c in changed.contacts) == sorted(c.decision_id for c in ledger.contacts)


def test_a_change_leaves_the_old_ledger_as_it_was() -> None:
    ledger = with_identity(EMPTY_LEDGER, b"a", NOW)
    with_identity(ledger, b"b", NOW)
    with_contact(ledger, contact(NOW), SMS, identity=b"c", created_ms=NOW)
    assert ledger.identities == {b"a": NOW}
    assert ledger.contacts == ()


def horizon(ledger: Ledger, *, keep_lifetime: bool = False) -> Ledger:
    return pruned(
        ledger, now=NOW, history_ms=10 * DAY, identities_ms=2 * DAY, counts_for_life=lambda _tag: keep_lifetime
    )


def test_contacts_leave_when_their_latest_moment_leaves_the_history() -> None:
    inside, at_the_edge = contact(NOW - 10 * DAY + 1, number=1), contact(NOW - 10 * DAY, number=2)
    assert horizon(ledger_of(inside, at_the_edge)).contacts == (inside,)
    assert horizon(ledger_of(at_the_edge)) == Ledger()


def test_identities_leave_when_their_intent_was_created_before_the_horizon() -> None:
    ledger = Ledger(identities={b"in": NOW - 2 * DAY, b"out": NOW - 2 * DAY - 1})
    assert horizon(ledger).identities == {b"in": NOW - 2 * DAY}


def test_a_ledger_that_loses_nothing_is_the_same_object() -> None:
    ledger = Ledger(contacts=(contact(NOW),), tags=(SMS,), identities={b"in": NOW - 2 * DAY})
    assert horizon(ledger) is ledger


def test_contacts_and_identities_leave_together() -> None:
    ledger = Ledger(contacts=(contact(NOW - 20 * DAY),), tags=(SMS,), identities={b"out": NOW - 20 * DAY, b"in": NOW})
    assert horizon(ledger) == Ledger(identities={b"in": NOW}, forgotten_ms=NOW - 2 * DAY)


def test_what_has_been_forgotten_stays_forgotten() -> None:
    ledger = Ledger(identities={b"out": NOW - 20 * DAY}, forgotten_ms=NOW - DAY)
    assert horizon(ledger) == Ledger(forgotten_ms=NOW - DAY)
    assert horizon(Ledger(identities={b"in": NOW})).forgotten_ms == 0
    grown = with_contact(ledger, contact(NOW), SMS, identity=b"c", created_ms=NOW)
    assert grown.forgotten_ms == NOW - DAY


def test_what_no_cap_for_life_counts_any_more_leaves_the_archive() -> None:
    ledger = Ledger(contacts=(contact(NOW - 20 * DAY, tag=0),), tags=(SMS, VOICE), archived={0: 2, 1: 5})
    left = pruned(
        ledger, now=NOW, history_ms=10 * DAY, identities_ms=DAY, counts_for_life=lambda tag: tag.channel == "sms"
    )
    assert (left.tags, left.archived) == ((SMS,), {0: 3})


def test_everything_else_outlives_pruning() -> None:
    old = msgspec.structs.replace(FULL, contacts=(contact(NOW - 20 * DAY, tag=1),), archived={})
    left = horizon(old)
    assert left == msgspec.structs.replace(FULL, contacts=(), tags=(), archived={})


def test_tags_nobody_uses_any_more_leave_and_the_others_are_numbered_anew() -> None:
    ledger = ledger_of(
        contact(NOW, tag=2, flags=CONFIRMED, number=7), contact(NOW - 20 * DAY, tag=0), tags=(SMS, SMS, VOICE)
    )
    left = horizon(ledger)
    assert left.tags == (VOICE,)
    assert left.contacts == (Contact((7).to_bytes(12, "big"), NOW - 300_000, NOW, 0, CONFIRMED),)


def test_tags_all_in_use_stay_as_they_are() -> None:
    ledger = ledger_of(contact(NOW, tag=1), contact(NOW - 1, tag=0), contact(NOW - 20 * DAY, tag=0), tags=(SMS, VOICE))
    left = horizon(ledger)
    assert left.tags == (SMS, VOICE)
    assert [c.tag for c in left.contacts] == [1, 0]


def test_for_caps_for_life_contacts_that_leave_are_counted_by_their_tag() -> None:
    gone = [contact(NOW - 20 * DAY, tag=1), contact(NOW - 21 * DAY, tag=1), contact(NOW - 22 * DAY, tag=2)]
    uncounted = contact(NOW - 23 * DAY, tag=0, flags=UNCOUNTED)
    ledger = msgspec.structs.replace(
        ledger_of(contact(NOW, tag=2), *gone, uncounted, tags=(SMS, VOICE, Tag("email", "otp"))), archived={1: 5}
    )
    left = horizon(ledger, keep_lifetime=True)
    assert left.tags == (VOICE, Tag("email", "otp"))
    assert left.archived == {0: 7, 1: 1}
    assert [c.tag for c in left.contacts] == [1]


def test_without_a_cap_for_life_nothing_is_counted_beyond_the_history() -> None:
    ledger = msgspec.structs.replace(ledger_of(contact(NOW - 20 * DAY)), archived={0: 5})
    assert horizon(ledger) == Ledger()
