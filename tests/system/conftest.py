"""Runs that several tests look at, one for each broker."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pytest

from streams.demo.input import Live, demo_input
from streams.testing.waiting import wait_until
from tests.system.harness import (
    STARTER,
    Account,
    Progress,
    World,
    account_for,
    decide_all_by_record_clock,
    running,
    until_all_decided,
)

if TYPE_CHECKING:
    from pathlib import Path

    from streams.demo.records import DemoRecord
    from streams.testing.broker import Broker

RECORDED_INTENTS = 12_000
LIVE_INTENTS = 3_000
LIVE_MS = 12_000
# A backlog is published before the gate starts; the rest follows when its time comes, in steps of this length.
STEP_MS = 250
ATTEMPTS = 3


@dataclass
class RecordedRun:
    """A bounded run over the recorded demonstration."""

    world: World
    account: Account
    seconds: float


@dataclass
class ServiceRun:
    """The demonstration as it happens, decided by the wall clock."""

    world: World
    account: Account
    progress: Progress
    metrics: dict[str, dict[tuple[tuple[str, str], ...], float]]
    exposition: str
    said: str
    records: list[DemoRecord]
    seconds: float


@dataclass
class Runs:
    """Makes each run once a session, whichever tests ask for it."""

    directory: Path
    _recorded: dict[tuple[bool, int], RecordedRun] = field(default_factory=dict)
    _service: dict[bool, ServiceRun] = field(default_factory=dict)
    _records: list[DemoRecord] = field(default_factory=list)

    def recorded(self, broker: Broker, number: int) -> RecordedRun:
        """The run of that number on fresh topics."""
        key = (broker.is_embedded, number)
        if key not in self._recorded:
            self._records = self._records or demo_input(intents=RECORDED_INTENTS)
            world = World(broker, new_prefix())
            world.publish_demo(self._records)
            seconds = decide_all_by_record_clock(world, self.directory)
            self._recorded[key] = RecordedRun(world, account_for(world), seconds)
        return self._recorded[key]

    def service(self, broker: Broker) -> ServiceRun:
        if broker.is_embedded not in self._service:
            for _ in range(ATTEMPTS):
                run = self._serve(broker)
                aborted = sum(run.metrics["mesura_batches_aborted_total"].values())
                # The embedded broker shows aborted transactions to everybody: such a run says nothing about the gate.
                if not (broker.is_embedded and aborted):
                    break
            self._service[broker.is_embedded] = run
        return self._service[broker.is_embedded]

    def _serve(self, broker: Broker) -> ServiceRun:
        world = World(broker, new_prefix())
        # Generating takes a moment, and the gate's start several seconds: the run begins after both.
        start_ms = now_ms() + 9_000
        records = demo_input(intents=LIVE_INTENTS, live=Live(start_ms, LIVE_MS))
        world.publish_demo(record for record in records if record.timestamp_ms < start_ms)
        coming = [record for record in records if record.timestamp_ms >= start_ms]
        began = time.monotonic()
        with running(world, self.directory) as gate:
            while coming:
                next_ms = coming[0].timestamp_ms
                wait_until(partial(_has_come, next_ms), 60, "the time of the next record")
                due_ms = now_ms() + STEP_MS
                world.publish_demo(record for record in coming if record.timestamp_ms <= due_ms)
                coming = [record for record in coming if record.timestamp_ms > due_ms]
            progress = until_all_decided(gate, world)
            metrics, exposition = gate.metrics(), gate.get("/metrics")[1]
        return ServiceRun(
            world, account_for(world), progress, metrics, exposition, gate.said, records, time.monotonic() - began
        )


def _has_come(moment_ms: int) -> bool:
    return now_ms() >= moment_ms


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def new_prefix() -> str:
    return f"test-{uuid.uuid4().hex[:12]}-"


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def world(broker: Broker, topic_prefix: str) -> World:
    """Fresh topics on either broker."""
    return World(broker, topic_prefix)


@pytest.fixture
def kafka_world(real_kafka: Broker, topic_prefix: str) -> World:
    """Fresh topics on Apache Kafka."""
    return World(real_kafka, topic_prefix)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file of the test's own."""
    path = tmp_path / "policy.yaml"
    path.write_text(STARTER.read_text(encoding="utf-8"), encoding="utf-8")
    return path
