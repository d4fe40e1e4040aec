"""Seconds from the start of a worker process to its readiness, with a large changelog; and the memory that costs.

    make bench-restore
    python -m bench.restore --customers 100000          quicker

A changelog as the gate writes it, not compacted yet: every customer's ledger after two, three, four and five contacts,
so three superseded records for each live one, in committed transactions, and the meta record of each partition. Ledgers
come out of the gate itself, under the starter policy; a thousand different customers stand for all.

Memory is the worker's resident memory once it is ready, less that of a worker with an empty changelog.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer
from msgspec import structs

from bench import meter
from bench.contenders import ERASURE_KEY, Contender, get, ops_address, workers
from bench.report import keep, table
from bench.workload import DAY_MS, customer_id
from streams.decision.policy import compile_policy
from streams.exactly_once.changelog import META_KEY, Meta, customer_key, encode_meta
from streams.exactly_once.interfaces import Batch
from streams.gate import Gate, GateSettings
from streams.policy.loader import load_policy
from streams.records import InputRecord
from streams.settings import WorkerSettings
from streams.testing.broker import create_plan
from streams.testing.policies import open_all_hours
from streams.testing.real_kafka import RealKafka
from streams.testing.records import intent, murmur2_partition, preference
from streams.topics import TopicNames, TopicPlan

PARTITIONS: Final = 8
TEMPLATES: Final = 1_000
CONTACTS: Final = (2, 3, 4, 5)
"""How many a customer has after each record; the last one is live."""

CONSENT: Final = {"purpose": "marketing", "evidence_ref": "form-1"}

TRANSACTION_RECORDS: Final = 20_000
READY_SECONDS: Final = 300.0
POLL_SECONDS: Final = 0.05


def ledger_values(policy_path: Path, now: int) -> list[list[bytes]]:
    """For each template its successive ledgers, as the gate stores them."""
    names = TopicNames()
    settings = GateSettings(names, 1, bytes(32), is_bounded=True, dead_letter_bytes_max=1_000_000)
    gate = Gate(compile_policy(load_policy(policy_path).specification), settings)
    store: dict[bytes, bytes] = {}
    found: list[list[bytes]] = [[] for _ in range(TEMPLATES)]
    asked = 0
    for day, contacts in enumerate(CONTACTS):
        at = now - (len(CONTACTS) - day) * DAY_MS
        records = []
        for number in range(TEMPLATES):
            name = customer_id(number)
            if day == 0:
                consent = preference(name, f"c-{number}", "consent_granted", at=at, to=names.preferences, **CONSENT)
                records.append(consent)
            for more in range(asked, contacts):
                details = {
                    "purpose": "otp",
                    "sender_id": "sms-co",
                    "country": "CO",
                    "brand": "north",
                    "campaign_id": f"campaign-{more % 2}",
                }
                records.append(intent(name, f"intent-{more}", created_at=at, to=names.intents[0], **details))
        asked = contacts
        inputs = [
            InputRecord(record.topic, offset, record.timestamp_ms, record.key, record.value, ())
            for offset, record in enumerate(records)
        ]
        result = gate.apply(Batch(0, inputs, [at] * len(inputs), {}), store)
        approved = sum(output.topic == names.approved for output in result.outputs)
        assert approved == sum(record.topic == names.intents[0] for record in inputs), "every template is a contact"
        store |= {key: value for key, value in result.changes.items() if value is not None}
        for number in range(TEMPLATES):
            found[number].append(store[customer_key(customer_id(number).encode())])
    return found


def changelog_records(
    customers: int, values: list[list[bytes]], versions: Sequence[int] = range(len(CONTACTS))
) -> Iterator[tuple[int, bytes, bytes]]:
    """Partition, key and value; every customer's first record, then every customer's second, and so on."""
    ids = [customer_id(number).encode() for number in range(customers)]
    places = [(murmur2_partition(name, PARTITIONS), customer_key(name)) for name in ids]
    for version in versions:
        for number, (partition, key) in enumerate(places):
            yield partition, key, values[number % TEMPLATES][version]


def write_changelog(
    bootstrap_servers: str,
    names: TopicNames,
    customers: int,
    values: list[list[bytes]],
    versions: Sequence[int] = range(len(CONTACTS)),
) -> int:
    """Write it in committed transactions; returns how many records there are. All versions, or these alone."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "transactional.id": "bench-restore",
            "linger.ms": 20,
            "batch.size": 1_000_000,
            "queue.buffering.max.messages": 10 * TRANSACTION_RECORDS,
        }
    )
    producer.init_transactions(meter.ANSWER_SECONDS)
    count = 0
    producer.begin_transaction()
    for partition, key, value in changelog_records(customers, values, versions):
        producer.produce(names.ledger, value, key, partition)
        count += 1
        if count % TRANSACTION_RECORDS == 0:
            producer.poll(0)
            producer.commit_transaction(meter.ANSWER_SECONDS)
            producer.begin_transaction()
    positions = dict.fromkeys((*names.intents, names.preferences, names.outcomes, names.rerouted), 0)
    for partition in range(PARTITIONS):
        meta = Meta(positions=positions, latest_ms=int(time.time() * 1000) - 1_000)
        producer.produce(names.ledger, encode_meta(meta), META_KEY, partition)
    producer.commit_transaction(meter.ANSWER_SECONDS)
    return count + PARTITIONS


