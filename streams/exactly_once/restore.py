"""Read the committed state of partitions back from the changelog.

Rules of this module
1. The mark is the changelog's high watermark (read_uncommitted), taken after the assignment. The previous owner's last
   accepted transaction lies below it.
2. Reading is read_committed until the POSITION reaches the mark: that waits for whatever transaction is still open
   there, and is not fooled by markers, which are no records.
3. What was restored is handed over whole or not at all.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import aiokafka
import structlog
from aiokafka.structs import TopicPartition

from streams.exactly_once.changelog import META_KEY, Meta, decode_meta
from streams.exactly_once.errors import RestoreStalledError
from streams.exactly_once.transport import read_by_entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streams.exactly_once.interfaces import Observer
    from streams.exactly_once.settings import EngineSettings

FETCH_BYTES: Final = 512 * 1024
"""Of one partition in one fetch. Eight times as much is no faster and costs 40 MB that stay; a larger record batch, up
to the largest record, comes whole all the same."""

FETCH_WAIT_MS: Final = 100
"""How long a fetch may wait at the end of a partition, where an open transaction holds up the rest."""

STALLED_TIMEOUTS: Final = 6
"""Transaction timeouts without any progress before the worker ends. A transaction that is still open holds a restore up
for one timeout and the ten seconds in which a broker looks for it; whatever takes longer will not end by waiting."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Restored:
    """The committed state of one partition."""

    store: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    meta: Meta | None = None
    records: int = 0
    decoding_seconds: float = 0.0
    """Decoding and applying; the rest of a restore is waiting for the broker and taking in its bytes."""

    def apply(self, pairs: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        """Later records replace earlier ones; a record without value deletes."""
        store = self.store
        for key, value in pairs:
            if value is None:
                store.pop(key, None)  # type: ignore[arg-type]  # no key, nothing to delete
            else:
                store[key] = value  # type: ignore[index]  # a record without a key is taken out again below
        store.pop(None, None)  # type: ignore[call-overload]
        meta = store.pop(META_KEY, None)
        if meta is not None:
            self.meta = decode_meta(meta)
        self.records += len(pairs)


async def restore(settings: EngineSettings, marks: Mapping[int, int], observer: Observer) -> dict[int, Restored]:
    """The state of each partition up to its mark.

    Raises:
        StartupRefusedError: the topic was not written by this application, or by a newer version of it.
        RestoreStalledError: nothing has arrived for too long.
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
    began = time.perf_counter()
    await consumer.start()
    try:
        read_by_entries(consumer)
        partitions = {TopicPartition(settings.changelog_topic, partition): mark for partition, mark in marks.items()}
        consumer.assign(list(partitions))
        await consumer.seek_to_beginning(*partitions)
        stalled_seconds = STALLED_TIMEOUTS * settings.transaction_timeout_ms / 1000
        await _read_until(consumer, partitions, restored, observer, stalled_seconds)
    finally:
        await consumer.stop()
    log.info(
        "the state is restored",
        partitions=sorted(marks),
        records=sum(of_partition.records for of_partition in restored.values()),
        seconds=round(time.perf_counter() - began, 3),
        decoding_seconds=round(sum(of_partition.decoding_seconds for of_partition in restored.values()), 3),
    )
    return restored


async def _read_until(
    consumer: aiokafka.AIOKafkaConsumer,
    marks: Mapping[TopicPartition, int],
    restored: Mapping[int, Restored],
    observer: Observer,
    stalled_seconds: float,
) -> None:
    unread = await _still_unread(consumer, marks, restored, observer)
    progress_at = time.monotonic()
    while unread:
        if time.monotonic() - progress_at > stalled_seconds:
            raise RestoreStalledError(unread, stalled_seconds)
        before = len(unread)
        arrived = await consumer.getmany(*unread, timeout_ms=FETCH_WAIT_MS)
        if arrived:
            progress_at = time.monotonic()
        while arrived:
            # Between partitions the loop goes on: the next fetch is asked for while this one is decoded.
            await asyncio.sleep(0)
            partition, entries = arrived.popitem()
            of_partition = restored[partition.partition]
            began = time.perf_counter()
            for batch in entries:
                of_partition.apply(batch.pairs())
            of_partition.decoding_seconds += time.perf_counter() - began
        unread = await _still_unread(
            consumer, {partition: marks[partition] for partition in unread}, restored, observer
        )
        if len(unread) < before:
            progress_at = time.monotonic()


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
