"""Prometheus and Alertmanager, as Debian ships them, and whoever is paged: all on loopback.

    with Watch(directory) as watch:
        watch.targets({"mesura": ["127.0.0.1:9464"]})
        watch.pager.told("MesuraDown", job="mesura", firing=True, since=begin)

One Prometheus for each clock of `tests.drill.shortened`. All send to one Alertmanager, which tells the pager of every
alert by itself and at once.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import yaml

from streams.testing.kafka_directory import free_ports
from streams.testing.waiting import wait_until
from tests.drill.shortened import CLOCKS, DAYS, HOURS, Clock, clock_of, write_shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START_SECONDS: Final = 60.0
PROMETHEUS: Final = "prometheus"
ALERTMANAGER: Final = "prometheus-alertmanager"
PROGRAMS: Final = (PROMETHEUS, ALERTMANAGER, "amtool")
CLOCK_LABEL: Final = "clock"


class Told(NamedTuple):
    """What the pager was told once: that an alert fires, or that it is over."""

    at: float
    """By the monotonic clock."""
    alert: str
    is_firing: bool
    job: str
    clock: str
    labels: dict[str, str]
    summary: str


class Pager:
    """Receives Alertmanager's webhooks and writes down what it is told, also to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: list[Told] = []
        self._lock = threading.Lock()
        pager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()
                pager._hear(body)

            def log_message(self, *_: object) -> None:
                """Not on standard error."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/"

    def told(self, alert: str, *, job: str, firing: bool, since: float) -> Told | None:
        """The first time since then that it was told this; None: not yet."""
        with self._lock:
            for told in self._told:
                if (
                    told.at >= since
                    and (told.alert, told.job, told.is_firing) == (alert, job, firing)
                    and _counts(told)
                ):
                    return told
        return None

    def firing(self, job: str) -> set[str]:
        """What it was last told of each alert of a job."""
        with self._lock:
            latest = {(told.alert, tuple(sorted(told.labels.items()))): told for told in self._told if told.job == job}
        return {told.alert for told in latest.values() if told.is_firing and _counts(told)}

    def everything(self) -> list[Told]:
        with self._lock:
            return list(self._told)

    def _hear(self, body: dict[str, Any]) -> None:
        now = time.monotonic()
        heard = [
            Told(
                now,
                alert["labels"]["alertname"],
                alert["status"] == "firing",
                alert["labels"].get("job", ""),
                alert["labels"][CLOCK_LABEL],
                alert["labels"],
                alert["annotations"]["summary"],
            )
            for alert in body["alerts"]
        ]
        with self._lock:
            self._told += heard
            with self._path.open("a", encoding="utf-8") as file:
                file.writelines(json.dumps({**told._asdict(), "unix_time": time.time()}) + "\n" for told in heard)


class Prometheus:
    """One of them: the rules by one clock."""

    def __init__(self, clock: Clock, directory: Path, alertmanager: str) -> None:
        self.clock = clock
        self.directory = directory
        self._port = free_ports(1)[0]
        directory.mkdir(parents=True)
        self._targets = directory / "targets.json"
        self.targets({})
        written = write_shortened(directory, clock.factor)
        every = f"{round(clock.scrape_seconds * 1_000)}ms"
        configuration = {
            "global": {
                "scrape_interval": every,
                "scrape_timeout": every,
                "evaluation_interval": f"{min(1_000, round(clock.scrape_seconds * 1_000))}ms",
                "external_labels": {CLOCK_LABEL: clock.name},
            },
            "rule_files": [str(path) for path in written],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": [
                {
                    # The label `job` is given with each target.
                    "job_name": "drill",
                    "file_sd_configs": [{"files": [str(self._targets)], "refresh_interval": "1s"}],
                }
            ],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration), encoding="utf-8")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def command(self) -> list[str]:
        return [
            PROMETHEUS,
            f"--config.file={self.directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.directory / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=warn",
        ]

    def targets(self, by_job: Mapping[str, Sequence[str]]) -> None:
        """What is scraped from now on: service discovery by a file."""
        found = [{"targets": list(targets), "labels": {"job": job}} for job, targets in by_job.items() if targets]
        partial = self._targets.with_suffix(".new")
        partial.write_text(json.dumps(found), encoding="utf-8")
        partial.replace(self._targets)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression is now."""
        return self._ask("query", query=expression)

    def query_range(self, expression: str, *, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """What it was, by Unix time."""
        return self._ask("query_range", query=expression, start=str(start), end=str(end), step=str(step))

    def _ask(self, what: str, **parameters: str) -> list[dict[str, Any]]:
        body = urllib.parse.urlencode(parameters).encode()
        with urllib.request.urlopen(f"{self.address}/api/v1/{what}", body, timeout=30) as answer:
            result: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return result


class Watch:
    """Everything that watches, for as long as the block runs."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.pager = Pager(directory / "told.jsonl")
        self._alertmanager = f"127.0.0.1:{free_ports(1)[0]}"
        self._by_clock = {clock.name: Prometheus(clock, directory / clock.name, self._alertmanager) for clock in CLOCKS}
        self._stack = ExitStack()
        self._jobs: dict[str, list[str]] = {}
        self._by_days: dict[str, list[str]] = {}
        self._lock = threading.Lock()

    @property
    def prometheus(self) -> Prometheus:
        """The one that scrapes everything, by the clock of hours."""
        return self._by_clock[HOURS.name]

    @property
    def jobs(self) -> set[str]:
        """Everything that was ever scraped, by its job."""
        return set(self._jobs)

    @property
    def days(self) -> Prometheus:
        """The one by the clock of days."""
        return self._by_clock[DAYS.name]

    @property
    def alertmanager(self) -> str:
        return f"http://{self._alertmanager}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.pager)
            self._start(stack, "alertmanager", self._alertmanager_command(), f"{self.alertmanager}/-/ready")
            for name, prometheus in self._by_clock.items():
                self._start(stack, f"prometheus-{name}", prometheus.command(), f"{prometheus.address}/-/ready")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def watches(self, job: str, *addresses: str, days: bool = False) -> None:
        """Scrape these from now on as this job, and nothing else as it; without addresses: the job is gone.

        `days`: by the clock of days too. It scrapes often, and takes its time from the gates.
        """
        with self._lock:
            self._jobs[job] = list(addresses)
            self.prometheus.targets(self._jobs)
            if days:
                self._by_days[job] = list(addresses)
                self.days.targets(self._by_days)

    def _alertmanager_command(self) -> list[str]:
        configuration = {
            "route": {
                "receiver": "pager",
                "group_by": ["..."],  # each alert by itself
                "group_wait": "0s",
                "group_interval": "1s",
                "repeat_interval": "24h",
            },
            "receivers": [
                {"name": "pager", "webhook_configs": [{"url": self.pager.address, "send_resolved": True}]},
            ],
        }
        path = self._directory / "alertmanager.yml"
        path.write_text(yaml.safe_dump(configuration), encoding="utf-8")
        return [
            ALERTMANAGER,
            f"--config.file={path}",
            f"--storage.path={self._directory / 'alertmanager'}",
            f"--web.listen-address={self._alertmanager}",
            "--cluster.listen-address=",  # no other Alertmanager: nothing listens beyond loopback
            "--log.level=warn",
        ]

    def _start(self, stack: ExitStack, name: str, command: list[str], ready: str) -> None:
        with (self._directory / f"{name}.err").open("wb") as err:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=err, stderr=err)
        stack.callback(_end, process)
        wait_until(lambda: _answers(ready), START_SECONDS, f"{name} is ready")


def _counts(told: Told) -> bool:
    """Whether it comes by the clock by which the alert is drilled."""
    return told.clock == clock_of(told.alert).name


def missing_programs() -> list[str]:
    """What is not installed: see `deploy/install-test-tools.sh`."""
    return [program for program in PROGRAMS if shutil.which(program) is None]


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
