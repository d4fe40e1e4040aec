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

import structlog
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.exactly_once.changelog import META_KEY, Meta, decode_meta
from streams.exactly_once.clients import CHANGELOG_FETCH_WAIT_MS, close, loop_seconds
from streams.exactly_once.control import ControlTopic
from streams.exactly_once.errors import EngineError, RestoreStalledError, StartupRefusedError, StateUnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streams.exactly_once.clients import ChangelogReader, Clients
    from streams.exactly_once.interfaces import Observer, StoredValueUnreadable
    from streams.exactly_once.offsets import OffsetClient
    from streams.exactly_once.settings import EngineSettings

FIND_SECONDS: Final = 30.0
"""How long a failing worker may look for the offset of a record. Two million records are read in that time."""

STALLED_TIMEOUTS: Final = 6
"""The worker ends after this many transaction timeouts without progress. An open transaction delays a restore by one
timeout and the ten seconds between a broker's checks; whatever takes longer will not end by waiting."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Restored:
    """The committed state of one partition."""

    store: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    meta: Meta | None = None
    records: int = 0
    decoding_seconds: float = 0.0
    """Decoding and applying; the rest of a restore is waiting for the broker and receiving its bytes."""

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


async def restore(
    settings: EngineSettings, clients: Clients, marks: Mapping[int, int], observer: Observer
) -> dict[int, Restored]:
    """The state of each partition up to its mark.

    Raises:
        StateUnreadableError: the topic was not written by this application, or by a newer version of it.
        BatchUnreadableError: a record batch cannot be read.
        RestoreStalledError: nothing has arrived for too long.
    """
    restored = {partition: Restored() for partition in marks}
    if not marks:
        return restored
    began = time.perf_counter()
    partitions = {TopicPartition(settings.changelog_topic, partition): mark for partition, mark in marks.items()}
    reader = await clients.changelog_reader(list(partitions))
    try:
        stalled_seconds = STALLED_TIMEOUTS * settings.transaction_timeout_ms / 1000
        await _read_until(reader, partitions, restored, observer, stalled_seconds)
    except _MetaUnreadable as unreadable:
        where = unreadable.where
        offset = await offset_of(clients, where, META_KEY, partitions[where])
        version = await _newest_version(settings)
        raise StateUnreadableError(where.topic, where.partition, offset, unreadable.why, version) from None
    finally:
        await close(reader)
    log.info(
        "the state is restored",
        partitions=sorted(marks),
        records=sum(of_partition.records for of_partition in restored.values()),
        seconds=round(time.perf_counter() - began, 3),
        decoding_seconds=round(sum(of_partition.decoding_seconds for of_partition in restored.values()), 3),
    )
    return restored


async def _read_until(
    reader: ChangelogReader,
    marks: Mapping[TopicPartition, int],
    restored: Mapping[int, Restored],
    observer: Observer,
    stalled_seconds: float,
) -> None:
    unread = await _still_unread(reader, marks, restored, observer)
    progress_at = loop_seconds()
    while unread:
        if loop_seconds() - progress_at > stalled_seconds:
            raise RestoreStalledError(unread, stalled_seconds)
        before = len(unread)
        arrived = await reader.getmany(*unread, timeout_ms=CHANGELOG_FETCH_WAIT_MS)
        if arrived:
            progress_at = loop_seconds()
        while arrived:
            # The event loop gets its turn between partitions: the next fetch is requested while this one is decoded.
            await asyncio.sleep(0)
            partition, entries = arrived.popitem()
            of_partition = restored[partition.partition]
            began = time.perf_counter()
            for batch in entries:
                try:
                    of_partition.apply(batch.pairs())
                except StartupRefusedError as refused:
                    raise _MetaUnreadable(partition, str(refused)) from None
            of_partition.decoding_seconds += time.perf_counter() - began
        unread = await _still_unread(reader, {partition: marks[partition] for partition in unread}, restored, observer)
        if len(unread) < before:
            progress_at = loop_seconds()


async def state_unreadable(
    settings: EngineSettings, clients: Clients, offsets: OffsetClient, unreadable: StoredValueUnreadable
) -> StateUnreadableError:
    """The error for a value of the store, with the offset of its record, which is looked up in the changelog."""
    where = TopicPartition(settings.changelog_topic, unreadable.partition)
    until = loop_seconds() + FIND_SECONDS
    ends = await offsets.ends([where], lambda: loop_seconds() > until)
    offset = None if ends is None else await offset_of(clients, where, unreadable.key, ends[where])
    version = await _newest_version(settings)
    return StateUnreadableError(where.topic, where.partition, offset, str(unreadable), version)


async def _newest_version(settings: EngineSettings) -> str:
    """Of the program, as far as the control topic tells; empty if it does not. It only helps, as an offset does."""
    if settings.control_topic is None:
        return ""
    try:
        async with asyncio.timeout(FIND_SECONDS), ControlTopic(settings, settings.control_topic) as control:
            return control.format().newest_version
    except (TimeoutError, EngineError, KafkaError):
        return ""


class _MetaUnreadable(Exception):
    def __init__(self, where: TopicPartition, why: str) -> None:
        super().__init__(why)
        self.where = where
        self.why = why


async def offset_of(clients: Clients, where: TopicPartition, key: bytes, mark: int) -> int | None:
    """Where the latest record with this key lies before the mark. The error that ends the worker names it, so that
    somebody can look at the record. None if it was not found in `FIND_SECONDS`.
    """
    found = None
    try:
        async with asyncio.timeout(FIND_SECONDS):
            reader = await clients.changelog_reader([where])
            try:
                while await reader.position(where) < mark:
                    for entries in (await reader.getmany(where, timeout_ms=CHANGELOG_FETCH_WAIT_MS)).get(where, ()):
                        offset = entries.offset_of(key)
                        found = found if offset is None else offset
            finally:
                await close(reader)
    except (TimeoutError, EngineError, KafkaError):
        return None  # the offset only helps; what is wrong is known without it
    return found


async def _still_unread(
    reader: ChangelogReader,
    marks: Mapping[TopicPartition, int],
    restored: Mapping[int, Restored],
    observer: Observer,
) -> list[TopicPartition]:
    unread = []
    for partition, mark in marks.items():
        remaining = mark - await reader.position(partition)
        observer.restore_progress(partition.partition, restored[partition.partition].records, max(0, remaining))
        if remaining > 0:
            unread.append(partition)
    return unread


def changelog_partitions(settings: EngineSettings, partitions: Iterable[int]) -> list[TopicPartition]:
    """The changelog partitions that hold the state of these partitions."""
    return [TopicPartition(settings.changelog_topic, partition) for partition in partitions]
