"""The ledger as a value: its binary form, its order, and what pruning takes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from streams.decision.ledger.codec import LedgerUnreadable, decode_ledger, encode_ledger
from streams.decision.ledger.retention import pruned
from streams.decision.ledger.state import (
    CONFIRMED,
    EMPTY_LEDGER,
    LEDGER_FORMAT,
    UNCOUNTED,
    Contact,
    LabelSet,
    Ledger,
    Preference,
    Profile,
    ProfileValue,
)
from streams.decision.ledger.transitions import (
    created_of,
    knows_tag,
    with_changed_contact,
    with_contact,
    with_identity,
    with_rows,
)
from tests.decision.builders import DAY, NOW, contact, ledger_of, ledger_with

SMS, VOICE = LabelSet("sms", "marketing"), LabelSet("voice", "service", topic="loans", sender="acme")
FULL = ledger_with(
    contacts=(contact(NOW, number=2), contact(NOW - DAY, label_set=1, flags=CONFIRMED, number=1)),
    identities={b"a" * 12: NOW, b"b" * 12: NOW - 1},
    label_sets=(SMS, VOICE),
    preferences=(Preference("consent_granted", NOW, NOW + 1, None, channel="sms", evidence_ref="doc-1"),),
    profile=Profile(timezone=ProfileValue("America/Bogota", NOW), minor=ProfileValue(True, NOW)),
    erased_ms=NOW - DAY,
    archived={1: 3},
    preference_refused=True,
)


def test_a_ledger_is_read_as_it_was_written() -> None:
    assert decode_ledger(encode_ledger(FULL)) == FULL
    assert decode_ledger(encode_ledger(EMPTY_LEDGER)) == EMPTY_LEDGER


def test_the_binary_form_is_an_array_of_columns_that_begins_with_its_format() -> None:
    plain = msgspec.msgpack.decode(encode_ledger(FULL))
    base = NOW - DAY - 300_000
    assert plain[0] == LEDGER_FORMAT == 2
    # Fields may be added at the end of a format, never moved.
    assert plain[1] == base
    assert plain[2] == (2).to_bytes(12, "big") + (1).to_bytes(12, "big") + b"a" * 12 + b"b" * 12
    assert plain[3:5] == [[None, None, NOW - base, NOW - 1 - base], NOW - 1 - base]
    assert plain[5:7] == [[NOW - base, NOW - DAY - base], [NOW - 300_000 - base, 0]]
    assert plain[7:9] == [b"\0\1", b"\0\1"]
    assert plain[9] == [1, 2, 0, 0, 0, 0, 3, 4, 5, 0, 0, 6]
    assert plain[10] == ["sms", "marketing", "voice", "service", "loans", "acme"]
    assert plain[11] == [["consent_granted", NOW, NOW + 1, None, "sms", None, None, None, None, "doc-1", None]]
    assert plain[12] == [["America/Bogota", NOW], None, None, [True, NOW]]
    assert plain[13:] == [NOW - DAY, {1: 3}, True, 0]


def test_the_rows_are_what_the_columns_were_made_of() -> None:
    assert FULL.contacts == (contact(NOW, number=2), contact(NOW - DAY, label_set=1, flags=CONFIRMED, number=1))
    assert FULL.identities == {b"a" * 12: NOW, b"b" * 12: NOW - 1}
    assert FULL.label_sets == (SMS, VOICE)


def test_what_most_ledgers_do_not_say_is_left_out_and_read_as_nothing() -> None:
    plain = ledger_with(contacts=FULL.contacts, label_sets=FULL.label_sets, preferences=FULL.preferences)
    value = encode_ledger(plain)
    assert msgspec.msgpack.decode(value) == msgspec.msgpack.decode(msgspec.msgpack.encode(plain))[:-6]
    assert decode_ledger(value) == plain
    for field in ("profile", "erased_ms", "archived", "preference_refused", "forgotten_ms"):
        said = msgspec.structs.replace(plain, **{field: getattr(FULL, field) or NOW})
        assert decode_ledger(encode_ledger(said)) == said


def test_a_ledger_of_an_earlier_day_without_later_fields_is_read() -> None:
    assert decode_ledger(msgspec.msgpack.encode([2])) == EMPTY_LEDGER


DAMAGED: dict[str, dict[str, Any]] = {
    "an id cut short": {"ids": FULL.ids[:-1]},
    "an identity without its moment": {"created": FULL.created[:-1]},
    "a contact without a decision": {"decided": FULL.decided[:-1]},
    "a contact without a tag": {"label_set_numbers": b"\0"},
    "a contact without flags": {"flags": b"\0"},
    "more contacts than ids": {"ids": b"", "created": ()},
    "a tag that is not there": {"label_set_numbers": b"\0\2"},
    "a tag cut short": {"label_value_numbers": FULL.label_value_numbers[:-1]},
    "a word that is not there": {"label_values": FULL.label_values[:-1]},
    "a word before the first": {"label_value_numbers": (-1, *FULL.label_value_numbers[1:])},
    "an archived tag that is not there": {"archived": {2: 1}},
    "a preference of a type that nobody knows": {"preferences": (Preference("shout", NOW, NOW, None),)},
    "a count of a tag before the first": {"archived": {-1: 1}},
    "outcomes of more contacts than there are": {"outcomes": ((1, 2), (), ())},
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_columns_that_do_not_belong_together_are_refused(damage: dict[str, Any]) -> None:
    value = encode_ledger(msgspec.structs.replace(FULL, **damage))
    said = r"(Its columns do not belong together: it is damaged\.$|Was it written by another version\? )"
    with pytest.raises(LedgerUnreadable, match=rf"of {len(value)} bytes cannot be read\. {said}"):
        decode_ledger(value)


def test_a_tag_that_is_not_there_is_found_between_others_that_are() -> None:
    ledger = ledger_of(contact(NOW + 2, number=1), contact(NOW + 1, number=2), contact(NOW, number=3))
    value = encode_ledger(msgspec.structs.replace(ledger, label_set_numbers=b"\0\1\0"))
    with pytest.raises(LedgerUnreadable, match="damaged"):
        decode_ledger(value)


def test_a_tag_of_known_words_in_another_order_is_another_tag() -> None:
    ledger = with_contact(EMPTY_LEDGER, contact(NOW, number=1), LabelSet("sms", "otp", "a", "b"), created_ms=NOW)
    ledger = with_contact(ledger, contact(NOW, number=2), LabelSet("sms", "otp", "b", "a"), created_ms=NOW)
    ledger = with_contact(ledger, contact(NOW, number=3), LabelSet("sms", "otp", "a", "b"), created_ms=NOW)
    assert ledger.label_sets == (LabelSet("sms", "otp", "a", "b"), LabelSet("sms", "otp", "b", "a"))
    assert (ledger.label_values, ledger.label_set_numbers) == (("sms", "otp", "a", "b"), b"\0\1\0")


@pytest.mark.parametrize(
    "value", [b"", b"\xc1", b"not a ledger", msgspec.msgpack.encode([2, b"7"]), msgspec.msgpack.encode({})]
)
def test_what_is_no_ledger_is_refused_and_never_read_as_an_empty_one(value: bytes) -> None:
    with pytest.raises(LedgerUnreadable, match=f"of {len(value)} bytes cannot be read"):
        decode_ledger(value)


def test_a_ledger_of_an_unknown_format_is_refused_by_its_number() -> None:
    with pytest.raises(
        LedgerUnreadable,
        match=r"^A stored ledger has format 1; this version reads format 2\. Run the version that wrote it\.$",
    ):
        decode_ledger(msgspec.msgpack.encode([1]))


def test_a_contact_takes_its_place_newest_first_with_its_tag_and_identity() -> None:
    ledger = EMPTY_LEDGER
    for number, (assumed_sent, label_set) in enumerate([(NOW, SMS), (NOW + 2, VOICE), (NOW + 1, SMS)]):
        ledger = with_contact(ledger, contact(assumed_sent, number=number), label_set, created_ms=assumed_sent - 9)
    assert [(c.assumed_sent_ms, ledger.label_sets[c.label_set_number]) for c in ledger.contacts] == [
        (NOW + 2, VOICE),
        (NOW + 1, SMS),
        (NOW, SMS),
    ]
    assert ledger.label_sets == (SMS, VOICE)
    ids = [number.to_bytes(12, "big") for number in range(3)]
    assert ledger.identities == {ids[0]: NOW - 9, ids[1]: NOW - 7, ids[2]: NOW - 8}


def test_a_new_contact_leaves_all_else_as_it_was() -> None:
    after = with_contact(FULL, contact(NOW + 1, number=3), VOICE, created_ms=NOW)
    assert with_rows(after, contacts=after.contacts[1:], identities=FULL.identities) == FULL
    assert after.identities == {**FULL.identities, (3).to_bytes(12, "big"): NOW}
    assert after.contacts[0] == contact(NOW + 1, label_set=1, number=3)


def test_a_new_identity_leaves_all_else_as_it_was() -> None:
    after = with_identity(FULL, b"c" * 12, NOW - 2)
    assert after.identities == {**FULL.identities, b"c" * 12: NOW - 2}
    assert with_rows(after, identities=FULL.identities) == FULL
    assert with_rows(after, identities=after.identities).oldest_created == after.oldest_created


def test_an_identity_is_found_where_it_begins_and_nowhere_between() -> None:
    ledger = with_identity(with_identity(EMPTY_LEDGER, b"a" * 6 + b"b" * 6, NOW), b"a" * 6 + b"b" * 6, NOW + 1)
    assert created_of(ledger, b"a" * 6 + b"b" * 6) == NOW + 1
    assert created_of(ledger, b"b" * 6 + b"a" * 6) is None
    assert ledger.identities == {b"a" * 6 + b"b" * 6: NOW + 1}
    assert created_of(FULL, (1).to_bytes(12, "big")) is None  # a contact whose identity is forgotten


def test_of_contacts_of_one_moment_the_last_added_comes_first() -> None:
    ledger = EMPTY_LEDGER
    for number in range(3):
        ledger = with_contact(ledger, contact(NOW, number=number), SMS, created_ms=NOW)
    assert [c.decision_id[-1] for c in ledger.contacts] == [2, 1, 0]


def test_a_changed_contact_moves_to_its_new_place() -> None:
    ledger = ledger_of(contact(NOW, number=1), contact(NOW + 1, number=2), contact(NOW + 2, number=3))
    first = ledger.contacts[0]
    changed = with_changed_contact(ledger, 0, msgspec.structs.replace(first, assumed_sent_ms=NOW))
    assert [c.assumed_sent_ms for c in changed.contacts] == [NOW + 1, NOW, NOW]
    assert sorted(c.decision_id for c in changed.contacts) == sorted(c.decision_id for c in ledger.contacts)


def test_a_change_leaves_the_old_ledger_as_it_was() -> None:
    ledger = with_identity(EMPTY_LEDGER, b"a" * 12, NOW)
    with_identity(ledger, b"b" * 12, NOW)
    with_contact(ledger, contact(NOW), SMS, created_ms=NOW)
    assert ledger.identities == {b"a" * 12: NOW}
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
    ledger = ledger_with(identities={b"in": NOW - 2 * DAY, b"out": NOW - 2 * DAY - 1})
    assert horizon(ledger).identities == {b"in".rjust(12, b"."): NOW - 2 * DAY}


def test_a_ledger_that_loses_nothing_is_the_same_object() -> None:
    ledger = ledger_with(contacts=(contact(NOW),), label_sets=(SMS,), identities={b"in": NOW - 2 * DAY})
    assert horizon(ledger) is ledger


def test_contacts_and_identities_leave_together() -> None:
    ledger = ledger_with(
        contacts=(contact(NOW - 20 * DAY),), label_sets=(SMS,), identities={b"out": NOW - 20 * DAY, b"in": NOW}
    )
    assert horizon(ledger) == ledger_with(identities={b"in": NOW}, forgotten_ms=NOW - 2 * DAY)


def test_what_has_been_forgotten_stays_forgotten() -> None:
    ledger = ledger_with(identities={b"out": NOW - 20 * DAY}, forgotten_ms=NOW - DAY)
    assert horizon(ledger) == Ledger(forgotten_ms=NOW - DAY)
    assert horizon(ledger_with(identities={b"in": NOW})).forgotten_ms == 0
    grown = with_contact(ledger, contact(NOW), SMS, created_ms=NOW)
    assert grown.forgotten_ms == NOW - DAY


def test_what_no_cap_for_life_counts_any_more_leaves_the_archive() -> None:
    ledger = ledger_with(
        contacts=(contact(NOW - 20 * DAY, label_set=0),), label_sets=(SMS, VOICE), archived={0: 2, 1: 5}
    )
    left = pruned(
        ledger,
        now=NOW,
        history_ms=10 * DAY,
        identities_ms=DAY,
        counts_for_life=lambda label_set: label_set.channel == "sms",
    )
    assert (left.label_sets, left.archived) == ((SMS,), {0: 3})


def test_everything_else_outlives_pruning() -> None:
    old = msgspec.structs.replace(with_rows(FULL, contacts=(contact(NOW - 20 * DAY, label_set=1),)), archived={})
    assert horizon(old) == msgspec.structs.replace(with_rows(FULL, contacts=(), label_sets=()), archived={})


def test_tags_nobody_uses_any_more_leave_and_the_others_are_numbered_anew() -> None:
    ledger = ledger_of(
        contact(NOW, label_set=2, flags=CONFIRMED, number=7),
        contact(NOW - 20 * DAY, label_set=0),
        label_sets=(SMS, LabelSet("email", "otp"), VOICE),
    )
    left = horizon(ledger)
    assert left.label_sets == (VOICE,)
    assert left.contacts == (Contact((7).to_bytes(12, "big"), NOW - 300_000, NOW, 0, CONFIRMED),)


def test_tags_all_in_use_stay_as_they_are() -> None:
    ledger = ledger_of(
        contact(NOW, label_set=1),
        contact(NOW - 1, label_set=0),
        contact(NOW - 20 * DAY, label_set=0),
        label_sets=(SMS, VOICE),
    )
    left = horizon(ledger)
    assert left.label_sets == (SMS, VOICE)
    assert [c.label_set_number for c in left.contacts] == [1, 0]


def test_for_caps_for_life_contacts_that_leave_are_counted_by_their_tag() -> None:
    gone = [
        contact(NOW - 20 * DAY, label_set=1),
        contact(NOW - 21 * DAY, label_set=1),
        contact(NOW - 22 * DAY, label_set=2),
    ]
    uncounted = contact(NOW - 23 * DAY, label_set=0, flags=UNCOUNTED)
    ledger = msgspec.structs.replace(
        ledger_of(contact(NOW, label_set=2), *gone, uncounted, label_sets=(SMS, VOICE, LabelSet("email", "otp"))),
        archived={1: 5},
    )
    left = horizon(ledger, keep_lifetime=True)
    assert left.label_sets == (VOICE, LabelSet("email", "otp"))
    assert left.archived == {0: 7, 1: 1}
    assert [c.label_set_number for c in left.contacts] == [1]


def test_without_a_cap_for_life_nothing_is_counted_beyond_the_history() -> None:
    ledger = msgspec.structs.replace(ledger_of(contact(NOW - 20 * DAY)), archived={0: 5})
    assert horizon(ledger) == Ledger()


def test_of_contacts_of_one_moment_the_last_changed_comes_first() -> None:
    ledger = ledger_of(contact(NOW, number=1), contact(NOW + 1, number=2))
    changed = with_changed_contact(ledger, 0, msgspec.structs.replace(ledger.contacts[0], assumed_sent_ms=NOW))
    assert [c.decision_id[-1] for c in changed.contacts] == [2, 1]


def test_a_contact_that_becomes_the_oldest_comes_last() -> None:
    ledger = ledger_of(contact(NOW, number=1), contact(NOW + 1, number=2), contact(NOW + 2, number=3))
    changed = with_changed_contact(ledger, 0, msgspec.structs.replace(ledger.contacts[0], assumed_sent_ms=NOW - 1))
    assert [c.decision_id[-1] for c in changed.contacts] == [2, 1, 3]


def test_of_an_identity_that_is_there_more_than_once_the_latest_moment_counts() -> None:
    name = b"a" * 6 + b"b" * 6
    for moments in ((NOW, NOW + 2, NOW + 1), (NOW + 2, NOW, NOW + 1), (NOW, NOW + 1, NOW + 2)):
        ledger = EMPTY_LEDGER
        for created in moments:
            ledger = with_identity(ledger, name, created)
        assert created_of(ledger, name) == NOW + 2
    # A contact of that name whose identity is forgotten, after one that is known.
    forgotten = msgspec.structs.replace(ledger, created=(ledger.created[0], None, None))
    assert created_of(forgotten, name) == NOW


def test_the_base_is_the_earliest_moment_of_all() -> None:
    contacts = (contact(NOW, number=2), contact(NOW - 1, number=1))
    early = msgspec.structs.replace(contacts[0], decided_ms=NOW - 9 * DAY)
    assert ledger_with(contacts=contacts, label_sets=(SMS,)).base_ms == contacts[1].decided_ms
    assert ledger_with(contacts=(early, contacts[1]), label_sets=(SMS,)).base_ms == NOW - 9 * DAY
    identities = {b"a": NOW - 10 * DAY}
    assert ledger_with(contacts=contacts, identities=identities, label_sets=(SMS,)).base_ms == NOW - 10 * DAY


def test_rows_put_back_give_the_same_columns() -> None:
    ledger = with_contact(FULL, contact(NOW + 1, number=3), VOICE, created_ms=NOW - 400_000)
    assert with_rows(ledger, contacts=ledger.contacts, identities=ledger.identities) == ledger


def test_contacts_and_counts_of_the_first_tag_are_sound() -> None:
    assert decode_ledger(encode_ledger(msgspec.structs.replace(FULL, archived={0: 1, 1: 3}))).archived == {0: 1, 1: 3}


def test_a_contact_takes_its_place_behind_any_number_of_newer_ones() -> None:
    ledger = EMPTY_LEDGER
    for number, later_ms in enumerate((4, 3, 2, 0, 1)):
        ledger = with_contact(ledger, contact(NOW + later_ms, number=number), (SMS, VOICE)[number % 2], created_ms=NOW)
    assert [c.decision_id[-1] for c in ledger.contacts] == [0, 1, 2, 4, 3]
    assert [c.assumed_sent_ms - NOW for c in ledger.contacts] == [4, 3, 2, 1, 0]
    assert [ledger.label_sets[c.label_set_number] for c in ledger.contacts] == [SMS, VOICE, SMS, SMS, VOICE]


def test_a_tag_is_not_found_across_two_others() -> None:
    across = LabelSet("voice", "service", "sms", "otp")
    ledger = EMPTY_LEDGER
    for number, label_set in enumerate(
        (LabelSet("sms", "otp", None, None, "voice", "service"), LabelSet("sms", "otp"))
    ):
        ledger = with_contact(ledger, contact(NOW, number=number), label_set, created_ms=NOW)
    assert not knows_tag(ledger, across)
    assert with_contact(ledger, contact(NOW, number=3), across, created_ms=NOW).label_sets[2] == across
