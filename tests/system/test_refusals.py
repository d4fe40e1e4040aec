"""What a gate refuses to start on: exit code 2, and a sentence that says what to do."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from streams.exit_codes import ExitCode
from streams.testing.kafka_installation import install_kafka
from streams.testing.records import OutgoingRecord, preference
from tests.cli.strangers import TLS_ALERT, stranger
from tests.contracts.hostile import compact, document
from tests.system.conftest import new_prefix, now_ms
from tests.system.harness import (
    ERASURE_KEY,
    START_SECONDS,
    STARTER,
    Gate,
    World,
    account_for,
    running,
    supervisor_command,
    until_all_decided,
)

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import Broker


class OtherWorld(World):
    """Topics that are not as planned."""

    def __init__(self, broker: Broker, changed: dict[str, tuple[int, dict[str, str]]], left_out: str = "") -> None:
        super().__init__(broker, new_prefix(), create=False)
        for topic in self.plan.topics():
            name = topic.name.removeprefix(self.prefix)
            partitions, config = changed.get(name, (topic.partitions, {}))
            if name != left_out:
                broker.create_topics([topic.name], partitions=partitions, config={**topic.config, **config})


def refused(world: World, directory: Path, **changes: object) -> str:
    """The sentence with which starting is refused."""
    gate = Gate(world.settings(**changes), directory)
    try:
        assert gate.ended(START_SECONDS) == ExitCode.REFUSED, gate.said[-3000:]
    finally:
        gate.stop()
    assert "Traceback" not in gate.said
    return gate.said


def test_unequal_partition_counts(broker: Broker, tmp_path: Path) -> None:
    said = refused(OtherWorld(broker, {"opt-out": (4, {})}), tmp_path)
    assert "unequal partition counts" in said
    assert "opt-out 4" in said


def test_a_topic_that_does_not_exist(broker: Broker, tmp_path: Path) -> None:
    said = refused(OtherWorld(broker, {}, left_out="contact-outcome"), tmp_path)
    assert "do not exist" in said
    assert "contact-outcome" in said


def test_another_count_than_the_one_recorded(world: World, tmp_path: Path) -> None:
    world.publish([OutgoingRecord("mesura-control", b"partitions", b"4", now_ms(), partition=0)])
    said = refused(world, tmp_path)
    assert "The topics have 8 partitions, the application was started with 4" in said


@pytest.mark.kafka
def test_a_count_that_was_raised_after_the_first_start(kafka_world: World, tmp_path: Path) -> None:
    with running(kafka_world, tmp_path) as gate:
        assert gate.terminate() == ExitCode.DONE
    client = AdminClient({"bootstrap.servers": kafka_world.address})
    grown = [NewPartitions(topic.name, 12) for topic in kafka_world.plan.topics() if topic.partitions > 1]
    for future in client.create_partitions(grown).values():
        future.result(20)
    said = refused(kafka_world, tmp_path)
    assert "The topics have 12 partitions, the application was started with 8" in said


@pytest.mark.kafka
@pytest.mark.parametrize(("topic", "partitions"), [("mesura-ledger", 8), ("mesura-control", 1)])
def test_a_topic_that_is_not_compacted(real_kafka: Broker, tmp_path: Path, topic: str, partitions: int) -> None:
    said = refused(OtherWorld(real_kafka, {topic: (partitions, {"cleanup.policy": "delete"})}), tmp_path)
    assert f"{topic} has cleanup.policy=delete" in said
    assert "Set cleanup.policy=compact" in said


@pytest.mark.kafka
def test_group_offsets_moved_by_hand(kafka_world: World, tmp_path: Path) -> None:
    def intents(batch: str) -> list[OutgoingRecord]:
        names = [f"{batch}-{number}" for number in range(40)]
        documents = [document("intent", name, now_ms()) for name in names]
        return [
            OutgoingRecord("outbound-intent", intent["customer_id"].encode(), compact(intent), now_ms())
            for intent in documents
        ]

    kafka_world.publish(intents("before"))
    with running(kafka_world, tmp_path) as gate:
        until_all_decided(gate, kafka_world)
        assert gate.terminate() == ExitCode.DONE
    kafka_world.publish(intents("between"))
    group = kafka_world.settings().application_id
    # With Kafka's own tool: what it leaves beside an offset is what the gate recognises it by.
    consumer_groups(kafka_world, "--group", group, "--reset-offsets", "--to-latest", "--all-topics", "--execute")
    said = refused(kafka_world, tmp_path)
    assert f"Somebody has moved the offsets of the group {group}" in said
    remedy = re.search(r"kafka-consumer-groups\.sh (--bootstrap-server [^.]*\.\S* --delete --group \S+)\. ", said)
    assert remedy is not None, said[-2000:]
    consumer_groups(kafka_world, *remedy[1].split()[2:])
    with running(kafka_world, tmp_path) as gate:
        until_all_decided(gate, kafka_world)
    assert len(account_for(kafka_world).decisions) == 80


def consumer_groups(world: World, *arguments: str) -> None:
    """What `kafka-consumer-groups.sh` runs."""
    kafka = install_kafka()
    tool = "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"
    command = [str(kafka.java), "-cp", kafka.class_path, tool, "--bootstrap-server", world.address, *arguments]
    subprocess.run(command, check=True, capture_output=True, timeout=120)


@pytest.mark.kafka
@pytest.mark.parametrize(
    ("topic", "settings"),
    [
        ("opt-out", {"cleanup.policy": "compact"}),
        ("contact-outcome", {"cleanup.policy": "compact,delete"}),
        ("outbound-intent", {"cleanup.policy": "compact"}),
        ("approved-send", {"cleanup.policy": "compact"}),
        ("opt-out", {"unclean.leader.election.enable": "true"}),
    ],
)
def test_a_topic_that_would_lose_what_it_holds(
    real_kafka: Broker, tmp_path: Path, topic: str, settings: dict[str, str]
) -> None:
    said = refused(OtherWorld(real_kafka, {topic: (8, settings)}), tmp_path)
    [(key, value)] = settings.items()
    assert f"{topic} has {key}={value}" in said
    assert f"would be lost. Set {key}=" in said


@pytest.mark.kafka
def test_a_topic_that_is_changed_under_a_running_gate(kafka_world: World, tmp_path: Path) -> None:
    """It ends the gate before the broker has compacted anything: closed segments are, after a while, and no others."""
    with running(kafka_world, tmp_path, supervised=True) as gate:
        set_topic(kafka_world, kafka_world.names.preferences, "cleanup.policy", "compact")
        assert gate.ended(START_SECONDS) == ExitCode.REFUSED, gate.said[-3000:]
    assert f"{kafka_world.names.preferences} has cleanup.policy=compact" in gate.said
    assert "Restart" not in gate.said
    set_topic(kafka_world, kafka_world.names.preferences, "cleanup.policy", "delete")
    with running(kafka_world, tmp_path) as gate:
        assert gate.terminate() == ExitCode.DONE


def set_topic(world: World, topic: str, key: str, value: str) -> None:
    entry = ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
    client = AdminClient({"bootstrap.servers": world.address})
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in client.incremental_alter_configs([resource]).values():
        future.result(20)


def test_no_erasure_key(embedded_broker: Broker, topic_prefix: str, tmp_path: Path) -> None:
    world = World(embedded_broker, topic_prefix)
    assert "mesura erasure-key create" in refused(world, tmp_path, erasure_key="")
    assert "mesura erasure-key create" in refused(world, tmp_path, erasure_key="5e" * 31)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESURA_")}
    run = subprocess.run(
        supervisor_command(world.settings()), env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == ExitCode.REFUSED
    assert "MESURA_ERASURE_KEY" in run.stderr


def test_another_erasure_key_than_at_the_first_start(
    embedded_broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    world = World(embedded_broker, topic_prefix)
    with running(world, tmp_path) as gate:
        assert gate.terminate() == ExitCode.DONE
    said = refused(world, tmp_path, erasure_key="a7" * 32)
    assert "MESURA_ERASURE_KEY is not the key this application was first started with" in said
    with running(world, tmp_path) as gate:
        assert gate.terminate() == ExitCode.DONE
    recorded = [record for record in world.read(world.names.control) if record.key == b"erasure-key"]
    assert len(recorded) == 1
    assert ERASURE_KEY.encode() not in (recorded[0].value or b"")
    assert bytes.fromhex(ERASURE_KEY) not in (recorded[0].value or b"")


def test_a_fingerprint_that_somebody_removed(embedded_broker: Broker, topic_prefix: str, tmp_path: Path) -> None:
    """One record in the control topic must not make another key good."""
    world = World(embedded_broker, topic_prefix)
    with running(world, tmp_path) as gate:
        assert gate.terminate() == ExitCode.DONE
    world.publish([OutgoingRecord("mesura-control", b"erasure-key", None, now_ms(), partition=0)])
    said = refused(world, tmp_path, erasure_key="a7" * 32)
    assert "the fingerprint of its erasure key is gone from the control topic" in said
    assert "--accept-new-erasure-key" in said
    assert "the fingerprint of its erasure key is gone" in refused(world, tmp_path)
    with running(world, tmp_path, accept_new_erasure_key=True) as gate:
        assert gate.terminate() == ExitCode.DONE
    with running(world, tmp_path) as gate:
        assert gate.terminate() == ExitCode.DONE
    with running(world, tmp_path, erasure_key="a7" * 32, accept_new_erasure_key=True) as gate:
        assert gate.terminate() == ExitCode.DONE
    assert "is not the key this application was first started with" in refused(world, tmp_path)


def test_a_control_topic_that_lost_the_policy_too(embedded_broker: Broker, topic_prefix: str, tmp_path: Path) -> None:
    """The ledger shows that it is no first start, as soon as there is somebody whom another key would not find."""
    world = World(embedded_broker, topic_prefix)
    with running(world, tmp_path) as gate:
        world.publish([preference("c-1", "e-1", "erasure", at=now_ms())])
        until_all_decided(gate, world)
        assert gate.terminate() == ExitCode.DONE
    assert any((record.key or b"").startswith(b"e") for record in world.read(world.names.ledger))
    lost = [b"erasure-key", b"policy"]
    world.publish([OutgoingRecord("mesura-control", key, None, now_ms(), partition=0) for key in lost])
    said = refused(world, tmp_path, erasure_key="a7" * 32)
    assert "the fingerprint of its erasure key is gone from the control topic" in said
    recorded = [record for record in world.read(world.names.control) if record.key == b"erasure-key"]
    assert recorded[-1].value is None, "a refusal that records the other key would let it in the next time"


def test_a_policy_that_is_not_sound(embedded_broker: Broker, topic_prefix: str, tmp_path: Path) -> None:
    world = World(embedded_broker, topic_prefix)
    path = tmp_path / "policy.yaml"
    path.write_text(STARTER.read_text(encoding="utf-8").replace("limit: 7", "limit: many"), encoding="utf-8")
    said = refused(world, tmp_path, policy=path)
    assert "limit" in said
    absent = refused(world, tmp_path, policy=tmp_path / "absent.yaml")
    assert "absent.yaml" in absent


def test_an_address_that_no_later_start_can_mend(embedded_broker: Broker, topic_prefix: str, tmp_path: Path) -> None:
    world = World(embedded_broker, topic_prefix)
    assert "begins with `kafka://`" in refused(world, tmp_path, bootstrap_servers=f"kafka://{world.address}")
    with stranger(lambda _: TLS_ALERT) as address:
        assert f"{address} is a TLS listener" in refused(world, tmp_path, bootstrap_servers=address)


def test_no_broker_is_said_in_a_sentence_and_tried_again(
    embedded_broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    gate = Gate(World(embedded_broker, topic_prefix).settings(bootstrap_servers="127.0.0.1:1"), tmp_path)
    try:
        assert gate.ended(START_SECONDS) == ExitCode.START_AGAIN
    finally:
        gate.stop()
    assert "The worker could not start: No Kafka broker answers at 127.0.0.1:1: nothing listens there." in gate.said
    assert "Traceback" not in gate.said
