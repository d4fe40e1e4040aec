"""What retention takes from ledgers of customers whom nobody contacts, and what it leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.decision.ledger.codec import encode_ledger
from streams.decision.ledger.state import EMPTY_LEDGER
from streams.decision.preference_event import PreferenceEvent
from streams.exactly_once.changelog import META_KEY, customer_key, erased_key, hold_key
from streams.retention import LONGEST_MEMORY_MS, due_ledgers, retained
from tests.decision.builders import DAY, NOW, decided, heard, policy_of

if TYPE_CHECKING:
    from streams.decision.ledger.state import Ledger

EVER = {"id": "ever", "kind": "cap", "limit": 9, "window": {"lifetime": True}}
POLICY = policy_of()
CONTACTED = decided(POLICY).ledger
PAST_HISTORY = NOW + POLICY.history_ms + DAY
FOR_EVER = PAST_HISTORY + LONGEST_MEMORY_MS


def told(ledger: Ledger, kind: str) -> Ledger:
    event = PreferenceEvent(event_id="e", customer_id="c", type=kind)  # type: ignore[arg-type]
    return heard(event, ledger).ledger


def test_inside_its_horizons_a_ledger_is_left_as_it_is() -> None:
    assert retained(POLICY, CONTACTED, NOW) is CONTACTED
    assert retained(POLICY, EMPTY_LEDGER, NOW) is EMPTY_LEDGER


def test_past_them_only_the_mark_of_what_was_forgotten_is_left() -> None:
    left = retained(POLICY, CONTACTED, PAST_HISTORY)
    assert not left.contacts
    assert not left.identities
    assert left.forgotten_ms == PAST_HISTORY - POLICY.specification.identities_ms
    assert retained(POLICY, left, PAST_HISTORY + DAY) is left


def test_the_mark_goes_when_no_policy_can_remember_for_so_long() -> None:
    left = retained(POLICY, CONTACTED, PAST_HISTORY)
    last = left.forgotten_ms + LONGEST_MEMORY_MS
    assert retained(POLICY, left, last - 1) is left
    assert retained(POLICY, left, last) is EMPTY_LEDGER


def test_what_a_customer_said_stays_for_good() -> None:
    for kind in ("opt_out", "opt_in", "pause", "restriction", "consent_granted", "erasure"):
        ledger = told(CONTACTED, kind)
        left = retained(POLICY, retained(POLICY, ledger, PAST_HISTORY), FOR_EVER)
        assert left.preferences == ledger.preferences
        assert left.erased_ms == ledger.erased_ms
        assert left is not EMPTY_LEDGER


def test_what_a_cap_for_life_counts_stays_for_good() -> None:
    policy = policy_of(EVER)
    left = retained(policy, decided(policy).ledger, PAST_HISTORY)
    assert sum(left.archived.values()) == 1
    assert retained(policy, left, FOR_EVER) is left


def test_only_ledgers_of_customers_that_would_lose_something_are_due() -> None:
    old, said_no, damaged = customer_key(b"old"), customer_key(b"no"), customer_key(b"damaged")
    store = {
        old: encode_ledger(CONTACTED),
        said_no: encode_ledger(told(EMPTY_LEDGER, "opt_out")),
        damaged: b"\xff",
        erased_key(b"hash"): encode_ledger(told(EMPTY_LEDGER, "erasure")),
        hold_key(b"held"): b"whatever that is",
    }
    gone = customer_key(b"gone")
    assert due_ledgers(POLICY, [*store, gone, META_KEY], store, PAST_HISTORY) == [old]
    assert due_ledgers(POLICY, store, store, NOW) == []
