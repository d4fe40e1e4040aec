"""Make a broker compact at once what it would compact in time.

A broker compacts closed segments only, a segment is closed by the next record after its time, and the cleaner looks
every few seconds. So: short segments, a cleaner that finds everything worth its while, and records until it is done.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from streams.testing.kafka_io import read_topic
from streams.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.system.harness import World

BROKER: Final = {"log.cleaner.backoff.ms": "200"}
"""To start the broker with: otherwise its cleaner looks every 15 seconds."""

EAGER: Final = {
    "segment.ms": "1000",
    "min.cleanable.dirty.ratio": "0.001",
    "min.compaction.lag.ms": "0",
    "max.compaction.lag.ms": "1000",
}
COMPACT_SECONDS: Final = 180.0
ADMIN_SECONDS: Final = 30.0

Stored = dict[tuple[str, int], Counter[bytes | None]]
"""How often each key stands in a partition of a topic."""


def compact(world: World, write: Callable[[], None]) -> tuple[int, int]:
    """Have every compacted topic compacted up to the end it has now.

    `write` makes the gate write to every partition of the ledger; it is called until the broker is done, which is when
    no key stands twice before that end.

    Returns:
        How many records stood before that end, and how many of them are left.
    """
    topics = [topic.name for topic in world.plan.topics() if topic.config["cleanup.policy"] == "compact"]
    ends = _ends(world, topics)
    before = _stored(world, topics, ends)
    _configure(world, topics)

    def found() -> Stored | None:
        write()
        after = _stored(world, topics, ends)
        return after if all(times == 1 for keys in after.values() for times in keys.values()) else None

    after = wait_until(found, COMPACT_SECONDS, "every partition compacted")
    assert after is not None
    return _records(before), _records(after)


def _ends(world: World, topics: list[str]) -> dict[tuple[str, int], int]:
    ends: Counter[tuple[str, int]] = Counter()
    for record in read_topic(world.address, *topics):
        place = (record.topic, record.partition)
        ends[place] = max(ends[place], record.offset + 1)
    return dict(ends)


def _stored(world: World, topics: list[str], ends: dict[tuple[str, int], int]) -> Stored:
    found: Stored = {place: Counter() for place in ends}
    for record in read_topic(world.address, *topics):
        place = (record.topic, record.partition)
        if record.offset < ends.get(place, 0):
            found[place][record.key] += 1
    return found


def _records(stored: Stored) -> int:
    return sum(keys.total() for keys in stored.values())


def _configure(world: World, topics: list[str]) -> None:
    client = AdminClient({"bootstrap.servers": world.address, "log_level": 0})
    entries = [ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in EAGER.items()]
    changes = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries) for topic in topics]
    for done in client.incremental_alter_configs(changes, request_timeout=ADMIN_SECONDS).values():
        done.result()
