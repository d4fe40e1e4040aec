"""What the gate relies on in a broker, run on the embedded one and on Apache Kafka.

Where the embedded broker is weaker the test is a strict expected failure there, with the reason: a newer librdkafka
that can do more makes the suite fail until the limit is taken out. Found with librdkafka 2.16.0.
"""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    UnknownMemberIdError,
)
from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from streams.testing import raw_log
from streams.testing.waiting import wait_until_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from streams.testing.broker import Broker

DEADLINE_SECONDS = 30.0
CREATED_AT_MS = 1_767_607_200_000


class Clients:
    """Starts aiokafka clients of one broker and stops them at the end of the test."""

    def __init__(self, broker: Broker, stack: AsyncExitStack) -> None:
        self.bootstrap_servers = broker.bootstrap_servers
        # See test_markers_have_a_valid_checksum.
        self._check_crcs = not broker.is_embedded
        self._stack = stack

    async def producer(self, **options: object) -> AIOKafkaProducer:
        return await self.start(
            AIOKafkaProducer(
                bootstrap_servers=self.bootstrap_servers,
                acks="all",
                retry_backoff_ms=10,
                request_timeout_ms=10_000,
                **options,
            )
        )

    async def consumer(self, *topics: str, **options: object) -> AIOKafkaConsumer:
        defaults: dict[str, object] = {
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "fetch_max_wait_ms": 20,
            "retry_backoff_ms": 10,
            "isolation_level": "read_committed",
            "check_crcs": self._check_crcs,
        }
        consumer = AIOKafkaConsumer(*topics, bootstrap_servers=self.bootstrap_servers, **defaults | options)
        self._stack.push_async_callback(consumer.stop)
        await consumer.start()
        return consumer

    async def reader(self, topic: str, **options: object) -> AIOKafkaConsumer:
        """A consumer of partition 0 from its start, without a group."""
        consumer = await self.consumer(**options)
        source = TopicPartition(topic, 0)
        consumer.assign([source])
        await consumer.seek_to_beginning(source)
        return consumer

    async def values_until(self, topic: str, last: bytes, **options: object) -> list[bytes]:
        """The values of partition 0 up to one that is known to be there."""
        consumer = await self.reader(topic, **options)
        values: list[bytes] = []
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not values or values[-1] != last:
                values.append((await consumer.getone()).value)
        return values

    async def start(self, producer: AIOKafkaProducer) -> AIOKafkaProducer:
        self._stack.push_async_callback(producer.stop)
        await producer.start()
        return producer

    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.bootstrap_servers})


@pytest.fixture
async def clients(broker: Broker) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield Clients(broker, stack)


@pytest.fixture
def topic(broker: Broker, topic_prefix: str) -> str:
    name = topic_prefix + "topic"
    broker.create_topics([name], partitions=2)
    return name


async def send(producer: AIOKafkaProducer, topic: str, values: Iterable[bytes]) -> None:
    """Send to partition 0 and await every acknowledgement."""
    futures = [await producer.send(topic, value, partition=0) for value in values]
    await asyncio.gather(*futures)


# --- records ----------------------------------------------------------------------------------------------------------


async def test_a_record_comes_back_as_it_was_sent(clients: Clients, topic: str) -> None:
    producer = await clients.producer()
    headers = [("one", b"1"), ("one", b"again"), ("bytes", b"\x00\xff")]
    sent = await producer.send_and_wait(
        topic, b"value", key=b"k", partition=1, timestamp_ms=CREATED_AT_MS, headers=headers
    )
    consumer = await clients.consumer()
    consumer.assign([TopicPartition(topic, 1)])
    record = await consumer.getone()
    assert (record.partition, record.offset, record.key, record.value) == (1, sent.offset, b"k", b"value")
    assert record.timestamp == CREATED_AT_MS
    assert list(record.headers) == headers


async def test_key_and_value_may_be_null(clients: Clients, topic: str) -> None:
    producer = await clients.producer()
    await producer.send_and_wait(topic, None, key=b"tombstone", partition=0)
    await producer.send_and_wait(topic, b"", key=None, partition=0)
    consumer = await clients.reader(topic)
    found = [await consumer.getone(), await consumer.getone()]
    assert [(record.key, record.value) for record in found] == [(b"tombstone", None), (None, b"")]


