"""Decisions a second of the running gate: Apache Kafka, one worker process, a backlog decided exactly once.

    make bench                      all of it
    python -m bench.gate            this part alone

Broker, worker and this program share the machine. The rate is taken between the first and the last tenth of the
backlog, from what is committed; CPU is the worker's own, start-up left out the same way. The latency is not measured
here. The starter policy's hours are opened round the clock, so that the figures do not depend on when they are taken.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streams.settings import SETTINGS_VARIABLE, WorkerSettings
from streams.testing.broker import Broker, create_plan
from streams.testing.kafka_io import publish
from streams.testing.real_kafka import open_kafka
from streams.testing.records import OutgoingRecord
from streams.topics import TopicNames, TopicPlan

PACKS = Path(__file__).parent.parent / "streams" / "policy" / "packs"
RESULTS = Path(__file__).parent / "results"
PARTITIONS = 8
CUSTOMERS_PER_INTENT = 0.2
COUNTRIES = (
    ("CO", "co", "America/Bogota"),
    ("ES", "es", "Europe/Madrid"),
    ("US", "us", "America/New_York"),
    ("MX", "mx", "America/Mexico_City"),
)
CHANNELS = ("sms", "email", "whatsapp", "voice")
PURPOSES = ("marketing", "service", "collections", "transactional")


def records(count: int, names: TopicNames) -> Iterator[OutgoingRecord]:
    """Consents of everybody, opt-outs of some, then the intents."""
    source = random.Random(7)
    customers = max(1, int(count * CUSTOMERS_PER_INTENT))
    now = int(time.time() * 1000)
    for number in range(customers):
        customer = f"customer-{number:07d}"
        event: dict[str, Any] = {"event_id": f"c-{number}", "customer_id": customer, "effective_at": now - 86_400_000}
        event |= {"type": "consent_granted", "purpose": "marketing", "evidence_ref": "form-1"}
        yield _record(names.preferences, customer, event, now)
        if number % 20 == 0:
            no = {
                "event_id": f"o-{number}",
                "customer_id": customer,
                "type": "opt_out",
                "channel": source.choice(CHANNELS),
            }
            yield _record(names.preferences, customer, no, now)
    for number in range(count):
        customer = f"customer-{int(customers * source.random() ** 1.5):07d}"
        country, suffix, zone = source.choice(COUNTRIES)
        channel = source.choice(CHANNELS)
        intent = {
            "intent_id": f"intent-{number:012d}",
            "customer_id": customer,
            "channel": channel,
            "purpose": source.choice(PURPOSES),
            "created_at": now,
            "campaign_id": f"campaign-{number % 40}",
            "brand": "north",
            "country": country,
            "timezone": zone,
            "sender_id": "email-service" if channel == "email" else f"{channel}-{suffix}",
            "attributes": {"template": f"t{number % 17}"},
        }
        yield _record(names.intents[0], customer, intent, now)


def _record(topic: str, customer: str, document: dict[str, Any], timestamp_ms: int) -> OutgoingRecord:
    return OutgoingRecord(topic, customer.encode(), json.dumps(document).encode(), timestamp_ms)


def policy_file(name: str, directory: Path) -> Path:
    """The policy with its hours opened: still asked, never closed."""
    text = (PACKS / f"{name}.yaml").read_text()
    opened = re.sub(r"(?m)^(      (?:workday|saturday|sunday|holiday):).*$", r"\1 [00:00-24:00]", text)
    path = directory / f"{name}.yaml"
    path.write_text(opened)
    return path


@contextmanager
def running(settings: WorkerSettings) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A worker process and where its metrics are; ended by its own id."""
    environment = {**os.environ, SETTINGS_VARIABLE: settings.to_environment(), "MESURA_LOG_LEVEL": "WARNING"}
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.worker"], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())["ops"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def decided(ops: str) -> dict[str, float]:
    """Committed decisions by verdict, as the worker counts them."""
    with urllib.request.urlopen(f"{ops}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    found = {"approved": 0.0, "suppressed": 0.0}
    for line in lines:
        if line.startswith("mesura_decisions_total{"):
            verdict = "approved" if 'verdict="approved"' in line else "suppressed"
            found[verdict] += float(line.rsplit(" ", 1)[1])
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(broker: Broker, policy: Path, count: int, prefix: str) -> dict[str, Any]:
    """One backlog, decided from its beginning to its end."""
    create_plan(broker, TopicPlan(TopicNames().with_prefix(prefix), partitions=PARTITIONS, replication_factor=1))
    names = TopicNames().with_prefix(prefix)
    publish(broker.bootstrap_servers, records(count, names))
    settings = WorkerSettings(
        bootstrap_servers=broker.bootstrap_servers,
        policy_path=str(policy),
        application_id=f"{prefix}gate",
        topics=names,
        ops_port=0,
        erasure_key="00" * 32,
    )
    samples: list[tuple[float, float, float]] = []
    with running(settings) as (process, ops):
        while not samples or samples[-1][1] < count:
            if process.poll() is not None:
                raise RuntimeError(f"the worker ended with {process.returncode}")
            samples.append((time.perf_counter(), sum(decided(ops).values()), cpu_seconds(process.pid)))
            time.sleep(0.1)
        verdicts = decided(ops)
        memory = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * resource.getpagesize()
    inside = [sample for sample in samples if count * 0.1 <= sample[1] <= count * 0.9] or samples
    seconds, done = inside[-1][0] - inside[0][0], inside[-1][1] - inside[0][1]
    return {
        "policy": policy.stem,
        "intents": count,
        "customers": int(count * CUSTOMERS_PER_INTENT),
        "decisions_per_second": round(done / seconds),
        "worker_cpu_microseconds_per_decision": round((inside[-1][2] - inside[0][2]) / done * 1e6, 1),
        "approved_share": round(verdicts["approved"] / count, 3),
        "worker_megabytes": round(memory / 1e6),
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    rounds = []
    with open_kafka() as broker, tempfile.TemporaryDirectory() as directory:
        for number in range(arguments.rounds):
            for policy in ("starter", "small"):
                prefix = f"bench-{os.getpid()}-{number}-{policy}-"
                rounds.append(measure(broker, policy_file(policy, Path(directory)), arguments.intents, prefix))
                print(json.dumps(rounds[-1]), flush=True)
    result = {"rounds": rounds, "python": platform.python_version(), "cores": os.cpu_count()}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "gate.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
