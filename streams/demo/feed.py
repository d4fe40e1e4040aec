"""Publishes the demonstration's input: at once, or each live record when its time comes.

Rules of this module
1. Within a partition records go out in the order given, once, acknowledged by all in-sync replicas.
2. A live record has the moment at which it is really sent as its timestamp, from which latencies are measured.
3. A refusal by the broker ends the feed with an error. Nothing is skipped.
"""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException, Producer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from confluent_kafka import KafkaError, Message

    from streams.connection.cluster import Cluster
    from streams.demo.records import DemoRecord
    from streams.topics import TopicNames

ACKNOWLEDGE_SECONDS: Final = 60.0
"""How long a record may wait for its acknowledgement."""

STOP_SECONDS: Final = 5.0
"""How long a feed that is stopped waits for acknowledgements that are under way."""

CONNECT_SECONDS: Final = 15.0
"""How long a cluster may take to list its topics."""

_POLL_EVERY: Final = 200
_WAIT_SECONDS_MAX: Final = 0.05


class FeedRefused(Exception):
    """A record was not acknowledged. The message contains the broker's reason."""


class Feed:
    """A producer of the demonstration's records.

    Args:
        cluster: where.
        names: the topics.
        published: told the topic, partition, offset and timestamp of every acknowledged record.
    """

    def __init__(self, cluster: Cluster, names: TopicNames, published: Callable[[str, int, int, int], None]) -> None:
        self._topics = {"intents": names.intents[-1], "preferences": names.preferences, "outcomes": names.outcomes}
        self._published = published
        self._refusal = ""
        self._producer = Producer(
            {
                **cluster.client_settings(),
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "delivery.timeout.ms": int(ACKNOWLEDGE_SECONDS * 1000),
                "log_level": 0,
                "error_cb": lambda _: None,
            }
        )

    def send(self, records: Iterable[DemoRecord], stop: threading.Event, *, live_from_ms: int | None = None) -> None:
        """Publish all of it, or until `stop` is set. `live_from_ms`: the planned start of the run that begins now.

        Raises:
            FeedRefused: the broker did not take a record.
        """
        delay_ms = None if live_from_ms is None else _now_ms() - live_from_ms
        for number, record in enumerate(records):
            if stop.is_set():
                break
            timestamp_ms = record.timestamp_ms
            if delay_ms is not None and live_from_ms is not None and timestamp_ms >= live_from_ms:
                timestamp_ms = self._wait_for(timestamp_ms + delay_ms, stop)
                self._refuse()
            self._send(record, timestamp_ms)
            if not number % _POLL_EVERY:
                self._producer.poll(0)
                self._refuse()
        unsent = self._producer.flush(STOP_SECONDS if stop.is_set() else ACKNOWLEDGE_SECONDS + 5)
        self._refusal = self._refusal or (f"{unsent} records were not acknowledged" if unsent else "")
        self._refuse()

    def _wait_for(self, planned_ms: int, stop: threading.Event) -> int:
        """Wait until then, serving acknowledgements, and return the moment it is."""
        while (left_ms := planned_ms - _now_ms()) > 0 and not stop.is_set():
            self._producer.poll(min(_WAIT_SECONDS_MAX, left_ms / 1000))
        return _now_ms()

    def _send(self, record: DemoRecord, timestamp_ms: int) -> None:
        where = {} if record.partition is None else {"partition": record.partition}
        while True:
            try:
                self._producer.produce(
                    self._topics[record.kind],
                    value=record.value,
                    key=record.key,
                    timestamp=timestamp_ms,
                    headers=list(record.headers) or None,
                    on_delivery=partial(self._delivered, timestamp_ms),
                    **where,
                )
            except BufferError:
                self._producer.poll(0.1)
                self._refuse()
            else:
                return

    def _delivered(self, timestamp_ms: int, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refusal = self._refusal or f"{message.topic()}: {error.str()}"
            return
        self._published(message.topic(), message.partition(), message.offset(), timestamp_ms)

    def _refuse(self) -> None:
        if self._refusal:
            raise FeedRefused(self._refusal)


def _now_ms() -> int:
    return int(time.time() * 1000)


def partitions_of(cluster: Cluster, names: TopicNames) -> int:
    """How many partitions the input topics have.

    Raises:
        FeedRefused: no broker answers, a topic does not exist, or they have different numbers.
    """
    topics = (names.intents[-1], names.preferences, names.outcomes)
    client = Producer({**cluster.client_settings(), "log_level": 0, "error_cb": lambda _: None})
    try:
        existing = client.list_topics(timeout=CONNECT_SECONDS).topics
    except KafkaException as error:
        raise FeedRefused(f"no Kafka broker answers at {cluster}: {error.args[0].str()}") from None
    missing = [topic for topic in topics if topic not in existing]
    if missing:
        raise FeedRefused(f"there is no topic {', '.join(missing)}; create them with `mesura topics create`")
    counts = {len(existing[topic].partitions) for topic in topics}
    if len(counts) != 1:
        raise FeedRefused(f"{', '.join(topics)} have different numbers of partitions")
    return counts.pop()
