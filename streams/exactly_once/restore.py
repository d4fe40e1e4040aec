"""Read the committed state of partitions back from the changelog.

Rules of this module
1. The mark is the changelog's high watermark (read_uncommitted), taken after the assignment. The previous owner's last
   accepted transaction lies below it.
2. Reading is read_committed until the POSITION reaches the mark: that waits for whatever transaction is still open
   there, and is not fooled by markers, which are no records.
3. What was restored is handed over whole or not at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiokafka
from aiokafka.structs import TopicPartition

from streams.exactly_once.changelog import META_KEY, Meta, decode_meta
from streams.exactly_once.settings import CHANGELOG_RECORD_BYTES
from streams.exactly_once.transport import read_by_slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streams.exactly_once.interfaces import Observer
    from streams.exactly_once.settings import EngineSettings
    from streams.exactly_once.transport import Slice

FETCH_BYTES: Final = CHANGELOG_RECORD_BYTES
"""Of one partition in one fetch: larger than in service, because here only throughput counts. A broker answers with a
whole record batch at least, whatever its size."""

FETCH_WAIT_MS: Final = 100
"""How long a fetch may wait at the end of a partition, where an open transaction holds up the rest."""


@dataclass(slots=True)
class Restored:
    """The committed state of one partition."""

    store: dict[bytes, bytes] = field(default_factory=dict)
    meta: Meta | None = None
    records: int = 0

    def apply(self, arrived: Slice) -> None:
        """Later records replace earlier ones; a record without value deletes."""
        store = self.store
        for _, _, _, key, value, _ in arrived.records:
            if key == META_KEY:
                if value is not None:
                    self.meta = decode_meta(value)
            elif key is not None:
                if value is None:
                    store.pop(key, None)
                else:
                    store[key] = value
        self.records += len(arrived.records)


async def restore(settings: EngineSettings, marks: Mapping[int, int], observer: Observer) -> dict[int, Restored]:
    """The state of each partition up to its mark.

    Raises:
        StartupRefusedError: the topic was not written by this application, or by a newer version of it.
    """
    restored = {partition: Restored() for partition in marks}
    if not marks:
        return restored
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        check_crcs=settings.check_crcs,
        max_partition_fetch_bytes=FETCH_BYTES,
        fetch_max_wait_ms=FETCH_WAIT_MS,
        **settings.client_options,
    )
    await consumer.start()
    try:
        read_by_slices(consumer)
        partitions = {TopicPartition(settings.changelog_topic, partition): mark for partition, mark in marks.items()}
        consumer.assign(list(partitions))
        await consumer.seek_to_beginning(*partitions)
        await _read_until(consumer, partitions, restored, observer)
    finally:
        await consumer.stop()
    return restored


async def _read_until(
    consumer: aiokafka.AIOKafkaConsumer,
    marks: Mapping[TopicPartition, int],
    restored: Mapping[int, Restored],
    observer: Observer,
) -> None:
    unread = await _still_unread(consumer, marks, restored, observer)
    while unread:
        arrived = await consumer.getmany(*unread, timeout_ms=FETCH_WAIT_MS)
        for partition, slices in arrived.items():
            for one in slices:
                restored[partition.partition].apply(one)
        unread = await _still_unread(
            consumer, {partition: marks[partition] for partition in unread}, restored, observer
        )


async def _still_unread(
    consumer: aiokafka.AIOKafkaConsumer,
    marks: Mapping[TopicPartition, int],
    restored: Mapping[int, Restored],
    observer: Observer,
) -> list[TopicPartition]:
    unread = []
    for partition, mark in marks.items():
        remaining = mark - await consumer.position(partition)
        observer.restore_progress(partition.partition, restored[partition.partition].records, max(0, remaining))
        if remaining > 0:
            unread.append(partition)
    return unread


def changelog_partitions(settings: EngineSettings, partitions: Iterable[int]) -> list[TopicPartition]:
    """The changelog partitions that hold the state of these partitions."""
    return [TopicPartition(settings.changelog_topic, partition) for partition in partitions]
