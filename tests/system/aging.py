"""What time does to a gate's topics, in a minute: compaction of everything that is compacted, a restore, retention.

    for stage in aged(world, directory, policy, judge): ...

Nothing is simulated: the broker compacts and deletes, a gate of its own restores and decides, and the outside check
looks at what is left each time.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from streams.exactly_once.changelog import META_KEY
from streams.testing.kafka_io import publish, read_topic
from streams.testing.records import OutgoingRecord, intent, murmur2_partition
from streams.testing.waiting import wait_until
from tests.system.harness import ends_of, running, until_all_decided

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from streams.audit import AuditReport
    from streams.testing.waiting import wait_until
from tests.system.harness import World

COMPACTED_AT_ONCE: Final = {
    "segment.ms": "1000",  # a segment is closed, hence compacted, by the next record after that
    "min.cleanable.dirty.ratio": "0.01",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "1000",
}
COMPACT_SECONDS: Final = 180.0
LOOK_SECONDS: Final = 1.0
"""Between two rounds of intents that close segments."""

ANSWER_SECONDS: Final = 30.0
READ_BATCH: Final = 5_000
AS_IT_IS: Final = "as it is"
DELETED_SHARE: Final = 3
"""One in so many of the input records is deleted, the first."""


@dataclass(frozen=True)
class Stage:
    """What the outside check said at one age."""

    name: str
    broken: int
    not_verifiable: int
    decisions: int
    batches: int
    said: str

    @classmethod
    def of(cls, name: str, report: AuditReport) -> Stage:
        return cls(
            name,
            report.found.total(),
            report.not_verifiable.total(),
            report.counts["decisions"],
            report.counts["batches"],
            report.as_text(),
        )


def aged(world: World, directory: Path, policy: Path, judge: Callable[[], AuditReport]) -> Iterator[Stage]:
    """Judge after compaction, after a restore from what that left, and then without the first of the inputs."""
    with running(world, directory, policy=policy) as gate:
        compact(world)
        until_all_decided(gate, world)
    yield Stage.of("compacted", judge())
    with running(world, directory, policy=policy) as gate:
        publish_some(world, "restored")
        until_all_decided(gate, world)
    yield Stage.of("restored", judge())
    delete_first(world)
    yield Stage.of("first third of the inputs deleted", judge())


def unsound(stages: Sequence[Stage]) -> list[str]:
    """What is wrong at any age: broken promises, and anything that could not be verified while everything was there."""
    return [
        f"{stage.name}: {stage.said}"
        for stage in stages
        if stage.broken or (stage.not_verifiable and stage is not stages[-1])
    ]


def as_rows(stages: Sequence[Stage]) -> list[str]:
    """For a report: one row for each age, below a head."""
    head = ["| looked at | batches | decisions | broken promises | not verifiable |", "|---|---|---|---|---|"]
    return head + [
        f"| {each.name} | {each.batches} | {each.decisions} | {each.broken} | {each.not_verifiable} |"
        for each in stages
    ]


def publish_some(world: World, name: str) -> None:
    """An intent on every partition."""
    customers: dict[int, str] = {}
    for number in itertools.count():
        customers.setdefault(murmur2_partition(f"aging-{number}".encode(), world.partitions), f"aging-{number}")
        if len(customers) == world.partitions:
            break
    now = int(time.time() * 1000)
    world.publish(intent(customer, f"{customer}-{name}", created_at=now) for customer in customers.values())


def compact(world: World) -> None:
    """Have the broker compact the ledger and the control topic, until no meta record from before is left.

    A gate must be running: what it writes closes the segments before.
    """
    admin = AdminClient({"bootstrap.servers": world.address})
    names = world.names
    for topic in (names.ledger, names.control):
        resource = ConfigResource(
            ResourceType.TOPIC,
            topic,
            incremental_configs=[
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                for key, value in COMPACTED_AT_ONCE.items()
            ],
        )
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(ANSWER_SECONDS)
    before = ends_of(world, names.ledger)
    last = read_topic(world.address, names.control)[-1]
    rounds = itertools.count()

    def is_compacted() -> bool:
        publish_some(world, f"round-{next(rounds)}")
        # The latest value of a key once more: it says nothing new, and closes the segment before it.
        publish(world.address, [OutgoingRecord(last.topic, last.key, last.value, int(time.time() * 1000), partition=0)])
        return all(_first_meta(world, partition) >= end for (_, partition), end in before.items())

    wait_until(is_compacted, COMPACT_SECONDS, "the broker's compaction of the ledger topic", poll_seconds=LOOK_SECONDS)


def _first_meta(world: World, partition: int) -> int:
    """The offset of the first meta record that is left of the ledger."""
    consumer = Consumer(
        {
            "bootstrap.servers": world.address,
            "group.id": "mesura-testing-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    try:
        consumer.assign([TopicPartition(world.names.ledger, partition, 0)])
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            for message in consumer.consume(READ_BATCH, 0.1):
                if message.error() is None and message.key() == META_KEY:
                    return int(message.offset())
        raise AssertionError(f"no meta record on partition {partition}")
    finally:
        consumer.close()


def delete_first(world: World) -> None:
    """Delete the first records of every input topic, as retention does."""
    admin = AdminClient({"bootstrap.servers": world.address})
    topics = (*world.inputs, world.names.rerouted)
    starts = [
        TopicPartition(topic, partition, end // DELETED_SHARE)
        for (topic, partition), end in ends_of(world, *topics).items()
        if end >= DELETED_SHARE
    ]
    for future in admin.delete_records(starts).values():
        future.result(ANSWER_SECONDS)
