"""Half an hour of everything at once, on Apache Kafka; the report goes to bench/results/chaos.md and chaos.json.

    make chaos MINUTES=30
    make chaos MINUTES=10 ARGS="--brokers 3"     into chaos-cluster.md
    python -m tests.chaos.campaign --minutes 30 --seed 7 --rate 1750

The seed makes the plan of faults with all their parameters, and the load but for its times; how they meet still depends
on the machine. Ends with 0 if the outside check found every promise kept and every end of a worker was a fault's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.testing.kafka_cluster import NODES
from tests.chaos import report
from tests.chaos.plan import make_plan
from tests.chaos.storm import Storm, Survived, Weather
from tests.chaos.verdict import Verdict, judge, own_findings
from tests.chaos.workers import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RESULTS: Final = Path(__file__).resolve().parents[2] / "bench" / "results"
MINUTES: Final = 30.0
RATE: Final = 1_750
"""Over three million intents in half an hour. A worker decides several times as many: it catches up between faults."""

CUSTOMERS: Final = 100_000


@dataclass
class Findings:
    """Everything the report is made of."""

    seed: int
    minutes: float
    rate: int
    machine: str
    brokers: int = 1
    survived: list[Survived] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    load: dict[str, float] = field(default_factory=dict)
    settled_seconds: float = 0.0
    ahead_ms_max: int = 0
    behind_ms_max: int = 0
    verdict: Verdict | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether the campaign came to its end, and found nothing."""
        return self.verdict is not None and not self.failures


def carry_out(
    directory: Path,
    *,
    seed: int,
    minutes: float,
    rate: int = RATE,
    customers: int = CUSTOMERS,
    brokers: int = 1,
    ages: bool = False,
    java_options: Sequence[str] = (),
    say: Callable[[str], None] = lambda _: None,
) -> Findings:
    """One campaign from end to end; what goes wrong is among the findings.

    `ages`: see `tests.system.aging`; `java_options`: the broker's.
    """
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, broker, load and gate on the same machine"
    findings = Findings(seed, minutes, rate, machine, brokers)
    with Storm(directory, Weather(seed, rate, customers, brokers=brokers), say, java_options) as storm:
        try:
            storm.prepare()
            plan = make_plan(seed, minutes, storm.weather.crew)
            say(f"{len(plan)} faults of {len({planned.kind for planned in plan})} kinds in {minutes:g} minutes")
            storm.run(plan, minutes)
            say("no more faults; until all is decided …")
            began = time.monotonic()
            storm.settle()
            findings.settled_seconds = time.monotonic() - began
            say(f"settled after {findings.settled_seconds:.1f} s: {storm.load}; judging")
            findings.verdict = judge(storm, ages=ages)
            findings.failures += findings.verdict.wrong
        except Exception:  # noqa: BLE001 - told in the report, and by the exit code
            findings.failures += [traceback.format_exc(), *own_findings(storm), storm.workers.last_words()]
        findings.survived, findings.ended, findings.load = storm.survived, storm.workers.ended, storm.load
        findings.ahead_ms_max, findings.behind_ms_max = storm.follower.ahead_ms_max, storm.follower.behind_ms_max
    return findings


def write(findings: Findings, results: Path) -> None:
    """The report, for people and for tools."""
    results.mkdir(parents=True, exist_ok=True)
    name = "chaos" if findings.brokers == 1 else "chaos-cluster"
    (results / f"{name}.md").write_text(report.as_markdown(findings), encoding="utf-8")
    (results / f"{name}.json").write_text(json.dumps(asdict(findings), indent=1) + "\n", encoding="utf-8")


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--rate", type=int, default=RATE, help="intents a second offered")
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--brokers", type=int, choices=(1, NODES), default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # whatever ends us, our processes end with us
        signal.signal(number, signal.default_int_handler)
    _say(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory(prefix="mesura-chaos-") as directory:
        findings = carry_out(
            Path(directory),
            seed=arguments.seed,
            minutes=arguments.minutes,
            rate=arguments.rate,
            customers=arguments.customers,
            brokers=arguments.brokers,
            ages=True,
            say=_say,
        )
    write(findings, arguments.results)
    _say(report.as_markdown(findings))
    return 0 if findings.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
