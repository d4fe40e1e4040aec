"""The gate beside its peers: one workload, one broker, one run, everybody in turn.

    make bench-compare                      about 25 minutes on two cores
    python -m bench.compare --quick         about 4: whether it runs; its figures mean little
    python -m bench.compare --render        the report and the pictures again, from the figures kept

Compared are mesura with the small policy (opt-outs, three contacts a channel and five in all in seven days) and with
the starter policy, Kafka Streams (exactly once v2, RocksDB), Quix Streams (exactly once) and a straightforward Faust
agent with a Table, all three with the small policy; see `bench.peers.roster`. In this order:

    conformance   everybody decides `bench.peers.conformance` as expected, or nothing is measured
    throughput    rounds of everybody over one backlog, from an empty state, by committed offsets; those who would take
                  too long get a shorter one with as many intents per customer
    restore       in the last rounds each is killed after its backlog, and started on an empty disk with its changelog,
                  until it calls an intent of each partition a duplicate: it knows again what it knew
    latency       a fixed rate, an outside client; who cannot decide so many gets a lower rate
    growth        our own gate alone: more customers, more rules

A JIT needs some seconds of work before it is fast: of the backlog of Kafka Streams the first 40 % are not counted, of
everybody else's the first 10 %; and its latency counts after some seconds of the same load.

The gate takes part twice, interpreted and with its decision core compiled (`make compiled`, which `make bench-compare`
does first). The peers are installed first where they are not (`bench.peers.installation`).

Results: `bench/results/compare.md`, `compare.json` and three pictures beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench import compare_report, meter
from bench.compare_runs import Backlog, Runs, word
from bench.peers.conformance import check
from bench.peers.installation import java_peer, quix_python
from bench.peers.roster import (
    COMPILED,
    COMPILED_TREE,
    EVERYBODY,
    FAUST,
    KAFKA_STREAMS,
    KAFKA_STREAMS_10_MS,
    MESURA,
    MESURA_COMPILED,
    MESURA_STARTER,
    PEERS,
    QUIX,
    QUIX_100_MS,
    Entrant,
)
from bench.report import RESULTS, machine
from bench.workload import Workload
from streams.testing.real_kafka import RealKafka

LATENCY: Final = (MESURA, KAFKA_STREAMS, KAFKA_STREAMS_10_MS, QUIX, QUIX_100_MS, FAUST, MESURA_STARTER)
"""Two peers also with shorter commits: their defaults favour throughput."""

SUSTAINED: Final = 1.5
"""A fixed rate must be this much below what a contender decides at most, or its queue is measured."""

QUICK: Final = {
    "intents": 100_000,
    "customers": 10_000,
    "quix_intents": 60_000,
    "faust_intents": 5_000,
    "rounds": 1,
    "restore_rounds": 1,
    "latency_seconds": 5.0,
    "warming_seconds": 5.0,
    "latency_rounds": 1,
    "growth_intents": 40_000,
    "rules_intents": 20_000,
    "growth_customers": "10000,100000",
    "growth_rules": "1,20",
    "growth_rounds": 1,
}


@dataclass(slots=True)
class Comparison:
    """All of it, in order."""

    runs: Runs
    arguments: argparse.Namespace
    found: dict[str, list[dict[str, Any]]]

    def everything(self) -> None:
        """Conformance first; then the rounds."""
        self._conformance()
        self._throughput()
        self._latency()
        self._growth()

    def _conformance(self) -> None:
        for entrant in (MESURA, MESURA_COMPILED, *PEERS):
            prefix = f"{self.runs.prefix}-{word(entrant.name)}-conformance"
            wrong = check(self.runs.kafka, entrant, prefix, self.runs.directory)
            self._keep("conformance", {"who": entrant.name, "differences": len(wrong)})
            if wrong:
                sys.exit("\n".join([f"{entrant.name} does not decide as expected:", *wrong[:10]]))

    def _throughput(self) -> None:
        asked = self.arguments
        full = self._backlog("full", asked.intents)
        shorter = self._backlog("shorter", asked.quix_intents)
        for backlog in (full, shorter):
            backlog.create(self.runs.kafka)
            backlog.publish_preferences(self.runs.bootstrap)
            backlog.publish_intents(self.runs.bootstrap)
        for number in range(1, asked.rounds + 1):
            for entrant in EVERYBODY:
                backlog = {QUIX: shorter, FAUST: self._backlog(f"faust-{number}", asked.faust_intents)}.get(
                    entrant, full
                )
                # What is compiled restores like what is not: only the decision core differs.
                restores = number > asked.rounds - asked.restore_rounds and entrant not in COMPILED
                row, restored = self.runs.throughput(
                    entrant, backlog, number, restores=restores, counts_answers=number == 1
                )
                self._keep("throughput", row)
                if restored:
                    self._keep("restore", restored)
        full.delete(self.runs.bootstrap)
        shorter.delete(self.runs.bootstrap)

    def _latency(self) -> None:
        asked = self.arguments
        for number in range(1, asked.latency_rounds + 1):
            for entrant in LATENCY:
                row = self.runs.latency(
                    entrant,
                    number,
                    per_second=self._sustained(entrant),
                    seconds=asked.latency_seconds,
                    warming_seconds=asked.warming_seconds if entrant.jit_share > meter.EDGE_SHARE else 0.0,
                    customers=min(asked.customers, 20_000),
                )
                self._keep("latency", row)

    def _growth(self) -> None:
        asked = self.arguments
        for number in range(1, asked.growth_rounds + 1):
            for customers in _numbers(asked.growth_customers):
                row = self.runs.with_customers(MESURA_STARTER, customers, asked.growth_intents, number)
                self._keep("customers", row)
            for rules in _numbers(asked.growth_rules):
                self._keep("rules", self.runs.with_rules(MESURA, rules, asked.rules_intents, number))

    def _backlog(self, name: str, intents: int) -> Backlog:
        customers = max(1, intents * self.arguments.customers // self.arguments.intents)
        return Backlog(Workload.now(intents, customers, self.arguments.seed), f"{self.runs.prefix}-{name}")

    def _sustained(self, entrant: Entrant) -> float:
        """The fixed rate, or the lower one for whom its most is not well above it."""
        rates = [row["decisions/s"] for row in self.found["throughput"] if row["who"] == entrant.name]
        asked = self.arguments
        too_slow = rates and statistics.median(rates) < SUSTAINED * asked.per_second
        return float(asked.slow_per_second if too_slow else asked.per_second)

    def _keep(self, kind: str, row: dict[str, Any]) -> None:
        self.found[kind].append(row)
        shown = ", ".join(f"{key} {value}" for key, value in row.items())
        print(f"{time.strftime('%H:%M:%S')} {kind}: {shown}", flush=True)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number]


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=1_000_000)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--quix-intents", type=int, default=300_000)
    parser.add_argument("--faust-intents", type=int, default=30_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--restore-rounds", type=int, default=2, help="of the rounds, how many end with a restore")
    parser.add_argument("--per-second", type=int, default=2_000)
    parser.add_argument("--slow-per-second", type=int, default=500, help="for those who cannot decide the other rate")
    parser.add_argument("--latency-seconds", type=float, default=20.0)
    parser.add_argument("--warming-seconds", type=float, default=15.0, help="of the same load, for a JIT")
    parser.add_argument("--latency-rounds", type=int, default=2)
    parser.add_argument("--growth-intents", type=int, default=200_000)
    parser.add_argument("--rules-intents", type=int, default=60_000, help="for the growth of rules: the most are slow")
    parser.add_argument("--growth-customers", default="10000,100000,1000000")
    parser.add_argument("--growth-rules", default="1,5,20,50")
    parser.add_argument("--growth-rounds", type=int, default=2)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--name", default="compare", help="of the results")
    parser.add_argument("--quick", action="store_true", help="a few minutes, for trying it out")
    parser.add_argument("--render", action="store_true", help="write the report again from the figures kept")
    if "--quick" in (sys.argv[1:] if given is None else given):
        parser.set_defaults(**QUICK)
    return parser.parse_args(given)


def main() -> None:
    """Measure, print, keep."""
    asked = arguments()
    path = RESULTS / f"{asked.name}.json"
    if asked.render:
        compare_report.write(asked.name, json.loads(path.read_text(encoding="utf-8")))
        return
    if not COMPILED_TREE.is_dir():
        sys.exit("The compiled core is measured too: run `make compiled` first.")
    quix_python()
    java_peer()
    meter.use_two_cores()
    began = time.monotonic()
    with (
        RealKafka(heap_megabytes=1_024) as kafka,
        tempfile.TemporaryDirectory(prefix="mesura-compare-") as directory,
    ):
        runs = Runs(kafka, f"compare-{os.getpid()}", Path(directory))
        kinds = ("conformance", "throughput", "restore", "latency", "customers", "rules")
        comparison = Comparison(runs, asked, {kind: [] for kind in kinds})
        comparison.everything()
    document = {
        "parameters": {name: value for name, value in vars(asked).items() if name not in {"name", "quick", "render"}},
        "minutes": round((time.monotonic() - began) / 60, 1),
        "versions": compare_report.versions(),
        "machine": machine() | compare_report.hardware(),
        **comparison.found,
    }
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    compare_report.write(asked.name, document)


if __name__ == "__main__":
    main()
