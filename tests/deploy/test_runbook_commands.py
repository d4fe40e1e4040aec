"""The commands of a runbook section do what the section says, on Apache Kafka and with Kafka's own tool."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer

from streams.testing.kafka_installation import install_kafka

if TYPE_CHECKING:
    from streams.testing.broker import Broker

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"
TOOL = "org.apache.kafka.tools.TransactionsCommand"
COMMAND = re.compile(r"`kafka-transactions\.sh (--bootstrap-server … [^`]+)`")


def commands_of(section: str) -> list[str]:
    text = OPERATIONS.read_text().partition(f"### {section}\n")[2].partition("\n### ")[0]
    return COMMAND.findall(text)


def run(broker: Broker, command: str, *, topic: str, offset: str = "") -> str:
    """What `kafka-transactions.sh` prints, with this broker, topic and offset in place of what the page leaves open."""
    words = shlex.split(command)
    for option, value in (
        ("--bootstrap-server", broker.bootstrap_servers),
        ("--topic", topic),
        ("--start-offset", offset),
    ):
        if option in words:
            words[words.index(option) + 1] = value
    assert "…" not in words
    kafka = install_kafka()
    java = [str(kafka.java), "-XX:TieredStopAtLevel=1", "-cp", kafka.class_path, TOOL]
    done = subprocess.run([*java, *words], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def start_of_open_transaction(table: str) -> str:
    """The last column of the only producer."""
    header, row = table.strip().splitlines()
    assert header.split()[-1] == "CurrentTransactionStartOffset"
    return row.split()[-1]


@pytest.mark.kafka
def test_an_open_transaction_is_found_and_ended(real_kafka: Broker, topic_prefix: str) -> None:
    listing, describing, aborting = commands_of("MesuraBarrierUnanswered")
    topic = f"{topic_prefix}opt-out"
    real_kafka.create_topics([topic], partitions=1)
    producer = Producer({"bootstrap.servers": real_kafka.bootstrap_servers, "transactional.id": f"{topic_prefix}holds"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, b"never committed", partition=0)
    assert producer.flush(30) == 0
    listed = [line.split() for line in run(real_kafka, listing, topic=topic).splitlines()]
    assert [row[-1] for row in listed if row and row[0] == f"{topic_prefix}holds"] == ["Ongoing"]
    hanging = run(real_kafka, "--bootstrap-server … find-hanging --broker-id 1", topic=topic)
    assert topic not in hanging, "the section says that this does not find it"
    offset = start_of_open_transaction(run(real_kafka, describing, topic=topic))
    assert offset == "0"
    run(real_kafka, aborting, topic=topic, offset=offset)
    assert start_of_open_transaction(run(real_kafka, describing, topic=topic)) == "None"
