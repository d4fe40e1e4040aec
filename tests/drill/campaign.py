"""Every alert provoked on real servers, seen to fire and to resolve; the report goes to bench/results/alerts.md.

    make alerts
    python -m tests.drill.campaign --acts brokers processes

Apache Kafka, `mesura run` with two processes, Prometheus and Alertmanager of Debian's packages, the rules of
`deploy/prometheus` on a shortened clock (`tests.drill.shortened`), and a receiver of pages. Each act has a broker of
its own. Acts may be played one by one: the report keeps what earlier runs found of the others.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from streams.exit_codes import ExitCode
from streams.testing.kafka_classes import archive_classes
from streams.testing.kafka_installation import install_kafka
from tests.drill import dashboards, report
from tests.drill.act import Act, Seen
from tests.drill.drills import STAGES, acts, not_drilled
from tests.drill.scene import Machine
from tests.drill.shortened import alerts
from tests.drill.watch import Watch, missing_programs

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS: Final = Path(__file__).resolve().parents[2] / "bench" / "results"
TOGETHER: Final = 2
"""Acts at once: each waits most of its time, but starts and loads processes."""


@dataclass
class Findings:
    """Everything the report is made of."""

    machine: str = ""
    seen: list[Seen] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    also: dict[str, list[str]] = field(default_factory=dict)
    """By act: what fired beside what was provoked."""

    queries: dict[str, int] = field(default_factory=dict)
    """Of the dashboard, by where and what: how many points each returned in the latest run."""

    def forget(self, act: str, alerts: set[str]) -> None:
        """What an earlier run found of these alerts in this act."""
        self.seen = [row for row in self.seen if row.act != act or row.alert not in alerts]
        for of_act in (self.failures, self.seconds, self.also):
            of_act.pop(act, None)


class Campaign:
    """The acts, some at a time."""

    def __init__(
        self, watch: Watch, findings: Findings, directory: Path, results: Path, only: frozenset[str] = frozenset()
    ) -> None:
        self._only = only
        self._watch = watch
        self._findings = findings
        self._directory = directory
        self._results = results
        self._lock = threading.Lock()

    def run(self, names: Sequence[str], together: int) -> None:
        """These acts; one that fails does not keep the others from being played."""
        threads = ThreadPoolExecutor(together)
        for played in [threads.submit(self._play, name) for name in names]:
            played.result()

    def _play(self, name: str) -> None:
        faults = [fault for fault in acts()[name] if not self._only or self._only & fault.alerts.keys()]
        meant = {alert for fault in faults for alert in fault.alerts}
        _say(f"{name} …")
        began = time.monotonic()
        failure = ""
        act = None
        job = ""
        try:
            with STAGES[name](self._watch, self._directory / name) as scene:
                job = scene.job
                act = Act(name, scene, _say)
                act.play(faults)
        except Exception:  # noqa: BLE001 - told in the report, and by the exit code
            failure = traceback.format_exc()
            _say(f"{name} FAILED\n{failure}")
        with self._lock:
            self._findings.forget(name, meant)
            self._findings.seen += act.seen if act is not None else []
            self._findings.seconds[name] = time.monotonic() - began
            fired = {told.alert for told in self._watch.pager.everything() if told.job == job and told.is_firing}
            self._findings.also[name] = sorted(fired - meant)
            if failure:
                self._findings.failures[name] = failure
            self._write()

    def ask_dashboard(self, jobs: Sequence[str], began: float) -> None:
        """Every query of the dashboard, over all that was played."""
        self._findings.queries = {
            f"{where}: {expression}": dashboards.points(
                self._watch.prometheus, expression, jobs, start=began, end=time.time()
            )
            for where, expression in dashboards.queries()
        }
        self._write()

    def _write(self) -> None:
        """The report so far: a campaign is long, and what was found is kept even if it is cut short."""
        self._results.mkdir(parents=True, exist_ok=True)
        document = json.dumps(asdict(self._findings), indent=1)
        (self._results / "alerts.json").write_text(document + "\n", encoding="utf-8")
        (self._results / "alerts.md").write_text(report.as_markdown(self._findings), encoding="utf-8")


def _end_at_once(watch: Watch) -> NoReturn:
    """Acts wait for minutes, and nothing that they started may stay. Brokers end with this process by themselves."""
    for machine in Machine.started:
        machine.kill()
    watch.__exit__()
    os._exit(ExitCode.INTERRUPTED)


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}\n")
    sys.stdout.flush()


def _earlier(results: Path) -> Findings:
    path = results / "alerts.json"
    return msgspec.json.decode(path.read_bytes(), type=Findings) if path.exists() else Findings()


def main() -> int:
    """Play, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--acts", nargs="+", choices=list(acts()), default=list(acts()))
    parser.add_argument("--alerts", nargs="+", choices=list(alerts()), default=[], help="only faults that raise them")
    parser.add_argument("--together", type=int, default=TOGETHER)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--keep", type=Path, help="a directory for logs, kept")
    arguments = parser.parse_args()
    if missing := missing_programs():
        parser.error(f"{', '.join(missing)} not installed: run deploy/install-test-tools.sh")
    for number in (signal.SIGTERM, signal.SIGINT):  # whatever ends us, our processes end with us
        signal.signal(number, signal.default_int_handler)
    findings = _earlier(arguments.results)
    findings.machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, everything on the same machine"
    archive_classes(install_kafka())
    with tempfile.TemporaryDirectory(prefix="mesura-drill-") as scratch:
        directory = arguments.keep or Path(scratch)
        with Watch(directory / "watch") as watch:
            began = time.time()
            only = frozenset(arguments.alerts)
            names = [name for name in arguments.acts if not only or only & {a for f in acts()[name] for a in f.alerts}]
            campaign = Campaign(watch, findings, directory, arguments.results, only)
            try:
                campaign.run(names, arguments.together)
                campaign.ask_dashboard(sorted(watch.jobs), began)
            except KeyboardInterrupt:
                _end_at_once(watch)
    for alert in not_drilled():
        _say(f"{alert} has no drill")
    failed = [row.alert for row in findings.seen if row.failure]
    without_data = [query for query, points in findings.queries.items() if not points]
    for query in without_data:
        _say(f"no data: {query}")
    return 1 if failed or findings.failures or not_drilled() or without_data else 0


if __name__ == "__main__":
    sys.exit(main())
