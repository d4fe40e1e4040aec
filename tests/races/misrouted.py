"""How long an opt-out on a wrong partition is not heeded, and what is approved meanwhile; what it would cost to look.

    python -m tests.races.misrouted                        idle, and under 2 000 intents a second
    python -m tests.races.misrouted --probes 50 --loads 0  quicker

A probe is a customer with one approval. Their opt-out is sent with `acks=all`, on the partition after their own; once
it is acknowledged, intents of theirs are sent, at `AFTER_MS`. Every run is made with opt-outs that lie where they
belong, too. The gate is two workers on eight partitions of Apache Kafka.

*Applied* is the moment at which the lane of the customer took the approval back: the `decided_at` of the withdrawal.

*The cost* is of the alternative, in which every worker looks at the opt-outs of all partitions: how long the barrier's
question takes when it is about all partitions instead of a worker's own, and the processor time of reading an opt-out
and asking where its key lives.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import os
import tempfile
import time
from collections import defaultdict
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import Producer

from streams.testing.real_kafka import open_kafka
from streams.testing.records import OutgoingRecord, intent, murmur2_partition, preference
from tests.races.campaign import END_SECONDS, background_load, two_at_work
from tests.system.conftest import new_prefix
from tests.system.harness import World, until_all_decided, value_of
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from streams.testing.broker import Broker

AFTER_MS: Final = (0, 10, 20, 50, 100, 200, 500, 1_000)
"""When intents are sent after the acknowledgement."""
PROBES_PER_SECOND: Final = 10
BEFORE_SECONDS: Final = 3.0
"""Between the intent that is to be approved and the opt-out: longer than a busy gate takes to answer."""
COST_RECORDS: Final = 100_000
COST_QUESTIONS: Final = 300
COST_OF: Final = ((8, 2), (64, 4))
PERCENTILES: Final = (50, 99, 100)


@dataclass(slots=True)
class Probes:
    """Publishes the probes, at their times, from one thread."""

    world: World
    count: int
    is_misrouted: bool
    acknowledged_ms: dict[str, float] = field(default_factory=dict)
    _due: list[tuple[float, int, str, int]] = field(default_factory=list)
    _producer: Any = None

    def run(self) -> None:
        """Return when every record of every probe was acknowledged."""
        self._producer = Producer({"bootstrap.servers": self.world.address, "acks": "all", "linger.ms": 0})
        began = time.time()
        for number in range(self.count):
            at = began + number / PROBES_PER_SECOND
            heapq.heappush(self._due, (at, number, "before", 0))
            heapq.heappush(self._due, (at + BEFORE_SECONDS, number, "no", 0))
        while self._due or len(self.acknowledged_ms) < self.count:
            self._producer.poll(0.0005)
            while self._due and self._due[0][0] <= time.time():
                _, number, what, after_ms = heapq.heappop(self._due)
                self._publish(number, what, after_ms)
        assert self._producer.flush(END_SECONDS) == 0

    def _publish(self, number: int, what: str, after_ms: int) -> None:
        customer, now_ms = f"probe-{number}", time.time_ns() // 1_000_000
        if what == "no":
            home = murmur2_partition(customer.encode(), self.world.partitions)
            partition = (home + self.is_misrouted) % self.world.partitions
            self._send(preference(customer, "no", at=now_ms), partition, number)
        else:
            self._send(intent(customer, f"{what}-{after_ms}", created_at=now_ms), None, None)

    def _send(self, record: OutgoingRecord, partition: int | None, number: int | None) -> None:
        home = murmur2_partition(record.key or b"", self.world.partitions)

        def delivered(error: object, _: object) -> None:
            assert error is None
            if number is not None:
                self._acknowledged(number)

        self._producer.produce(
            self.world.prefix + record.topic,
            value=record.value,
            key=record.key,
            partition=home if partition is None else partition,
            timestamp=record.timestamp_ms,
            on_delivery=delivered,
        )

    def _acknowledged(self, number: int) -> None:
        now = time.time()
        self.acknowledged_ms[f"probe-{number}"] = now * 1000
        for after_ms in AFTER_MS:
            heapq.heappush(self._due, (now + after_ms / 1000, number, "after", after_ms))


def measure(
    broker: Broker, directory: Path, probes_count: int, per_second: int, *, is_misrouted: bool
) -> dict[str, Any]:
    """One run on fresh topics."""
    world = World(broker, new_prefix())
    policy = directory / "policy.yaml"
    policy.write_text(any_hour(), encoding="utf-8")
    with two_at_work(world, directory, policy) as first:
        probes = Probes(world, probes_count, is_misrouted)
        with background_load(world, per_second) if per_second else nullcontext({}) as load:
            probes.run()
        until_all_decided(first, world)
    return _result(world, probes, load, per_second)


def _result(world: World, probes: Probes, load: dict[str, float], per_second: int) -> dict[str, Any]:
    approvals: dict[str, dict[str, str]] = defaultdict(dict)
    withdrawn: dict[str, list[int]] = defaultdict(list)
    taken_back: set[str] = set()
    answered_ms: list[float] = []
    asked = 0
    for record in world.read_outputs():
        answer = value_of(record)
        customer = str(answer["customer_id"])
        if customer not in probes.acknowledged_ms:
            continue
        if answer["type"] == "withdrawn":
            withdrawn[customer].append(answer["decided_at"])
            taken_back.add(answer["decision_id"])
        else:
            asked += str(answer["intent_id"]).startswith("after")
            if answer["type"] == "approved":
                approvals[customer][answer["intent_id"]] = answer["decision_id"]
            if answer["intent_id"] == "after-0":
                answered_ms.append(answer["decided_at"] - probes.acknowledged_ms[customer])
    after = [
        (int(name.partition("-")[2]), decision)
        for found in approvals.values()
        for name, decision in found.items()
        if name.startswith("after")
    ]
    applied = [min(withdrawn[customer]) - at for customer, at in probes.acknowledged_ms.items() if withdrawn[customer]]
    return {
        "misrouted": probes.is_misrouted,
        "intents_per_second": per_second,
        "intents_of_load": load.get("intents", 0),
        "probes": probes.count,
        "probes_withdrawn": len(applied),
        "applied_ms": _percentiles(applied),
        "first_answer_ms": _percentiles(answered_ms),
        "asked_after": asked,
        "approved_after": len(after),
        "approved_after_by_ms": {str(ms): sum(1 for each, _ in after if each == ms) for ms in AFTER_MS},
        "approved_after_not_withdrawn": sum(1 for _, decision in after if decision not in taken_back),
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        f"p{each}": round(ordered[min(len(ordered) - 1, len(ordered) * each // 100)], 1)
        for each in PERCENTILES
        if ordered
    }


async def cost(broker: Broker, partitions: int, workers: int) -> dict[str, Any]:
    """Of looking at all opt-outs, on topics of so many partitions shared by so many workers."""
    world = World(broker, new_prefix(), partitions=partitions)
    topics = (world.names.preferences, world.names.outcomes)
    everything = [TopicPartition(topic, number) for topic in topics for number in range(partitions)]
    own = [where for where in everything if where.partition % workers == 0]
    world.publish(preference(f"customer-{number}", f"e-{number}") for number in range(COST_RECORDS))
    consumer = AIOKafkaConsumer(bootstrap_servers=world.address, auto_offset_reset="earliest", enable_auto_commit=False)
    await consumer.start()
    try:
        asked = {"own": own, "all": everything}
        asking_ms: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(COST_QUESTIONS):  # in turn, so that what else the machine does falls on both alike
            for name, where in asked.items():
                began = time.perf_counter()
                await consumer.end_offsets(where)
                asking_ms[name].append((time.perf_counter() - began) * 1000)
        consumer.assign([TopicPartition(world.names.preferences, number) for number in range(partitions)])
        elsewhere = read = 0
        began = time.process_time()
        while read < COST_RECORDS:
            for where, records in (await consumer.getmany(timeout_ms=100)).items():
                elsewhere += sum(murmur2_partition(record.key, partitions) != where.partition for record in records)
                read += len(records)
        microseconds = (time.process_time() - began) * 1e6 / read
    finally:
        await consumer.stop()
    assert elsewhere == 0
    return {
        "partitions": partitions,
        "workers": workers,
        "asking_ms": {name: _percentiles(values) for name, values in asking_ms.items()},
        "microseconds_a_record": round(microseconds, 1),
    }


def main() -> None:
    """Run them and print a line of JSON for each."""
    parser = argparse.ArgumentParser(prog="python -m tests.races.misrouted", description=main.__doc__)
    parser.add_argument("--probes", type=int, default=400)
    parser.add_argument("--loads", type=int, nargs="+", default=[0, 2_000])
    options = parser.parse_args()
    with open_kafka() as kafka, tempfile.TemporaryDirectory() as directory:
        for partitions, workers in COST_OF:
            print(json.dumps(asyncio.run(cost(kafka, partitions, workers))), flush=True)
        for per_second in options.loads:
            for is_misrouted in (False, True):
                own = Path(directory) / f"{per_second}-{is_misrouted}"
                own.mkdir()
                found = measure(kafka, own, options.probes, per_second, is_misrouted=is_misrouted)
                print(json.dumps({**found, "machine_load": os.getloadavg()}), flush=True)


if __name__ == "__main__":
    main()
