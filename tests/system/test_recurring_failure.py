"""A record batch that a disk has damaged, under `mesura run` with two processes: said, shown, and mended outside."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from streams.contracts.routing import expected_partition
from streams.exit_codes import ExitCode
from streams.testing.errors import KafkaNotInstalledError
from streams.testing.real_kafka import SHORT_LIVED, RealKafka
from streams.testing.records import intent, preference
from tests.system.conftest import new_prefix, now_ms
from tests.system.harness import Haste, World, account_for, running
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.system.harness import Gate

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

CUSTOMERS = [f"c-{number}" for number in range(64)]
SPOILED = 3
HASTE = Haste(pause_max_seconds=3.0, settled_seconds=10.0)
"""With the product's half a minute and minute this test would wait for two minutes, and see the same."""
SAID_SECONDS = 150.0
HEALS_SECONDS = 240.0


@pytest.fixture
def own_kafka() -> Iterator[RealKafka]:
    """A broker whose disk belongs to the test."""
    try:
        with RealKafka(java_options=SHORT_LIVED) as kafka:
            yield kafka
    except KafkaNotInstalledError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the tests on Apache Kafka: {error}")
        pytest.skip(str(error))


def flip_last_byte(kafka: RealKafka, topic: str, partition: int) -> None:
    """Of the log as it is stored: once to damage the last batch, twice to mend it."""
    (path,) = (kafka.data_directory / "data" / f"{topic}-{partition}").glob("*.log")
    with path.open("r+b") as log:
        log.seek(-1, 2)
        (byte,) = log.read(1)
        log.seek(-1, 2)
        log.write(bytes([byte ^ 0xFF]))


def partition_of(customer: str, world: World) -> int:
    return expected_partition(customer.encode(), world.partitions)


def decided(world: World) -> dict[str, str]:
    """The type of each customer's decision."""
    answers = [json.loads(record.value or b"") for record in world.read_outputs()]
    return {answer["customer_id"]: answer["type"] for answer in answers}


def recurs(gate: Gate) -> bool:
    return gate.counted("recurring_failure") == 1


def test_a_damaged_batch_is_said_until_it_is_mended_and_nobody_is_sent_anything_past_it(
    own_kafka: RealKafka, tmp_path: Path
) -> None:
    world = World(own_kafka, new_prefix())
    policy = tmp_path / "policy.yaml"
    policy.write_text(any_hour(limit=10), encoding="utf-8")
    concerned = {customer for customer in CUSTOMERS if partition_of(customer, world) == SPOILED}
    silent = min(concerned)
    world.publish([preference(silent, "e-1", at=now_ms())])
    world.publish(intent(customer, f"i-{customer}", created_at=now_ms()) for customer in CUSTOMERS)
    flip_last_byte(own_kafka, world.names.preferences, SPOILED)
    with running(world, tmp_path, policy=policy, processes=2, ready=False, haste=HASTE) as gate:
        gate.until(lambda: recurs(gate), SAID_SECONDS, "the recurrence")
        status, body = gate.get("/ready")
        assert status == 503
        why = json.loads(body)["why"]
        assert f"in the same way at offset 0 of {world.names.preferences}-{SPOILED}, and a restart does not" in why
        assert "its checksum is wrong" in why
        assert gate.get("/live")[0] == 200
        restarts = gate.counted("worker_restarts_total")
        gate.until(lambda: gate.counted("worker_restarts_total") > restarts, SAID_SECONDS, "another start")
        assert not concerned & decided(world).keys(), "nobody knows whether there is a no in it"
        assert gate.exit_code is None
        flip_last_byte(own_kafka, world.names.preferences, SPOILED)
        gate.until(lambda: gate.get("/ready")[0] == 200, HEALS_SECONDS, "readiness, by itself")
        gate.until(lambda: set(CUSTOMERS) == decided(world).keys(), SAID_SECONDS, "everybody decided")
        assert not recurs(gate)
        assert gate.terminate() == ExitCode.DONE
    assert decided(world)[silent] == "suppressed"
    account_for(world)
