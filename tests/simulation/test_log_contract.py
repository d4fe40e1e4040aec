# ruff: noqa: ANN401 - what both benches have in common is a protocol, and fixtures are functions
"""One suite for the simulated broker and for Apache Kafka, through the clients that the engine uses.

Each contract is written once and run on both; what the simulation relies on and no contract holds would be an
invention. Waiting is for conditions: on the simulated broker time passes by itself, on Apache Kafka really.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from contextlib import AsyncExitStack
from random import Random
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import InvalidTimestampError, KafkaError, MessageSizeTooLargeError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.exactly_once.clients import KafkaClients
from streams.exactly_once.fencing import NO_MEMBERSHIP, Membership
from streams.exactly_once.interfaces import InputTopic
from streams.exactly_once.offsets import OffsetClient
from streams.exactly_once.settings import EngineSettings
from tests.simulation.broker import SimulatedBroker
from tests.simulation.clients import SimulatedClients
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.network import Network

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streams.exactly_once.clients import Clients, TransactionalProducer
    from streams.testing.broker import Broker

DEADLINE_SECONDS = 60.0
TRANSACTION_SECONDS = 2.0
SMALL_BYTES = 500
AHEAD_LIMIT_MS = 3_600_000
"""Apache Kafka's own, since 4.0."""
LOG_APPEND_TIME = 1


class Bench(Protocol):
    """A broker with one partitioned log, one small one, and a group."""

    clients: Clients
    log: TopicPartition
    small: TopicPartition
    group: str

    async def member(self) -> Membership: ...

    async def committed(self, where: TopicPartition) -> int | None: ...

    async def delete_before(self, where: TopicPartition, offset: int) -> None: ...


class SimulatedBench:
    def __init__(self, loop: SimulatedLoop, process: Process) -> None:
        random = Random(0)
        self.log, self.small, self.group = TopicPartition("log", 0), TopicPartition("small", 0), "group"
        self._network = Network(loop, random, slow_share=0.1, stuck_share=0.0)
        self._broker = SimulatedBroker(loop, random, ("log", "small"), 1, base_ms=0)
        self._broker.batch_limits["small"] = SMALL_BYTES
        self._broker.ahead_limits_ms["small"] = AHEAD_LIMIT_MS
        self.clients: Clients = SimulatedClients(
            self._network, self._broker, process, random, transaction_timeout_seconds=TRANSACTION_SECONDS
        )

    async def member(self) -> Membership:
        generation, member, _ = await self._broker.join(None)
        return Membership(generation, member)

    async def committed(self, where: TopicPartition) -> int | None:
        return self._broker.group_offsets.get(where)

    async def delete_before(self, where: TopicPartition, offset: int) -> None:
        self._broker.logs[where].delete_before(offset)


class KafkaBench:
    def __init__(self, broker: Broker, stack: AsyncExitStack) -> None:
        name = f"contract-{uuid.uuid4().hex[:12]}"
        self.log, self.small, self.group = TopicPartition(f"{name}-log", 0), TopicPartition(f"{name}-small", 0), name
        broker.create_topics([self.log.topic], partitions=1, config={"message.timestamp.type": "LogAppendTime"})
        small = {"max.message.bytes": str(SMALL_BYTES), "message.timestamp.after.max.ms": str(AHEAD_LIMIT_MS)}
        broker.create_topics([self.small.topic], partitions=1, config=small)
        self._broker, self._stack = broker, stack
        settings = EngineSettings(
            bootstrap_servers=broker.bootstrap_servers,
            input_topics=(InputTopic(self.log.topic, 0, barrier=False),),
            application_id=name,
            changelog_topic=self.log.topic,
            transaction_timeout_ms=int(TRANSACTION_SECONDS * 1000),
        )
        self.clients: Clients = KafkaClients(settings)

    async def _consumer(self, *topics: str) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            *topics,
            bootstrap_servers=self._broker.bootstrap_servers,
            group_id=self.group,
            enable_auto_commit=False,
        )
        self._stack.push_async_callback(consumer.stop)
        await consumer.start()
        return consumer

    async def member(self) -> Membership:
        coordinator = (await self._consumer(self.log.topic))._coordinator
        await until(lambda: _is(coordinator.generation >= 0), "a generation")
        return Membership(coordinator.generation, coordinator.member_id)

    async def committed(self, where: TopicPartition) -> int | None:
        offset: int | None = await (await self._consumer()).committed(where)
        return offset

    async def delete_before(self, where: TopicPartition, offset: int) -> None:
        from confluent_kafka import TopicPartition as Position
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self._broker.bootstrap_servers})
        for future in admin.delete_records([Position(where.topic, where.partition, offset)]).values():
            await asyncio.get_running_loop().run_in_executor(None, future.result)


