"""Follows the gate's meta records through a campaign: who commits, since when, and by what clock.

Invariants
1. Of each partition only the latest batch is kept: memory does not grow with the campaign.
2. Every meta record is held against the broker's clock. One whose moment lies beyond the limit is a finding: a worker
   with a wrong clock has committed.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, TopicPartition

from streams.exactly_once.changelog import META_KEY, decode_meta
from tests.system.harness import READ_BATCH, READ_SECONDS, Batch, Progress

if TYPE_CHECKING:
    from tests.system.harness import World

CLOCK_LIMIT_MS: Final = 5_000
"""What the product promises: beyond it between a worker's clock and the broker's nothing is committed."""

BEHIND_LIMIT_MS: Final = CLOCK_LIMIT_MS + 2_000
"""The moment of a batch is read before its records are stamped, by at most the age at which a batch is given up."""

FINDINGS_KEPT_MAX: Final = 20


def _quiet_consumer(world: World) -> Consumer:
    """Of the ledger from its start. A broker that is down is part of the campaign: nothing is said about it."""
    consumer = Consumer(
        {
            "bootstrap.servers": world.address,
            "group.id": "mesura-testing-follower",  # required, never used: partitions are assigned by hand
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
            "reconnect.backoff.max.ms": 1_000,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
    consumer.assign([TopicPartition(world.names.ledger, partition, 0) for partition in range(world.partitions)])
    return consumer


class Follower(Progress):
    """Progress, by partition and by clock."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._consumer.close()
        self._consumer = _quiet_consumer(world)
        self.committed: Counter[int] = Counter()
        """Batches of each partition so far."""
        self.moved_at = time.monotonic()
        """When the last batch of any was seen."""
        self.ahead_ms_max = 0
        """The farthest a batch's moment lay ahead of the broker's time of its record."""
        self.behind_ms_max = 0
        self.beyond_limit: list[str] = []

    def read(self) -> None:
        """Take in what has come since, once: under load there is always more."""
        messages = self._consumer.consume(READ_BATCH, READ_SECONDS)
        for message in messages:
            error = message.error()
            if error is not None:
                assert error.retriable(), error.str()
                continue
            if message.key() != META_KEY:
                continue
            partition, meta = message.partition(), decode_meta(message.value())
            before = self.batches[partition]
            self.batches[partition] = [Batch(partition, before[-1].meta.positions if before else {}, meta)]
            self.committed[partition] += 1
            self.moved_at = time.monotonic()
            self._compare(partition, meta.latest_ms, message.timestamp()[1], message.offset())

    def are_all_beyond(self, counts: Counter[int]) -> bool:
        """Whether every partition has committed more than this."""
        return all(self.committed[partition] > counts[partition] for partition in self.batches)

    def _compare(self, partition: int, moment_ms: int, stamped_ms: int, offset: int) -> None:
        ahead_ms = moment_ms - stamped_ms
        self.ahead_ms_max = max(self.ahead_ms_max, ahead_ms)
        self.behind_ms_max = max(self.behind_ms_max, -ahead_ms)
        if not -BEHIND_LIMIT_MS <= ahead_ms <= CLOCK_LIMIT_MS and len(self.beyond_limit) < FINDINGS_KEPT_MAX:
            self.beyond_limit.append(
                f"{self.world.names.ledger}[{partition}]@{offset}: decided {ahead_ms} ms ahead of the broker's clock"
            )