async def test_a_topic_has_the_partitions_asked_for(broker: Broker, clients: Clients, topic_prefix: str) -> None:
    broker.create_topics([topic_prefix + "one"], partitions=1)
    broker.create_topics([topic_prefix + "twelve"], partitions=12)
    consumer = await clients.consumer(topic_prefix + "one", topic_prefix + "twelve")
    assert consumer.partitions_for_topic(topic_prefix + "one") == {0}
    assert consumer.partitions_for_topic(topic_prefix + "twelve") == set(range(12))


async def test_idempotent_records_keep_their_order(clients: Clients, topic: str) -> None:
    producer = await clients.producer(enable_idempotence=True, max_batch_size=512)
    values = [b"%d" % number for number in range(500)]
    await send(producer, topic, values)
    assert await clients.values_until(topic, values[-1]) == values


async def test_a_batch_of_records_is_stored_whole(clients: Clients, topic: str) -> None:
    producer = await clients.producer(enable_idempotence=True)
    batch = producer.create_batch()
    for number in range(50):
        batch.append(key=None, value=b"%d" % number, timestamp=CREATED_AT_MS)
    await (await producer.send_batch(batch, topic, partition=0))
    assert await clients.values_until(topic, b"49") == [b"%d" % number for number in range(50)]


# --- transactions -----------------------------------------------------------------------------------------------------


async def test_a_committed_transaction_is_read(clients: Clients, topic: str, topic_prefix: str) -> None:
    producer = await clients.producer(transactional_id=topic_prefix)
    async with producer.transaction():
        await send(producer, topic, [b"1", b"2"])
    async with producer.transaction():
        await send(producer, topic, [b"3"])
    assert await clients.values_until(topic, b"3") == [b"1", b"2", b"3"]


@pytest.mark.embedded_cannot("Fetch ignores the isolation level: open transactions are read")
async def test_an_open_transaction_is_not_read(clients: Clients, topic: str, topic_prefix: str) -> None:
    producer = await clients.producer(transactional_id=topic_prefix)
    await producer.begin_transaction()
    await send(producer, topic, [b"open"])
    assert await clients.values_until(topic, b"open", isolation_level="read_uncommitted") == [b"open"]
    consumer = await clients.reader(topic)
    assert await consumer.getmany(timeout_ms=300) == {}
    await producer.commit_transaction()
    assert (await consumer.getone()).value == b"open"


@pytest.mark.embedded_cannot("Fetch does not tell which transactions were aborted: their records are read")
async def test_an_aborted_transaction_is_never_read(clients: Clients, topic: str, topic_prefix: str) -> None:
    producer = await clients.producer(transactional_id=topic_prefix)
    await producer.begin_transaction()
    await send(producer, topic, [b"aborted"])
    await producer.abort_transaction()
    async with producer.transaction():
        await send(producer, topic, [b"committed"])
    assert await clients.values_until(topic, b"committed") == [b"committed"]


@pytest.mark.embedded_cannot("markers are written with checksum 0: aiokafka needs check_crcs=False to read past one")
async def test_markers_have_a_valid_checksum(clients: Clients, topic: str, topic_prefix: str) -> None:
    producer = await clients.producer(transactional_id=topic_prefix)
    async with producer.transaction():
        await send(producer, topic, [b"1"])
    plain = await clients.producer()
    await plain.send_and_wait(topic, b"2", partition=0)
    assert await clients.values_until(topic, b"2", check_crcs=True) == [b"1", b"2"]


async def test_end_of_a_transaction_leaves_a_marker(clients: Clients, topic: str, topic_prefix: str) -> None:
    producer = await clients.producer(transactional_id=topic_prefix)
    async with producer.transaction():
        await send(producer, topic, [b"1", b"2"])

    def log() -> raw_log.PartitionLog:
        return raw_log.read_logs(clients.bootstrap_servers, [topic], deadline_seconds=DEADLINE_SECONDS)[topic][0]

    await wait_until_async(lambda: log().batches[-1].is_marker, 5, "a marker after the transaction")
    found = log()
    assert (found.batches[-1].first_offset, found.end_offset) == (2, 3)
    assert found.first_hole() is None


