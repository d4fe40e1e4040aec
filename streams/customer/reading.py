"""The committed records of topics as the customer commands look through them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streams.stored_topics import messages_from, messages_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from confluent_kafka import Message

    from streams.connection.cluster import Cluster
    from streams.records import Headers
    from streams.stored_topics import Span


class Stored(NamedTuple):
    """One record as the broker stored it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def read(cluster: Cluster, spans: Mapping[tuple[str, int], Span]) -> Iterator[Stored]:
    """The records of these spans. Raises as `messages_in`."""
    return map(_stored, messages_in(cluster, spans))


def follow(cluster: Cluster, topic: str, partition: int, start: int, seconds: float) -> Iterator[Stored]:
    """The records of a partition from `start` on as they come, for so long at most. Raises as `messages_from`."""
    return map(_stored, messages_from(cluster, topic, partition, start, seconds))


def _stored(message: Message) -> Stored:
    headers = tuple((name, content or b"") for name, content in message.headers() or ())
    return Stored(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        headers,
    )
