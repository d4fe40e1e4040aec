"""Records that other clients can produce and aiokafka's own reader cannot read, or reads in another way."""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING, Any

import aiokafka
import orjson
import pytest
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder, _DefaultRecordBatchBuilderPy
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder
from aiokafka.structs import TopicPartition

from streams.exactly_once.changelog import META_KEY, Meta, encode_meta
from streams.exactly_once.errors import BatchUnreadableError
from streams.exactly_once.fetched_records import EntryPartitionRecords, FetchedPartitionRecords, FetchedRecords
from streams.exactly_once.record_batches import FetchedBatches, unpack_with_limits
from streams.exactly_once.restore import Restored
from tests.engine.harness import create, keys, load, publish, read, running
from tests.engine.toy import Greeter, Topics

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.exactly_once.interfaces import Batch, BatchResult
    from streams.records import Headers
    from streams.testing.broker import Broker

NAME = "~name~"
NOT_UTF8 = b"\xff\xfe\xfd\xfc\xfb\xfa"


class _StrangeNames(_DefaultRecordBatchBuilderPy):  # type: ignore[misc]
    """aiokafka's builder encodes names strictly; this one changes a name before it packs."""

    _buffer: bytearray

    def build(self) -> bytearray:
        self._buffer = self._buffer.replace(NAME.encode(), NOT_UTF8)
        packed: bytearray = super().build()
        return packed


def _fetched(fetched: bytes, position: int, reader: type[FetchedPartitionRecords]) -> FetchedPartitionRecords:
    records = PartitionRecords(
        TopicPartition("t", 0), FetchedBatches(fetched), None, position, None, None, True, READ_COMMITTED
    )
    records.__class__ = reader
    return records


def _read(fetched: bytes, position: int) -> list[FetchedRecords]:
    return list(_fetched(fetched, position, FetchedPartitionRecords)._unpack_records())


def _read_pairs(fetched: bytes, position: int) -> list[list[tuple[bytes | None, bytes | None]]]:
    return [entries.pairs() for entries in _fetched(fetched, position, EntryPartitionRecords)._unpack_records()]


def _batch(first_offset: int, count: int, builder: Callable[..., Any] = DefaultRecordBatchBuilder) -> bytes:
    made = builder(2, 0, 0, -1, -1, -1, 1_000_000)
    for offset in range(count):
        assert made.append(offset, 5, b"k", b"%d" % offset, [(NAME, b"v"), ("plain", None)])
    return first_offset.to_bytes(8, "big") + bytes(made.build())[8:]


def test_a_header_name_that_is_not_utf8_is_read_with_replacements() -> None:
    fetched = _batch(10, 2) + _batch(12, 3, _StrangeNames) + _batch(15, 1)
    before, strange, after = _read(fetched, 10)
    assert [record.offset for one in (before, strange, after) for record in one.records] == [10, 11, 12, 13, 14, 15]
    assert before.records[0].headers == after.records[0].headers == [(NAME, b"v"), ("plain", None)]
    assert strange.records[0].headers == [("\ufffd" * len(NOT_UTF8), b"v"), ("plain", None)]
    assert [record.value for record in strange.records] == [b"0", b"1", b"2"]
    assert strange.records[0].key == b"k"
    assert {type(part) for part in strange.records[0][3:5]} == {bytes}
    assert (strange.start_offset, strange.next_offset, strange.missing_count) == (12, 15, 0)


def test_a_fetch_may_begin_inside_such_a_batch() -> None:
    [one] = _read(_batch(12, 3, _StrangeNames), 13)
    assert [record.offset for record in one.records] == [13, 14]


@pytest.mark.parametrize("magic", [0, 1])
def test_batches_that_do_not_say_where_they_begin_are_read(magic: int) -> None:
    made = LegacyRecordBatchBuilder(magic, 0, 1_000_000)
    for offset in (7, 8):
        assert made.append(offset, 5 if magic else None, b"k", b"v")
    fetched = _read(bytes(made.build()), 5)
    assert [[record.offset for record in one.records] for one in fetched] == [[7], [8]]
    assert [one.missing_count for one in fetched] == [2, 0]


