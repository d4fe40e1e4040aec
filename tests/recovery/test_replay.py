"""Ledgers made again from topics held in memory: whole, without some of them, and where this version would answer
otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from streams.contracts.control import decode_policy, encode_policy
from streams.decision.ledger.codec import decode_ledger, encode_ledger
from streams.exactly_once.changelog import customer_key
from streams.recovery.answers import CommittedAnswers, read_answer
from streams.recovery.compare import AGREE, compare
from streams.recovery.errors import RecoveryRefused
from streams.testing.records import intent, preference
from tests.recovery.played import CUSTOMERS, HOUR, NOW, TOPICS, Played, random_run
from tests.recovery.scenes import POLICY

if TYPE_CHECKING:
    from streams.decision.policy import Policy

SEEDS = range(6)


def contacts(store: dict[bytes, bytes]) -> set[str]:
    """Ids of the approvals that ledgers know."""
    return {each.decision_id.hex() for value in store.values() for each in decode_ledger(value).contacts}


def policy_of(played: Played) -> Policy:
    return played.gate.policy


def as_found(played: Played, store: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """What the gate finds of each customer. What an erasure left is not looked at once its customer has come back."""
    where, found = played.gate.ledger_store, {}
    for number in range(CUSTOMERS):
        customer = f"c{number}".encode()
        value = store.get(customer_key(customer)) or store.get(where.erased_key(customer))
        if value is not None:
            found[customer_key(customer)] = value
    return found


def without(value: bytes, **changes: object) -> bytes:
    """The stored ledger with other fields."""
    return encode_ledger(replace(decode_ledger(value), **changes))


def other_text(played: Played, before: str, after: str) -> dict[bytes, bytes]:
    """The control topic as if every policy had been published with another text, which gives other answers here."""
    changed = {}
    for key, value in played.control.items():
        if key.startswith(b"policy:"):
            record = decode_policy(value)
            changed[key] = encode_policy(
                type(record)(**{**_fields(record), "text": record.text.replace(before, after)})
            )
        else:
            changed[key] = value
    assert changed != played.control
    return changed


def _fields(record: object) -> dict[str, object]:
    return {name: getattr(record, name) for name in record.__struct_fields__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", SEEDS)
def test_where_nothing_is_missing_ledgers_come_out_to_the_byte(seed: int) -> None:
    played = random_run(seed)
    assert len(played.store) > 5
    ledgers, counts = played.replayed()
    assert ledgers == played.state()
    assert not (counts.answered_otherwise or counts.unanswered or counts.out_of_order or counts.missing)
    assert counts.answers == len(CommittedAnswers(played.log(), TOPICS))


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_from_every_backup_it_comes_to_the_same(seed: int) -> None:
    played = random_run(seed)
    for number, state in enumerate(played.states):
        assert state.meta is not None
        for starts in ({}, state.meta.positions):  # the backup's past is there, or is deleted
            ledgers, counts = played.replayed(played.log(starts=starts), beginning=state)
            assert ledgers == played.state(), number
            assert not counts.missing


@pytest.mark.parametrize("seed", SEEDS)
def test_without_batch_records_no_no_and_no_approval_is_forgotten(seed: int) -> None:
    """Their order is then only likely. Positions come from the group's offsets."""
    played = random_run(seed, hours=1)
    ledgers, counts = played.replayed(played.log(without=[TOPICS.batches]))
    assert ledgers.positions == played.positions
    assert counts.out_of_order == counts.records == sum(played.positions.values())
    assert contacts(ledgers.store) == contacts(played.store)
    was, now = as_found(played, played.store), as_found(played, ledgers.store)
    words = compare(was, now, policy_of(played), played.latest_ms).counts
    assert set(words) <= {*AGREE, "other_contacts"}, words


@pytest.mark.parametrize(("before", "after"), [("limit: 4,", "limit: 0,"), ("limit: 2,", "limit: 40,")])
@pytest.mark.parametrize("seed", SEEDS[:4])
def test_answers_count_as_they_were_given(seed: int, before: str, after: str) -> None:
    """Where the policy, as it is read here, would deny what was approved, and approve what was denied."""
    played = random_run(seed, hours=1, batches=30, customers=3)
    ledgers, counts = played.replayed(control=other_text(played, before, after))
    assert counts.answered_otherwise
    assert contacts(ledgers.store) == contacts(played.store)
    assert ledgers.positions == played.positions
    was, now = as_found(played, played.store), as_found(played, ledgers.store)
    words = compare(was, now, policy_of(played), played.latest_ms).counts
    assert set(words) <= AGREE, words


