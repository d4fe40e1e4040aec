"""The single runs of the comparison: one contender, one question, figures from outside.

Rules of this module
1. Everybody is measured by the same code on the same broker: committed offsets, the kernel's processor time, one
   client.
2. A run leaves nothing behind: its processes are ended, its topics deleted, its folder removed.
3. Who cannot do what is asked gets a row that says so.
"""

from __future__ import annotations

import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

import orjson
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from bench import meter
from bench.latency import Client, percentiles, steady_intent
from bench.peers.conformance import running
from bench.peers.roster import PARTITIONS, Entrant, Place
from bench.restore import CONTACTS, ledger_values, write_changelog
from bench.workload import Workload
from streams.exactly_once.changelog import META_KEY
from streams.testing.kafka_io import publish
from streams.testing.policies import open_all_hours
from streams.testing.real_kafka import RealKafka
from streams.testing.records import OutgoingRecord, murmur2_partition
from streams.testing.waiting import wait_until

PUBLISH: Final = {"linger.ms": 20, "batch.size": 262_144}
INPUT: Final = {"retention.ms": "-1"}
SETTLE_SECONDS: Final = 90.0
"""Until every member has its share and has heard what customers said: a start, a rebalance, a checkpoint."""

LEFT_SECONDS: Final = 60.0
"""Until the broker has given up the dead: several times the session timeout."""

DECIDES_SECONDS: Final = 300.0
"""From a start on a full changelog to the first answers; beyond this the row says so."""

WARMING_FIRST: Final = 100_000_000
"""Intents of a warming up are numbered from here: none that is measured may be a repeat of one."""

READ_BATCH: Final = 1_000
READ_SECONDS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Backlog:
    """A workload and the topics it stands on."""

    workload: Workload
    prefix: str

    @property
    def intents(self) -> str:
        """What everybody decides."""
        return f"{self.prefix}-intents"

    @property
    def opt_outs(self) -> str:
        """What the small policy listens to."""
        return f"{self.prefix}-optout"

    @property
    def preferences(self) -> str:
        """Opt-outs and consents, for the starter policy."""
        return f"{self.prefix}-preferences"

    def create(self, kafka: RealKafka) -> None:
        """The topics, empty."""
        kafka.create_topics([self.intents, self.opt_outs, self.preferences], partitions=PARTITIONS, config=INPUT)

    def publish_preferences(self, bootstrap_servers: str) -> int:
        """What customers said; returns how many opt-outs there are."""
        work = self.workload
        publish(
            bootstrap_servers, chain(work.consents(self.preferences), work.opt_outs(self.preferences)), options=PUBLISH
        )
        return publish(bootstrap_servers, work.opt_outs(self.opt_outs), options=PUBLISH)

    def publish_intents(self, bootstrap_servers: str) -> None:
        """All of them."""
        publish(bootstrap_servers, self.workload.intent_records(self.intents), options=PUBLISH)

    def probes(self) -> list[OutgoingRecord]:
        """The first intent of each partition: whoever still knows it answers `duplicate`."""
        found: dict[int, OutgoingRecord] = {}
        for record in self.workload.intent_records(self.intents):
            found.setdefault(murmur2_partition(record.key or b"", PARTITIONS), record)
            if len(found) == PARTITIONS:
                break
        return list(found.values())

    def delete(self, bootstrap_servers: str) -> None:
        """The topics."""
        meter.delete_topics(bootstrap_servers, [self.intents, self.opt_outs, self.preferences])


