"""A drill: a gate that really ends again and again is watched by the real Prometheus with the real rules, and pages.

One thing is substituted, in the rules, the scrapes and the supervisor's longest pause alike: a minute lasts
`MINUTE_SECONDS`. Expressions, thresholds and the proportions of all times stay what they are.

What the gate ends at is a batch with a wrong checksum: the embedded broker's transaction markers have none, and this
gate checks. Beside it runs a gate that is well, of which nothing may be said.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import yaml
from confluent_kafka import Producer

from streams.cli.supervisor import PAUSE_MAX_SECONDS
from streams.testing.records import intent
from streams.testing.waiting import wait_until
from tests.cli.supervised import REPOSITORY
from tests.system.harness import START_SECONDS, Haste, World, supervisor_command
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.testing.broker import Broker

pytestmark = pytest.mark.timeout(600)

RULES = REPOSITORY / "deploy/prometheus/rules"
MINUTE_SECONDS = 12
SECONDS_OF = {"m": MINUTE_SECONDS, "h": 60 * MINUTE_SECONDS, "d": 24 * 60 * MINUTE_SECONDS}
DURATION = re.compile(r"(?P<before>\[|for: |offset )(?P<number>\d+)(?P<unit>[mhd])\b")
SCRAPE_SECONDS = 1
PAGES_SECONDS = 400.0
LOOPS = "loops"
WELL = "well"
MUST_PAGE = {"MesuraRecurringFailure", "MesuraCrashLoop", "MesuraNotReady"}


class Alert(NamedTuple):
    name: str
    severity: str
    job: str


def drilled(text: str) -> str:
    """Rules in which a minute lasts `MINUTE_SECONDS`."""
    return DURATION.sub(lambda m: f"{m['before']}{int(m['number']) * SECONDS_OF[m['unit']]}s", text)


@contextlib.contextmanager
def gate(world: World, policy: Path, directory: Path, *, check_crcs: bool) -> Iterator[str]:
    """`mesura run`, and where it answers."""
    settings = world.settings(policy, check_crcs=check_crcs)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MESURA_")},
        "PYTHONPATH": str(REPOSITORY),
        "MESURA_ERASURE_KEY": settings.erasure_key,
    }
    command = supervisor_command(settings, Haste(pause_max_seconds=PAUSE_MAX_SECONDS * MINUTE_SECONDS / 60))
    with (directory / f"{world.prefix}gate.err").open("wb") as err:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=environment)
    with process:
        try:
            assert process.stdout is not None
            yield str(json.loads(process.stdout.readline())["ops"])
        finally:
            process.terminate()


@contextlib.contextmanager
def watching(prometheus: str, directory: Path, targets: dict[str, str]) -> Iterator[str]:
    """A Prometheus with the drilled rules and these targets, by job; and where it answers."""
    for path in RULES.glob("*.yml"):
        (directory / path.name).write_text(drilled(path.read_text()))
    configuration = {
        "global": {
            "scrape_interval": f"{SCRAPE_SECONDS}s",
            "scrape_timeout": f"{SCRAPE_SECONDS}s",
            "evaluation_interval": f"{SCRAPE_SECONDS}s",
        },
        "rule_files": [str(directory / path.name) for path in RULES.glob("*.yml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [ops.removeprefix("http://")]}]}
            for job, ops in targets.items()
        ],
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(configuration))
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{candidate.getsockname()[1]}"
    with (directory / "prometheus.err").open("wb") as err:
        process = subprocess.Popen(
            [
                prometheus,
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address={address}",
            ],
            stdout=err,
            stderr=err,
        )
    with process:
        try:
            wait_until(lambda: get(f"http://{address}/-/ready") is not None, START_SECONDS, "Prometheus")
            yield f"http://{address}"
        finally:
            process.terminate()


def get(address: str) -> bytes | None:
    """What is answered; None while nobody does, or not well."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:
            body: bytes = answer.read()
            return body
    except OSError:
        return None


def firing(watch: str) -> set[Alert]:
    told: dict[str, Any] = json.loads(get(f"{watch}/api/v1/alerts") or b'{"data": {"alerts": []}}')
    return {
        Alert(alert["labels"]["alertname"], alert["labels"]["severity"], alert["labels"].get("job", ""))
        for alert in told["data"]["alerts"]
        if alert["state"] == "firing"
    }


def value(watch: str, query: str) -> float:
    """What an expression is now; 0 if it has no result."""
    answer = get(f"{watch}/api/v1/query?query={urllib.request.quote(query)}")  # type: ignore[attr-defined]
    result = json.loads(answer or b"{}").get("data", {}).get("result", [])
    return float(result[0]["value"][1]) if result else 0.0


def poison(world: World) -> None:
    """A transaction on an intent topic, the marker of which has no checksum."""
    producer = Producer({"bootstrap.servers": world.address, "transactional.id": f"{world.prefix}poison"})
    producer.init_transactions(30)
    producer.begin_transaction()
    (record,) = [intent("c-1", "i-1", created_at=time.time_ns() // 1_000_000)]
    producer.produce(world.names.intents[0], record.value, record.key, partition=0)
    producer.commit_transaction(30)


def test_durations_are_all_that_is_substituted() -> None:
    text = "expr: increase(x_total[15m]) > 8 unless x offset 1h\nfor: 2m\nannotations: the last 15 minutes"
    assert drilled(text) == (
        "expr: increase(x_total[180s]) > 8 unless x offset 720s\nfor: 24s\nannotations: the last 15 minutes"
    )
    for path in RULES.glob("*.yml"):
        assert not re.search(r"\[\d+[mhd]\]|for: \d+[mhd]", drilled(path.read_text()))


def test_a_gate_that_ends_again_and_again_pages(embedded_broker: Broker, prometheus: str, tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(any_hour(limit=1_000), encoding="utf-8")
    broken, sound = World(embedded_broker, "drill-loops-"), World(embedded_broker, "drill-well-")
    poison(broken)
    with (
        gate(broken, policy, tmp_path, check_crcs=True) as loops,
        gate(sound, policy, tmp_path, check_crcs=False) as well,
        watching(prometheus, tmp_path, {LOOPS: loops, WELL: well}) as watch,
    ):
        wait_until(
            lambda: {alert.name for alert in firing(watch) if alert.job == LOOPS} >= MUST_PAGE,
            PAGES_SECONDS,
            "every page of a crash loop",
        )
        fired = firing(watch)
        assert {alert.severity for alert in fired if alert.name in MUST_PAGE} == {"page"}
        assert get(f"{loops}/live") is not None, "to start everything anew heals nothing"
        with pytest.raises(urllib.error.HTTPError) as not_ready:
            urllib.request.urlopen(f"{loops}/ready", timeout=10)
        with not_ready.value as answer:
            why = json.loads(answer.read())["why"]
        assert re.search(r"a worker has ended \d+ times in the same way at offset \d+ of drill-loops-[\w-]+-\d", why)
        assert "checksum" in why
        # The loop did come and go all the while, and what only looks at this moment would have begun anew each time.
        assert value(watch, f'changes(mesura_process_up{{job="{LOOPS}"}}[1m])') > 2
        assert {alert for alert in fired if alert.job == WELL} == set()
        assert value(watch, f'min_over_time(mesura_ready{{job="{WELL}"}}[30s])') == 1