async def _is(value: bool) -> bool:
    return value


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                if await condition():
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None


@pytest.fixture(params=["simulated", pytest.param("kafka", marks=pytest.mark.kafka)])
def holds(request: pytest.FixtureRequest) -> Callable[[Callable[[Any], Awaitable[None]]], None]:
    """Runs a contract on one of the two brokers."""
    if request.param == "kafka":
        broker: Broker = request.getfixturevalue("real_kafka")

        async def on_kafka(contract: Callable[[Bench], Awaitable[None]]) -> None:
            async with AsyncExitStack() as stack:
                await contract(KafkaBench(broker, stack))

        return lambda contract: asyncio.run(on_kafka(contract))
    return _on_simulation


def _on_simulation(contract: Callable[[Bench], Awaitable[None]]) -> None:
    loop = SimulatedLoop()
    process = Process(loop, "contract")

    async def work() -> None:
        await contract(SimulatedBench(loop, process))

    task = process.start(work())
    assert loop.run(task.done, until=10 * DEADLINE_SECONDS), "the contract never ended"
    task.result()


# --- what contracts are made of ---------------------------------------------------------------------------------------


async def send(producer: TransactionalProducer, where: TopicPartition, *values: bytes, timestamp_ms: int = 0) -> Any:
    """Send as one batch and wait for its acknowledgement."""
    batch = producer.create_batch()
    for value in values:
        batch.append(timestamp=timestamp_ms, key=b"k", value=value, headers=[])
    batch.close()
    return await (await producer.send_batch(batch, where.topic, partition=where.partition))


async def ends(bench: Bench, where: TopicPartition) -> tuple[int, int]:
    """Log start and high watermark, as the engine asks for them."""
    offsets = OffsetClient(bench.clients, lambda _: None)
    await offsets.start()
    try:
        starts, marks = await offsets.starts([where]), await offsets.ends([where])
    finally:
        await offsets.stop()
    assert starts is not None
    assert marks is not None
    return starts[where], marks[where]


