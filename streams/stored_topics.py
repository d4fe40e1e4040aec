"""What topics hold now, read message by message without a group: for commands that look through whole topics.

Rules of this module
1. Where each partition ends is asked before anything is read, so that reading ends, whatever arrives meanwhile.
2. No group is joined, no offset is committed, no topic is created.
3. Messages are handed on one by one and not kept: topics are larger than memory.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from confluent_kafka import Message

    from streams.connection.cluster import Cluster

ANSWER_SECONDS: Final = 15.0
"""For one answer about topics, which brokers give from memory."""

STALLED_SECONDS: Final = 120.0
"""Longer than an election of leaders takes, and than a transaction may stay open by the brokers' usual limit of a
minute: what does not come by then does not come."""

Isolation = Literal["read_committed", "read_uncommitted"]
"""Committed messages end before an open transaction, and what lies behind it is not waited for."""

_READ_BATCH: Final = 5_000
_READ_SECONDS: Final = 0.2
_PASSED_OVER: Final = {KafkaError.GROUP_AUTHORIZATION_FAILED}
"""The client looks for the coordinator of its group, which is never used, and need not be allowed to."""


class TopicsUnreadable(Exception):
    """A topic is not there, or cannot be read. The message says which, and what to do."""


class Span(NamedTuple):
    """The offsets of a partition from `start` up to, and without, `end`."""

    start: int
    end: int


Spans = dict[tuple[str, int], Span]
"""By topic and partition."""


def spans_of(cluster: Cluster, topics: Iterable[str], isolation: Isolation = "read_committed") -> Spans:
    """From where to where each partition of the topics goes now, in the order of the topics.

    Raises:
        TopicsUnreadable: a topic does not exist.
        KafkaException: the cluster does not answer.
    """
    topics = tuple(topics)
    consumer = _consumer(cluster, isolation)
    try:
        existing = consumer.list_topics(timeout=ANSWER_SECONDS).topics
        refuse_missing(topics, existing)
        return {
            (topic, partition): Span(
                *consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_SECONDS)
            )
            for topic in topics
            for partition in sorted(existing[topic].partitions)
        }
    finally:
        consumer.close()


def refuse_missing(topics: Iterable[str], existing: Container[str]) -> None:
    """Raises:
    TopicsUnreadable: a topic does not exist.
    """
    missing = [topic for topic in topics if topic not in existing]
    if missing:
        raise TopicsUnreadable(
            f"These topics do not exist: {', '.join(missing)}. Give the --prefix of the gate, or the names of its "
            "topics."
        )


def messages_in(
    cluster: Cluster, spans: Mapping[tuple[str, int], Span], isolation: Isolation = "read_committed"
) -> Iterator[Message]:
    """The messages of these spans, in order within each partition.

    Raises:
        TopicsUnreadable: nothing comes any more.
        KafkaException: the cluster does not answer.
    """
    unread = {place: span.end for place, span in spans.items() if span.start < span.end}
    if not unread:
        return
    consumer = _consumer(cluster, isolation)
    try:
        consumer.assign([TopicPartition(*place, spans[place].start) for place in unread])
        heard_at = time.monotonic()
        while unread:
            messages = consumer.consume(_READ_BATCH, _READ_SECONDS)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > STALLED_SECONDS:
                stalled = ", ".join(f"{topic}-{partition}" for topic, partition in sorted(unread))
                raise TopicsUnreadable(f"Nothing came for {STALLED_SECONDS:.0f} s from {stalled}. Try again.")
            yield from (message for message in messages if _is_wanted(message, unread))
    finally:
        consumer.close()


def messages_from(cluster: Cluster, topic: str, partition: int, start: int, seconds: float) -> Iterator[Message]:
    """Committed messages of a partition from `start` on as they come, for so long at most.

    Raises:
        TopicsUnreadable: the partition cannot be read.
    """
    consumer = _consumer(cluster, "read_committed")
    until = time.monotonic() + seconds
    try:
        consumer.assign([TopicPartition(topic, partition, start)])
        while time.monotonic() < until:
            messages = consumer.consume(_READ_BATCH, _READ_SECONDS)
            yield from (message for message in messages if not _refusal_in(message))
    finally:
        consumer.close()


def _is_wanted(message: Message, unread: dict[tuple[str, int], int]) -> bool:
    """Whether it is one of what is still to be read. Takes out the partition of which nothing more is to come."""
    place, offset = (message.topic(), message.partition()), message.offset()
    if _refusal_in(message):
        if message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
            unread.pop(place, None)
        return False
    end = unread.get(place)
    if end is None:
        return False
    if offset + 1 >= end:
        unread.pop(place)
    return bool(offset < end)


def _refusal_in(message: Message) -> bool:
    """Whether it is no message but what the client has to say, which does not end the reading."""
    error = message.error()
    if error is None:
        return False
    is_end = error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001  # its public name
    if not is_end and not error.retriable() and error.code() not in _PASSED_OVER:
        raise TopicsUnreadable(f"{message.topic()} cannot be read: {error.str()}. Try again.")
    return True


def _consumer(cluster: Cluster, isolation: Isolation) -> Consumer:
    return Consumer(
        {
            **cluster.client_settings(),
            "group.id": "mesura-reading",  # required, never used: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",  # retention may have moved the start meanwhile
            "isolation.level": isolation,
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 50,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