@pytest.mark.embedded_cannot("a producer epoch is not checked: the older one goes on")
async def test_a_newer_producer_fences_the_older(clients: Clients, topic: str, topic_prefix: str) -> None:
    older = await clients.producer(transactional_id=topic_prefix)
    async with older.transaction():
        await send(older, topic, [b"before"])
    newer = await clients.producer(transactional_id=topic_prefix)
    with pytest.raises(ProducerFenced):
        async with older.transaction():
            await send(older, topic, [b"zombie"])
    async with newer.transaction():
        await send(newer, topic, [b"after"])
    assert await clients.values_until(topic, b"after") == [b"before", b"after"]


@pytest.mark.embedded_cannot("InitProducerId leaves the open transaction open")
async def test_a_newer_producer_ends_the_open_transaction_of_the_older(
    clients: Clients, topic: str, topic_prefix: str
) -> None:
    older = await clients.producer(transactional_id=topic_prefix)
    await older.begin_transaction()
    await send(older, topic, [b"left open"])
    newer = await clients.producer(transactional_id=topic_prefix)
    async with newer.transaction():
        await send(newer, topic, [b"after"])
    assert await clients.values_until(topic, b"after") == [b"after"]
    with pytest.raises(KafkaError):
        await older.commit_transaction()


@pytest.mark.embedded_cannot("transactions have no timeout")
async def test_a_transaction_left_open_is_aborted_after_its_timeout(
    clients: Clients, topic: str, topic_prefix: str
) -> None:
    producer = await clients.producer(transactional_id=topic_prefix, transaction_timeout_ms=1_000)
    await producer.begin_transaction()
    await send(producer, topic, [b"left open"])
    plain = await clients.producer()
    await plain.send_and_wait(topic, b"behind it", partition=0)
    assert await clients.values_until(topic, b"behind it") == [b"behind it"]


# --- offsets ----------------------------------------------------------------------------------------------------------


async def test_list_offsets_counts_what_was_acknowledged(clients: Clients, topic: str) -> None:
    producer = await clients.producer()
    consumer = await clients.consumer(isolation_level="read_uncommitted")
    source = TopicPartition(topic, 0)
    for count in range(1, 20):
        await producer.send_and_wait(topic, b"%d" % count, partition=0)
        assert await consumer.end_offsets([source]) == {source: count}
    assert await consumer.beginning_offsets([source]) == {source: 0}


@pytest.mark.embedded_cannot("ListOffsets ignores the isolation level")
async def test_list_offsets_counts_open_transactions_unless_committed_is_asked(
    clients: Clients, topic: str, topic_prefix: str
) -> None:
    producer = await clients.producer(transactional_id=topic_prefix)
    source = TopicPartition(topic, 0)
    await producer.begin_transaction()
    await send(producer, topic, [b"open"])
    everything = await clients.consumer(isolation_level="read_uncommitted")
    committed = await clients.consumer(isolation_level="read_committed")
    assert await everything.end_offsets([source]) == {source: 1}
    assert await committed.end_offsets([source]) == {source: 0}
    await producer.abort_transaction()


@pytest.mark.embedded_cannot("ListOffsets knows only the first and the last offset")
async def test_list_offsets_finds_the_first_record_at_a_time(clients: Clients, topic: str) -> None:
    producer = await clients.producer()
    for step in range(3):
        await producer.send_and_wait(topic, b"", partition=0, timestamp_ms=CREATED_AT_MS + step * 1_000)
    consumer = await clients.consumer()
    source = TopicPartition(topic, 0)
    found = await consumer.offsets_for_times({source: CREATED_AT_MS + 1_000})
    assert found[source] is not None
    assert found[source].offset == 1


