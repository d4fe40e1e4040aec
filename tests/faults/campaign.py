"""Every fault, in full counts, on Apache Kafka; the report goes to bench/results/faults.md and faults.json.

    make faults
    python -m tests.faults.campaign --seed 7 --rate 5500

The same seed makes the same load and kills at the same passings; moments still depend on the machine. Parts may be run
one by one (`--parts frozen`): the report keeps what earlier runs of the same seed and rate found of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from streams.testing.real_kafka import RealKafka, open_kafka
from tests.faults import held_worker as at
from tests.faults import report
from tests.faults.frozen import CASES, Frozen, freeze
from tests.faults.interruptions import (
    BrokerKilled,
    Stopped,
    kill_broker_mid_commit,
    kill_broker_under_supervisor,
    stop_under_load,
)
from tests.faults.kills import DURING_END, REBALANCE, Kills, until_settled
from tests.faults.scene import Killed, Scene
from tests.faults.verdict import Verdict, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from streams.testing.broker import KafkaAdmin

RESULTS: Final = Path(__file__).resolve().parents[2] / "bench" / "results"
RATE: Final = 5_500
CUSTOMERS: Final = 20_000
POINTS: Final = (at.AFTER_BEGIN, at.AFTER_FIRST_SEND, at.AFTER_ACKNOWLEDGEMENTS, at.AFTER_OFFSETS, at.BEFORE_END)


@dataclass(frozen=True)
class Counts:
    """How often each fault happens."""

    point: int = 3
    end: int = 2
    """For each of three moments of EndTxn."""
    restore: int = 3
    rebalance: int = 1
    """For each of three moments of a rebalance."""
    random: int = 25
    broker: int = 3
    stop: int = 3


@dataclass
class Findings:
    """Everything the report is made of."""

    seed: int
    rate: int
    machine: str
    killed: list[Killed] = field(default_factory=list)
    frozen: list[Frozen] = field(default_factory=list)
    broker: list[BrokerKilled] = field(default_factory=list)
    stopped: list[Stopped] = field(default_factory=list)
    loads: dict[str, dict[str, float]] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


class Campaign:
    """The parts, each on topics of its own."""

    def __init__(self, kafka: KafkaAdmin, findings: Findings, counts: Counts, directory: Path, results: Path) -> None:
        self._results = results
        self._kafka = kafka
        self._findings = findings
        self._counts = counts
        self._directory = directory
        self._random = random.Random(findings.seed)

    def run(self, names: Sequence[str]) -> None:
        """These parts; one that fails does not keep the others from running."""
        parts = {"kills": self._kills, "frozen": self._frozen, "stop": self._stop, "broker": self._broker}
        for name in names:
            self._part(name, parts[name])

    def _part(self, name: str, part: Callable[[Scene], None]) -> None:
        _say(f"{name} …")
        self._forget(name)
        began = time.monotonic()
        try:
            with Scene(
                self._kafka,
                f"faults-{name}-{os.getpid()}-",
                self._directory / name,
                rate=self._findings.rate,
                customers=CUSTOMERS,
                seed=self._findings.seed,
            ) as scene:
                try:
                    part(scene)
                    until_settled(scene)
                finally:
                    self._findings.killed += scene.killed
                self._findings.loads[name] = scene.load.end()
                _say(f"{name}: {self._findings.loads[name]}; judging")
                self._findings.verdicts[name] = judge(scene, self._findings.loads[name], ages=True)
                _say(f"{name}: {self._findings.verdicts[name]}")
        except Exception:  # noqa: BLE001 - told in the report, and by the exit code
            self._findings.failures[name] = traceback.format_exc()
            _say(f"{name} FAILED\n{self._findings.failures[name]}")
        self._findings.seconds[name] = time.monotonic() - began
        self._write()

    def _forget(self, name: str) -> None:
        """What an earlier run of this part found."""
        findings = self._findings
        {"kills": findings.killed, "frozen": findings.frozen, "stop": findings.stopped, "broker": findings.broker}[
            name
        ].clear()
        for of_part in (findings.loads, findings.verdicts, findings.failures, findings.seconds):
            of_part.pop(name, None)

    def _write(self) -> None:
        """The report so far: a campaign is long, and what was found is kept even if it is cut short."""
        self._results.mkdir(parents=True, exist_ok=True)
        (self._results / "faults.md").write_text(report.as_markdown(self._findings), encoding="utf-8")
        document = json.dumps(asdict(self._findings), indent=1)
        (self._results / "faults.json").write_text(document + "\n", encoding="utf-8")

    def _kills(self, scene: Scene) -> None:
        kills, counts = Kills(scene, self._findings.seed), self._counts
        plan: list[Callable[[], Killed]] = []
        plan += [lambda point=point: kills.at_point(point) for point in POINTS for _ in range(counts.point)]
        plan += [lambda point=point: kills.at_point(point) for point in DURING_END for _ in range(counts.end)]
        plan += [kills.while_restoring] * counts.restore
        plan += [
            lambda point=point: kills.during_rebalance(point) for point in REBALANCE for _ in range(counts.rebalance)
        ]
        plan += [kills.at_random] * counts.random
        self._random.shuffle(plan)
        until_settled(scene)  # so that there is something to restore, whichever kill comes first
        for number, one in enumerate(plan, start=1):
            killed = one()
            _say(f"{number}/{len(plan)} {killed.point}: {report.states(killed.after)}")

    def _frozen(self, scene: Scene) -> None:
        for case in CASES:
            self._findings.frozen.append(freeze(scene, case))
            _say("\n".join([case.name, *self._findings.frozen[-1].story]))

    def _stop(self, scene: Scene) -> None:
        for supervised in (False, True):
            for _ in range(self._counts.stop):
                self._findings.stopped.append(stop_under_load(scene, supervised=supervised))
                _say(str(self._findings.stopped[-1]))

    def _broker(self, scene: Scene) -> None:
        assert isinstance(self._kafka, RealKafka), "somebody else's broker is not killed"
        for number, point in enumerate((at.AFTER_OFFSETS, at.BEFORE_END, at.END_SENT)):
            killed = kill_broker_mid_commit(scene, self._kafka, self._findings.seed + number, point=point)
            self._findings.broker.append(killed)
            _say(str(killed))
        self._findings.broker += kill_broker_under_supervisor(scene, self._kafka, self._counts.broker)


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--rate", type=int, default=RATE, help="intents a second offered")
    parser.add_argument("--parts", nargs="+", choices=report.PARTS, default=list(report.PARTS))
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # whatever ends us, our processes end with us
        signal.signal(number, signal.default_int_handler)
    _say(f"seed {arguments.seed}")
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, broker, load and gate on the same machine"
    findings = _earlier(arguments.results, arguments.seed, arguments.rate) or Findings(
        arguments.seed, arguments.rate, machine
    )
    started: AbstractContextManager[KafkaAdmin] = RealKafka() if "broker" in arguments.parts else open_kafka()
    with started as kafka, tempfile.TemporaryDirectory(prefix="mesura-faults-") as directory:
        Campaign(kafka, findings, Counts(), Path(directory), arguments.results).run(arguments.parts)
    return 1 if findings.failures else 0


def _earlier(results: Path, seed: int, rate: int) -> Findings | None:
    """What was found before, if it was of this seed and rate."""
    path = results / "faults.json"
    if not path.exists():
        return None
    found = msgspec.json.decode(path.read_bytes(), type=Findings)
    return found if (found.seed, found.rate) == (seed, rate) else None


if __name__ == "__main__":
    sys.exit(main())
