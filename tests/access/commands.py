"""What each role does: with the product's commands, or as a program of its own with a Kafka client."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, Producer

from streams.access.roles import GROUP_OF_GATEWAYS
from streams.testing.kafka_io import read_topic
from tests.access.gate import ERASURE_KEY

if TYPE_CHECKING:
    from pathlib import Path

    from streams.access.roles import Role
    from tests.access.gate import Gate

WAIT_SECONDS: Final = 60.0


def said_by(role: Role, gate: Gate, directory: Path) -> str:
    """What is said when somebody of this role does its work; empty: it is done."""
    now = int(time.time() * 1000)
    if role == "gateway":
        return _gateway(gate)
    if role == "reader":
        return _reader(gate)
    if role == "privacy":
        return _privacy(gate, directory)
    events: dict[Role, dict[str, object]] = {
        "intents": {"intent_id": f"i{now}", "channel": "sms", "created_at": now},
        "preferences": {"event_id": f"e{now}", "type": "opt_out"},
        "outcomes": {"event_id": f"o{now}", "type": "reply", "channel": "sms", "occurred_at": now},
    }
    if role in events:
        file = directory / "line.jsonl"
        file.write_text(json.dumps({"customer_id": "c-1", **events[role]}) + "\n")
        arguments = ["publish", str(file)]
    elif role == "replayer":
        arguments = ["dead-letters", "replay", "--execute", "--force"]
    elif role == "auditor":
        arguments = ["audit", "--application-id", gate.application_id, "--allow-undecided"]
    else:
        arguments = ["topics", "create", "--partitions", "2", "--replication-factor", "1"]
    return mesura(gate, role, *arguments)


def _reader(gate: Gate) -> str:
    """Follows the decisions, and has one of them explained."""
    said = mesura(gate, "reader", "watch", "--from-beginning", "--no-follow")
    if said:
        return said
    approvals = read_topic(gate.kafka.kafka.bootstrap_servers, gate.names.approved)
    return mesura(gate, "reader", "explain", "--decision", (approvals[0].value or b"").decode())


def _privacy(gate: Gate, directory: Path) -> str:
    """Erases a customer; no gate runs that could apply it."""
    customer = directory / "customer.txt"
    customer.write_text("c-1")
    options = ["--customer-file", str(customer), "--access-log", str(directory / "access.log")]
    said = mesura(gate, "privacy", "customer", "forget", "--confirm", "--wait-seconds", "0", *options)
    return "" if "Not applied" in said else said


def mesura(gate: Gate, role: Role, *arguments: str) -> str:
    """What a command says that did not do its work; empty: it did."""
    where = ["--bootstrap", gate.kafka.address, "--command-config", str(gate.kafka.properties(role))]
    done = subprocess.run(
        [sys.executable, "-m", "streams.cli.main", *arguments, *where, "--prefix", gate.prefix],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        env={"MESURA_ERASURE_KEY": ERASURE_KEY},
        check=False,
    )
    return "" if done.returncode == 0 else (done.stderr or done.stdout).strip().removeprefix("Error: ")


def _gateway(gate: Gate) -> str:
    """Consumes an approval in a group, commits, and reports an outcome."""
    settings = {**gate.kafka.cluster("gateway").client_settings(), "log_level": 0}
    consumer = Consumer(
        {
            **settings,
            "group.id": GROUP_OF_GATEWAYS,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    refusals: list[str] = []
    producer = Producer({**settings, "error_cb": lambda _: None})
    try:
        consumer.subscribe([gate.names.approved])
        until = time.monotonic() + WAIT_SECONDS
        while (message := consumer.poll(0.2)) is None or message.error() is not None:
            if message is not None:
                return str(message.error().str())
            assert time.monotonic() < until, "an approval arrives"
        consumer.commit(message, asynchronous=False)
        producer.produce(
            gate.names.outcomes,
            key=message.key(),
            value=b"{}",
            on_delivery=lambda error, _: refusals.append(error.str()) if error else None,
        )
        producer.flush(WAIT_SECONDS)
    except KafkaException as error:
        return str(error.args[0].str())
    finally:
        consumer.close()
    return refusals[0] if refusals else ""
