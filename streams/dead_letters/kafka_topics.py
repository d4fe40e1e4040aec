"""Reads what topics hold now, and asks what kind of topics they are.

Rules of this module
1. Where each partition ends is asked before anything is read, so that reading ends, whatever arrives meanwhile.
2. No group is joined, no offset is committed, no topic is created.
3. Of dead letters only committed ones are read. What an open transaction holds back is not waited for: it is not there
   yet.
"""

from __future__ import annotations

import time
from sys import intern
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from streams.dead_letters.assessment import InputTopic
from streams.dead_letters.letter import Place, StoredRecord

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from confluent_kafka import Message

    from streams.connection.cluster import Cluster
    from streams.dead_letters.assessment import Kind
    from streams.topics import TopicNames

ANSWER_SECONDS: Final = 15.0
"""For one answer about topics, which brokers give from memory."""

STALLED_SECONDS: Final = 60.0
"""Longer than an election of leaders takes: from a broker that says nothing for so long nothing more will come."""

Isolation = Literal["read_committed", "read_uncommitted"]

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


def spans_of(cluster: Cluster, *topics: str) -> Spans:
    """From where to where each partition of the topics goes now.

    Raises:
        TopicsUnreadable: a topic does not exist.
        KafkaException: the cluster does not answer.
    """
    consumer = _consumer(cluster, "read_uncommitted")
    try:
        existing = consumer.list_topics(timeout=ANSWER_SECONDS).topics
        _refuse_missing(topics, existing)
        return {
            (topic, partition): Span(
                *consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=ANSWER_SECONDS)
            )
            for topic in topics
            for partition in sorted(existing[topic].partitions)
        }
    finally:
        consumer.close()


def read(cluster: Cluster, spans: Mapping[tuple[str, int], Span]) -> Iterator[StoredRecord]:
    """The committed records of these spans, in order within each partition.

    Raises:
        TopicsUnreadable: nothing comes any more.
        KafkaException: the cluster does not answer.
    """
    for message in _messages(cluster, spans, "read_committed"):
        place = Place(intern(message.topic()), message.partition(), message.offset())
        headers = tuple(message.headers() or ())
        yield StoredRecord(place, message.timestamp()[1], message.key(), message.value(), headers)


def headers_in(cluster: Cluster, spans: Mapping[tuple[str, int], Span]) -> Iterator[list[tuple[str, bytes | None]]]:
    """The headers of every record of these spans that has some. Also of what is not committed: an open transaction of
    another producer must not hide what was replayed behind it.

    Raises:
        TopicsUnreadable: nothing comes any more.
        KafkaException: the cluster does not answer.
    """
    for message in _messages(cluster, spans, "read_uncommitted"):
        if headers := message.headers():
            yield headers


def _messages(cluster: Cluster, spans: Mapping[tuple[str, int], Span], isolation: Isolation) -> Iterator[Message]:
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
            for message in messages:
                if _is_wanted(message, unread):
                    yield message
    finally:
        consumer.close()


def _is_wanted(message: Message, unread: dict[tuple[str, int], int]) -> bool:
    """Whether it is a record of what is still to be read. Takes out the partition of which nothing more is to come."""
    place = message.topic(), message.partition()
    error = message.error()
    if error is not None:
        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
            unread.pop(place, None)
        elif not error.retriable() and error.code() not in _PASSED_OVER:
            raise TopicsUnreadable(f"{place[0]} cannot be read: {error.str()}. Try again.")
        return False
    end = unread.get(place)
    if end is None:
        return False
    offset = message.offset()
    if offset + 1 >= end:
        unread.pop(place)
    return bool(offset < end)


def input_topics(cluster: Cluster, names: TopicNames) -> dict[str, InputTopic]:
    """The topics on which records arrive, by name. Where a broker does not tell whose time a topic has (the embedded
    one), it is taken to be the broker's, which is the cautious side.

    Raises:
        TopicsUnreadable: one does not exist.
        KafkaException: the cluster does not answer.
    """
    kinds: dict[str, Kind] = dict.fromkeys(names.intents, "intents")
    kinds |= {names.preferences: "preferences", names.outcomes: "outcomes"}
    client = AdminClient({**cluster.client_settings(), "log_level": 0})
    existing = client.list_topics(timeout=ANSWER_SECONDS).topics
    _refuse_missing(kinds, existing)
    resources = [ConfigResource(ResourceType.TOPIC, topic) for topic in kinds]
    has_producers_time = dict.fromkeys(kinds, False)
    for resource, future in client.describe_configs(resources, request_timeout=ANSWER_SECONDS).items():
        try:
            kind_of_time = future.result()["message.timestamp.type"].value
        except KafkaException as error:
            if error.args[0].code() != KafkaError._UNSUPPORTED_FEATURE:  # noqa: SLF001  # its public name
                raise
        else:
            has_producers_time[resource.name] = kind_of_time == "CreateTime"
    return {
        topic: InputTopic(topic, kind, len(existing[topic].partitions), has_producers_time[topic])
        for topic, kind in kinds.items()
    }


def _refuse_missing(topics: Iterable[str], existing: Container[str]) -> None:
    missing = [topic for topic in topics if topic not in existing]
    if missing:
        raise TopicsUnreadable(
            f"These topics do not exist: {', '.join(missing)}. Give the --prefix of the gate, or the names of its "
            "topics."
        )


def _consumer(cluster: Cluster, isolation: Isolation) -> Consumer:
    return Consumer(
        {
            **cluster.client_settings(),
            "group.id": "mesura-dead-letters",  # required, never used: partitions are assigned by hand
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
