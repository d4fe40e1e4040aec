"""The gateway that is shipped as an example keeps its side of the contract."""

from __future__ import annotations

import importlib.util
import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Consumer, Producer

from streams.contracts.decode import decode_outcome
from streams.contracts.encode import encode_approval, encode_withdrawal, policy_fragment
from streams.testing.embedded_broker import EmbeddedBroker
from tests.contracts.schema_files import validator

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = Path(__file__).parents[2] / "examples" / "gateway.py"
NOW_MS = 1_795_514_400_000
POLICY = policy_fragment("contact-centre", "2026.11", "00")


def _load() -> ModuleType:
    specification = importlib.util.spec_from_file_location("gateway_example", PATH)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


gateway = _load()


def decision_id(number: int) -> str:
    return f"{number:024x}"


def approval(number: int, *, now_ms: int = NOW_MS, lasts_ms: int = 300_000, channel: str = "sms") -> bytes:
    return encode_approval(
        decision_id=decision_id(number),
        intent_id=f"i{number}",
        customer_id=f"c{number}",
        channel=channel,
        decided_at=now_ms,
        valid_until=now_ms + lasts_ms,
        policy=POLICY,
        remaining={},
        obligations=(),
        attributes=None,
        zone=None,
        rules=((0, 0),),
    )


def withdrawal(number: int, *, now_ms: int = NOW_MS) -> bytes:
    return encode_withdrawal(
        decision_id=decision_id(number),
        customer_id=f"c{number}",
        channel="sms",
        reason="opt_out",
        decided_at=now_ms,
        policy=POLICY,
    )


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Any]:  # of a module loaded by its path
    with closing(gateway.DiskMemory(str(tmp_path / "memory"))) as memory:
        yield memory


def chosen(memory: object, *values: bytes, now_ms: int = NOW_MS) -> list[str]:
    events = [json.loads(value) for value in values]
    return [event["decision_id"] for event in gateway.approvals_to_send(events, "sms", memory, now_ms)]


def test_what_is_new_is_sent_once_and_in_order(memory: object) -> None:
    assert chosen(memory, approval(2), approval(1), approval(2)) == [decision_id(2), decision_id(1)]
    assert chosen(memory, approval(1), approval(3)) == [decision_id(3)]


def test_what_is_withdrawn_is_not_sent(memory: object) -> None:
    assert chosen(memory, approval(1), approval(2), withdrawal(1)) == [decision_id(2)]
    assert chosen(memory, approval(1), withdrawal(1), withdrawal(2)) == []


def test_other_channels_are_left_alone(memory: object) -> None:
    assert chosen(memory, approval(1, channel="email")) == []
    assert chosen(memory, approval(1)) == [decision_id(1)]


def test_memory_outlives_the_process(tmp_path: Path) -> None:
    path = str(tmp_path / "memory")
    with closing(gateway.DiskMemory(path)) as first:
        assert chosen(first, approval(1), approval(2), withdrawal(2)) == [decision_id(1)]
        first.save(NOW_MS)
        with closing(gateway.DiskMemory(path)) as second:
            assert chosen(second, approval(1), approval(2), approval(3)) == [decision_id(3)]


def test_what_was_forgotten_is_ignored_not_sent_again(memory: Any) -> None:  # noqa: ANN401 - as above
    assert chosen(memory, approval(1)) == [decision_id(1)]
    later_ms = NOW_MS + 300_000 + gateway.MEMORY_MS
    memory.save(later_ms)
    assert chosen(memory, approval(1), now_ms=later_ms) == []
    memory.save(later_ms + 1)
    assert chosen(memory, approval(1), now_ms=later_ms + 1) == []


@pytest.mark.parametrize(("late_ms", "kind"), [(-1, "sent"), (0, "sent"), (1, "expired")])
def test_nothing_is_sent_after_its_time(late_ms: int, kind: str) -> None:
    event = json.loads(approval(1))
    sent: list[str] = []

    def send(approved: dict[str, Any]) -> str:
        sent.append(approved["decision_id"])
        return "sent"

    outcome = gateway.act(event, send, lambda: event["valid_until"] + late_ms)
    assert outcome["type"] == kind
    assert len(sent) == (kind == "sent")
    validator("outcome").validate(outcome)
    assert decode_outcome(json.dumps(outcome).encode()).unknown_fields == 0


@pytest.fixture
def servers() -> Iterator[str]:
    # A broker of its own: the example's topics have the names that users' topics have.
    with EmbeddedBroker() as broker:
        broker.create_topics(["approved-send", "contact-outcome"])
        yield broker.bootstrap_servers


def test_it_runs(servers: str, tmp_path: Path) -> None:
    """As a process of its own: it reads, sends what it may, reports, and ends when told to."""
    now_ms = time.time_ns() // 1_000_000
    producer = Producer({"bootstrap.servers": servers})
    for number, value in [
        (1, approval(1, now_ms=now_ms)),
        (2, approval(2, now_ms=now_ms - 600_000)),
        (1, approval(1, now_ms=now_ms)),
    ]:
        producer.produce("approved-send", key=f"c{number}", value=value)
    assert producer.flush(30) == 0
    process = subprocess.Popen(
        [sys.executable, str(PATH), "--brokers", servers, "--memory", str(tmp_path / "memory")],
        stderr=subprocess.PIPE,
    )
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe(["contact-outcome"])
    try:
        found: dict[str, str] = {}
        deadline = time.monotonic() + 60
        while len(found) < 2 and time.monotonic() < deadline:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                value = message.value()
                assert value is not None
                outcome = decode_outcome(value).event
                assert message.key() == outcome.customer_id.encode()
                assert outcome.decision_id not in found
                found[outcome.decision_id or ""] = outcome.type
    finally:
        consumer.close()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert found == {decision_id(1): "sent", decision_id(2): "expired"}, errors.decode()
    assert process.returncode == 0, errors.decode()