@pytest.mark.parametrize(("magic", "codec"), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (1, 3)])
def test_old_messages_of_nonsense_under_a_right_checksum_are_refused_or_read(magic: int, codec: int) -> None:
    """aiokafka's native reader ends the process on some of these."""
    chance = random.Random(7)
    unpack_with_limits()
    for _ in range(2_000):
        made = LegacyRecordBatchBuilder(magic, codec, 1_000_000)
        for offset in range(chance.randrange(1, 4)):
            assert made.append(offset, 5 if magic else None, b"key"[: chance.randrange(4)], b"value")
        packed = bytearray(made.build())
        for _ in range(chance.randrange(1, 4)):
            packed[chance.randrange(17, len(packed))] = chance.choice([0, 127, 128, 255, chance.randrange(256)])
        end = 12 + int.from_bytes(packed[8:12], "big")
        packed[12:16] = zlib.crc32(packed[16:end]).to_bytes(4, "big")
        fetched = _read(bytes(packed), 0)
        assert all(one.unreadable is None for one in fetched[:-1])


def test_a_restore_reads_such_batches_too_and_may_begin_inside_one() -> None:
    fetched = _batch(12, 3, _StrangeNames) + _batch(15, 1)
    assert _read_pairs(fetched, 13) == [[(b"k", b"1"), (b"k", b"2")], [(b"k", b"0")]]


@pytest.mark.parametrize("magic", [0, 1])
def test_a_restore_reads_batches_that_do_not_say_where_they_begin(magic: int) -> None:
    made = LegacyRecordBatchBuilder(magic, 0, 1_000_000)
    for offset in (7, 8):
        assert made.append(offset, 5 if magic else None, b"k", b"%d" % offset)
    assert _read_pairs(bytes(made.build()), 8) == [[(b"k", b"8")]]


def test_a_restore_refuses_a_batch_that_is_not_what_was_written() -> None:
    damaged = bytearray(_batch(12, 3))
    damaged[-1] ^= 1
    with pytest.raises(BatchUnreadableError, match=r"offset 12 of t-0 .* checksum"):
        _read_pairs(bytes(damaged), 12)


def test_of_a_changelog_the_latest_value_stays_and_what_was_deleted_does_not() -> None:
    restored = Restored()
    meta = encode_meta(Meta({"t": 1}))
    restored.apply([(b"ca", b"1"), (b"cb", b"1"), (META_KEY, meta), (None, b"lost"), (b"ca", b"2"), (b"cb", None)])
    restored.apply([(b"cc", b"1"), (b"cb", b"3"), (b"cc", None), (None, None), (META_KEY, None)])
    assert restored.store == {b"ca": b"2", b"cb": b"3"}
    assert restored.meta == Meta({"t": 1})
    assert restored.records == 11


class _KeepsHeaders(Greeter):
    """Remembers the headers it was given."""

    def __init__(self, topics: Topics) -> None:
        super().__init__(topics)
        self.headers: list[Headers] = []

    def apply(self, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        self.headers += [record.headers for record in batch.records if record.headers]
        return super().apply(batch, store)


@pytest.mark.parametrize("codec", [0, 1], ids=["plain", "gzip"])
async def test_a_header_name_that_is_not_utf8_stops_nobody(broker: Broker, topics: Topics, codec: int) -> None:
    create(broker, topics, 1)
    machine = _KeepsHeaders(topics)
    async with load(broker) as producer:
        await publish(producer, topics.intents, keys(3))
        await _send_strange(broker, topics.intents, codec)
        await publish(producer, topics.intents, keys(3))
        async with running(broker, topics, machine) as worker:
            await worker.until_decided(9)
    assert machine.headers == [[("\ufffd" * len(NOT_UTF8), b"v")]]
    answers = [orjson.loads(r.value or b"") for r in (await read(broker, topics.answers))[0]]
    assert [(answer["o"], answer["ok"]) for answer in answers] == [(offset, True) for offset in range(9)]


async def _send_strange(broker: Broker, topic: str, codec: int) -> None:
    """Three records, the one in the middle with such a header."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch._builder = _StrangeNames(2, codec, 0, -1, -1, 0, 100_000)
        for number in range(3):
            headers = [(NAME, b"v")] if number == 1 else []
            assert batch.append(timestamp=5, key=b"key-%d" % number, value=b"x", headers=headers)
        batch.close()
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()
