"""Milliseconds from the acknowledgement of an intent to its decision being readable under read_committed.

    make bench-latency
    python -m bench.latency --seconds 10 --backlog 50000           quicker
    python -m bench.latency --yardstick 'env FW=20 FMB=100000 python other.py worker --web-port "$PORT"'

One outside client, this process, publishes at a steady rate over all partitions and reads both output topics. It polls
one record at a time: asking for several at once waits for them or for a timeout, and it would be the client that is
measured. Every contender gets topics of its own, filled alike; the first fifth of each run is warming up. In turn:

    starter, small    one worker process, then two
    yardstick         the program given; it is told what bench.throughput tells it
    urgent            intents on the urgent topic while a backlog of the ordinary topic is being decided
    idle              processor time of a worker that has nothing to decide
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, Producer, TopicPartition

from bench import meter
from bench.contenders import ERASURE_KEY, IN_THE_CLEAR, Connected, Contender, workers, yardstick
from bench.report import keep, table
from bench.workload import Workload, customer_id
from streams.settings import WorkerSettings
from streams.testing.broker import create_plan
from streams.testing.kafka_io import publish
from streams.testing.policies import open_all_hours
from streams.testing.real_kafka import RealKafka
from streams.topics import TopicNames, TopicPlan

PARTITIONS: Final = 8
WARMING_UP: Final = 0.2
POLL_SECONDS: Final = 0.002
SETTLE_SECONDS: Final = 60.0
URGENT_PER_SECOND: Final = 50
URGENT: Final = "urgent-"


@dataclass(slots=True)
class Client:
    """Publishes intents at a rate and notes when each was acknowledged and when its decision could be read."""

    bootstrap_servers: str
    outputs: list[str]
    acknowledged: dict[str, float] = field(default_factory=dict)
    readable: dict[str, float] = field(default_factory=dict)

    def run(
        self, topic: str, make: Callable[[int], dict[str, Any]], per_second: float, more: Callable[[], bool]
    ) -> None:
        """Publish while there shall be more, and read until everything published has been decided."""
        producer = Producer({"bootstrap.servers": self.bootstrap_servers, "partitioner": "murmur2_random",
                             "enable.idempotence": True})  # fmt: skip
        consumer = self._consumer()
        began = time.perf_counter()
        number = 0
        publishing = True
        deadline = float("inf")
        try:
            while publishing or len(self.readable) < number:
                now = time.perf_counter()
                if now > deadline:
                    raise RuntimeError(f"{number - len(self.readable)} intents got no decision")
                if publishing and not more():
                    publishing, deadline = False, now + SETTLE_SECONDS
                while publishing and number < (now - began) * per_second:
                    document = make(number)
                    intent_id = document["intent_id"]
                    producer.produce(
                        topic,
                        orjson.dumps(document),
                        document["customer_id"],
                        on_delivery=lambda _, __, name=intent_id: self._acknowledge(name),
                    )
                    number += 1
                producer.poll(0)
                message = consumer.poll(POLL_SECONDS)
                while message is not None:
                    self._read(message)
                    message = consumer.poll(0)
        finally:
            producer.flush(SETTLE_SECONDS)
            consumer.close()

    def _consumer(self) -> Consumer:
        consumer = Consumer({"bootstrap.servers": self.bootstrap_servers, "group.id": "bench-latency",
                             "enable.auto.commit": False, "isolation.level": "read_committed"})  # fmt: skip
        partitions = [TopicPartition(topic, number) for topic in self.outputs for number in range(PARTITIONS)]
        for partition in partitions:
            partition.offset = consumer.get_watermark_offsets(partition, timeout=meter.ANSWER_SECONDS)[1]
        consumer.assign(partitions)
        return consumer

    def _acknowledge(self, intent_id: str) -> None:
        self.acknowledged[intent_id] = time.perf_counter()

    def _read(self, message: Any) -> None:  # noqa: ANN401 - the client library is untyped
        now = time.perf_counter()
        if message.error() is None:
            intent_id = orjson.loads(message.value()).get("intent_id", "")
            if intent_id.startswith(URGENT):
                self.readable[intent_id] = now

    def milliseconds(self) -> list[float]:
        """Of every intent but those of the warming up, sorted."""
        names = sorted(self.acknowledged, key=self.acknowledged.__getitem__)
        # A decision may be readable before our acknowledgement was heard: no time at all.
        return sorted(
            max(0.0, self.readable[name] - self.acknowledged[name]) * 1000
            for name in names[int(len(names) * WARMING_UP) :]
        )


def percentiles(milliseconds: list[float]) -> dict[str, Any]:
    """p50, p90, p99 and the slowest."""
    at = {name: milliseconds[min(len(milliseconds) - 1, int(len(milliseconds) * share))] for name, share in
          (("p50 ms", 0.5), ("p90 ms", 0.9), ("p99 ms", 0.99))}  # fmt: skip
    found = {name: round(value, 1) for name, value in at.items()}
    return {**found, "max ms": round(milliseconds[-1], 1), "intents": len(milliseconds)}


@dataclass(frozen=True, slots=True)
class Bench:
    """What all runs share."""

    kafka: RealKafka
    prefix: str
    customers: int
    per_second: int
    seconds: float
    idle_seconds: float
    lanes: int
    directory: Path

    def run_workers(
        self, policy: str, processes: int, round_number: int, connected: Connected = IN_THE_CLEAR
    ) -> dict[str, Any]:
        """Our own workers under a steady rate, then idle."""
        settings = self._started(f"{policy}-{processes}-{round_number}{connected.mark}", policy, connected)
        names = settings.topics
        with workers(settings, processes, self.directory) as contender:
            self._settle(settings.application_id, [names.preferences], processes, contender)
            client = Client(self.kafka.bootstrap_servers, [names.approved, names.suppressed])
            found = self._steady(client, names.intents[0], contender)
            idle = self._idle(contender)
        return {"who": f"mesura {policy}", "processes": processes, "round": round_number, **found, **idle}

    def run_urgent(self, backlog: int, round_number: int) -> dict[str, Any]:
        """Urgent intents while the ordinary topic's backlog is being decided by one process."""
        settings = self._started(f"urgent-{round_number}", "starter")
        names = settings.topics
        work = Workload.now(backlog, self.customers)
        with workers(settings, 1, self.directory) as contender:
            self._settle(settings.application_id, [names.preferences], 1, contender)
            decided = meter.CommittedOffsets(self.kafka.bootstrap_servers, settings.application_id, names.intents[1:])
            publish(self.kafka.bootstrap_servers, work.intent_records(names.intents[1]), options={"linger.ms": 20})
            client = Client(self.kafka.bootstrap_servers, [names.approved, names.suppressed])
            left = Throttled(lambda: backlog - decided(), 1.0)
            client.run(names.intents[0], self._intent, URGENT_PER_SECOND, lambda: left() > 0)
            contender.still_running()
        return {"who": "mesura urgent", "processes": 1, "round": round_number, **percentiles(client.milliseconds())}

    def run_yardstick(self, command: str, round_number: int) -> dict[str, Any]:
        """The program given, one process, under the same rate."""
        prefix = f"{self.prefix}-y{round_number}"
        intents, opt_outs, outputs = f"{prefix}-intents", f"{prefix}-optout", [f"{prefix}-ap", f"{prefix}-su"]
        self.kafka.create_topics([intents, opt_outs, *outputs], partitions=PARTITIONS)
        self.kafka.create_topics([f"{prefix}-ledger"], partitions=PARTITIONS, config={"cleanup.policy": "compact"})
        publish(self.kafka.bootstrap_servers, Workload.now(0, self.customers).opt_outs(opt_outs))
        environment = {
            "BOOTSTRAP": self.kafka.bootstrap_servers,
            "PFX": prefix,
            "GID": f"{prefix}-group",
            "LANES": str(self.lanes),
            "NP": str(PARTITIONS),
        }
        with yardstick(command, environment, 1, self.directory) as contender:
            self._settle(environment["GID"], [opt_outs], 1, contender)
            found = self._steady(Client(self.kafka.bootstrap_servers, outputs), intents, contender)
            idle = self._idle(contender)
        return {"who": "yardstick", "processes": 1, "round": round_number, **found, **idle}

    def _started(self, name: str, policy: str, connected: Connected = IN_THE_CLEAR) -> WorkerSettings:
        own = TopicNames(intents=("urgent-intent", "ordinary-intent")).with_prefix(f"{self.prefix}-{name}-")
        create_plan(self.kafka, TopicPlan(own, partitions=PARTITIONS, replication_factor=1))
        work = Workload.now(0, self.customers)
        publish(self.kafka.bootstrap_servers, chain(work.consents(own.preferences), work.opt_outs(own.preferences)))
        return WorkerSettings(
            bootstrap_servers=connected.address or self.kafka.bootstrap_servers,
            command_config=connected.properties,
            policy_path=str(open_all_hours(policy, self.directory)),
            application_id=f"{self.prefix}-{name}",
            topics=own,
            lanes=self.lanes,
            ops_port=0,
            erasure_key=ERASURE_KEY,
        )

    def _settle(self, group: str, topics: list[str], processes: int, contender: Contender) -> None:
        """Until everybody has partitions and what customers said has been heard."""
        heard = meter.CommittedOffsets(self.kafka.bootstrap_servers, group, topics)
        expected = meter.end_offsets(self.kafka.bootstrap_servers, topics)
        until = time.monotonic() + SETTLE_SECONDS
        while heard.members() < processes or heard() < expected:
            contender.still_running()
            if time.monotonic() > until:
                raise RuntimeError(f"not settled within {SETTLE_SECONDS:.0f} s")
            time.sleep(meter.SAMPLE_SECONDS)

    def _steady(self, client: Client, topic: str, contender: Contender) -> dict[str, Any]:
        until = time.perf_counter() + self.seconds
        before = meter.cpu_seconds(contender.pids), time.perf_counter()
        client.run(topic, self._intent, self.per_second, lambda: time.perf_counter() < until)
        contender.still_running()
        share = (meter.cpu_seconds(contender.pids) - before[0]) / (time.perf_counter() - before[1])
        return {**percentiles(client.milliseconds()), "CPU % per worker": round(100 * share / len(contender.pids), 1)}

    def _idle(self, contender: Contender) -> dict[str, Any]:
        before = meter.cpu_seconds(contender.pids), time.perf_counter()
        time.sleep(self.idle_seconds)
        share = (meter.cpu_seconds(contender.pids) - before[0]) / (time.perf_counter() - before[1])
        return {"idle CPU % per worker": round(100 * share / len(contender.pids), 1)}

    def _intent(self, number: int) -> dict[str, Any]:
        return steady_intent(number, self.customers)


