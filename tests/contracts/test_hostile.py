"""Hostile records, decoded: each meets the fate it must, and no refusal repeats what the record said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streams.contracts.decode import decode_intent, decode_outcome, decode_preference
from streams.contracts.errors import REFUSALS, RecordRefused
from tests.contracts.hostile import NOW_MS, HostileRecord, hostile_records

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.decision.preference_event import PreferenceEvent
    from streams.records import Headers


def read_preference(value: bytes | None, headers: Headers, key: bytes | None) -> PreferenceEvent:
    """The event, or what it was refused for."""
    read = decode_preference(value, headers, key)
    if read.refusal is not None:
        raise read.refusal
    assert read.event is not None
    return read.event


DECODERS: dict[str, Callable[[bytes | None, Headers, bytes | None], Any]] = {
    "intent": lambda value, headers, _: decode_intent(value, headers)[0],
    "preference": read_preference,
    "outcome": lambda value, headers, key: decode_outcome(value, headers, key).event,
}
RECORDS = hostile_records()
# Said by whoever holds the clock or knows the partition, not by the decoder.
ELSEWHERE = {"from_the_future", "implausible_time", "unknown_word", "misrouted", "misrouted_again"}


def test_there_are_many_and_each_reason_is_met() -> None:
    assert len(RECORDS) >= 200
    assert {record.reason for record in RECORDS} >= set(REFUSALS) - (ELSEWHERE - {"from_the_future"})
    assert {record.expected for record in RECORDS} == {"dead_letter", "decided", "rerouted"}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_it_meets_its_fate(record: HostileRecord) -> None:
    try:
        event = DECODERS[record.topic_kind](record.value, record.headers, record.key)
    except RecordRefused as refused:
        assert record.expected == "dead_letter", str(refused)
        assert refused.reason == record.reason, str(refused)
    else:
        assert record.expected != "dead_letter" or record.reason in ELSEWHERE
        if record.reason == "from_the_future":
            assert event.created_at > NOW_MS + 300_000
        assert (record.key == event.customer_id.encode()) == (record.expected != "rerouted")


@pytest.mark.parametrize("record", [record for record in RECORDS if record.reason], ids=lambda record: record.name)
def test_no_refusal_repeats_what_the_record_said(record: HostileRecord) -> None:
    if record.reason in ELSEWHERE:
        return
    with pytest.raises(RecordRefused) as caught:
        DECODERS[record.topic_kind](record.value, record.headers, record.key)
    said = f"{caught.value}{caught.value.detail}{caught.value.args}"
    assert "hostile-" not in said
    assert "somebody" not in said
    for word in ("unsubscribe", "OPT_OUT", "retry", "caf", "nonsense", "opened", "abc"):
        assert word not in said
    assert caught.value.__cause__ is None or caught.value.__suppress_context__


def test_the_fate_does_not_depend_on_how_deep_the_stack_is() -> None:
    def fates(depth: int) -> list[str]:
        if depth:
            return fates(depth - 1)
        found = []
        for record in RECORDS:
            try:
                DECODERS[record.topic_kind](record.value, record.headers, record.key)
                found.append("read")
            except RecordRefused as refused:
                found.append(refused.reason)
        return found

    assert fates(0) == fates(600)


def test_ten_megabytes_are_refused_without_being_read() -> None:
    for decode in DECODERS.values():
        with pytest.raises(RecordRefused) as caught:
            decode(b'{"a":' + b"[" * 10_000_000, (), None)
        assert caught.value.reason == "too_large"


def test_each_fate_can_be_told_from_outside() -> None:
    keys = [record.key for record in RECORDS if record.expected != "rerouted"]
    customers = [
        DECODERS[record.topic_kind](record.value, record.headers, record.key).customer_id
        for record in RECORDS
        if record.expected != "dead_letter"
    ]
    assert len(set(keys)) == len(keys)
    assert len(set(customers)) == len(customers)
    assert max(len(record.value or b"") for record in RECORDS) < 1_000_000


@pytest.mark.parametrize(
    "record", [r for r in RECORDS if r.topic_kind == "preference" and r.reason], ids=lambda record: record.name
)
def test_whoever_a_preference_nobody_can_read_is_filed_under_is_protected(record: HostileRecord) -> None:
    """A permissive one that is refused, and a tombstone, are no noes and leave nothing else behind."""
    read = decode_preference(record.value, record.headers, record.key)
    if record.name.startswith(("preference-yes-", "preference-row-yes", "preference-minor", "preference-country")) or (
        record.reason == "no_value"
    ):
        assert read.event is None
        assert read.not_understood == ()
        return
    assert read.event is not None
    assert read.event.type == "unread"
    assert read.event.customer_id.encode() == record.key
    assert read.not_understood == ("event",)
    nobody = decode_preference(record.value, record.headers, None)
    assert nobody.event is None or nobody.event.customer_id.encode() == record.key
