"""Reads a gate's topics from Kafka: committed records up to a snapshot of the ends.

Invariants
1. The ends of the batches topic are taken before those of the ledger, and those before all others. A decision's records
   are acknowledged before its transaction is committed, so whatever an end covers lies below the ends taken after it.
2. The ends are those of everything written, not of what is committed. Reading goes up to them, and so waits for a
   transaction that is still open. A commit whose marks have reached one topic and not yet another is seen whole.
3. No group is joined and nothing is committed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, TopicPartition

from streams.audit.log import PartitionLog, Record
from streams.audit.settings import AuditError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from confluent_kafka import Message

    from streams.audit.settings import AuditSettings, Topics

CONNECT_SECONDS: Final = 15.0
STALLED_SECONDS: Final = 120.0
"""Longer than any transaction may stay open: what does not come by then does not come."""

_READ_BATCH: Final = 10_000
_READ_WAIT_SECONDS: Final = 0.1
_Ends = dict[tuple[str, int], tuple[int, int]]
"""Where a partition begins, and where it ends."""


class KafkaLog:
    """The topics of one gate on a cluster."""

    def __init__(self, settings: AuditSettings, topics: Topics) -> None:
        self._settings = settings
        self._topics = topics
        self._ends = _snapshot(settings, topics)

    def partitions(self) -> Sequence[int]:
        return sorted({partition for topic, partition in self._ends if topic != self._topics.control})

    def starts(self, number: int) -> dict[str, int]:
        """The first offset that each topic of a partition still has."""
        return {topic: start for (topic, partition), (start, _) in self._ends.items() if partition == number}

    def partition(self, number: int) -> PartitionLog:
        log = PartitionLog(number)
        wanted: _Ends = {}
        for topic in self._topics.partitioned:
            if (topic, number) in self._ends:
                log.records[topic] = []
                log.starts[topic], log.ends[topic] = wanted[topic, number] = self._ends[topic, number]
        self._read(wanted, log.records)
        return log

    def control(self) -> dict[bytes, bytes]:
        found: dict[str, list[Record]] = {self._topics.control: []}
        self._read({(self._topics.control, 0): self._ends[self._topics.control, 0]}, found)
        return {record.key or b"": record.value for record in found[self._topics.control] if record.value is not None}

    def _read(self, wanted: _Ends, into: dict[str, list[Record]]) -> None:
        unread = {place: end for place, (start, end) in wanted.items() if start < end}
        if not unread:
            return
        consumer = Consumer(_configuration(self._settings))
        packed: dict[Any, Any] = {}
        try:
            consumer.assign([TopicPartition(topic, number, wanted[topic, number][0]) for topic, number in unread])
            heard_at = time.monotonic()
            while unread:
                messages = consumer.consume(_READ_BATCH, _READ_WAIT_SECONDS)
                if messages:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > STALLED_SECONDS:
                    stalled = ", ".join(f"{topic}[{number}]" for topic, number in sorted(unread))
                    raise AuditError(
                        f"Nothing came for {STALLED_SECONDS:.0f} s from {stalled}. Is a transaction left open?"
                    )
                for message in messages:
                    self._take(message, unread, into, packed)
        except KafkaException as error:
            raise AuditError(f"The broker answered with an error: {error.args[0].str()}.") from None
        finally:
            consumer.close()

    @staticmethod
    def _take(
        message: Message,
        unread: dict[tuple[str, int], int],
        into: dict[str, list[Record]],
        packed: dict[Any, Any],
    ) -> None:
        topic, number, offset = message.topic(), message.partition(), message.offset()
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
                # The client looks for the coordinator of a group that is never used.
                if error.retriable() or error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                    return
                raise AuditError(f"{topic}[{number}]: {error.str()}.")
            if offset >= unread.get((topic, number), offset + 1):
                unread.pop((topic, number))
            return
        end = unread.get((topic, number))
        if end is None or offset >= end:
            unread.pop((topic, number), None)
            return
        into[topic].append(_record(message, packed))
        if offset + 1 == end:
            unread.pop((topic, number))


def _record(message: Message, packed: dict[Any, Any]) -> Record:
    kind, timestamp_ms = message.timestamp()
    headers = message.headers()
    return Record(
        message.offset(),
        timestamp_ms,
        message.key(),
        message.value(),
        _packed(headers, packed) if headers else (),
        timestamp_ms if kind == TIMESTAMP_LOG_APPEND_TIME else None,
    )


def _packed(headers: Any, packed: dict[Any, Any]) -> tuple[tuple[str, bytes | None], ...]:  # noqa: ANN401
    """Headers that many records share are kept once: of an answer all but its offset."""
    return tuple(
        header if header[0].endswith(".offset") else packed.setdefault(header, header) for header in map(tuple, headers)
    )


def _configuration(settings: AuditSettings) -> dict[str, object]:
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        **settings.client_settings,
        "group.id": "mesura-audit",  # required, never used: partitions are assigned by hand
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "fetch.wait.max.ms": 20,
        "fetch.error.backoff.ms": 10,
        # What the client reads ahead: bounded, as several processes read at once.
        "queued.max.messages.kbytes": 65_536,
        "allow.auto.create.topics": False,
        "log_level": 0,
        "error_cb": lambda _: None,
    }


def _snapshot(settings: AuditSettings, topics: Topics) -> _Ends:
    consumer = Consumer(_configuration(settings))
    try:
        existing = consumer.list_topics(timeout=CONNECT_SECONDS).topics
        every = (*topics.partitioned, topics.control)
        missing = [topic for topic in every if topic not in existing or existing[topic].error is not None]
        if topics.batches in missing:  # a gate of before there were batch records
            missing.remove(topics.batches)
            every = tuple(topic for topic in every if topic != topics.batches)
        if missing:
            raise AuditError(f"These topics do not exist: {', '.join(missing)}. Has a gate run here, with this prefix?")
        ends: _Ends = {}
        for topic in every:
            for number in sorted(existing[topic].partitions):
                start, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=CONNECT_SECONDS)
                ends[topic, number] = (start, end)
    except KafkaException as error:
        raise AuditError(f"No Kafka broker answers at {settings.bootstrap_servers}: {error.args[0].str()}.") from None
    else:
        return ends
    finally:
        consumer.close()