@pytest.mark.embedded_cannot("TxnOffsetCommit is answered but nothing is stored")
async def test_offsets_travel_in_the_transaction(clients: Clients, topic: str, topic_prefix: str) -> None:
    producer = await clients.producer(transactional_id=topic_prefix)
    consumer = await clients.consumer(topic, group_id=topic_prefix)
    source = TopicPartition(topic, 0)
    async with producer.transaction():
        await send(producer, topic, [b"1"])
        await producer.send_offsets_to_transaction({source: 1}, topic_prefix)
    await wait_until_async(lambda: _committed(consumer, source, 1), 3, "the committed offset")
    await producer.begin_transaction()
    await send(producer, topic, [b"2"])
    await producer.send_offsets_to_transaction({source: 2}, topic_prefix)
    await producer.abort_transaction()
    async with producer.transaction():  # ends after the abort, so that the abort is over
        await send(producer, topic, [b"3"])
    assert await consumer.committed(source) == 1


async def _committed(consumer: AIOKafkaConsumer, source: TopicPartition, offset: int) -> bool:
    return bool(await consumer.committed(source) == offset)


@pytest.mark.embedded_cannot("TxnOffsetCommit does not check the generation")
async def test_offsets_of_an_older_generation_are_refused(clients: Clients, topic: str, topic_prefix: str) -> None:
    fencing = pytest.importorskip("streams.exactly_once.fencing")
    settings = pytest.importorskip("streams.exactly_once.settings")
    interfaces = pytest.importorskip("streams.exactly_once.interfaces")
    member, assignments = await _join(clients, topic, topic_prefix)
    await wait_until_async(lambda: len(assignments.now) == 2, DEADLINE_SECONDS, "an assignment")
    generation, member_id = member._coordinator.generation, member._coordinator.member_id
    inputs = (interfaces.InputTopic(topic, rank=0, barrier=False),)
    engine = settings.EngineSettings(
        bootstrap_servers=clients.bootstrap_servers, input_topics=inputs, application_id=topic_prefix
    )
    producer = await clients.start(fencing.FencedProducer(engine, topic_prefix))
    source = TopicPartition(topic, 0)
    producer.act_for(fencing.Membership(generation, member_id))
    async with producer.transaction():
        await send(producer, topic, [b"current"])
        await producer.send_offsets_to_transaction({source: 1}, topic_prefix)
    producer.act_for(fencing.Membership(generation - 1, member_id))
    with pytest.raises(KafkaError):
        async with producer.transaction():
            await send(producer, topic, [b"outdated"])
            await producer.send_offsets_to_transaction({source: 2}, topic_prefix)
    await wait_until_async(
        lambda: _committed(member, source, 1), DEADLINE_SECONDS, "the offset of the first transaction"
    )


async def test_log_start_moves_and_an_older_position_is_out_of_range(
    broker: Broker, clients: Clients, topic: str
) -> None:
    producer = await clients.producer()
    for number in range(10):
        await producer.send_and_wait(topic, b"%d" % number, partition=0)
    source = TopicPartition(topic, 0)
    _delete_records(broker, topic, 0, before_offset=4)
    consumer = await clients.consumer()
    assert await consumer.beginning_offsets([source]) == {source: 4}
    consumer.assign([source])
    consumer.seek(source, 1)
    assert (await consumer.getone()).offset == 4  # by auto_offset_reset=earliest: silently past what is gone


def _delete_records(broker: Broker, topic: str, partition: int, *, before_offset: int) -> None:
    from confluent_kafka import TopicPartition as Position

    from streams.testing.embedded_broker import EmbeddedBroker

    if isinstance(broker, EmbeddedBroker):
        broker.delete_records(topic, partition, before_offset=before_offset)
        return
    client = AdminClient({"bootstrap.servers": broker.bootstrap_servers})
    for future in client.delete_records([Position(topic, partition, before_offset)]).values():
        future.result()


# --- groups -----------------------------------------------------------------------------------------------------------


class Assignments(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self) -> None:
        self.now: set[int] = set()
        self.revocations = 0

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        self.revocations += 1
        self.now = set()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        self.now = {source.partition for source in assigned}


