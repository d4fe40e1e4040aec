"""Publishing exactly once, reading to the end, and telling a hole from a transaction marker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaProducer, structs
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.testing.embedded_broker import EmbeddedBroker
from streams.testing.errors import DeadlineError, OffsetGapError, RefusedError
from streams.testing.fake_clock import DEFAULT_NOW_MS, FakeClock
from streams.testing.kafka_io import publish, read_topic
from streams.testing.raw_log import PartitionLog, StoredBatch, read_logs
from streams.testing.records import OutgoingRecord, intent, murmur2_partition, outcome, preference
from streams.testing.waiting import wait_until, wait_until_async

if TYPE_CHECKING:
    from streams.testing.broker import Broker


@pytest.fixture
def topic(broker: Broker, topic_prefix: str) -> str:
    broker.create_topics([topic_prefix + "topic"], partitions=4)
    return topic_prefix + "topic"


def test_everything_published_is_read_where_murmur2_puts_it(broker: Broker, topic: str) -> None:
    sent = [intent(f"customer-{number % 97}", f"i{number}", to=topic) for number in range(5_000)]
    assert publish(broker.bootstrap_servers, iter(sent)) == 5_000
    found = read_topic(broker.bootstrap_servers, topic, refuse_gaps=True)
    assert sorted(record.value or b"" for record in found) == sorted(record.value or b"" for record in sent)
    for record in found:
        assert record.partition == murmur2_partition(record.key or b"", 4)
        assert record.timestamp_ms == DEFAULT_NOW_MS
    by_customer = [record.value for record in found if record.key == b"customer-7"]
    assert by_customer == [record.value for record in sent if record.key == b"customer-7"]


def test_headers_nulls_and_a_chosen_partition(broker: Broker, topic: str) -> None:
    publish(broker.bootstrap_servers, [OutgoingRecord(topic, b"k", None, 7, [("h", b"\xff"), ("h", b"")], partition=3)])
    [found] = read_topic(broker.bootstrap_servers, topic)
    assert found == (topic, 3, 0, 7, b"k", None, (("h", b"\xff"), ("h", b"")))


def test_several_topics_are_read_at_once(broker: Broker, topic: str, topic_prefix: str) -> None:
    broker.create_topics([topic_prefix + "empty"])
    publish(broker.bootstrap_servers, [intent("c", "i", to=topic)])
    assert len(read_topic(broker.bootstrap_servers, topic, topic_prefix + "empty")) == 1


@pytest.mark.kafka
def test_a_record_the_broker_refuses_is_told(real_kafka: Broker, topic_prefix: str) -> None:
    name = topic_prefix + "small"
    real_kafka.create_topics([name], partitions=1, config={"max.message.bytes": "200"})
    records = [OutgoingRecord(name, None, b"x" * size, 0) for size in (10, 1_000, 20)]
    with pytest.raises(RefusedError, match=r"of 3 records were not published"):
        publish(real_kafka.bootstrap_servers, records, options={"batch.num.messages": 1, "message.send.max.retries": 1})


@pytest.mark.kafka
def test_a_topic_that_is_not_there_is_told(real_kafka: Broker, topic_prefix: str) -> None:
    with pytest.raises(RefusedError, match="Unknown topic"):
        read_topic(real_kafka.bootstrap_servers, topic_prefix + "unheard-of")
    with pytest.raises(RefusedError, match="no such topic"):
        read_topic(real_kafka.bootstrap_servers, topic_prefix + "unheard-of", refuse_gaps=True)


@pytest.mark.kafka
async def test_aborted_records_are_left_out_and_markers_are_no_gap(real_kafka: Broker, topic_prefix: str) -> None:
    name = topic_prefix + "topic"
    real_kafka.create_topics([name], partitions=1)
    producer = AIOKafkaProducer(bootstrap_servers=real_kafka.bootstrap_servers, transactional_id=topic_prefix)
    await producer.start()
    try:
        for value in (b"1", b"aborted", b"2"):
            await producer.begin_transaction()
            await producer.send_and_wait(name, value, partition=0)
            await (producer.abort_transaction() if value == b"aborted" else producer.commit_transaction())
    finally:
        await producer.stop()

    def committed() -> list[tuple[int, bytes | None]]:
        return [(r.offset, r.value) for r in read_topic(real_kafka.bootstrap_servers, name, refuse_gaps=True)]

    # The last marker is written after the commit was acknowledged.
    await wait_until_async(lambda: asyncio.to_thread(lambda: len(committed()) == 2), 5, "the last commit's marker")
    assert committed() == [(0, b"1"), (4, b"2")]
    everything = await asyncio.to_thread(
        read_topic, real_kafka.bootstrap_servers, name, isolation="read_uncommitted", refuse_gaps=True
    )
    assert [record.value for record in everything] == [b"1", b"aborted", b"2"]
    log = read_logs(real_kafka.bootstrap_servers, [name], deadline_seconds=10)[name][0]
    assert [batch.is_marker for batch in log.batches] == [False, True] * 3
    assert [batch.commits for batch in log.batches if batch.is_marker] == [True, False, True]
    [producer_id] = {batch.producer_id for batch in log.batches}
    assert producer_id >= 0
    since = {structs.TopicPartition(name, 0): log.batches[2].first_offset}
    later = read_logs(real_kafka.bootstrap_servers, [name], deadline_seconds=10, since=since)[name][0]
    assert later.batches == log.batches[2:]


def test_records_deleted_at_the_start_are_a_gap(broker: Broker, topic: str) -> None:
    publish(broker.bootstrap_servers, [OutgoingRecord(topic, None, b"%d" % n, 0, partition=1) for n in range(10)])
    read_topic(broker.bootstrap_servers, topic, refuse_gaps=True)
    if isinstance(broker, EmbeddedBroker):
        broker.delete_records(topic, 1, before_offset=4)
    else:
        client = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
        [future] = client.delete_records([TopicPartition(topic, 1, 4)]).values()
        future.result()
    assert [r.value for r in read_topic(broker.bootstrap_servers, topic)][-1] == b"9"
    with pytest.raises(OffsetGapError, match=r"\[1\]: 4 offsets are missing from 0 on"):
        read_topic(broker.bootstrap_servers, topic, refuse_gaps=True)


@pytest.mark.parametrize(
    ("log", "hole"),
    [
        (PartitionLog(0, 0, []), None),
        (PartitionLog(0, 3, [StoredBatch(0, 1, is_marker=False), StoredBatch(2, 2, is_marker=True)]), None),
        (PartitionLog(2, 3, [StoredBatch(0, 2, is_marker=False)]), (0, 2)),
        (PartitionLog(0, 9, [StoredBatch(0, 3, is_marker=False), StoredBatch(6, 8, is_marker=False)]), (4, 2)),
        (PartitionLog(0, 9, [StoredBatch(0, 3, is_marker=False)]), (4, 5)),
    ],
)
def test_where_a_log_has_a_hole(log: PartitionLog, hole: tuple[int, int] | None) -> None:
    assert log.first_hole() == hole


def test_a_broker_that_does_not_answer_ends_the_reading() -> None:
    with EmbeddedBroker(partitions=1) as broker:
        broker.create_topics(["topic"])
        publish(broker.bootstrap_servers, [intent("c", "i", to="topic")])
        broker.set_round_trip(2_000)
        with pytest.raises(DeadlineError):
            read_topic(broker.bootstrap_servers, "topic", refuse_gaps=True, deadline_seconds=0.5)


def test_a_failed_produce_request_is_tried_again() -> None:
    with EmbeddedBroker(partitions=1) as broker:
        broker.create_topics(["topic"])
        broker.fail_requests(0, [7, 7])  # Produce: REQUEST_TIMED_OUT, twice
        assert publish(broker.bootstrap_servers, [intent("c", f"i{n}", to="topic") for n in range(100)]) == 100
        assert len(read_topic(broker.bootstrap_servers, "topic", refuse_gaps=True)) == 100


def test_what_was_stored_outlives_an_outage() -> None:
    with EmbeddedBroker(partitions=1) as broker:
        broker.create_topics(["topic"])
        publish(broker.bootstrap_servers, [intent("c", "i", to="topic")])
        broker.go_down()
        broker.come_up()
        assert len(read_topic(broker.bootstrap_servers, "topic")) == 1


def test_builders_leave_out_what_is_not_given() -> None:
    assert intent("c", "i").value == (b'{"intent_id":"i","customer_id":"c","channel":"sms","created_at":1767607200000}')
    assert preference("c", "e", channel="sms").value == (
        b'{"event_id":"e","customer_id":"c","type":"opt_out","channel":"sms"}'
    )
    assert outcome("c", "d" * 24, occurred_at=5) == (
        "contact-outcome",
        b"c",
        b'{"customer_id":"c","type":"delivered","occurred_at":5,"decision_id":"dddddddddddddddddddddddd"}',
        5,
        (),
        None,
    )
    assert b"decision_id" not in (outcome("c", None, "reply", channel="sms").value or b"")
    assert intent("c", "i", topic="news", to="urgent-intent").topic == "urgent-intent"


def test_murmur2_is_javas() -> None:
    # From the tests of Apache Kafka's own Utils.murmur2.
    for key, expected in ((b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)):
        assert murmur2_partition(key, 1_000) == (expected & 0x7FFF_FFFF) % 1_000


def test_the_clock_moves_only_when_told() -> None:
    clock = FakeClock(1_000)
    assert clock.now_ms() == clock.now_ms() == 1_000
    assert clock.advance(days=1, hours=1, minutes=1, seconds=1, milliseconds=1) == 90_062_001
    with pytest.raises(ValueError, match="forward"):
        clock.advance(seconds=-1)
    clock.set(5)
    assert clock.now_ms() == 5


async def test_waiting_says_what_for() -> None:
    looks = iter([0, 0, 3])
    assert wait_until(lambda: next(looks), 5, "a number") == 3
    with pytest.raises(DeadlineError, match=r"0\.05 s: pigs fly"):
        wait_until(lambda: False, 0.05, "pigs fly")

    async def never() -> bool:
        return False

    await wait_until_async(lambda: True, 0, "now")
    with pytest.raises(DeadlineError, match="pigs fly"):
        await wait_until_async(never, 0.05, "pigs fly")
