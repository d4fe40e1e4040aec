"""Reads what the gate commits, for the reconciliation.

Rules of this module
1. Only committed records are read, in a separate thread, which also adds them to the account.
2. A gap is an error, because the counts could not add up if the broker has dropped records that were not read yet.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from streams.demo.reconciliation import Arrival

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.connection.cluster import Cluster
    from streams.topics import TopicNames

ANSWER_SECONDS: Final = 15.0
"""How long the broker may take to list the partitions."""

_BATCH: Final = 2_000
_WAIT_SECONDS: Final = 0.05


class Follower:
    """Follows the gate's topics from their present ends, or from their beginnings if they are new."""

    def __init__(self, cluster: Cluster, names: TopicNames, take: Callable[[Arrival], None]) -> None:
        self._topics = (names.approved, names.suppressed, names.dead_letter, names.rerouted, names.ledger)
        self._take = take
        self._stop = threading.Event()
        self.failure = ""
        self._consumer = Consumer(
            {
                **cluster.client_settings(),
                "group.id": "mesura-demo-reader",  # required, never used: partitions are assigned by hand
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
                "fetch.wait.max.ms": 20,
                "allow.auto.create.topics": False,
                "log_level": 0,
                "error_cb": lambda _: None,
            }
        )
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def start(self) -> None:
        """Determine where reading begins, and begin."""
        existing = self._consumer.list_topics(timeout=ANSWER_SECONDS).topics
        starts = []
        for topic in self._topics:
            for partition in existing[topic].partitions:
                place = TopicPartition(topic, partition)
                end = self._end(place)
                starts.append(TopicPartition(topic, partition, end or OFFSET_BEGINNING))
        self._consumer.assign(starts)
        self._thread.start()

    def _end(self, place: TopicPartition) -> int:
        """The end of a partition. A new partition may not know its leader yet."""
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                _, end = self._consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
            except KafkaException:
                if time.monotonic() > until:
                    raise
                self._stop.wait(_WAIT_SECONDS)
            else:
                return int(end)

    def stop(self) -> None:
        """End reading. Idempotent."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._stop.is_set() and not self.failure:
            for message in self._consumer.consume(_BATCH, _WAIT_SECONDS):
                error = message.error()
                if error is not None:
                    self._note(message.topic(), error)
                    continue
                arrival = Arrival(
                    message.topic(),
                    message.partition(),
                    message.offset(),
                    message.key(),
                    message.value(),
                    dict(message.headers() or ()),
                    int(time.time() * 1000),
                )
                try:
                    self._take(arrival)
                except (ValueError, KeyError, TypeError) as broken:
                    self.failure = f"{arrival.topic}[{arrival.partition}] {arrival.offset}: {type(broken).__name__}"

    def _note(self, topic: str, error: KafkaError) -> None:
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001  # its public name
            self.failure = f"{topic}: records were dropped before they were read. Feed less, or slower."
        elif not error.retriable() and error.fatal():
            self.failure = f"{topic}: {error.str()}"