def steady_intent(number: int, customers: int) -> dict[str, Any]:
    """One intent of some customer, created now, whose decision `Client` looks for."""
    source = random.Random(number)
    work = Workload.now(1, customers)
    document = work.intent(number, customer_id(source.randrange(customers)), source)
    return {**document, "intent_id": f"{URGENT}{number:09d}"}


@dataclass(slots=True)
class Throttled:
    """A look at the broker, not repeated more often than it is worth."""

    look: Callable[[], int]
    seconds: float
    seen: int = 0
    at: float = float("-inf")

    def __call__(self) -> int:
        """What was seen last."""
        if time.perf_counter() - self.at > self.seconds:
            self.seen, self.at = self.look(), time.perf_counter()
        return self.seen


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--per-second", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--warming-seconds", type=float, default=40.0, help="of the broker, before anything counts")
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--backlog", type=int, default=200_000, help="0: without the urgent intents")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--processes", default="1,2", help="how many workers, one run each")
    parser.add_argument("--policies", default="starter,small")
    parser.add_argument("--yardstick", metavar="COMMAND", help="another program, run in turn")
    arguments = parser.parse_args()
    meter.use_two_cores()
    rows: list[dict[str, Any]] = []
    with (
        RealKafka(heap_megabytes=1_024) as kafka,
        tempfile.TemporaryDirectory(prefix="mesura-bench-") as directory,
    ):
        bench = Bench(
            kafka=kafka,
            prefix=f"bench-{os.getpid()}",
            customers=arguments.customers,
            per_second=arguments.per_second,
            seconds=arguments.seconds,
            idle_seconds=arguments.idle_seconds,
            lanes=arguments.lanes,
            directory=Path(directory),
        )
        # A broker that has just started compiles itself for half a minute, and whoever came first would pay for it.
        warming = replace(bench, seconds=arguments.warming_seconds, idle_seconds=0.0)
        print("warming up:", end=" ")
        _said(warming.run_workers("small", 1, 0))
        for number in range(1, arguments.rounds + 1):
            for processes in map(int, arguments.processes.split(",")):
                for policy in arguments.policies.split(","):
                    found = bench.run_workers(policy, processes, number)
                    rows.append(_said(found))
                if arguments.yardstick and processes == 1:
                    rows.append(_said(bench.run_yardstick(arguments.yardstick, number)))
            if arguments.backlog:
                rows.append(_said(bench.run_urgent(arguments.backlog, number)))
    title = (
        f"{arguments.per_second:,} intents a second over {PARTITIONS} partitions, acknowledged to readable; the "
        f"broker, warmed up before, the workers and the client on {meter.CORES} cores. Urgent: {URGENT_PER_SECOND} a "
        f"second while a backlog of {arguments.backlog:,} is decided."
    )
    parameters = {**vars(arguments), "yardstick": bool(arguments.yardstick)}
    keep("latency", "Latency", [(title, table(rows))], {"parameters": parameters, "runs": rows})


def _said(row: dict[str, Any]) -> dict[str, Any]:
    print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row


if __name__ == "__main__":
    main()
