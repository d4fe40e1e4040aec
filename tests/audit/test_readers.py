"""The audit's own readers: of records, of murmur2, of the order of service."""

from __future__ import annotations

import pytest

from streams.audit.documents import BadRecord
from streams.audit.events import moment, read_event
from streams.audit.log import PartitionLog, Record
from streams.audit.murmur import murmur2
from streams.audit.service import Service, Stated
from streams.audit.timeline import read_metas
from tests.contracts.hostile import HostileRecord, hostile_records

RECORDS = hostile_records()
# Said by whoever holds the clock or knows the partition, not by the reader.
ELSEWHERE = {"from_the_future", "misrouted", "misrouted_again"}


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_every_hostile_record_is_read_or_not_as_the_contract_says(record: HostileRecord) -> None:
    is_bad = record.expected == "dead_letter" and record.reason not in ELSEWHERE
    if not is_bad:
        assert read_event(record.topic_kind, record.value, record.headers, record.key)["customer_id"]
        return
    with pytest.raises(BadRecord) as caught:
        read_event(record.topic_kind, record.value, record.headers, record.key)
    assert caught.value.reason == record.reason


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        # From the tests of Apache Kafka's Java client (UtilsTest.testMurmur2), as signed 32-bit numbers.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_is_what_kafka_says(key: bytes, expected: int) -> None:
    assert murmur2(key) == expected & 0xFFFFFFFF


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-11-24T05:00:00.123999-05:00", 1_795_514_400_123),
        ("2026-11-24t10:00:00z", 1_795_514_400_000),
        (1_795_514_400_000, 1_795_514_400_000),
    ],
)
def test_a_time_is_a_moment(written: object, expected: int) -> None:
    assert moment(written) == expected


def meta(offset: int, latest_ms: int, **positions: int) -> Record:
    text = ", ".join(f'"{topic}": {position}' for topic, position in positions.items())
    return Record(offset, 0, b"m", f'{{"positions": {{{text}}}, "latest_ms": {latest_ms}}}'.encode())


def test_what_is_missing_between_meta_records_is_noticed() -> None:
    whole = [meta(0, 1, intent=1), Record(2, 0, b"c1", b""), meta(3, 2, intent=2)]
    assert [each.is_whole for each in read_metas("ledger", whole)[0]] == [True, True]
    compacted = [meta(1, 1, intent=1), meta(4, 2, intent=2)]
    assert [each.is_whole for each in read_metas("ledger", compacted)[0]] == [False, False]


def test_a_batch_is_served_by_topic_and_offset() -> None:
    records = {topic: [Record(offset, offset, None, None) for offset in range(4)] for topic in ("no", "intent")}
    service = Service(PartitionLog(0, records), ("no", "intent"), ("no",), lambda *_: None, is_record_clock=False)
    metas, _ = read_metas("ledger", [meta(0, 10, no=2, intent=3), meta(2, 20, no=4, intent=3)])
    served = [[(each.topic, each.record.offset, each.now) for each in service.serve(one)] for one in metas]
    assert served[0] == [("no", 0, 10), ("no", 1, 10), ("intent", 0, 10), ("intent", 1, 10), ("intent", 2, 10)]
    assert served[1] == [("no", 2, 20), ("no", 3, 20)]
    assert [(topic, record.offset) for topic, record in service.rest()] == [("intent", 3)]


def test_under_the_record_clock_heads_are_merged_by_their_timestamps() -> None:
    records = {
        "no": [Record(0, 5, None, None), Record(1, 30, None, None)],
        "intent": [Record(0, 10, None, None), Record(1, 7, None, None), Record(2, 30, None, None)],
    }
    service = Service(PartitionLog(0, records), ("no", "intent"), ("no",), lambda *_: None, is_record_clock=True)
    [one], _ = read_metas("ledger", [meta(0, 30, no=2, intent=3)])
    served = [(each.topic, each.record.offset, each.now) for each in service.serve(one)]
    assert served == [("no", 0, 5), ("intent", 0, 10), ("intent", 1, 10), ("no", 1, 30), ("intent", 2, 30)]


def test_where_meta_records_are_missing_the_answers_tell_the_batches_apart() -> None:
    """A withdrawal at 20 says that the outcome had been applied before its cause; an intent was decided at 30."""
    topics = ("no", "outcome", "intent")
    records = {topic: [Record(offset, offset, None, None) for offset in range(2)] for topic in topics}
    said = {("no", 1): Stated(20, {"no": 1, "outcome": 1}), ("intent", 0): Stated(30, {"no": 2, "outcome": 1})}
    service = Service(
        PartitionLog(0, records),
        topics,
        ("no", "outcome"),
        lambda topic, offset: said.get((topic, offset)),
        is_record_clock=False,
    )
    [one], _ = read_metas("ledger", [meta(9, 40, no=2, outcome=2, intent=2)])
    served = [(each.topic, each.record.offset, each.now) for each in service.serve(one)]
    assert served == [
        *[("outcome", 0, 20), ("no", 0, 20), ("no", 1, 20)],
        *[("intent", 0, 30), ("intent", 1, 30)],
        ("outcome", 1, 40),
    ]