def run(settings: WorkerSettings, directory: Path) -> dict[str, float]:
    """One worker from its start to its readiness: seconds by phase, and what it then holds."""
    began = time.perf_counter()
    seen: dict[str, float] = {}
    with workers(settings, 1, directory) as contender:
        address = None
        while "ready" not in seen:
            contender.still_running()
            if time.perf_counter() - began > READY_SECONDS:
                raise RuntimeError(f"the worker was not ready within {READY_SECONDS:.0f} s")
            address = address or ops_address(contender.logs[0])
            if address is not None:
                now = time.perf_counter() - began
                seen.setdefault("listening", now)
                status, text = get(f"{address}/ready")
                now = time.perf_counter() - began
                if "being restored" in text:
                    seen.setdefault("restoring", now)
                elif status == 200:
                    seen["ready"] = now
            time.sleep(POLL_SECONDS)
        restored = _restored(contender)
        return {
            **seen,
            **restored,
            "cpu_seconds": meter.cpu_seconds(contender.pids),
            "resident_bytes": meter.resident_bytes(contender.pids),
        }


def _restored(contender: Contender) -> dict[str, float]:
    """What the worker itself says about the restore."""
    for line in contender.logs[0].read_text().splitlines():
        if line.startswith("{"):
            said = json.loads(line)
            if said.get("event") == "the state is restored":
                return {"restore_seconds": said["seconds"], "decoding_seconds": said["decoding_seconds"]}
    return {}


def measure(kafka: RealKafka, customers: int, rounds: int, directory: Path) -> dict[str, Any]:
    """An empty and a full changelog, `rounds` times."""
    policy = open_all_hours("starter", directory)
    values = ledger_values(policy, int(time.time() * 1000))
    prefix = f"bench-{os.getpid()}"
    base = WorkerSettings(
        bootstrap_servers=kafka.bootstrap_servers, policy_path=str(policy), ops_port=0, erasure_key=ERASURE_KEY
    )
    runs: list[dict[str, float]] = []
    empty: list[float] = []
    records = 0
    for kind, count in (("empty", 0), ("full", customers)):
        names = TopicNames().with_prefix(f"{prefix}-{kind}-")
        create_plan(kafka, TopicPlan(names, partitions=PARTITIONS, replication_factor=1))
        records = write_changelog(kafka.bootstrap_servers, names, count, values)
        for _ in range(rounds):
            application = f"{prefix}-{kind}"
            found = run(structs.replace(base, topics=names, application_id=application), directory)
            print(kind, {key: round(value, 2) for key, value in found.items()}, flush=True)
            if kind == "empty":
                empty.append(found["resident_bytes"])
            else:
                runs.append(found)
    key_bytes = sys.getsizeof(customer_key(customer_id(0).encode()))
    live_bytes = sum(len(value[-1]) for value in values) / TEMPLATES
    rows = []
    for found in runs:
        each = (found["resident_bytes"] - min(empty)) / customers
        restoring = found.get("restore_seconds", 0.0)
        rows.append(
            {
                "ready after s": round(found["ready"], 2),
                "endpoint up after s": round(found["listening"], 2),
                "restoring s": round(restoring, 2),
                "of it decoding s": round(found.get("decoding_seconds", 0.0), 2),
                "worker CPU s": round(found["cpu_seconds"], 2),
                "records/s while restoring": round(records / restoring) if restoring else 0,
                "memory MB": round(found["resident_bytes"] / 1e6),
                "bytes per customer": round(each),
                "beyond the key": round(each - key_bytes),
            }
        )
    return {
        "customers": customers,
        "records": records,
        "key_bytes": key_bytes,
        "ledger_bytes": round(live_bytes),
        "empty_worker_megabytes": round(min(empty) / 1e6),
        "runs": rows,
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    meter.use_two_cores()
    with (
        RealKafka(heap_megabytes=1_024) as kafka,
        tempfile.TemporaryDirectory(prefix="mesura-bench-") as directory,
    ):
        document = measure(kafka, arguments.customers, arguments.rounds, Path(directory))
    title = (
        f"{document['customers']:,} customers of five contacts, {document['records']:,} records, one process and the "
        f"broker on {meter.CORES} cores. A ledger takes {document['ledger_bytes']} bytes in the log, its key "
        f"{document['key_bytes']} in memory; a worker that knows nobody takes {document['empty_worker_megabytes']} MB."
    )
    keep("restore", "Restore", [(title, table(document["runs"]))], document)


if __name__ == "__main__":
    main()
