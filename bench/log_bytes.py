"""Bytes in the log of every topic for an intent: what disk and network need, and how large a ledger is by its contacts.

    make bench-log_bytes
    python -m bench.log_bytes --intents 20000           quicker

One worker under the starter policy decides the same number of intents twice, on topics of its own each time: as a
backlog, in the largest transactions there are, and as they come, in small ones, which cost more beside the records.
What lies in the log is what the broker's files hold. Neither the load nor the gate compresses. Nothing is compacted
yet: only closed segments are, and these are younger.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Producer

from bench import meter
from bench.contenders import ERASURE_KEY, workers
from bench.report import keep, table
from bench.restore import CONTACTS, ledger_values
from bench.workload import Workload
from streams.settings import WorkerSettings
from streams.testing.kafka_io import publish, read_topic
from streams.testing.policies import open_all_hours
from streams.testing.real_kafka import RealKafka
from streams.testing.records import OutgoingRecord
from streams.topics import TopicNames, TopicPlan

PARTITIONS: Final = 8
BACKLOG: Final = "backlog"
EVEN: Final = "even"

PER_SECOND: Final = 300
"""Of the intents that come one after the other: a worker is rather idle, and its transactions are small."""

EVEN_SHARE: Final = 6
"""One intent in so many comes like that, or it would take minutes."""

SLICE_SECONDS: Final = 0.02
DECIDED_SECONDS: Final = 300.0


def decided(kafka: RealKafka, directory: Path, load: str, intents: int, customers: int) -> dict[str, Any]:
    """Let one worker decide them; bytes and records in the log of each topic, for each intent."""
    names = TopicNames().with_prefix(f"{load}-")
    for topic in TopicPlan(names, PARTITIONS, 1).topics():
        kafka.create_topics([topic.name], partitions=topic.partitions, config=topic.config)
    work = Workload.now(intents, customers)
    bootstrap, (asked,) = kafka.bootstrap_servers, names.intents
    spoken = publish(bootstrap, [*work.opt_outs(names.preferences), *work.consents(names.preferences)])
    settings = WorkerSettings(
        bootstrap_servers=bootstrap,
        policy_path=str(open_all_hours("starter", directory)),
        application_id=f"{load}-gate",
        topics=names,
        ops_port=0,
        erasure_key=ERASURE_KEY,
    )
    heard = meter.CommittedOffsets(bootstrap, settings.application_id, [names.preferences])
    done = meter.CommittedOffsets(bootstrap, settings.application_id, [asked])
    with workers(settings, 1, directory) as contender:
        # What preferences cost is not an intent's, so they come first and are taken off.
        _wait(lambda: heard() >= spoken, contender.still_running)
        before, known = _stored(kafka, names), _ledger_records(bootstrap, names)
        if load == BACKLOG:
            publish(bootstrap, work.intent_records(asked))
        else:
            _publish_evenly(bootstrap, work.intent_records(asked))
        _wait(lambda: done() >= intents, contender.still_running)
        after = _stored(kafka, names)
    written = _ledger_records(bootstrap, names)[len(known) :]
    stored = {name: after[name] - before[name] for name in names.all()}
    held = sum(len(key) + len(value) for key, value in written)
    return {
        "load": load,
        "intents": intents,
        "customers": customers,
        "ledger records for an intent": round(len(written) / intents, 3),
        "log bytes beside key and value of a ledger": round((stored[names.ledger] - held) / len(written), 1),
        **{name.removeprefix(f"{load}-"): round(stored[name] / intents, 1) for name in names.all() if stored[name]},
    }


def _ledger_records(bootstrap_servers: str, names: TopicNames) -> list[tuple[bytes, bytes]]:
    """Key and value of each, oldest first; only how many there are depends on the order of partitions."""
    found = read_topic(bootstrap_servers, names.ledger)
    return [(each.key or b"", each.value or b"") for each in sorted(found, key=lambda one: one.timestamp_ms)]


def _publish_evenly(bootstrap_servers: str, records: Iterator[OutgoingRecord]) -> None:
    producer = Producer({"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random", "linger.ms": 5})
    began = time.monotonic()
    for number, record in enumerate(records):
        producer.produce(record.topic, record.value, record.key, timestamp=record.timestamp_ms)
        ahead_seconds = number / PER_SECOND - (time.monotonic() - began)
        if ahead_seconds > SLICE_SECONDS:
            producer.poll(0)
            time.sleep(ahead_seconds)
    producer.flush()


def _stored(kafka: RealKafka, names: TopicNames) -> dict[str, int]:
    """Bytes by topic."""
    data = kafka.data_directory / "data"
    return {name: sum(path.stat().st_size for path in data.glob(f"{name}-*/*.log")) for name in names.all()}


def _wait(condition: Callable[[], bool], still_running: Callable[[], None]) -> None:
    until = time.monotonic() + DECIDED_SECONDS
    while not condition():
        still_running()
        if time.monotonic() > until:
            raise RuntimeError(f"not decided within {DECIDED_SECONDS:.0f} s")
        time.sleep(0.1)


def ledgers(directory: Path) -> list[dict[str, Any]]:
    """The mean size of a ledger by its contacts, as the gate writes it."""
    values = ledger_values(open_all_hours("starter", directory), int(time.time() * 1000))
    return [
        {"contacts": contacts, "ledger bytes": round(sum(len(each[version]) for each in values) / len(values), 1)}
        for version, contacts in enumerate(CONTACTS)
    ]


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--intents", type=int, default=60_000)
    parser.add_argument("--customers", type=int, default=12_000)
    arguments = parser.parse_args()
    with RealKafka(heap_megabytes=512) as kafka, tempfile.TemporaryDirectory(prefix="mesura-bench-") as directory:
        share = EVEN_SHARE
        rows = [
            decided(kafka, Path(directory), BACKLOG, arguments.intents, arguments.customers),
            decided(kafka, Path(directory), EVEN, arguments.intents // share, arguments.customers // share),
        ]
        sizes = ledgers(Path(directory))
    title = (
        f"Bytes in the log for an intent, starter policy, {PARTITIONS} partitions, uncompressed; as a backlog, and "
        f"evenly, {PER_SECOND:,} a second."
    )
    sections = [(title, table(rows)), ("A ledger by its contacts:", table(sizes))]
    keep("log-bytes", "Bytes in the log", sections, {"loads": rows, "ledgers": sizes})


if __name__ == "__main__":
    main()
