"""What retention takes from ledgers of customers whom nobody contacts, and what it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.decision.ledger.codec import encode_ledger
from streams.decision.ledger.retention import (
    LONGEST_MEMORY_MS,
    next_due,
    next_due_by,
    next_due_of,
    oldest_of,
    retained,
)
from streams.decision.ledger.state import EMPTY_LEDGER, LabelSet, Preference, Profile
from streams.decision.ledger.transitions import with_contact
from streams.decision.preference_event import PreferenceEvent
from streams.policy.horizons import IDENTITIES
from tests.decision.builders import DAY, NOW, contact, decided, heard, ledger_of, ledger_with, policy_of

if TYPE_CHECKING:
    from streams.decision.ledger.state import Ledger

EVER = {"id": "ever", "kind": "cap", "limit": 9, "window": {"lifetime": True}}
POLICY = policy_of()
CONTACTED = decided(POLICY).ledger
HORIZONS = POLICY.horizons
HOUR = 3_600_000
PAST_HISTORY = NOW + POLICY.horizons.history_ms + DAY
FOR_EVER = PAST_HISTORY + LONGEST_MEMORY_MS


def told(ledger: Ledger, kind: str) -> Ledger:
    event = PreferenceEvent(event_id="e", customer_id="c", type=kind)  # type: ignore[arg-type]
    return heard(event, ledger).ledger


def test_inside_its_horizons_a_ledger_is_left_as_it_is() -> None:
    assert retained(POLICY.retention, CONTACTED, NOW) is CONTACTED
    assert retained(POLICY.retention, EMPTY_LEDGER, NOW) is EMPTY_LEDGER


def test_past_them_only_the_mark_of_what_was_forgotten_is_left() -> None:
    left = retained(POLICY.retention, CONTACTED, PAST_HISTORY)
    assert not left.contacts
    assert not left.identities
    assert left.forgotten_ms == PAST_HISTORY - POLICY.specification.identities_ms
    assert retained(POLICY.retention, left, PAST_HISTORY + DAY) is left


def test_the_mark_goes_when_no_policy_can_remember_for_so_long() -> None:
    left = retained(POLICY.retention, CONTACTED, PAST_HISTORY)
    last = left.forgotten_ms + LONGEST_MEMORY_MS
    assert retained(POLICY.retention, left, last - 1) is left
    assert retained(POLICY.retention, left, last) is EMPTY_LEDGER


def test_what_a_customer_said_stays_for_good() -> None:
    for kind in ("opt_out", "opt_in", "pause", "restriction", "consent_granted", "erasure"):
        ledger = told(CONTACTED, kind)
        left = retained(POLICY.retention, retained(POLICY.retention, ledger, PAST_HISTORY), FOR_EVER)
        assert left.preferences == ledger.preferences
        assert left.erased_ms == ledger.erased_ms
        assert left is not EMPTY_LEDGER


def test_what_a_cap_for_life_counts_stays_for_good() -> None:
    policy = policy_of(EVER)
    left = retained(policy.retention, decided(policy).ledger, PAST_HISTORY)
    assert sum(left.archived.values()) == 1
    assert retained(policy.retention, left, FOR_EVER) is left


def due_ms(ledger: Ledger) -> int | None:
    """When retention comes to it, told from the ledger and from its stored form."""
    due = next_due(ledger, HORIZONS)
    assert next_due_of(encode_ledger(ledger), HORIZONS) == due
    return due


def test_a_ledger_is_due_within_an_hour_of_its_first_contact_or_identity_being_past() -> None:
    first = due_ms(CONTACTED)
    assert first is not None
    assert first % HOUR == 0
    assert 0 < first - (NOW + POLICY.specification.identities_ms) <= HOUR
    left = retained(POLICY.retention, CONTACTED, first)
    assert left is not CONTACTED
    then = due_ms(left)
    assert then is not None
    assert 0 <= then - (left.contacts[0].assumed_sent_ms + POLICY.horizons.history_ms) < HOUR
    assert retained(POLICY.retention, left, then) is not left
    assert retained(POLICY.retention, left, then - HOUR) is left


def test_what_is_left_of_it_is_due_when_the_mark_goes() -> None:
    left = retained(POLICY.retention, CONTACTED, PAST_HISTORY)
    last = due_ms(left)
    assert last is not None
    assert 0 <= last - (left.forgotten_ms + LONGEST_MEMORY_MS) < HOUR
    assert retained(POLICY.retention, left, last) is EMPTY_LEDGER


def test_what_stays_for_good_is_never_due() -> None:
    said_no = told(EMPTY_LEDGER, "opt_out")
    assert due_ms(said_no) is None
    assert due_ms(retained(POLICY.retention, told(CONTACTED, "opt_out"), PAST_HISTORY)) is None
    assert due_ms(EMPTY_LEDGER) is None


def test_what_cannot_be_read_is_left_to_whoever_has_to_decide_by_it() -> None:
    value = encode_ledger(CONTACTED)
    assert next_due_of(b"\xff", HORIZONS) is None
    assert next_due_of(value[:-1], HORIZONS) is None
    assert next_due_of(value[:1] + b"\x63" + value[2:], HORIZONS) is None  # a format of the future


def test_no_policy_remembers_longer_than_a_mark_is_kept() -> None:
    assert IDENTITIES.most_ms <= LONGEST_MEMORY_MS


def test_whatever_a_ledger_says_keeps_it_though_its_mark_is_past() -> None:
    forgotten = {"forgotten_ms": NOW - LONGEST_MEMORY_MS}
    assert retained(POLICY.retention, ledger_with(**forgotten), NOW) is EMPTY_LEDGER
    says = {
        "contacts": {"contacts": (contact(NOW),), "label_sets": (LabelSet("sms", "marketing"),)},
        "identities": {"identities": {b"a": NOW}},
        "preferences": {"preferences": (Preference("opt_out", NOW, NOW, None),)},
        "profile": {"profile": Profile()},
        "erased_ms": {"erased_ms": NOW},
        "archived": {"archived": {0: 1}},
        "preference_refused": {"preference_refused": True},
    }
    for name, said in says.items():
        ledger = ledger_with(**forgotten, **said)
        assert retained(POLICY.retention, ledger, NOW) is ledger, name


def test_a_ledger_whose_only_contact_has_left_is_the_empty_one() -> None:
    assert retained(POLICY.retention, ledger_of(contact(NOW - 400 * DAY)), NOW) is EMPTY_LEDGER


def test_the_first_moment_follows_from_what_is_oldest() -> None:
    history_ms, identities_ms = HORIZONS
    contacts = [contact(NOW - number * DAY, number=number) for number in range(4)]
    first_contact = NOW - 3 * DAY + history_ms
    one = ledger_of(contacts[3])
    many = ledger_of(*contacts)
    # An identity of now goes before the contacts, one of later after them.
    mixed = {
        created: ledger_with(contacts=contacts, identities={b"a": created}, label_sets=one.label_sets)
        for created in (NOW - 1, NOW - 1 + history_ms)
    }
    assert due_ms(one) == due_ms(many) == first_contact
    assert [due_ms(ledger) for ledger in mixed.values()] == [NOW + identities_ms, first_contact]
    for ledger in (one, many, *mixed.values()):
        assert next_due_by(oldest_of(ledger), HORIZONS) == next_due(ledger, HORIZONS)
    assert next_due_by(oldest_of(EMPTY_LEDGER), HORIZONS) is None


def test_a_newer_contact_makes_nothing_older() -> None:
    three = ledger_of(*(contact(NOW - number * DAY, number=number) for number in range(3)))
    newer = with_contact(three, contact(NOW + DAY, number=9), LabelSet("sms", "marketing"), created_ms=NOW + DAY)
    assert oldest_of(newer)[2] == oldest_of(three)[2] == three.assumed_sent[-1:]
