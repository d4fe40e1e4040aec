"""Every codec of Kafka on every topic of the gate, as the broker itself (Java) and other clients compress."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiokafka
import pytest

from streams.testing.raw_log import read_logs
from streams.testing.records import intent, outcome, preference
from tests.system.conftest import new_prefix, now_ms
from tests.system.harness import STARTER, World, account_for, running, until_all_decided, value_of
from tests.system.test_scenarios import judged

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import Broker

pytestmark = pytest.mark.kafka

CODECS = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
CUSTOMERS = [f"c-{number}" for number in range(40)]
READ_SECONDS = 60.0


def compressed_world(kafka: Broker, codec: str) -> World:
    """Topics on which the broker compresses anew whatever arrives."""
    world = World(kafka, new_prefix(), create=False, recorded_times=False)
    for topic in world.plan.topics():
        config = {**topic.config, "compression.type": codec}
        kafka.create_topics([topic.name], partitions=topic.partitions, config=config)
    return world


@pytest.mark.parametrize("codec", CODECS)
def test_a_gate_on_compressed_topics_decides_restores_and_is_audited(
    real_kafka: Broker, tmp_path: Path, codec: str
) -> None:
    world = compressed_world(real_kafka, codec)
    with running(world, tmp_path) as gate:
        world.publish(preference(customer, f"no-{customer}", at=now_ms()) for customer in CUSTOMERS[::2])
        world.publish(outcome(customer, None, "reply", occurred_at=now_ms(), channel="sms") for customer in CUSTOMERS)
        until_all_decided(gate, world)
        world.publish(intent(customer, "first", created_at=now_ms()) for customer in CUSTOMERS)
        until_all_decided(gate, world)
        gate.terminate()
    with running(world, tmp_path) as gate:  # from a compressed ledger, and a compressed control topic
        world.publish(intent(customer, "second", created_at=now_ms()) for customer in CUSTOMERS)
        until_all_decided(gate, world)
        gate.terminate()
    logs = read_logs(world.address, [topic.name for topic in world.plan.topics()], deadline_seconds=READ_SECONDS)
    for topic, partitions in logs.items():
        codecs = {batch.codec for log in partitions.values() for batch in log.batches if not batch.is_marker}
        assert codecs <= {CODECS[codec]}, topic
    assert all(
        any(log.batches for log in logs[name].values())
        for name in (*world.inputs, world.names.ledger, world.names.control, world.names.suppressed)
    )
    account = account_for(world)
    answers = [value_of(record) for record in account.decisions.values()]
    assert len(answers) == 2 * len(CUSTOMERS)
    refused = {answer["customer_id"] for answer in answers if answer.get("reason") == "opt_out"}
    assert refused == set(CUSTOMERS[::2])
    judged(world, STARTER)


def test_what_each_client_compresses_is_decided(real_kafka: Broker, tmp_path: Path) -> None:
    """librdkafka writes snappy as one block, Java and aiokafka in xerial's blocks; frames of lz4 differ too."""
    world = World(real_kafka, new_prefix())
    sent = 0
    with running(world, tmp_path) as gate:
        for codec in CODECS:
            world.publish(
                (intent(f"r-{codec}-{number}", "i", created_at=now_ms()) for number in range(50)),
                compression_type=codec,
                linger_ms=50,
            )
            asyncio.run(_publish_by_aiokafka(world, codec))
            sent += 100
        until_all_decided(gate, world)
    account = account_for(world)
    assert (len(account.decisions), len(account.dead_letters)) == (sent, 0)
    logs = read_logs(world.address, world.names.intents, deadline_seconds=READ_SECONDS)[world.names.intents[0]]
    codecs = {batch.codec for log in logs.values() for batch in log.batches}
    assert codecs >= set(CODECS.values())


async def _publish_by_aiokafka(world: World, codec: str) -> None:
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=world.address, compression_type=codec, linger_ms=50, enable_idempotence=True
    )
    await producer.start()
    try:
        records = [intent(f"a-{codec}-{number}", "i", created_at=now_ms()) for number in range(50)]
        await asyncio.gather(
            *[await producer.send(world.names.intents[0], record.value, record.key) for record in records]
        )
    finally:
        await producer.stop()
