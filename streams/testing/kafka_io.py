"""Publish many records exactly once, and read topics to their end. For tests, the demo and benches.

Everything here blocks; from a coroutine call it through `asyncio.to_thread`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Producer, TopicPartition

from streams.testing.errors import DeadlineError, RefusedError
from streams.testing.raw_log import refuse_holes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from confluent_kafka import Message

    from streams.testing.records import OutgoingRecord

PUBLISH_SECONDS: Final = 120.0
"""How long a record may take to be acknowledged: longer than a broker's restart, so that a kill does not lose input."""

READ_SECONDS: Final = 60.0

_QUEUED_RECORDS_MAX: Final = 200_000
"""What librdkafka may hold before `publish` waits: about 100 MB of records of a few hundred bytes."""

_READ_BATCH: Final = 10_000
_READ_WAIT_SECONDS: Final = 0.1


class StoredRecord(NamedTuple):
    """One record as the broker stored it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


def publish(
    bootstrap_servers: str, records: Iterable[OutgoingRecord], *, options: Mapping[str, str | int] | None = None
) -> int:
    """Publish every record once, in order within each partition, and return how many there were.

    Acknowledged by all in-sync replicas and idempotent: a broker that is killed meanwhile neither loses nor doubles
    one. Keys are hashed with murmur2, as the gate requires of every producer.

    Args:
        bootstrap_servers: where.
        records: may be a generator; it is consumed as fast as the broker takes them.
        options: librdkafka settings that replace or add to ours.

    Raises:
        RefusedError: the broker refused a record, or did not take it within `PUBLISH_SECONDS`. Others were published.
    """
    failures: list[KafkaError] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 5,
            "queue.buffering.max.messages": _QUEUED_RECORDS_MAX,
            "delivery.timeout.ms": int(PUBLISH_SECONDS * 1000),
            "delivery.report.only.error": True,
            "on_delivery": lambda error, _: failures.append(error),
            **(options or {}),
        }
    )
    count = 0
    for record in records:
        while True:
            try:
                _produce(producer, record)
            except BufferError:
                producer.poll(0.1)
            else:
                break
        count += 1
        if not count % 1_000:
            producer.poll(0)
    unsent = producer.flush(PUBLISH_SECONDS + 5)
    if failures or unsent:
        first = failures[0].str() if failures else "no answer"
        raise RefusedError(f"{len(failures) + unsent} of {count} records were not published; first: {first}")
    return count


def read_topic(
    bootstrap_servers: str,
    *topics: str,
    isolation: Literal["read_committed", "read_uncommitted"] = "read_committed",
    refuse_gaps: bool = False,
    deadline_seconds: float = READ_SECONDS,
) -> list[StoredRecord]:
    """Every record of these topics from their start to the end they have now, in offset order within each partition.

    With `read_committed` the end is the last stable offset: what an open transaction holds back is not waited for.

    Args:
        bootstrap_servers: where.
        topics: which.
        isolation: whether records of aborted and open transactions are left out.
        refuse_gaps: first make sure that nothing was deleted: neither at the start nor in between.
        deadline_seconds: for all of it.

    Raises:
        DeadlineError: the end was not reached in time.
        OffsetGapError: with `refuse_gaps`, a log does not begin at 0 or has a hole that is not a transaction marker.
        RefusedError: a topic does not exist, or the broker answered with an error.
    """
    if refuse_gaps:
        refuse_holes(bootstrap_servers, topics, deadline_seconds=deadline_seconds)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "mesura-testing-reader",  # required, never used: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": isolation,
            "fetch.wait.max.ms": 10,
            "fetch.error.backoff.ms": 10,
            "allow.auto.create.topics": False,
        }
    )
    try:
        unread = {(name, partition) for name in topics for partition in _partitions(consumer, name)}
        consumer.assign([TopicPartition(name, partition, OFFSET_BEGINNING) for name, partition in unread])
        found: list[StoredRecord] = []
        until = time.monotonic() + deadline_seconds
        while unread:
            if time.monotonic() > until:
                raise DeadlineError(f"the end of {len(unread)} partitions was not reached within {deadline_seconds} s")
            for message in consumer.consume(_READ_BATCH, _READ_WAIT_SECONDS):
                error = message.error()
                if error is None:
                    found.append(_stored(message))
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
                    unread.discard((message.topic(), message.partition()))
                else:
                    raise RefusedError(f"{message.topic()}: {error.str()}")
        return found
    finally:
        consumer.close()


def _produce(producer: Producer, record: OutgoingRecord) -> None:
    optional = {} if record.partition is None else {"partition": record.partition}
    producer.produce(
        record.topic,
        value=record.value,
        key=record.key,
        timestamp=record.timestamp_ms,
        headers=list(record.headers) or None,
        **optional,
    )


def _partitions(consumer: Consumer, name: str) -> list[int]:
    try:
        found = consumer.list_topics(name, timeout=READ_SECONDS).topics[name]
    except KafkaException as error:
        raise RefusedError(f"{name}: {error.args[0].str()}") from error
    if found.error is not None:
        raise RefusedError(f"{name}: {found.error.str()}")
    return sorted(found.partitions)


def _stored(message: Message) -> StoredRecord:
    return StoredRecord(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )
