"""Decisions a second, exactly once, the barrier on: worker processes and the broker on the same two cores.

    make bench-throughput
    python -m bench.throughput --intents 200000 --customers 20000 --rounds 1            quicker
    python -m bench.throughput --yardstick 'python other.py worker --web-port "$PORT"'  in turn with another program

One backlog of intents is written once; every contender reads the same records of the same topic, one after the other,
and a round is all of them in turn, because machines drift:

    starter     the starter policy (20 rules, explanations), its hours opened round the clock
    yardstick   the program given, on the small policy (see below for what it is told)
    small       opt-outs, three contacts a channel and five in all in seven days
    faust       a Faust agent with a Table around the same decision, policy (starter) and outputs, on fewer intents:
                started first, because its first start on a backlog loses records

Progress is what a group has committed (for Faust, which commits rarely, what it has written). The rate is taken between
the first and the last tenth, from when every process has its share. CPU is the kernel's count of the worker processes,
and of the broker. Afterwards
the outputs of our own runs are audited.

A yardstick is told: BOOTSTRAP, PFX (topics PFX-intents, -optout, -ap, -su, -ledger), GID, IDX, LANES, NP, PORT.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from msgspec import structs

from bench import meter
from bench.contenders import (
    ERASURE_KEY,
    IN_THE_CLEAR,
    ROOT,
    Connected,
    Contender,
    faust_peer,
    workers,
    yardstick,
)
from bench.report import keep, table
from bench.workload import Workload
from streams.audit import AuditSettings, audit
from streams.settings import WorkerSettings
from streams.testing.kafka_io import publish
from streams.testing.policies import open_all_hours
from streams.testing.real_kafka import RealKafka
from streams.topics import TopicNames, TopicPlan

PARTITIONS: Final = 8
BROKER_HEAP_MEGABYTES: Final = 1_024
PUBLISH: Final = {"linger.ms": 20, "batch.size": 262_144}
INPUT: Final = {"retention.ms": "-1"}
ASSIGNED_SECONDS: Final = 60.0
BROKEN: Final = "BROKEN"
COMPILED: Final = ", compiled"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all runs of a session share."""

    kafka: RealKafka
    workload: Workload
    prefix: str
    processes: int
    lanes: int
    directory: Path
    is_audited: bool

    @property
    def intents_topic(self) -> str:
        """What everybody reads."""
        return f"{self.prefix}-intents"

    def fill(self) -> None:
        """Write the inputs, once."""
        opt_outs, both = f"{self.prefix}-optout", f"{self.prefix}-preferences"
        self.kafka.create_topics([self.intents_topic, opt_outs, both], partitions=PARTITIONS, config=INPUT)
        work = self.workload
        records = chain(work.opt_outs(opt_outs), work.consents(both), work.opt_outs(both))
        publish(self.kafka.bootstrap_servers, records, options=PUBLISH)
        publish(self.kafka.bootstrap_servers, work.intent_records(self.intents_topic), options=PUBLISH)

    def run_workers(
        self, policy: str, round_number: int, compiled: Path | None = None, connected: Connected = IN_THE_CLEAR
    ) -> dict[str, Any]:
        """Our own workers, from an empty ledger to the end of the backlog."""
        build = ("" if compiled is None else "-compiled") + connected.mark
        names = self._names(policy, f"{round_number}{build}")
        settings = WorkerSettings(
            bootstrap_servers=connected.address or self.kafka.bootstrap_servers,
            command_config=connected.properties,
            policy_path=str(open_all_hours(policy, self.directory)),
            application_id=f"{self.prefix}-{policy}-{round_number}{build}",
            topics=names,
            lanes=self.lanes,
            ops_port=0,
            erasure_key=ERASURE_KEY,
        )
        self._create_outputs(names)
        progress = meter.CommittedOffsets(self.kafka.bootstrap_servers, settings.application_id, [self.intents_topic])
        with workers(settings, self.processes, self.directory, compiled or ROOT) as contender:
            samples = self._watch(progress, contender)
        figures = self._figures(f"mesura {policy}{COMPILED if compiled else ''}", round_number, samples)
        approved, suppressed = self._share(names.approved), self._share(names.suppressed)
        figures["approved %"] = round(100 * approved / (approved + suppressed), 1)
        figures["contacts, median"] = contacts_median(self.kafka.bootstrap_servers, names.approved)
        if self.is_audited:
            figures["audit"] = audited(structs.replace(settings, bootstrap_servers=self.kafka.bootstrap_servers))
        meter.delete_topics(
            self.kafka.bootstrap_servers,
            [topic for topic in names.all() if topic not in {self.intents_topic, names.preferences}],
        )
        return figures

    def run_yardstick(self, command: str, round_number: int) -> dict[str, Any]:
        """The program given, on the same intents."""
        outputs = [f"{self.prefix}-{name}" for name in ("ap", "su")]
        ledger = f"{self.prefix}-ledger"
        self._create_again(outputs, INPUT)
        self._create_again([ledger], {"cleanup.policy": "compact"})
        group = f"{self.prefix}-yardstick-{round_number}"
        environment = {
            "BOOTSTRAP": self.kafka.bootstrap_servers,
            "PFX": self.prefix,
            "GID": group,
            "LANES": "2",
            "NP": str(PARTITIONS),
        }
        progress = meter.CommittedOffsets(self.kafka.bootstrap_servers, group, [self.intents_topic])
        with yardstick(command, environment, self.processes, self.directory) as contender:
            samples = self._watch(progress, contender)
        figures = self._figures("yardstick", round_number, samples)
        approved, suppressed = self._share(outputs[0]), self._share(outputs[1])
        figures["approved %"] = round(100 * approved / (approved + suppressed), 1)
        meter.delete_topics(self.kafka.bootstrap_servers, [*outputs, ledger])
        return figures

    def run_faust(self, count: int, round_number: int, policy: str = "starter") -> dict[str, Any]:
        """A Faust agent with a Table, on as many intents as it can take in reasonable time."""
        prefix = f"{self.prefix}-faust-{round_number}"
        intents, preferences = f"{prefix}-intents", f"{prefix}-preferences"
        outputs = [f"{prefix}-approved", f"{prefix}-suppressed"]
        self.kafka.create_topics([intents, preferences, *outputs], partitions=PARTITIONS, config=INPUT)
        customers = max(1, count * self.workload.customers // self.workload.intents)
        work = Workload.now(count, customers)
        environment = {
            "BOOTSTRAP": self.kafka.bootstrap_servers,
            "GID": prefix,
            "INTENTS": intents,
            "PREFERENCES": preferences,
            "APPROVED": outputs[0],
            "SUPPRESSED": outputs[1],
            "POLICY": str(open_all_hours(policy, self.directory)),
            "NP": str(PARTITIONS),
        }
        bootstrap = self.kafka.bootstrap_servers
        heard = meter.CommittedOffsets(bootstrap, prefix, [preferences])
        with faust_peer(environment, self.processes, self.directory) as contender:
            _wait(lambda: heard.members() >= self.processes, contender.still_running)
            spoken = publish(bootstrap, chain(work.consents(preferences), work.opt_outs(preferences)), options=PUBLISH)
            _wait(lambda: heard() >= spoken, contender.still_running)
            publish(bootstrap, work.intent_records(intents), options=PUBLISH)
            samples = meter.watch(
                lambda: meter.end_offsets(bootstrap, outputs),
                heard.members,
                total=count,
                pids=contender.pids,
                broker_pid=self.kafka.pid,
                still_running=contender.still_running,
            )
        figures = self._figures("faust", round_number, samples, count)
        figures["approved %"] = round(100 * meter.end_offsets(bootstrap, outputs[:1]) / samples[-1].done, 1)
        meter.delete_topics(bootstrap, [intents, preferences, *outputs])
        return figures

    def _names(self, policy: str, run: str) -> TopicNames:
        own = TopicNames().with_prefix(f"{self.prefix}-{policy}-{run}-")
        # The small policy asks for no consent: it hears the opt-outs alone, like the yardstick.
        preferences = f"{self.prefix}-optout" if policy == "small" else f"{self.prefix}-preferences"
        return TopicNames(
            intents=(self.intents_topic,),
            preferences=preferences,
            **{name: getattr(own, name) for name in TopicNames.__slots__ if name not in {"intents", "preferences"}},
        )

    def _create_outputs(self, names: TopicNames) -> None:
        plan = TopicPlan(names, partitions=PARTITIONS, replication_factor=1)
        shared = {*names.intents, names.preferences}
        for topic in plan.topics():
            if topic.name not in shared:
                self.kafka.create_topics([topic.name], partitions=topic.partitions, config=topic.config)

    def _create_again(self, topics: list[str], config: dict[str, str]) -> None:
        """Deleting takes the broker a moment after it has said yes."""
        until = time.monotonic() + ASSIGNED_SECONDS
        for topic in topics:
            while True:
                try:
                    self.kafka.create_topics([topic], partitions=PARTITIONS, config=config)
                    break
                except Exception:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.2)

    def _watch(self, group: meter.CommittedOffsets, contender: Contender) -> list[meter.Sample]:
        return meter.watch(
            group,
            group.members,
            total=self.workload.intents,
            pids=contender.pids,
            broker_pid=self.kafka.pid,
            still_running=contender.still_running,
        )

    def _share(self, topic: str) -> int:
        return meter.end_offsets(self.kafka.bootstrap_servers, [topic])

    def _figures(
        self, name: str, round_number: int, samples: Sequence[meter.Sample], total: int | None = None
    ) -> dict[str, Any]:
        found = meter.rate(samples, total or self.workload.intents, self.processes)
        return {
            "who": name,
            "round": round_number,
            "decisions/s": round(found.per_second),
            "CPU µs each": round(found.cpu_microseconds, 1),
            "broker µs each": round(found.broker_cpu_microseconds, 1),
            "memory MB": round(found.megabytes),
            "seconds measured": round(found.seconds, 1),
        }


def _wait(condition: Callable[[], bool], still_running: Callable[[], None]) -> None:
    until = time.monotonic() + ASSIGNED_SECONDS
    while not condition():
        still_running()
        if time.monotonic() > until:
            raise RuntimeError(f"what was waited for did not come within {ASSIGNED_SECONDS:.0f} s")
        time.sleep(0.1)


def contacts_median(bootstrap_servers: str, topic: str) -> float:
    """Of the customers of one partition who were contacted at all."""
    return statistics.median(Counter(meter.keys(bootstrap_servers, topic, 0)).values())


def audited(settings: WorkerSettings) -> str:
    """Whether the outputs keep every promise, by the independent check. What it finds is printed."""
    report = audit(
        AuditSettings(
            settings.bootstrap_servers,
            settings.topics,
            [Path(settings.policy_path)],
            application_id=settings.application_id,
            processes=meter.CORES,
            erasure_key=settings.erasure_key,
        )
    )
    if not report.is_clean:
        print(report.as_text(), flush=True)
        return BROKEN
    return f"clean in {report.seconds:.0f} s"


def ratios(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How our own runs compare with the others of the same round; the median over rounds."""
    by_round: dict[int, dict[str, float]] = {}
    for row in rows:
        by_round.setdefault(row["round"], {})[row["who"]] = row["decisions/s"]
    found = []
    for ours in (f"mesura {policy}{build}" for policy in ("starter", "small") for build in ("", COMPILED)):
        for theirs in ("yardstick", "faust"):
            each = [rates[ours] / rates[theirs] for rates in by_round.values() if {ours, theirs} <= rates.keys()]
            if each and not (theirs == "faust" and ours.startswith("mesura small")):
                spread = f"{min(each):.3g}-{max(each):.3g}"
                found.append({"ratio": f"{ours} / {theirs}", "median": statistics.median(each), "range": spread})
    return found


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=2_000_000)
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--policies", default="starter,small", help="packs, separated by commas")
    parser.add_argument("--yardstick", metavar="COMMAND", help="another program, run in turn on the same topics")
    parser.add_argument("--compiled", metavar="TREE", type=Path, help="every policy also from there (make compiled)")
    parser.add_argument("--faust-intents", type=int, default=20_000, help="0: without the Faust peer")
    parser.add_argument("--audit", action=argparse.BooleanOptionalAction, default=True)
    arguments = parser.parse_args()
    policies = [name for name in arguments.policies.split(",") if name]
    meter.use_two_cores()
    rows: list[dict[str, Any]] = []
    with (
        RealKafka(heap_megabytes=BROKER_HEAP_MEGABYTES) as kafka,
        tempfile.TemporaryDirectory(prefix="mesura-bench-") as directory,
    ):
        bench = Bench(
            kafka=kafka,
            workload=Workload.now(arguments.intents, arguments.customers),
            prefix=f"bench-{os.getpid()}",
            processes=arguments.processes,
            lanes=arguments.lanes,
            directory=Path(directory),
            is_audited=arguments.audit,
        )
        bench.fill()
        for number in range(1, arguments.rounds + 1):
            for policy in policies:
                rows.append(_said(bench.run_workers(policy, number)))
                if arguments.compiled:
                    rows.append(_said(bench.run_workers(policy, number, arguments.compiled.resolve())))
                if arguments.yardstick and policy == policies[0]:
                    rows.append(_said(bench.run_yardstick(arguments.yardstick, number)))
            if arguments.faust_intents:
                rows.append(_said(bench.run_faust(arguments.faust_intents, number)))
    compared = ratios(rows)
    title = (
        f"{arguments.intents:,} intents of {arguments.customers:,} customers, {arguments.processes} processes and "
        f"the broker on {meter.CORES} cores, {PARTITIONS} partitions, exactly once, barrier on."
    )
    sections = [(title, table(rows))]
    if compared:
        sections.append(("Ratios within a round:", table(compared)))
    parameters = {**vars(arguments), "yardstick": bool(arguments.yardstick), "compiled": bool(arguments.compiled)}
    document = {
        "parameters": parameters,
        "runs": rows,
        "ratios": compared,
    }
    keep("throughput", "Throughput", sections, document)
    if any(row.get("audit") == BROKEN for row in rows):
        sys.exit("The audit found broken promises: a rate of wrong answers is no rate.")


def _said(row: dict[str, Any]) -> dict[str, Any]:
    print(", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    return row


if __name__ == "__main__":
    main()
