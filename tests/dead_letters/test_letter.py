"""What the gate makes of a record is taken apart into the very record again, whatever headers it has of its own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contracts import header_names as names
from streams.contracts.dead_letters import dead_letter
from streams.contracts.errors import RecordRefused
from streams.contracts.routing import reroute
from streams.dead_letters.letter import DeadLetter, NotADeadLetter, Place, StoredRecord, letter_of
from streams.dead_letters.replayed import Replayed, with_replay
from streams.records import InputRecord, OutputRecord

REROUTED = "mesura-rerouted"
REFUSED = RecordRefused("not_json")
GATES_OWN = [value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)]

headers = st.lists(st.tuples(st.sampled_from(["traceparent", *GATES_OWN]), st.binary(max_size=4)), max_size=12)
records = st.builds(
    InputRecord,
    st.sampled_from(["outbound-intent", "opt-out"]),
    st.integers(0, 2**63 - 1),
    st.integers(-1, 2**62),
    st.none() | st.binary(max_size=8),
    st.none() | st.binary(max_size=8),
    headers.map(tuple),
)


def stored(output: OutputRecord, partition: int = 1) -> StoredRecord:
    return StoredRecord(Place("mesura-dead-letter", partition, 7), 9, output.key, output.value, output.headers)


def taken_apart(record: InputRecord, partition: int = 1) -> DeadLetter:
    return letter_of(stored(dead_letter(record, partition, REFUSED, topic="mesura-dead-letter"), partition), REROUTED)


@given(records)
def test_the_record_is_found_as_it_was(record: InputRecord) -> None:
    letter = taken_apart(record)
    assert (letter.key, letter.value, letter.headers) == (record.key, record.value, record.headers)
    assert letter.first == letter.read_at == Place(record.topic, 1, record.offset)
    assert (letter.reason, letter.detail) == (REFUSED.reason, REFUSED.detail)
    assert (letter.said_ms, letter.cut, letter.replayed) == (record.timestamp_ms, (), None)


@given(records)
def test_of_a_forwarded_record_what_stood_first_is_found(record: InputRecord) -> None:
    forwarded = reroute(record, 3, "somebody", partitions=4, topic=REROUTED)
    read = InputRecord(REROUTED, 12, 99, forwarded.key, forwarded.value, forwarded.headers)
    letter = taken_apart(read)
    assert (letter.key, letter.value, letter.headers) == (b"somebody", record.value, record.headers)
    assert (letter.read_at, letter.first) == (Place(REROUTED, 1, 12), Place(record.topic, 3, record.offset))
    assert letter.is_forwarded
    assert letter.said_ms == record.timestamp_ms


@given(records, st.booleans())
def test_what_a_replay_has_added_is_found_behind_the_records_own(record: InputRecord, is_forwarded: bool) -> None:
    said = Replayed(2, "not_json", "mesura-dead-letter", 1, 6, 1_795_000_000_000)
    again = record._replace(headers=tuple(with_replay(tuple(record.headers), said)))
    if is_forwarded:
        sent_on = reroute(again, 3, "somebody", partitions=4, topic=REROUTED)
        again = InputRecord(REROUTED, 12, 99, sent_on.key, sent_on.value, sent_on.headers)
    letter = taken_apart(again)
    assert (letter.headers, letter.replayed) == (record.headers, said)


def test_a_stranger_on_the_topic_of_forwarded_records_has_no_first_place() -> None:
    letter = taken_apart(InputRecord(REROUTED, 4, 5, b"k", b"v", (("mesura.origin.topic", b"opt-out"),)))
    assert letter.first is None
    assert letter.headers == (("mesura.origin.topic", b"opt-out"),)


def test_what_was_too_large_is_named() -> None:
    record = InputRecord("opt-out", 4, 5, b"k" * 30, b"v" * 30, (("a", b"h" * 30),))
    output = dead_letter(record, 1, REFUSED, topic="mesura-dead-letter", value_bytes_max=20)
    assert letter_of(stored(output), REROUTED).cut == ("value", "headers", "key")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("mesura.error.reason", b"not_json"),),
        (("mesura.error.reason", b"\xff"), ("mesura.error.detail", b""), ("mesura.error.topic", b"t")),
        (
            ("mesura.error.reason", None),
            ("mesura.error.detail", None),
            ("mesura.error.topic", b"t"),
            ("mesura.error.partition", b"x"),
            ("mesura.error.offset", b"1"),
            ("mesura.error.timestamp", b"1"),
        ),
    ],
)
def test_what_no_gate_wrote_is_no_dead_letter(headers: tuple[tuple[str, bytes | None], ...]) -> None:
    with pytest.raises(NotADeadLetter):
        letter_of(StoredRecord(Place("mesura-dead-letter", 0, 0), 1, b"k", b"v", headers), REROUTED)
