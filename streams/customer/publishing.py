"""Publishes an event of a customer, and waits until the gate has applied it.

Rules of this module
1. An event goes where any producer's goes: under the customer's key, to the partition that murmur2 gives, acknowledged
   by all in-sync replicas, outside of any transaction.
2. It is applied when the ledger's positions have passed it. They are written in the transaction that applies it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import Producer

from streams.customer.reading import follow
from streams.exactly_once.changelog import META_KEY, decode_meta

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import KafkaError, Message

    from streams.connection.cluster import Cluster
    from streams.customer.holdings import Holdings
    from streams.customer.mention import CustomerId
    from streams.customer.reading import Stored

ACKNOWLEDGE_SECONDS: Final = 120.0
"""How long a record may wait for its acknowledgement: longer than a broker takes to restart."""


class NotAcknowledged(Exception):
    """The broker has not acknowledged the event. The message says why; it may have arrived all the same."""


class Published(NamedTuple):
    """Where an event stands."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


def publish(cluster: Cluster, topic: str, customer: CustomerId, values: Sequence[bytes]) -> list[Published]:
    """Publish events, in this order; returns when all are acknowledged.

    Raises:
        NotAcknowledged: one was not.
    """
    done: list[Published] = []
    failures: list[str] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failures.append(str(error.str()))
        else:
            done.append(Published(topic, message.partition(), message.offset(), message.timestamp()[1]))

    producer = Producer(
        {
            **cluster.client_settings(),
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "acks": "all",
            "delivery.timeout.ms": int(ACKNOWLEDGE_SECONDS * 1000),
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
    for value in values:
        producer.produce(topic, key=customer.key, value=value, on_delivery=delivered)
    if producer.flush(ACKNOWLEDGE_SECONDS + 5):
        failures.append("no answer")
    if failures:
        raise NotAcknowledged(failures[0])
    return done


def wait_until_applied(
    cluster: Cluster, ledger_topic: str, held: Holdings, published: Published, seconds: float
) -> bool:
    """Follow the ledger until the event has been applied, and bring `ledger` and `erased` of what is held up to date.
    False: it was not applied in time.

    Raises:
        TopicsUnreadable, KafkaException: see `stored_topics`.
    """
    _, start = held.spans[ledger_topic, published.partition]
    for record in follow(cluster, ledger_topic, published.partition, start, seconds):
        if record.key == META_KEY and record.value is not None:
            if decode_meta(record.value).positions.get(published.topic, 0) > published.offset:
                return True
        else:
            _keep(held, record)
    return False


def _keep(held: Holdings, record: Stored) -> None:
    latest = None if record.value is None else record
    if record.key == held.own_key:
        held.ledger = latest
    elif record.key == held.erased_key:
        held.erased = latest