async def _join(clients: Clients, topic: str, group: str) -> tuple[AIOKafkaConsumer, Assignments]:
    # The embedded broker waits for the session timeout, less one second, in each rebalance of a group with members.
    consumer = await clients.consumer(group_id=group, heartbeat_interval_ms=100, session_timeout_ms=1_500)
    assignments = Assignments()
    consumer.subscribe([topic], listener=assignments)
    return consumer, assignments


@pytest.mark.embedded_cannot("a member that syncs after its leader is refused: two aiokafka members never share")
async def test_a_group_shares_its_partitions_and_takes_them_over(
    broker: Broker, clients: Clients, topic_prefix: str
) -> None:
    broker.create_topics([topic_prefix + "shared"], partitions=8)
    _, one = await _join(clients, topic_prefix + "shared", topic_prefix)
    await wait_until_async(lambda: len(one.now) == 8, DEADLINE_SECONDS, "one member has everything")
    second, two = await _join(clients, topic_prefix + "shared", topic_prefix)

    async def is_shared() -> bool:
        await second.getmany()  # raises what ended its membership
        return len(one.now) == 4 and one.now | two.now == set(range(8))

    await wait_until_async(is_shared, DEADLINE_SECONDS, "two members share")
    await second.stop()
    await wait_until_async(lambda: len(one.now) == 8, DEADLINE_SECONDS, "what was left is taken over")
    assert one.revocations >= 2


def _librdkafka_member(broker: Broker, group: str, topic: str) -> Consumer:
    consumer = Consumer(
        {
            "bootstrap.servers": broker.bootstrap_servers,
            "group.id": group,
            "session.timeout.ms": 1_500,
            "heartbeat.interval.ms": 100,
        }
    )
    consumer.subscribe([topic])
    return consumer


def _shares(*members: Consumer) -> list[int]:
    for member in members:
        member.poll(0)  # rebalances happen inside
    return [len(member.assignment()) for member in members]


async def test_a_group_of_librdkafka_members_shares_its_partitions(broker: Broker, topic_prefix: str) -> None:
    broker.create_topics([topic_prefix + "shared"], partitions=8)

    one, two = (_librdkafka_member(broker, topic_prefix, topic_prefix + "shared") for _ in range(2))
    try:
        await wait_until_async(lambda: _shares(one, two) == [4, 4], DEADLINE_SECONDS, "two members share")
        two.close()
        await wait_until_async(lambda: _shares(one) == [8], DEADLINE_SECONDS, "what was left is taken over")
    finally:
        one.close()


_MEMBER = """
import sys
from confluent_kafka import Consumer
servers, group, topic = sys.argv[1:]
consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "session.timeout.ms": 1500})
consumer.subscribe([topic], on_assign=lambda *_: print("assigned", flush=True))
while True:
    consumer.poll(1)
"""


async def test_a_killed_member_is_replaced_after_its_session(broker: Broker, topic: str, topic_prefix: str) -> None:
    killed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _MEMBER, broker.bootstrap_servers, topic_prefix, topic), stdout=asyncio.subprocess.PIPE
    )
    assert killed.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await killed.stdout.readline() == b"assigned\n"
    finally:
        killed.kill()
        await killed.wait()
    survivor = _librdkafka_member(broker, topic_prefix, topic)
    try:
        await wait_until_async(lambda: _shares(survivor) == [2], DEADLINE_SECONDS, "the survivor has everything")
    finally:
        survivor.close()


async def test_committed_offsets_are_given_back(clients: Clients, topic: str, topic_prefix: str) -> None:
    producer = await clients.producer()
    await send(producer, topic, [b"1", b"2", b"3"])
    first, _ = await _join(clients, topic, topic_prefix)
    source = TopicPartition(topic, 0)
    assert (await first.getone()).value == b"1"
    await first.commit({source: 1})
    await first.stop()
    second, _ = await _join(clients, topic, topic_prefix)
    record = await second.getone()
    assert (record.partition, record.value) == (0, b"2")


