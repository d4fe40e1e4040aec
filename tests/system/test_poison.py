"""Batches that nobody can read, on every input topic of a gate on Apache Kafka: what lies before them is decided, then
the worker ends in one true sentence that names the place; once they are given up as operations.md says, all behind them
is decided.

Every record here is no JSON, so that each that is read leaves one trace: a dead letter that names its place.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
from collections import Counter
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import aiokafka
import pytest

from streams.exactly_once import log_watch
from streams.exactly_once.errors import BatchUnreadableError, EngineError, RecordsMissingError
from streams.exit_codes import ExitCode
from streams.testing.errors import KafkaNotInstalledError
from streams.testing.raw_log import overwrite
from streams.testing.real_kafka import SHORT_LIVED, RealKafka
from streams.testing.records import murmur2_partition, preference
from streams.worker import GateWorker
from streams.worker_end import WorkerEnd
from tests.system.conftest import new_prefix, now_ms
from tests.system.harness import (
    DECIDE_SECONDS,
    START_SECONDS,
    Gate,
    World,
    origin_of_dead_letter,
    running,
    until_all_decided,
)
from tests.system.poison import HOLES, READABLE, RECORDS, SIZE, UNREADABLE, Poison, Record, Sound
from tests.system.test_scenarios import delete_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from streams.settings import WorkerSettings
    from streams.testing.broker import Broker

pytestmark = [
    pytest.mark.kafka,
    # A worker's connections end with its process. In this one they are left over, collected at any moment.
    pytest.mark.filterwarnings("ignore:Unclosed AIOKafka:ResourceWarning"),
]

TOPICS = ("outbound-intent", "opt-out", "contact-outcome", "mesura-rerouted")
RUN_SECONDS = 120.0
"""A worker that has neither ended nor decided by then stands still, which nobody should wait for longer."""
EVERY_KIND_VARIABLE = "MESURA_EVERY_POISON"
BATCH_AT = 1
BEHIND = BATCH_AT + RECORDS
HIDING = ("format-1", "format-3", "length-nothing", "length-absurd")
"""With these the broker itself may not find what lies behind them, and all of it is given up."""


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[RealKafka]:
    """A broker whose files may be damaged."""
    try:
        with RealKafka(java_options=SHORT_LIVED) as kafka:
            yield kafka
    except KafkaNotInstalledError as error:
        pytest.skip(str(error))


class Poisoned:
    """One topic with a kind on each partition: a record before it, the batch, and a record behind it."""

    def __init__(self, kafka: RealKafka, topic: str, kinds: Sequence[Poison]) -> None:
        self.kinds = kinds
        self.world = World(kafka, new_prefix(), partitions=len(kinds), recorded_times=False)
        self.topic = self.world.prefix + topic
        sounds = [self._sound(partition) for partition in range(len(kinds))]
        asyncio.run(self._publish(sounds))
        for partition, (kind, sound) in enumerate(zip(kinds, sounds, strict=True)):
            overwrite(kafka.data_directory / "data", self.topic, partition, BATCH_AT, partial(_poisoned, kind, sound))

    def _sound(self, partition: int) -> Sound:
        """Under the key of a customer who is at home on this partition."""
        keys = (b"c-%d" % number for number in count())
        key = next(key for key in keys if murmur2_partition(key, len(self.kinds)) == partition)
        return Sound(BATCH_AT, now_ms(), [Record(delta, key, b"no JSON, %d" % delta) for delta in range(RECORDS)])

    async def _publish(self, sounds: Sequence[Sound]) -> None:
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=self.world.address)
        await producer.start()
        try:
            for partition, sound in enumerate(sounds):
                for records in (sound.records[:1], sound.padded(), sound.records[:1]):
                    batch = producer.create_batch()
                    for record in records:
                        assert batch.append(timestamp=sound.timestamp_ms, key=record.key, value=record.value)
                    batch.close()
                    await (await producer.send_batch(batch, self.topic, partition=partition))
        finally:
            await producer.stop()

    def give_up(self, partition: int) -> None:
        """As operations.md says: delete the batch, and where the broker finds nothing behind it, all of that."""
        end = BEHIND + 1 if self.kinds[partition].name in HIDING else BEHIND
        delete_before(self.world, self.topic, {partition: end})

    def expected(self) -> set[tuple[int, int]]:
        """Partition and offset of every record that can be read, in the end."""
        found = {(partition, 0) for partition in range(len(self.kinds))}
        for partition, kind in enumerate(self.kinds):
            found |= {(partition, BATCH_AT + number) for number in kind.read}
            if kind.name not in HIDING:
                found.add((partition, BEHIND))
        return found

    def dead_letters(self) -> set[tuple[int, int]]:
        """Of the dead letters, each one once."""
        places = [origin_of_dead_letter(record) for record in self.world.read(self.world.names.dead_letter)]
        assert len(places) == len(set(places))
        assert {place.topic for place in places} <= {self.topic}
        return {(place.partition, place.offset) for place in places}


def _poisoned(kind: Poison, sound: Sound, stored: bytes) -> bytes:
    assert len(stored) == SIZE, "in the place of the batch there is another"
    return kind.make(sound)


def last_words(gate: Gate) -> dict[str, Any]:
    """What it told its supervisor."""
    [line] = [line for line in gate.said.splitlines() if line.startswith('{"ended"')]
    told: dict[str, Any] = json.loads(line)["ended"]
    return told


def run_gate(settings: WorkerSettings, is_done: Callable[[], bool] = lambda: False) -> WorkerEnd:
    """A worker in this process, until it ends or this is done: a process for each kind would take minutes."""

    async def run() -> WorkerEnd:
        stop = asyncio.Event()
        worker = asyncio.create_task(GateWorker(settings).run(stop))
        async with asyncio.timeout(RUN_SECONDS):
            while not worker.done() and not await asyncio.to_thread(is_done):
                await asyncio.wait([worker], timeout=0.2)
        stop.set()
        try:
            return await asyncio.wait_for(worker, DECIDE_SECONDS)
        except EngineError as error:  # nothing was started
            return WorkerEnd.by(error)

    try:
        return asyncio.run(run())
    finally:
        gc.collect()  # here, where nobody else is warned of what is left over


def unreadable_of(topic: str) -> list[Poison]:
    """A share of the kinds on each topic, together all of them; with `make poison` every kind on each."""
    if os.environ.get(EVERY_KIND_VARIABLE):
        return list(UNREADABLE)
    return list(UNREADABLE[TOPICS.index(topic) :: len(TOPICS)])


@pytest.mark.timeout(900)  # thirty starts of a gate
@pytest.mark.parametrize("topic", TOPICS)
def test_what_nobody_can_read_ends_the_worker_and_what_can_be_read_is_read(
    own_kafka: RealKafka, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_watch, "LOG_ERROR_SECONDS", 1.0)
    monkeypatch.setattr(log_watch, "LOG_EMPTY_SECONDS", 3.0)
    poisoned = Poisoned(own_kafka, topic, [*unreadable_of(topic), *HOLES, *READABLE])
    settings = poisoned.world.settings(accept_missing_records=True, explain=False)
    unmet = {partition: kind for partition, kind in enumerate(poisoned.kinds) if kind.why is not None}
    while unmet:
        end = run_gate(settings)
        assert end.exit_code == ExitCode.START_AGAIN, end
        assert isinstance(end.error, BatchUnreadableError)
        partition = end.error.partition
        assert partition is not None
        kind = unmet.pop(partition)
        assert (end.error.topic, end.error.offset) == (poisoned.topic, BATCH_AT)
        assert end.reason.startswith(f"The record batch at offset 1 of {poisoned.topic}-{partition} "), kind.name
        assert re.search(f"cannot be read: ({kind.why})", end.reason), (kind.name, end.reason)
        assert "no JSON" not in end.reason
        assert (partition, 0) in poisoned.dead_letters(), "what lies before it is decided first"
        poisoned.give_up(partition)
    expected = poisoned.expected()
    assert run_gate(settings, lambda: poisoned.dead_letters() >= expected).exit_code == ExitCode.DONE
    assert poisoned.dead_letters() == expected


def test_the_process_ends_with_the_sentence_in_its_log_and_on_its_output(own_kafka: RealKafka, tmp_path: Path) -> None:
    """Supervised, it is started again, and says the same."""
    poisoned = Poisoned(own_kafka, "opt-out", [UNREADABLE[0]])
    gate = Gate(poisoned.world.settings(), tmp_path)
    try:
        assert gate.ended(START_SECONDS) == ExitCode.START_AGAIN, gate.said[-3000:]
    finally:
        gate.stop()
    told = last_words(gate)
    assert told.pop("sentence") in [line.get("reason") for line in log_lines(gate)]
    assert told == {"kind": "BatchUnreadableError", "topic": poisoned.topic, "partition": 0, "offset": BATCH_AT}
    assert "no JSON" not in gate.said


def log_lines(gate: Gate) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gate.said.splitlines()]


@pytest.mark.parametrize("topic", TOPICS)
def test_a_hole_inside_a_batch_is_missing_records(own_kafka: RealKafka, tmp_path: Path, topic: str) -> None:
    poisoned = Poisoned(own_kafka, topic, HOLES)
    end = run_gate(poisoned.world.settings())
    assert end.exit_code == ExitCode.REFUSED
    assert isinstance(end.error, RecordsMissingError)
    partition = end.error.partition
    assert partition is not None
    [missing] = set(range(RECORDS)) - set(HOLES[partition].read)
    assert (end.error.topic, end.error.offset, end.error.count) == (poisoned.topic, BATCH_AT + missing, 1)
    assert end.reason.startswith(
        f"1 records of {poisoned.topic}-{partition} from offset {BATCH_AT + missing} on are gone"
    )
    with running(poisoned.world, tmp_path, accept_missing_records=True) as gate:
        until_all_decided(gate, poisoned.world)
        missing_records = gate.metrics()["mesura_missing_records_total"]
    counted = {dict(labels)["topic"]: value for labels, value in missing_records.items() if value}
    assert counted == {poisoned.topic: len(HOLES)}
    assert poisoned.dead_letters() == poisoned.expected()


HUGE_BYTES = 900_000


def test_what_is_large_strange_or_taken_back_harms_nobody(real_kafka: Broker, tmp_path: Path) -> None:
    """On every input topic: a huge header, no value, transactions committed and aborted. Their markers, and what was
    taken back, are no missing records.
    """
    world = World(real_kafka, new_prefix(), recorded_times=False)
    inputs = [*world.inputs, world.names.rerouted]
    with running(world, tmp_path) as gate:
        asyncio.run(_send_strange(world, inputs))
        until_all_decided(gate, world)
        metrics = gate.metrics()
        assert gate.get("/ready")[0] == 200
    assert not any(metrics["mesura_missing_records_total"].values())
    places = Counter(origin_of_dead_letter(record)[:2] for record in world.read(world.names.dead_letter))
    assert places == {(topic, 1): 4 for topic in inputs}
    assert not world.read_outputs()


async def _send_strange(world: World, topics: Sequence[str]) -> None:
    key = next(key for key in (b"c-%d" % number for number in count()) if murmur2_partition(key, world.partitions) == 1)
    plain = aiokafka.AIOKafkaProducer(bootstrap_servers=world.address, max_request_size=2 * HUGE_BYTES)
    in_transactions = aiokafka.AIOKafkaProducer(bootstrap_servers=world.address, transactional_id=world.prefix + "load")
    await plain.start()
    await in_transactions.start()
    try:
        for topic in topics:
            await in_transactions.begin_transaction()
            await in_transactions.send_and_wait(topic, b"taken back", key, partition=1)
            await in_transactions.abort_transaction()
            await plain.send_and_wait(topic, b"no JSON", key, partition=1, headers=[("large", b"x" * HUGE_BYTES)])
            await plain.send_and_wait(topic, None, key, partition=1)
            async with in_transactions.transaction():
                await in_transactions.send_and_wait(topic, b"no JSON", key, partition=1)
            await plain.send_and_wait(topic, b"no JSON", key, partition=1)
    finally:
        await plain.stop()
        await in_transactions.stop()


@pytest.mark.parametrize("topic", ["mesura-ledger", "mesura-control"])
def test_a_damaged_batch_of_its_own_topics_ends_the_worker_too(own_kafka: RealKafka, topic: str) -> None:
    """No ledger and no policy is read past it."""
    world = World(own_kafka, new_prefix(), partitions=1, recorded_times=False)
    world.publish([preference("c-1", "no", at=now_ms())])
    settings = world.settings(explain=False)
    ledger = world.names.ledger
    assert run_gate(settings, lambda: bool(world.read(ledger))).exit_code == ExitCode.DONE
    overwrite(own_kafka.data_directory / "data", world.prefix + topic, 0, 0, lambda stored: stored[:-1] + b"~")
    end = run_gate(settings)
    assert end.exit_code == ExitCode.START_AGAIN
    assert isinstance(end.error, BatchUnreadableError)
    assert (end.error.topic, end.error.partition, end.error.offset) == (world.prefix + topic, 0, 0)
    assert "cannot be read: its checksum is wrong" in end.reason
