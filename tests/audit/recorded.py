"""A sound run's topics held in memory, and the means to plant a violation by editing them.

Every role has a customer of its own, so that what is planted for one touches no other.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from streams.audit.kafka_log import KafkaLog
from streams.audit.log import PartitionLog, Record
from streams.audit.run import audit_log
from streams.audit.settings import AuditSettings, Topics
from streams.oracle.model import decision_id
from streams.testing.records import OutgoingRecord, intent, murmur2_partition, outcome, preference
from tests.system.conftest import now_ms
from tests.system.harness import ERASURE_KEY, World, running, until_all_decided
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from streams.audit import AuditReport
    from streams.testing.broker import Broker

PARTITIONS = 2
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
UNKNOWN_DECISION = "0" * 24
META = b"m"


@dataclass
class MemoryLog:
    """A gate's topics in memory."""

    logs: dict[int, PartitionLog]
    policies: dict[bytes, bytes]

    def partitions(self) -> Sequence[int]:
        return sorted(self.logs)

    def partition(self, number: int) -> PartitionLog:
        return self.logs[number]

    def control(self) -> dict[bytes, bytes]:
        return self.policies


@dataclass
class Recorded:
    """A run. `edited` gives a copy to plant in; the run itself stays as it was recorded."""

    log: MemoryLog
    settings: AuditSettings
    topics: Topics

    def edited(self) -> Recorded:
        logs = {
            number: replace(
                log,
                records={topic: list(records) for topic, records in log.records.items()},
                starts=dict(log.starts),
            )
            for number, log in self.log.logs.items()
        }
        return replace(self, log=MemoryLog(logs, dict(self.log.policies)))

    def audit(self, **changes: Any) -> AuditReport:  # noqa: ANN401 - fields of the settings
        return audit_log(self.log, replace(self.settings, **changes))

    def found(self, **changes: Any) -> dict[str, int]:  # noqa: ANN401 - fields of the settings
        return dict(self.audit(**changes).found)

    def compacted(self) -> Recorded:
        """A copy as it is when a broker has compacted what it may: of each key only the last record is left."""
        copy = self.edited()
        for log in copy.log.logs.values():
            last = {record.key: record for record in log.records[self.topics.ledger]}
            log.records[self.topics.ledger] = sorted(last.values(), key=lambda record: record.offset)
        return copy

    def without_first(self, share: float, *topics: str) -> Recorded:
        """A copy of which retention has deleted the first records of these topics, on every partition."""
        copy = self.edited()
        for log in copy.log.logs.values():
            for topic in topics:
                records = log.records[topic]
                kept = records[int(len(records) * share) :]
                log.records[topic] = kept
                log.starts[topic] = kept[0].offset if kept else log.ends[topic]
        return copy

    # ---- looking ----

    def partition_of(self, customer: str) -> int:
        return murmur2_partition(customer.encode(), PARTITIONS)

    def records(self, topic: str, customer: str) -> list[Record]:
        """One topic's records on the customer's partition."""
        return self.log.logs[self.partition_of(customer)].records[topic]

    def answers(self, customer: str, kind: str) -> list[Record]:
        topic = self.topics.suppressed if kind == "suppressed" else self.topics.approved
        found = [record for record in self.records(topic, customer) if record.key == customer.encode()]
        return [record for record in found if document(record)["type"] == kind]

    def answer(self, customer: str, kind: str) -> Record:
        [only] = self.answers(customer, kind)
        return only

    def ledgers(self, customer: str) -> list[Record]:
        return [r for r in self.records(self.topics.ledger, customer) if r.key == b"c" + customer.encode()]

    def batches(self, partition: int) -> list[Record]:
        return self.log.logs[partition].records[self.topics.batches]

    def metas(self, partition: int) -> list[Record]:
        return [record for record in self.log.logs[partition].records[self.topics.ledger] if record.key == META]

    # ---- planting ----

    def change(self, topic: str, customer: str, old: Record, new: Record | None) -> None:
        """Put another record, or none, in the place of one."""
        records = self.records(topic, customer)
        index = records.index(old)
        records[index : index + 1] = [] if new is None else [new]

    def rewrite(self, customer: str, old: Record, **changes: object) -> None:
        """Change fields of an answer."""
        topic = self.topics.suppressed if document(old)["type"] == "suppressed" else self.topics.approved
        self.change(topic, customer, old, old._replace(value=json.dumps({**document(old), **changes}).encode()))

    def append(self, topic: str, customer: str, record: Record) -> Record:
        """Put a record behind all others."""
        records = self.records(topic, customer)
        placed = record._replace(offset=records[-1].offset + 1 if records else 0)
        records.append(placed)
        return placed

    def approve(self, customer: str) -> None:
        """Replace the customer's last suppression by an approval, where it would stand among the others."""
        old = self.answers(customer, "suppressed")[-1]
        self.change(self.topics.suppressed, customer, old, None)
        said = document(old)
        pattern = next(iter(self.records(self.topics.approved, customer)))
        approval = {
            **document(pattern),
            **{name: said[name] for name in ("decision_id", "intent_id", "customer_id", "channel", "decided_at")},
            "valid_until": said["decided_at"] + 300_000,
        }
        self.append(self.topics.approved, customer, old._replace(value=json.dumps(approval).encode()))
        self.sort_by_moment(self.topics.approved, customer)

    def sort_by_moment(self, topic: str, customer: str) -> None:
        """Put an output topic's records where they would stand if each had been written when it says."""
        records = self.records(topic, customer)

        def served(record: Record) -> tuple[int, int]:
            headers = dict(record.headers)
            return document(record)["decided_at"], int(headers["mesura.origin.offset"] or 0)

        records.sort(key=served)
        records[:] = [record._replace(offset=offset) for offset, record in enumerate(records)]


