# ruff: noqa: ANN401
"""What engine tests share: topics, load, workers in this process and in others. Everything waits with a deadline."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiokafka
import pytest

from streams.app import Worker
from streams.exactly_once.settings import CHANGELOG_RECORD_BYTES
from streams.records import InputRecord
from streams.testing.kafka_io import read_topic
from streams.testing.waiting import wait_until_async
from tests.engine.toy import Clock, Greeter, Recorder, Topics, judge

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from streams.testing.broker import Broker
    from streams.worker_end import WorkerEnd

REPOSITORY = Path(__file__).resolve().parents[2]
PARTITIONS = 4
DEADLINE_SECONDS = 40.0
SESSION_MS = 10_000
"""Of a worker that is not killed: it shares this process, and on a busy machine is late with everything."""
COMPACTED = {
    "cleanup.policy": "compact",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(CHANGELOG_RECORD_BYTES),
}


def create(broker: Broker, topics: Topics, partitions: int = PARTITIONS, **answers_config: str) -> None:
    """All topics of a test."""
    inputs = [name for name in topics.partitioned if name not in (topics.ledger, topics.answers)]
    broker.create_topics(inputs, partitions=partitions)
    broker.create_topics([topics.answers], partitions=partitions, config=answers_config)
    broker.create_topics([topics.ledger], partitions=partitions, config=COMPACTED)
    broker.create_topics([topics.control], partitions=1, config={"cleanup.policy": "compact"})


@asynccontextmanager
async def load(broker: Broker) -> AsyncIterator[aiokafka.AIOKafkaProducer]:
    """A producer as upstream systems should have it."""
    producer = aiokafka.AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers, enable_idempotence=True, acks="all", linger_ms=2
    )
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def publish(
    producer: aiokafka.AIOKafkaProducer, topic: str, keys: Iterable[bytes], value: bytes = b"x", **options: Any
) -> None:
    """One record per key, all acknowledged."""
    await asyncio.gather(*[await producer.send(topic, value, key, **options) for key in keys])


def keys(count: int, distinct: int = 50) -> list[bytes]:
    return [b"key-%d" % (number % distinct) for number in range(count)]


class Running:
    """A worker in this process."""

    def __init__(self, broker: Broker, topics: Topics, machine: Any = None, clock: Any = None, **changes: Any) -> None:
        changes.setdefault("check_crcs", not broker.is_embedded)
        if not broker.is_embedded:  # there a rebalance lasts as long as a session
            changes.setdefault("session_timeout_ms", SESSION_MS)
        self.observer = Recorder()
        self.stop = asyncio.Event()
        self.clock = clock or Clock()
        self.worker = Worker(
            topics.settings(broker.bootstrap_servers, **changes),
            machine or Greeter(topics),
            self.observer,
            self.clock,
        )
        self.task: asyncio.Task[WorkerEnd] = asyncio.create_task(self.worker.run(self.stop))

    async def until(self, condition: Any, what: str) -> None:
        """Until the condition holds; fails at once if the worker ends before."""
        await wait_until_async(lambda: self.task.done() or condition(), DEADLINE_SECONDS, what)
        if self.task.done() and not condition():
            pytest.fail(f"{what}: the worker ended: {self.task.result()}")

    async def until_decided(self, count: int) -> None:
        await self.until(lambda: self.observer.decided >= count, f"{count} records decided")

    async def ended(self) -> WorkerEnd:
        return await asyncio.wait_for(self.task, DEADLINE_SECONDS)

    async def stopped(self) -> WorkerEnd:
        self.stop.set()
        return await self.ended()


@asynccontextmanager
async def running(broker: Broker, topics: Topics, *arguments: Any, **changes: Any) -> AsyncIterator[Running]:
    """A worker that is stopped at the end of the block."""
    one = Running(broker, topics, *arguments, **changes)
    try:
        yield one
    finally:
        await one.stopped()


class WorkerProcess:
    """A worker in a process of its own, to be killed; how long it is missed then is short."""

    def __init__(self, broker: Broker, topics: Topics, slot: str = "0", **changes: Any) -> None:
        self.stopped = False
        changes = {"worker_slot": slot, "check_crcs": not broker.is_embedded, "session_timeout_ms": 4_000} | changes
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.worker_process"],
            cwd=REPOSITORY,
            env={
                **os.environ,
                "PYTHONPATH": str(REPOSITORY),
                "WORKER": json.dumps([broker.bootstrap_servers, topics.prefix, changes]),
            },
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self._process.terminate()

    @property
    def exit_code(self) -> int | None:
        return self._process.poll()


async def read(broker: Broker, topic: str) -> dict[int, list[InputRecord]]:
    """Everything committed of a topic, per partition."""
    found: dict[int, list[InputRecord]] = defaultdict(list)
    for record in await asyncio.to_thread(read_topic, broker.bootstrap_servers, topic):
        found[record.partition].append(
            InputRecord(record.topic, record.offset, record.timestamp_ms, record.key, record.value, record.headers)
        )
    return found


async def count(broker: Broker, topic: str) -> int:
    return sum(len(records) for records in (await read(broker, topic)).values())


async def judged(broker: Broker, topics: Topics, *, complete: bool = True) -> None:
    """The oracle's verdict."""
    judge(await read(broker, topics.intents), await read(broker, topics.answers), complete=complete)
