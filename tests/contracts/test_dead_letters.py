"""Dead letters, forwarding, and where an output says it comes from."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contracts.dead_letters import dead_letter
from streams.contracts.errors import REFUSALS, RecordRefused
from streams.contracts.origin import applied_headers, origin_headers
from streams.contracts.routing import OriginalPosition, expected_partition, original_position, reroute
from streams.records import InputRecord, OutputRecord
from tests.contracts.schema_files import validator

_headers = st.lists(st.tuples(st.text(max_size=20), st.binary(max_size=30)), max_size=4).map(tuple)
_records = st.builds(
    InputRecord,
    topic=st.sampled_from(["outbound-intent", "opt-out"]),
    offset=st.integers(0, 2**62),
    timestamp_ms=st.integers(-1, 2**42),
    key=st.none() | st.binary(max_size=40),
    value=st.none() | st.binary(max_size=200),
    headers=_headers,
)
_refusals = st.builds(RecordRefused, st.sampled_from(sorted(REFUSALS)), st.sampled_from(["", "somewhere"]))


def added(record: InputRecord, output: OutputRecord) -> dict[str, str]:
    return {name: content.decode() for name, content in output.headers[len(record.headers) :]}


@given(_records, st.integers(0, 100), _refusals)
def test_a_dead_letter_is_the_record_byte_for_byte_and_why(
    record: InputRecord, partition: int, refused: RecordRefused
) -> None:
    letter = dead_letter(record, partition, refused, topic="dead")
    assert (letter.topic, letter.key, letter.value) == ("dead", record.key, record.value)
    assert tuple(letter.headers[: len(record.headers)]) == record.headers
    headers = added(record, letter)
    validator("dead-letter.headers").validate(headers)
    assert headers["mesura.error.reason"] == refused.reason
    assert headers["mesura.error.detail"] in (refused.detail, REFUSALS[refused.reason])
    for family in ("mesura.error", "__connect.errors"):
        assert headers[f"{family}.topic"] == record.topic
        assert headers[f"{family}.partition"] == str(partition)
        assert headers[f"{family}.offset"] == str(record.offset)
    assert headers["mesura.error.timestamp"] == str(record.timestamp_ms)


@given(_records, _refusals, st.integers(0, 300))
def test_a_dead_letter_can_always_be_written(record: InputRecord, refused: RecordRefused, limit: int) -> None:
    letter = dead_letter(record, 0, refused, topic="dead", value_bytes_max=limit)
    whole = dead_letter(record, 0, refused, topic="dead", value_bytes_max=10**9)
    kept = tuple(header for header in letter.headers if header in record.headers)
    size = len(letter.key or b"") + len(letter.value or b"")
    assert size <= limit
    names = {name for name, _ in letter.headers}
    if "mesura.error.value.bytes" in names:
        headers = dict(letter.headers)
        assert record.value is not None
        assert letter.value is None
        assert headers["mesura.error.value.bytes"] == str(len(record.value)).encode()
        assert headers["mesura.error.value.sha256"] == hashlib.sha256(record.value).hexdigest().encode()
        validator("dead-letter.headers").validate(
            {name: content.decode("latin-1") for name, content in headers.items()}
        )
    else:
        assert letter.value == record.value
    if "mesura.error.headers.bytes" not in names:
        assert kept[: len(record.headers)] == record.headers
    if "mesura.error.key.bytes" not in names:
        assert letter.key == record.key
    if names == {name for name, _ in whole.headers}:
        assert letter == whole


def test_headers_without_a_value_are_kept_as_they_are() -> None:
    headers: Any = (("a", None),)
    record = InputRecord("t", 1, 2, b"k", b"v", headers)
    assert dead_letter(record, 0, RecordRefused("not_json"), topic="dead").headers[0] == headers[0]


@pytest.mark.parametrize(
    ("key", "digest"),
    # From the tests of Kafka's own Java client (`UtilsTest.testMurmur2`).
    [
        (b"21", -973_932_308),
        (b"foobar", -790_332_482),
        (b"a-little-bit-long-string", -985_981_536),
        (b"a-little-bit-longer-string", -1_486_304_829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        (b"abc", 479_470_107),
    ],
)
def test_customers_live_where_kafkas_own_clients_put_them(key: bytes, digest: int) -> None:
    for partitions in (1, 3, 8, 1024):
        assert expected_partition(key, partitions) == (digest & 0x7FFF_FFFF) % partitions


@given(_records, st.integers(0, 100), st.text(min_size=1, max_size=128), st.integers(1, 64))
def test_a_misrouted_record_goes_home_once_and_says_where_it_was(
    record: InputRecord, partition: int, customer_id: str, partitions: int
) -> None:
    forwarded = reroute(record, partition, customer_id, partitions=partitions, topic="rerouted")
    assert forwarded.topic == "rerouted"
    assert forwarded.value == record.value
    assert forwarded.key == customer_id.encode()
    assert forwarded.partition == expected_partition(forwarded.key, partitions)
    assert tuple(forwarded.headers[: len(record.headers)]) == record.headers
    place = OriginalPosition(record.topic, partition, record.offset, record.timestamp_ms)
    assert original_position(forwarded.headers) == place
    arrived = InputRecord("rerouted", 7, 9, forwarded.key, forwarded.value, forwarded.headers)
    with pytest.raises(RecordRefused) as caught:
        reroute(arrived, 0, customer_id, partitions=partitions, topic="rerouted")
    assert caught.value.reason == "misrouted_again"


def test_a_forged_first_place_does_not_survive_forwarding() -> None:
    forged = (("mesura.origin.topic", b"elsewhere"), ("mesura.origin.offset", b"99"))
    forwarded = reroute(InputRecord("opt-out", 3, 4, None, b"", forged), 5, "c", partitions=8, topic="rerouted")
    assert original_position(forwarded.headers) == OriginalPosition("opt-out", 5, 3, 4)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("mesura.origin.topic", b"opt-out"),),
        (
            ("mesura.origin.topic", b"\xff"),
            ("mesura.origin.partition", b"1"),
            ("mesura.origin.offset", b"1"),
            ("mesura.origin.timestamp", b"1"),
        ),
        (
            ("mesura.origin.topic", b"t"),
            ("mesura.origin.partition", b"x"),
            ("mesura.origin.offset", b"1"),
            ("mesura.origin.timestamp", b"1"),
        ),
        (("mesura.origin.topic", None),),
    ],
)
def test_a_record_nobody_forwarded_has_no_first_place(headers: Any) -> None:  # noqa: ANN401 - also what is not allowed
    with pytest.raises(RecordRefused) as caught:
        original_position(headers)
    assert caught.value.reason == "misrouted_again"


def test_an_output_says_where_its_record_stood_and_what_had_been_applied() -> None:
    applied = applied_headers({"opt-out": 977, "contact-outcome": 5120})
    direct = origin_headers("outbound-intent", 3, 184_467, applied)
    assert direct == (
        ("mesura.origin.topic", b"outbound-intent"),
        ("mesura.origin.partition", b"3"),
        ("mesura.origin.offset", b"184467"),
        ("mesura.applied.contact-outcome", b"5120"),
        ("mesura.applied.opt-out", b"977"),
    )
    forwarded = origin_headers("mesura-rerouted", 3, 0, applied, OriginalPosition("outbound-intent", 5, 12, 1))
    assert dict(forwarded) == {
        "mesura.origin.topic": b"outbound-intent",
        "mesura.origin.partition": b"5",
        "mesura.origin.offset": b"12",
        "mesura.rerouted.topic": b"mesura-rerouted",
        "mesura.rerouted.partition": b"3",
        "mesura.rerouted.offset": b"0",
        "mesura.applied.contact-outcome": b"5120",
        "mesura.applied.opt-out": b"977",
    }
    for headers in (direct, forwarded):
        validator("decision.headers").validate({name: content.decode() for name, content in headers})