def document(record: Record) -> dict[str, Any]:
    assert record.value is not None
    found: dict[str, Any] = json.loads(record.value)
    return found


def with_header(record: Record, name: str, content: str) -> Record:
    """The record with one header saying something else."""
    assert name in dict(record.headers)
    changed = tuple((known, content.encode() if known == name else value) for known, value in record.headers)
    return record._replace(headers=changed)


def wrong_partition(customer: str) -> int:
    return 1 - murmur2_partition(customer.encode(), PARTITIONS)


def record_run(broker: Broker, prefix: str, directory: Path) -> Recorded:
    """Run the gate over a little of everything, and hold what its topics then say."""
    world = World(broker, prefix, partitions=PARTITIONS)
    policy = directory / "policy.yaml"
    policy.write_text(any_hour(limit=2), encoding="utf-8")
    with running(world, directory, policy=policy) as gate:

        def decided(make: Callable[[int], list[OutgoingRecord]]) -> None:
            world.publish(make(now_ms()))
            until_all_decided(gate, world)

        decided(lambda now: [preference("no", "e-no", "opt_out", at=now)])
        decided(first_intents)
        decided(said_afterwards)
        decided(lambda now: [intent("twice", "i-twice", created_at=now), intent("capped", "i-3", created_at=now)])
        decided(lambda now: [intent(LATE_NO, "i-late-no", created_at=now)])
        decided(lambda now: [intent("alone", "i-alone", created_at=now)])
        decided(lambda now: [intent("expired", "i-last", created_at=now - 30 * DAY_MS)])
    settings = AuditSettings(
        world.address, world.names, [policy], f"{prefix}gate", processes=1, erasure_key=ERASURE_KEY, salt=b"s" * 16
    )
    topics = Topics.of(world.names)
    stored = KafkaLog(settings, topics)
    logs = {number: stored.partition(number) for number in stored.partitions()}
    return Recorded(MemoryLog(logs, stored.control()), settings, topics)


# Says no after somebody else on its partition has.
LATE_NO = next(
    name
    for name in (f"late-no-{number}" for number in range(100))
    if murmur2_partition(name.encode(), PARTITIONS) == murmur2_partition(b"no", PARTITIONS)
)
PLAIN = tuple(f"plain-{number}" for number in range(6))
APPROVED = (*PLAIN, "capped", "taken-back", "reported", "twice", "erased", "unread")


def first_intents(now: int) -> list[OutgoingRecord]:
    return [
        *(intent(customer, f"i-{customer}", created_at=now) for customer in APPROVED),
        intent("capped", "i-2", created_at=now),
        intent("no", "i-no", created_at=now),
        intent("expired", "i-expired", created_at=now - 30 * DAY_MS),
        intent("future", "i-future", created_at=now + DAY_MS)._replace(timestamp_ms=now),
        intent("bad", "i-bad", created_at=now)._replace(value=b"{"),
        outcome("misrouted", UNKNOWN_DECISION, occurred_at=now)._replace(partition=wrong_partition("misrouted")),
        outcome("sound", UNKNOWN_DECISION, occurred_at=now),
    ]


def said_afterwards(now: int) -> list[OutgoingRecord]:
    """The opt-out was made an hour before it was published: its order does not hang on the record's timestamp."""
    return [
        preference("taken-back", "e-back", "opt_out", at=now, effective_at=now - HOUR_MS),
        preference(LATE_NO, "e-late-no", "opt_out", at=now),
        preference("erased", "e-erased", "erasure", at=now),
        preference("unread", "e-unread", "opt_out", at=now)._replace(value=b"{"),
        outcome("reported", decision_id("reported", "i-reported"), occurred_at=now),
    ]


def counted(*kinds: str) -> dict[str, int]:
    return dict(Counter(kinds))