def test_an_intent_without_an_answer_counts_as_approved_where_it_may_have_been() -> None:
    played = Played()
    played.batch([intent("c", f"i{number}", channel="sms", created_at=NOW) for number in range(6)], NOW)
    approved = {read_answer(record.value).decision_id for record in played.records[TOPICS.approved]}
    assert len(approved) == 4
    ledgers, counts = played.replayed(played.log(without=[TOPICS.approved, TOPICS.suppressed]))
    assert counts.unanswered == 6
    assert contacts(ledgers.store) == approved


def test_what_became_a_dead_letter_for_its_size_is_none_of_a_customers_contacts() -> None:
    played = Played()
    played.batch([intent("c", f"i{number}", created_at=NOW) for number in range(3)], NOW, too_large=frozenset({1}))
    ledgers, _ = played.replayed()
    assert ledgers == played.state()
    assert len(contacts(ledgers.store)) == 2


def test_what_is_deleted_is_counted() -> None:
    played = Played()
    for number in range(4):
        played.batch([preference(f"c{number}", f"p{number}", at=NOW)], NOW + number)
    _, counts = played.replayed(played.log(starts={TOPICS.preferences: 3}))
    assert counts.missing == {TOPICS.preferences: 3}
    _, counts = played.replayed(played.log(starts={TOPICS.preferences: 3}), beginning=played.states[1])
    assert counts.missing == {TOPICS.preferences: 1}


def test_what_was_decided_is_never_decided_again() -> None:
    """Also where the end of the batch log, or the group, is lost: each of three accounts is enough."""
    played = Played()
    for number in range(3):
        at = NOW + number * HOUR
        played.batch([preference("c", f"p{number}", "opt_in", at=at), intent("c", f"i{number}", created_at=at)], at)
    whole, positions = played.log(), dict(played.positions)
    for topic in (TOPICS.batches, TOPICS.approved, TOPICS.suppressed):
        cut = played.log()
        cut.records[topic] = cut.records[topic][:1]
        assert played.replayed(cut)[0].positions == positions, topic
    played.positions = {}
    assert played.replayed(whole)[0].positions == positions
    without = played.log(without=[TOPICS.batches])
    assert {topic: end for topic, end in played.replayed(without)[0].positions.items() if end} == {
        topic: end for topic, end in positions.items() if end
    }


def test_a_topic_that_has_lost_its_end_is_refused() -> None:
    played = Played()
    played.batch([intent("c", "i", created_at=NOW)], NOW)
    log = played.log()
    log.ends["outbound-intent"] = 0
    with pytest.raises(RecoveryRefused, match="outbound-intent-0 ends at 0, and records up to 1 were decided"):
        played.replayed(log)


def test_a_topic_that_was_not_named_is_not_passed_over() -> None:
    """Its contacts would be forgotten."""
    played = Played()
    played.batch([intent("c", "i", created_at=NOW)], NOW)
    for topic, records in list(played.records.items()):
        if topic == TOPICS.batches:
            played.records[topic] = [
                each._replace(value=(each.value or b"").replace(b"outbound-intent", b"urgent-intent"))
                for each in records
            ]
    with pytest.raises(RecoveryRefused, match=r"records of urgent-intent, which were not read.*--intent-topic"):
        played.replayed()


def test_a_policy_that_nobody_has_is_refused_by_its_hash() -> None:
    played = Played()
    played.batch([intent("c", "i", created_at=NOW)], NOW)
    with pytest.raises(RecoveryRefused, match=r"Decisions name the policy [0-9a-f]+, .*--policy FILE"):
        played.replayed(control={})
    other = Played(POLICY.replace('"1"', '"3"'))
    with pytest.raises(RecoveryRefused, match=r"--policy FILE"):
        played.replayed(control=other.control)


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_differences_are_found(seed: int) -> None:
    """The comparison itself: another no, another contact, one ledger more or less, one that is none."""
    played = random_run(seed)
    policy, now = policy_of(played), played.latest_ms
    assert compare(played.store, dict(played.store), policy, now).is_same
    noes = next(key for key, value in played.store.items() if decode_ledger(value).preferences)
    sent, flags = next((key, flags) for key, value in played.store.items() if any(flags := decode_ledger(value).flags))
    emptied = played.states[0].store
    for changed, word in (
        ({key: value for key, value in played.store.items() if key != noes}, "only_before"),
        ({**played.store, b"cnobody": played.store[noes]}, "only_after"),
        ({**played.store, noes: without(played.store[noes], preferences=())}, "other_preferences"),
        ({**played.store, sent: without(played.store[sent], flags=bytes(len(flags)))}, "other_contacts"),
    ):
        assert compare(played.store, changed, policy, now).counts[word] == 1
    assert compare({**played.store, sent: b"\xff"}, played.store, policy, now).counts["unreadable"] == 1
    assert not compare(emptied, played.store, policy, now).is_same