@dataclass(slots=True)
class Runs:
    """What all runs of a comparison share."""

    kafka: RealKafka
    prefix: str
    directory: Path
    ledgers: list[list[bytes]] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        """Where the broker is."""
        return self.kafka.bootstrap_servers

    def throughput(
        self, entrant: Entrant, backlog: Backlog, round_number: int, *, restores: bool, counts_answers: bool
    ) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """From an empty state to the end of the backlog; then, if asked for, killed and started on its changelog.

        For a contender that must start first, the backlog is created here, and published once it listens.
        """
        if entrant.starts_before_its_backlog:
            backlog.create(self.kafka)
        place = self._place(entrant, f"throughput-{round_number}", backlog)
        created, folder = entrant.create_topics(self.kafka, place), self._folder(place)
        progress = meter.CommittedOffsets(self.bootstrap, place.group, [backlog.intents])
        with entrant.start(place, folder) as contender:
            if entrant.starts_before_its_backlog:
                heard = meter.CommittedOffsets(self.bootstrap, place.group, [place.preferences])
                wait_until(running(contender, lambda: heard.members() >= entrant.members), SETTLE_SECONDS, "members")
                spoken = backlog.publish_preferences(self.bootstrap)
                wait_until(running(contender, lambda: heard() >= spoken), SETTLE_SECONDS, "what customers said")
                backlog.publish_intents(self.bootstrap)
            total = meter.end_offsets(self.bootstrap, [backlog.intents])
            samples = meter.watch(
                progress,
                progress.members,
                total=total,
                pids=contender.pids,
                broker_pid=self.kafka.pid,
                still_running=contender.still_running,
                members_wanted=entrant.members,
            )
            contender.end(signal.SIGKILL)
        found = meter.rate(samples, total, entrant.members, entrant.jit_share)
        row = {
            "who": entrant.name,
            "round": round_number,
            "intents": total,
            "decisions/s": round(found.per_second),
            "CPU µs each": round(found.cpu_microseconds, 1),
            "broker µs each": round(found.broker_cpu_microseconds, 1),
            "resident MB": round(found.megabytes),
            "seconds measured": round(found.seconds, 1),
        }
        if counts_answers:
            approved = self._records(place.outputs[0])
            row["approved %"] = round(100 * approved / total, 2)
        restored = self._restore(entrant, place, backlog, round_number, progress) if restores else None
        self._clear(place, created, folder)
        if entrant.starts_before_its_backlog:
            backlog.delete(self.bootstrap)
        return row, restored

    def latency(
        self,
        entrant: Entrant,
        round_number: int,
        *,
        per_second: float,
        seconds: float,
        warming_seconds: float,
        customers: int,
    ) -> dict[str, Any]:
        """A fixed rate, and the milliseconds from an intent's acknowledgement to its readable decision."""
        backlog = Backlog(Workload.now(0, customers), f"{self.prefix}-{word(entrant.name)}-latency-{round_number}")
        backlog.create(self.kafka)
        place = self._place(entrant, f"latency-{round_number}", backlog)
        created, folder = entrant.create_topics(self.kafka, place), self._folder(place)
        row: dict[str, Any] = {"who": entrant.name, "round": round_number, "intents/s": per_second}
        with entrant.start(place, folder) as contender:
            heard = meter.CommittedOffsets(self.bootstrap, place.group, [place.preferences])
            wait_until(running(contender, lambda: heard.members() >= entrant.members), SETTLE_SECONDS, "members")
            row["idle MB"] = round(meter.resident_bytes(contender.pids) / 1e6)
            backlog.publish_preferences(self.bootstrap)
            spoken = meter.end_offsets(self.bootstrap, [place.preferences])
            wait_until(running(contender, lambda: heard() >= spoken), SETTLE_SECONDS, "what customers said")
            client = Client(self.bootstrap, list(place.outputs))
            try:
                if warming_seconds:
                    warming = Client(self.bootstrap, list(place.outputs))
                    _load(warming, backlog, per_second, warming_seconds, first=WARMING_FIRST)
                before = meter.cpu_seconds(contender.pids), time.perf_counter()
                _load(client, backlog, per_second, seconds)
            except RuntimeError as late:
                contender.still_running()
                row["kept up"] = f"no: {late}"
            else:
                share = (meter.cpu_seconds(contender.pids) - before[0]) / (time.perf_counter() - before[1])
                row |= {**percentiles(client.milliseconds()), "CPU %": round(100 * share, 1)}
        self._clear(place, created, folder)
        backlog.delete(self.bootstrap)
        return row

    def with_customers(self, entrant: Entrant, customers: int, intents: int, round_number: int) -> dict[str, Any]:
        """Our own gate, which already knows so many customers of five contacts, on a backlog of theirs."""
        policy = open_all_hours(entrant.policy, self.directory)
        if not self.ledgers:
            self.ledgers = ledger_values(open_all_hours("starter", self.directory), int(time.time() * 1000))
        backlog = Backlog(Workload.now(intents, customers), f"{self.prefix}-known-{customers}-{round_number}")

        def remember(place: Place) -> None:
            write_changelog(self.bootstrap, place.names, customers, self.ledgers, [len(CONTACTS) - 1])

        found = self._growth(entrant, backlog, policy, remember)
        return {"customers known": customers, "round": round_number, **found}

    def with_rules(self, entrant: Entrant, rules: int, intents: int, round_number: int) -> dict[str, Any]:
        """Our own gate with a policy of so many rules, all of which are asked about every intent."""
        backlog = Backlog(Workload.now(intents, max(1, intents // 10)), f"{self.prefix}-rules-{rules}-{round_number}")
        found = self._growth(entrant, backlog, policy_of(rules, self.directory), lambda _: None)
        return {"rules": rules, "round": round_number, **found}

    def _growth(
        self, entrant: Entrant, backlog: Backlog, policy: Path, prepare: Callable[[Place], None]
    ) -> dict[str, Any]:
        backlog.create(self.kafka)
        publish(self.bootstrap, backlog.workload.opt_outs(backlog.opt_outs), options=PUBLISH)
        backlog.publish_intents(self.bootstrap)
        place = Place(self.bootstrap, f"{backlog.prefix}-gate", backlog.intents, backlog.opt_outs)
        created, folder = entrant.create_topics(self.kafka, place), self._folder(place)
        prepare(place)
        progress = meter.CommittedOffsets(self.bootstrap, place.group, [backlog.intents])
        began = time.perf_counter()
        with entrant.start(place, folder, policy=policy) as contender:
            samples = meter.watch(
                progress,
                progress.members,
                total=backlog.workload.intents,
                pids=contender.pids,
                broker_pid=self.kafka.pid,
                still_running=contender.still_running,
                members_wanted=entrant.members,
            )
        found = meter.rate(samples, backlog.workload.intents, entrant.members)
        decides = next(each.seconds for each in samples if each.done) - began
        self._clear(place, created, folder)
        backlog.delete(self.bootstrap)
        return {
            "decisions/s": round(found.per_second),
            "CPU µs each": round(found.cpu_microseconds, 1),
            "resident MB": round(found.megabytes),
            "first decided after s": round(decides, 1),
        }

    def _restore(
        self,
        entrant: Entrant,
        place: Place,
        backlog: Backlog,
        round_number: int,
        group: meter.CommittedOffsets,
    ) -> dict[str, Any]:
        """It was killed. Once the broker has given it up: started on an empty disk, until it proves that it knows."""
        row: dict[str, Any] = {"who": entrant.name, "round": round_number}
        wait_until(group.is_left, LEFT_SECONDS, "the end of the dead members' sessions")
        shutil.rmtree(self.directory / place.group)
        folder = self._folder(place)
        row |= self._changelog(place)
        probes = backlog.probes()
        reader = Answers(
            self.bootstrap, place.outputs, {orjson.loads(probe.value or b"")["intent_id"] for probe in probes}
        )
        publish(self.bootstrap, probes)
        began = time.perf_counter()
        try:
            with entrant.start(place, folder) as contender:
                wait_until(running(contender, reader.are_complete), DECIDES_SECONDS, "answers after a restore")
                row["decides after s"] = round(time.perf_counter() - began, 1)
                row["resident MB"] = round(meter.resident_bytes(contender.pids) / 1e6)
        finally:
            reader.close()
        row["forgotten"] = sum(reason != "duplicate" for reason in reader.reasons.values())
        return row

    def _changelog(self, place: Place) -> dict[str, int]:
        """How many customers it knows, how many records say so, and how large the last one of each is."""
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        named = [name for name in client.list_topics(timeout=meter.ANSWER_SECONDS).topics if place.group in name]
        topics = [name for name in named if "changelog" in name or name == place.names.ledger]
        last: dict[bytes, int] = {}
        records = 0
        for topic in topics:
            for partition in range(PARTITIONS):
                for key, size in meter.sizes(self.bootstrap, topic, partition):
                    records += 1
                    last[key] = size
        last.pop(META_KEY, None)
        state = round(sum(last.values()) / len(last))
        return {"customers": len(last), "changelog records": records, "state bytes per customer": state}

    def _place(self, entrant: Entrant, run: str, backlog: Backlog) -> Place:
        preferences = backlog.preferences if entrant.policy == "starter" else backlog.opt_outs
        return Place(self.bootstrap, f"{self.prefix}-{word(entrant.name)}-{run}", backlog.intents, preferences)

    def _folder(self, place: Place) -> Path:
        folder = self.directory / place.group
        folder.mkdir()
        return folder

    def _records(self, topic: str) -> int:
        return sum(1 for partition in range(PARTITIONS) for _ in meter.keys(self.bootstrap, topic, partition))

    def _clear(self, place: Place, created: list[str], folder: Path) -> None:
        client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
        made = [name for name in client.list_topics(timeout=meter.ANSWER_SECONDS).topics if place.group in name]
        meter.delete_topics(self.bootstrap, sorted({*created, *made}))
        shutil.rmtree(folder, ignore_errors=True)


def _load(client: Client, backlog: Backlog, per_second: float, seconds: float, first: int = 0) -> None:
    """A fixed rate of intents for so long, numbered from `first`."""
    until = time.perf_counter() + seconds
    customers = backlog.workload.customers
    client.run(
        backlog.intents,
        lambda number: steady_intent(first + number, customers),
        per_second,
        lambda: time.perf_counter() < until,
    )


class Answers:
    """Reads what is decided from now on, until certain intents have been answered."""

    def __init__(self, bootstrap_servers: str, outputs: tuple[str, ...], wanted: set[str]) -> None:
        self.reasons: dict[str, str | None] = {}
        self._wanted = wanted
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "bench-answers",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
            }
        )
        partitions = [TopicPartition(topic, number) for topic in outputs for number in range(PARTITIONS)]
        for partition in partitions:
            partition.offset = self._consumer.get_watermark_offsets(partition, timeout=meter.ANSWER_SECONDS)[1]
        self._consumer.assign(partitions)

    def are_complete(self) -> bool:
        """Whether all of them have been."""
        for message in self._consumer.consume(READ_BATCH, READ_SECONDS):
            document = {} if message.error() else orjson.loads(message.value())
            if document.get("intent_id") in self._wanted:
                self.reasons[document["intent_id"]] = document.get("reason")
        return self.reasons.keys() == self._wanted

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()


def policy_of(rules: int, directory: Path) -> Path:
    """The small policy's cap over all channels, and more caps that count but never deny: the answers stay the same."""
    scopes = ("channel", "purpose", "campaign", "brand", "")
    lines = [
        "mesura: 1",
        "name: growth",
        f'version: "{rules}"',
        "zone: UTC",
        "default_purpose: service",
        "channels: {voice: , sms: , email: , whatsapp: }",
        "purposes: [marketing, service, collections, otp]",
        "rules:",
    ]
    for number in range(rules):
        scope, days, limit = scopes[number % len(scopes)], 1 + number % 30, 100
        if number == 0:
            scope, days, limit = "", 7, 5
        lines += [
            f"  - id: cap-{number}",
            "    kind: cap",
            '    because: "One more thing to count."',
            f"    limit: {limit}",
            f"    window: {{rolling: {days}d}}",
        ]
        lines += [f"    scope: [{scope}]"] if scope else []
    path = directory / f"growth-{rules}.yaml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def word(name: str) -> str:
    """A name as part of a topic's or a group's."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