class Reader:
    """Reads committed values and remembers them."""

    def __init__(self, bench: Bench, where: TopicPartition) -> None:
        self._bench, self._where = bench, where
        self._reader: Any = None
        self.values: list[bytes | None] = []
        self.position = 0

    async def look(self) -> None:
        """One look at what there is."""
        if self._reader is None:
            self._reader = await self._bench.clients.changelog_reader([self._where])
        found = await self._reader.getmany(self._where, timeout_ms=300)
        for entries in found.get(self._where, ()):
            self.values += [value for _, value in entries.pairs()]
        self.position = await self._reader.position(self._where)

    async def until_at(self, position: int) -> list[bytes | None]:
        """Everything up to a position."""

        async def is_there() -> bool:
            await self.look()
            return self.position >= position

        try:
            await until(is_there, f"position {position}")
        finally:
            await self.stop()
        return self.values

    async def stop(self) -> None:
        """Disconnect."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.stop()


async def read_to_end(bench: Bench) -> list[bytes | None]:
    """Committed values of the log up to its high watermark."""
    return await Reader(bench, bench.log).until_at((await ends(bench, bench.log))[1])


# --- records and transactions -----------------------------------------------------------------------------------------


def test_a_marker_takes_an_offset_of_its_own(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        producer = await bench.clients.producer(bench.group)
        await producer.begin_transaction()
        acknowledged = await send(producer, bench.log, b"1", b"2")
        assert acknowledged.offset == 0
        assert await ends(bench, bench.log) == (0, 2)
        await producer.commit_transaction()

        async def has_marker() -> bool:
            return await ends(bench, bench.log) == (0, 3)

        await until(has_marker, "the marker")
        assert await read_to_end(bench) == [b"1", b"2"]
        await producer.stop()

    holds(contract)


def test_what_is_aborted_is_passed_without_being_seen(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        producer = await bench.clients.producer(bench.group)
        await producer.begin_transaction()
        await send(producer, bench.log, b"aborted")
        await producer.abort_transaction()
        await producer.begin_transaction()
        await send(producer, bench.log, b"committed")
        await producer.commit_transaction()
        assert await read_to_end(bench) == [b"committed"]
        await producer.stop()

    holds(contract)


def test_an_open_transaction_holds_back_what_others_commit_behind_it(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        slow = await bench.clients.producer(bench.group + "-slow")
        quick = await bench.clients.producer(bench.group + "-quick")
        await slow.begin_transaction()
        await send(slow, bench.log, b"slow")
        await quick.begin_transaction()
        await send(quick, bench.log, b"quick")
        await quick.commit_transaction()
        reader = Reader(bench, bench.log)
        await reader.look()
        assert (reader.position, reader.values) == (0, [])
        await reader.stop()
        await slow.commit_transaction()
        assert await read_to_end(bench) == [b"slow", b"quick"]
        await slow.stop()
        await quick.stop()

    holds(contract)


def test_a_new_producer_of_an_id_ends_what_the_old_one_left_and_fences_it(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        old = await bench.clients.producer(bench.group)
        await old.begin_transaction()
        await send(old, bench.log, b"left open")
        new = await bench.clients.producer(bench.group)
        await new.begin_transaction()
        await send(new, bench.log, b"new")
        await new.commit_transaction()
        with pytest.raises(ProducerFenced):
            await send(old, bench.log, b"late")
        assert await read_to_end(bench) == [b"new"]
        await old.stop()
        await new.stop()

    holds(contract)


def test_a_transaction_past_its_timeout_is_aborted_and_its_producer_fenced(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        producer = await bench.clients.producer(bench.group)
        await producer.begin_transaction()
        await send(producer, bench.log, b"forgotten")

        async def is_ended() -> bool:
            return (await ends(bench, bench.log))[1] == 2

        await until(is_ended, "the marker of the abort")
        assert await read_to_end(bench) == []
        with pytest.raises(KafkaError):
            await send(producer, bench.log, b"late")
        await producer.stop()

    holds(contract)


def test_a_client_commits_although_one_of_its_batches_was_refused(holds: Any) -> None:
    """Why every acknowledgement is awaited before a commit."""

    async def contract(bench: Bench) -> None:
        producer = await bench.clients.producer(bench.group)
        await producer.begin_transaction()
        await send(producer, bench.log, b"accepted")
        with pytest.raises(MessageSizeTooLargeError):
            await send(producer, bench.small, b"x" * 2 * SMALL_BYTES)
        await producer.commit_transaction()
        assert await read_to_end(bench) == [b"accepted"]
        await producer.stop()

    holds(contract)


def test_a_time_too_far_ahead_is_refused_where_the_topic_keeps_it(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        producer = await bench.clients.producer(bench.group)
        await producer.begin_transaction()
        far_ms = int(time.time() * 1000) + 2 * AHEAD_LIMIT_MS
        await send(producer, bench.log, b"stamped by the broker", timestamp_ms=far_ms)
        with pytest.raises(InvalidTimestampError):
            await send(producer, bench.small, b"not taken", timestamp_ms=far_ms)
        await producer.abort_transaction()
        await producer.stop()

    holds(contract)


def test_what_a_topic_takes_is_known(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        limits = await bench.clients.batch_limits([bench.small.topic])
        assert limits == {bench.small.topic: SMALL_BYTES}

    holds(contract)


def test_an_acknowledgement_carries_the_brokers_time_where_the_topic_does(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        producer = await bench.clients.producer(bench.group)
        await producer.begin_transaction()
        first = await send(producer, bench.log, b"1")
        second = await send(producer, bench.log, b"2")
        assert (first.timestamp_type, second.timestamp_type) == (LOG_APPEND_TIME, LOG_APPEND_TIME)
        assert (first.offset, second.offset) == (0, 1)
        assert first.timestamp <= second.timestamp
        await producer.abort_transaction()
        await producer.stop()

    holds(contract)


def test_the_log_start_moves_and_a_consumer_begins_there(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        producer = await bench.clients.producer(bench.group)
        for value in (b"1", b"2", b"3"):
            await producer.begin_transaction()
            await send(producer, bench.log, value)
            await producer.commit_transaction()

        async def is_ended() -> bool:
            return await ends(bench, bench.log) == (0, 6)

        await until(is_ended, "the last marker")
        await bench.delete_before(bench.log, 2)
        assert await ends(bench, bench.log) == (2, 6)
        assert await read_to_end(bench) == [b"2", b"3"]
        await producer.stop()

    holds(contract)


# --- offsets and the group --------------------------------------------------------------------------------------------


async def _commit(producer: TransactionalProducer, bench: Bench, offset: int, membership: Membership) -> None:
    await producer.begin_transaction()
    await send(producer, bench.log, b"%d" % offset)
    producer.act_for(membership)
    await producer.send_offsets_to_transaction({bench.log: OffsetAndMetadata(offset, "")}, bench.group)
    await producer.commit_transaction()


def _reaches(bench: Bench, offset: int) -> Callable[[], Awaitable[bool]]:
    async def is_there() -> bool:
        return await bench.committed(bench.log) == offset

    return is_there


def test_offsets_of_the_current_generation_become_visible_with_the_transaction(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        membership = await bench.member()
        producer = await bench.clients.producer(bench.group)
        await _commit(producer, bench, 5, membership)
        await until(_reaches(bench, 5), "the offset")
        await producer.begin_transaction()
        await send(producer, bench.log, b"aborted")
        producer.act_for(membership)
        await producer.send_offsets_to_transaction({bench.log: OffsetAndMetadata(9, "")}, bench.group)
        await producer.abort_transaction()
        await _commit(producer, bench, 6, membership)
        await until(_reaches(bench, 6), "the offset behind the aborted one")
        await producer.stop()

    holds(contract)


def test_of_two_transactions_the_offsets_that_were_taken_last_stay_whichever_ends_last(holds: Any) -> None:
    async def contract(bench: Bench) -> None:
        membership = await bench.member()
        first = await bench.clients.producer(bench.group + "-first")
        second = await bench.clients.producer(bench.group + "-second")
        for producer, offset in ((first, 5), (second, 7)):
            await producer.begin_transaction()
            await send(producer, bench.log, b"%d" % offset)
            producer.act_for(membership)
            await producer.send_offsets_to_transaction({bench.log: OffsetAndMetadata(offset, "")}, bench.group)
        await second.commit_transaction()
        await until(_reaches(bench, 7), "the offset of the second")
        await first.commit_transaction()
        await first.begin_transaction()
        await send(first, bench.log, b"waits until the one before has ended everywhere")
        await first.abort_transaction()
        assert await read_to_end(bench) == [b"5", b"7"]
        assert await bench.committed(bench.log) == 7
        await first.stop()
        await second.stop()

    holds(contract)


@pytest.mark.parametrize("whose", ["an older generation", "nobody the group knows"])
def test_offsets_of_others_are_refused(holds: Any, whose: str) -> None:
    async def contract(bench: Bench) -> None:
        generation, member = await bench.member()
        wrong = Membership(generation - 1, member) if "generation" in whose else Membership(generation, "stranger")
        producer = await bench.clients.producer(bench.group)
        with pytest.raises(KafkaError):
            await _commit(producer, bench, 5, wrong)
        right = await bench.clients.producer(bench.group)
        await _commit(right, bench, 7, Membership(generation, member))
        await until(_reaches(bench, 7), "the offset of the member")
        assert await read_to_end(bench) == [b"7"]
        await producer.stop()
        await right.stop()

    holds(contract)


def test_offsets_of_nobody_in_particular_are_taken(holds: Any) -> None:
    """Why a transaction never names no generation: nothing would be proved by it."""

    async def contract(bench: Bench) -> None:
        await bench.member()
        producer = await bench.clients.producer(bench.group)
        await _commit_as_nobody(producer, bench)
        await until(_reaches(bench, 3), "the offset")
        await producer.stop()

    holds(contract)


async def _commit_as_nobody(producer: Any, bench: Bench) -> None:
    await producer.begin_transaction()
    await send(producer, bench.log, b"3")
    producer.act_for(NO_MEMBERSHIP)
    offsets = {bench.log: OffsetAndMetadata(3, "")}
    if isinstance(bench, KafkaBench):
        # The engine's producer refuses to send that; aiokafka's own request has no generation at all.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(producer._sender, "__class__", type(producer._sender).__mro__[1])
            await producer.send_offsets_to_transaction(offsets, bench.group)
    else:
        await producer.send_offsets_to_transaction(offsets, bench.group)
    await producer.commit_transaction()
