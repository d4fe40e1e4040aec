"""The outcomes that a contact remembers: a set with first times, in the ledger and in its stored form."""

from __future__ import annotations

import random
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.audit.ledgers import read_ledger
from streams.decision.ledger.codec import LedgerUnreadable, decode_ledger, encode_ledger
from streams.decision.ledger.retention import pruned
from streams.decision.ledger.state import OUTCOME_NUMBERS, OUTCOMES_PER_CONTACT_MAX, Contact, LabelSet, Ledger
from streams.decision.ledger.transitions import with_contact, with_outcome
from streams.decision.outcome_event import OutcomeType
from tests.decision.builders import DAY, NOW, contact, ledger_of

LEDGER = ledger_of(*(contact(NOW - number * DAY, number=number) for number in range(3)))
REPORT = st.tuples(st.integers(0, 2), st.sampled_from(sorted(OUTCOME_NUMBERS.values())), st.integers(0, 10 * DAY))


def told(ledger: Ledger, reports: list[tuple[int, int, int]]) -> Ledger:
    for position, number, after_ms in reports:
        ledger = with_outcome(ledger, position, number, NOW - 3 * DAY + after_ms)
    return ledger


def sets(ledger: Ledger) -> list[dict[int, int]]:
    return [dict(each.outcomes) for each in ledger.contacts]


def test_every_type_has_a_number_of_its_own_that_never_changes() -> None:
    assert set(OUTCOME_NUMBERS) == set(get_args(OutcomeType))
    assert list(OUTCOME_NUMBERS.items()) == [
        ("sent", 0), ("delivered", 1), ("read", 2), ("clicked", 3), ("failed", 4), ("bounced", 5), ("answered", 6),
        ("no_answer", 7), ("conversation", 8), ("refusal", 9), ("reply", 10), ("complaint", 11), ("expired", 12),
    ]  # fmt: skip
    assert max(OUTCOME_NUMBERS.values()) < OUTCOMES_PER_CONTACT_MAX


@given(st.lists(REPORT, max_size=30), st.randoms(use_true_random=False))
def test_order_and_repetition_of_reports_make_no_difference(
    reports: list[tuple[int, int, int]], chance: random.Random
) -> None:
    shuffled = [*reports, *chance.sample(reports, len(reports) // 2)]
    chance.shuffle(shuffled)
    one, other = told(LEDGER, reports), told(LEDGER, shuffled)
    assert one == other
    assert encode_ledger(one) == encode_ledger(other)
    wanted: list[dict[int, int]] = [{}, {}, {}]
    for position, number, after_ms in reports:
        moment_ms = NOW - 3 * DAY + after_ms
        wanted[position][number] = min(moment_ms, wanted[position].get(number, moment_ms))
    assert sets(one) == wanted


@given(st.lists(REPORT, max_size=30))
def test_they_are_read_as_they_were_written_behind_all_else(
    reports: list[tuple[int, int, int]],
) -> None:
    ledger = told(LEDGER, reports)
    value = encode_ledger(ledger)
    assert decode_ledger(value) == ledger
    without = msgspec.structs.replace(ledger, outcomes=())
    if not reports:
        assert value == encode_ledger(LEDGER)
    else:
        plain, before = msgspec.msgpack.decode(value), msgspec.msgpack.decode(encode_ledger(without))
        assert plain[: len(before)] == before, "a version that does not know them reads the rest as ever"
        assert len(plain) == len(Ledger.__struct_fields__)
    assert encode_ledger(without) == encode_ledger(LEDGER)


def test_they_stay_with_their_contact_when_others_come_and_go() -> None:
    ledger = told(LEDGER, [(0, 3, 5), (2, 9, 7)])
    newer = Contact(b"n" * 12, NOW + DAY, NOW + DAY, 0)
    ledger = with_contact(ledger, newer, LabelSet("sms", "marketing"), NOW)
    assert [set(each) for each in sets(ledger)] == [set(), {3}, set(), {9}]
    left = pruned(ledger, now=NOW + 3 * DAY, history_ms=5 * DAY - 1, identities_ms=DAY, counts_for_life=lambda _: False)
    assert [set(each) for each in sets(left)] == [set(), {3}, set()]
    gone = pruned(ledger, now=NOW + 3 * DAY, history_ms=3 * DAY, identities_ms=DAY, counts_for_life=lambda _: False)
    assert gone.outcomes == ()


def test_one_contact_remembers_a_bounded_number_of_types() -> None:
    ledger = LEDGER
    for number in range(OUTCOMES_PER_CONTACT_MAX):
        ledger = with_outcome(ledger, 1, number, NOW)
    assert len(ledger.contacts[1].outcomes) == OUTCOMES_PER_CONTACT_MAX
    assert with_outcome(ledger, 1, OUTCOMES_PER_CONTACT_MAX, NOW) is ledger
    assert sets(with_outcome(ledger, 1, 0, NOW - 1))[1][0] == NOW - 1
    assert decode_ledger(encode_ledger(ledger)) == ledger


@pytest.mark.parametrize(
    "outcomes",
    [((1, 2),), ((), (), ()), ((1,), (), ()), ((2, 0, 1, 0), (), ()), ((1, 0, 1, 0), (), ()), ((-1, 0), (), ()),
     ((OUTCOMES_PER_CONTACT_MAX, 0), (), ()), ((), (), (), (1, 2))],
    ids=["too few", "none at all", "no moment", "not ascending", "twice", "negative", "no type", "too many"],
)  # fmt: skip
def test_a_column_that_does_not_belong_to_the_contacts_is_refused(outcomes: tuple[tuple[int, ...], ...]) -> None:
    # "none at all" is stored by leaving the column out, so that equal ledgers have equal forms.
    value = msgspec.msgpack.encode([*msgspec.structs.astuple(LEDGER)[:-1], outcomes])
    with pytest.raises(LedgerUnreadable):
        decode_ledger(value)


@given(st.lists(REPORT, max_size=10))
def test_the_audit_reads_the_rest_of_a_ledger_with_outcomes(reports: list[tuple[int, int, int]]) -> None:
    assert read_ledger(encode_ledger(told(LEDGER, reports))) == read_ledger(encode_ledger(LEDGER))