async def test_a_commit_of_an_older_generation_is_refused(clients: Clients, topic: str, topic_prefix: str) -> None:
    first, one = await _join(clients, topic, topic_prefix)
    await wait_until_async(lambda: len(one.now) == 2, DEADLINE_SECONDS, "one member has everything")
    first._coordinator.generation -= 1
    with pytest.raises((IllegalGenerationError, CommitFailedError, UnknownMemberIdError)):
        await first.commit({TopicPartition(topic, 0): 1})
    first._coordinator.generation += 1  # so that it can leave in good order


# --- topics -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def admin(clients: Clients) -> AdminClient:
    return clients.admin()


@pytest.mark.embedded_cannot("there is no CreateTopics")
async def test_topics_can_be_created_by_request(admin: AdminClient, topic_prefix: str) -> None:
    for future in admin.create_topics([NewTopic(topic_prefix + "new", 3, 1)], request_timeout=10).values():
        future.result()
    assert topic_prefix + "new" in admin.list_topics(timeout=10).topics


async def test_creating_a_topic_again_is_refused(broker: Broker, topic: str) -> None:
    from streams.testing.errors import RefusedError

    with pytest.raises(RefusedError):
        broker.create_topics([topic])


@pytest.mark.embedded_cannot("asking for metadata creates a topic of 4 partitions")
async def test_asking_for_a_topic_does_not_create_it(admin: AdminClient, topic_prefix: str) -> None:
    found = admin.list_topics(topic_prefix + "unheard-of", timeout=10).topics[topic_prefix + "unheard-of"]
    assert found.error is not None


@pytest.mark.embedded_cannot("there is no DescribeConfigs, and topics have no settings")
async def test_settings_can_be_read(broker: Broker, admin: AdminClient, topic_prefix: str) -> None:
    name = topic_prefix + "compacted"
    broker.create_topics([name], config={"cleanup.policy": "compact"})
    [future] = admin.describe_configs([ConfigResource(ResourceType.TOPIC, name)], request_timeout=10).values()
    try:
        config = future.result()
    except KafkaException as error:
        pytest.fail(str(error))
    assert config["cleanup.policy"].value == "compact"


@pytest.mark.embedded_cannot("records always keep their producer's time")
async def test_append_time_is_the_brokers(broker: Broker, clients: Clients, topic_prefix: str) -> None:
    name = topic_prefix + "appended"
    broker.create_topics([name], config={"message.timestamp.type": "LogAppendTime"})
    producer = await clients.producer()
    before_ms = int(time.time() * 1000)
    sent = await producer.send_and_wait(name, b"", partition=0, timestamp_ms=CREATED_AT_MS)
    after_ms = int(time.time() * 1000)
    record = await (await clients.reader(name)).getone()
    assert before_ms <= record.timestamp <= after_ms
    assert sent.timestamp == record.timestamp
    assert record.timestamp_type == 1


@pytest.mark.embedded_cannot("acknowledgements carry the timestamp 1234")
async def test_the_acknowledgement_tells_the_records_time(clients: Clients, topic: str) -> None:
    producer = await clients.producer()
    sent = await producer.send_and_wait(topic, b"", partition=0, timestamp_ms=CREATED_AT_MS)
    assert sent.timestamp == CREATED_AT_MS


@pytest.mark.embedded_cannot("topics have no settings")
async def test_a_record_over_the_topics_limit_is_refused(broker: Broker, clients: Clients, topic_prefix: str) -> None:
    name = topic_prefix + "small"
    broker.create_topics([name], config={"max.message.bytes": "1000"})
    producer = await clients.producer()
    await producer.send_and_wait(name, b"x" * 500, partition=0)
    with pytest.raises(MessageSizeTooLargeError):
        await producer.send_and_wait(name, b"x" * 2_000, partition=0)


@pytest.mark.embedded_cannot("a partition keeps 5 MiB and drops the oldest records")
async def test_everything_published_is_kept(clients: Clients, topic: str) -> None:
    producer = await clients.producer(max_batch_size=500_000, linger_ms=5)
    for number in range(16):
        await producer.send_and_wait(topic, b"%d" % number + b"x" * 500_000, partition=0)
    consumer = await clients.consumer()
    source = TopicPartition(topic, 0)
    assert await consumer.beginning_offsets([source]) == {source: 0}
    assert await consumer.end_offsets([source]) == {source: 16}
