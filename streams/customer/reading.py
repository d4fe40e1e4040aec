"""Reads what topics hold now, and follows one partition.

Rules of this module
1. Where each partition ends is asked before anything is read, so that reading ends, whatever arrives meanwhile.
2. Only committed records are read. No group is joined, no offset is committed, no topic is created.
3. Records are handed on one by one and not kept: topics are larger than memory.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from confluent_kafka import Message

    from streams.connection.cluster import Cluster
    from streams.records import Headers

ANSWER_SECONDS: Final = 15.0
"""For one answer about topics, which brokers give from memory."""

STALLED_SECONDS: Final = 120.0
"""Longer than any transaction may stay open: what does not come by then does not come."""

_READ_BATCH: Final = 5_000
_READ_SECONDS: Final = 0.2
_PASSED_OVER: Final = {KafkaError.GROUP_AUTHORIZATION_FAILED}
"""The client looks for the coordinator of its group, which is never used, and need not be allowed to."""


class TopicsUnreadable(Exception):
    """A topic is not there, or cannot be read. The message says which, and what to do."""


class Stored(NamedTuple):
    """One record as the broker stored it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


Spans = dict[tuple[str, int], tuple[int, int]]
"""From where to where partitions go: the first offset, and the one behind the last."""


def spans_of(cluster: Cluster, topics: Sequence[str]) -> Spans:
    """Where the partitions of the topics begin and end now, in the order of the topics.

    Raises:
        TopicsUnreadable: a topic does not exist.
        KafkaException: the cluster does not answer.
    """
    consumer = _consumer(cluster)
    try:
        existing = consumer.list_topics(timeout=ANSWER_SECONDS).topics
        missing = [topic for topic in topics if topic not in existing]
        if missing:
            raise TopicsUnreadable(
                f"These topics do not exist: {', '.join(missing)}. Give the --prefix of the gate, or the names of its "
                "topics."
            )
        return {
            (topic, partition): consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_SECONDS)
            for topic in topics
            for partition in sorted(existing[topic].partitions)
        }
    finally:
        consumer.close()


def read(cluster: Cluster, spans: Mapping[tuple[str, int], tuple[int, int]]) -> Iterator[Stored]:
    """The records of these spans, in order within each partition.

    Raises:
        TopicsUnreadable: nothing comes any more.
        KafkaException: the cluster does not answer.
    """
    unread = {place: end for place, (start, end) in spans.items() if start < end}
    if not unread:
        return
    consumer = _consumer(cluster)
    try:
        consumer.assign([TopicPartition(*place, spans[place][0]) for place in unread])
        heard_at = time.monotonic()
        while unread:
            messages = consumer.consume(_READ_BATCH, _READ_SECONDS)
            if messages:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > STALLED_SECONDS:
                stalled = ", ".join(f"{topic}-{partition}" for topic, partition in sorted(unread))
                raise TopicsUnreadable(
                    f"Nothing came for {STALLED_SECONDS:.0f} s from {stalled}. Is a transaction left open?"
                )
            for message in messages:
                if (record := _taken(message, unread)) is not None:
                    yield record
    finally:
        consumer.close()


def follow(cluster: Cluster, topic: str, partition: int, start: int, seconds: float) -> Iterator[Stored]:
    """The records of a partition from `start` on as they come, for so long at most.

    Raises:
        TopicsUnreadable: the partition cannot be read.
    """
    consumer = _consumer(cluster)
    until = time.monotonic() + seconds
    try:
        consumer.assign([TopicPartition(topic, partition, start)])
        while time.monotonic() < until:
            for message in consumer.consume(_READ_BATCH, _READ_SECONDS):
                record = _taken(message, {(topic, partition): message.offset() + 2})
                if record is not None:
                    yield record
    finally:
        consumer.close()


def _taken(message: Message, unread: dict[tuple[str, int], int]) -> Stored | None:
    """The record, if it is in what is still to be read. Takes out the partition of which nothing more is to come."""
    place = message.topic(), message.partition()
    error = message.error()
    if error is not None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
            if message.offset() >= unread.get(place, 0):
                unread.pop(place, None)
        elif not error.retriable() and error.code() not in _PASSED_OVER:
            raise TopicsUnreadable(f"{place[0]} cannot be read: {error.str()}. Try again.")
        return None
    end, offset = unread.get(place), message.offset()
    if end is None:
        return None
    if offset + 1 >= end:
        unread.pop(place)
    if offset >= end:
        return None
    headers = tuple((name, content or b"") for name, content in message.headers() or ())
    return Stored(*place, offset, message.timestamp()[1], message.key(), message.value(), headers)


def _consumer(cluster: Cluster) -> Consumer:
    return Consumer(
        {
            **cluster.client_settings(),
            "group.id": "mesura-customer",  # required, never used: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",  # retention may have moved the start meanwhile
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "fetch.wait.max.ms": 50,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
