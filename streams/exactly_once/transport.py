# ruff: noqa: SLF001, ANN401 - the one place, with fencing.py, for private names (private_names.py); Faust is untyped
"""Record batches through Faust: one Faust message per poll of one partition, whatever it holds.

Rules of this module
1. A slice continues exactly where the previous one of its partition ended: `start_offset` is the position the consumer
   had, `next_offset` the one it has now, also when only control batches or aborted records lay between.
2. Offsets that no batch covers are counted (`missing_count`), never stepped over silently.
3. Readers are read_committed. Nothing of an aborted transaction is ever seen.
4. Where reading starts is said by `start_at` alone, which begins a new reading. Every slice names its reading, and no
   poll spans two of them, so what was fetched before cannot be taken for what comes after. The group's committed
   offsets move nobody.
5. A header whose name is not UTF-8 stops nobody: its name is read with replacement characters, the rest as it is.

Why: per record Faust spends about 150 µs on tasks, queues and acknowledgements; per slice that cost vanishes.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import aiokafka
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import ConsumerStoppedError, CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.structs import TopicPartition
from faust.serializers.schemas import Schema
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.exactly_once.interfaces import InputRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from aiokafka.structs import OffsetAndMetadata

    from streams.exactly_once.settings import EngineSettings

SCHEME: Final = "slices"
"""Brokers are given to Faust as `slices://host:port`."""

POLL_SECONDS: Final = 0.25
"""Longest wait for records in one poll. Revocation may have to wait for it; a shorter one only costs empty polls."""

ALL_FULL_SECONDS: Final = 0.01
"""Pause between looks at the queues while every partition is full."""

NO_READING: Final = 0
"""The reading before the first `start_at`."""

MAX_PARTITION_FETCH_BYTES: Final = 1024 * 1024
"""Of one partition in one fetch; a larger record batch comes alone. More only makes slices larger, and latencies."""

UNREAD_WAIT_SECONDS: Final = 0.01
"""How long the next fetch waits for somebody to take what the last one brought of a partition. Of a partition whose
queue is full nobody does, and all others of that broker, an urgent topic's and the opt-outs' too, would wait with it:
aiokafka's 100 ms each time. Not zero: taken a moment later, partitions are asked for together."""

METADATA_MAX_AGE_MS: Final = 2_000
"""How long partitions added under a running gate may go unnoticed: until then nobody reads what customers say there.
aiokafka's five minutes are for clients that any number suits; asking costs a millisecond."""

QUIET_SECONDS: Final = 0.03
"""Records further apart than this are few: then each is asked for by itself (see `Pace`)."""

QUIET_FETCH_WAIT_MS: Final = 100
"""How long a fetch waits while little arrives. It answers at once when something does, so a longer wait would only save
more of nothing, and keep a partition waiting that was added meanwhile."""

_BATCH_START: Final = struct.Struct(">qi")
"""Base offset, and the length of what follows."""

_UNREADABLE: Final = (UnicodeDecodeError, CorruptRecordException)
"""What a header name that is not UTF-8 raises; corrupt, says the reader written in Python."""

_new_tuple = tuple.__new__


class Slice:
    """What one poll gave of one partition."""

    __slots__ = ("missing_count", "next_offset", "partition", "reading", "records", "start_offset", "topic")

    def __init__(
        self, topic: str, partition: int, records: list[InputRecord], start_offset: int, next_offset: int, missing: int
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.records = records
        self.start_offset = start_offset
        self.next_offset = next_offset
        self.missing_count = missing
        self.reading = NO_READING

    def extend(self, later: Slice) -> None:
        """Append the slice that continues this one."""
        assert later.start_offset == self.next_offset
        self.records += later.records
        self.next_offset = later.next_offset
        self.missing_count += later.missing_count


class KeptMemoryRecords(aiokafka_fetcher.MemoryRecords):  # type: ignore[misc]
    """What was fetched of a partition, with its bytes, so that a batch can be read once more."""

    def __init__(self, fetched: bytes) -> None:
        super().__init__(fetched)
        self.fetched = fetched

    def leniently(self, base_offset: int) -> LenientBatch:
        """The batch that begins at this offset."""
        begin = 0
        while True:
            offset, length = _BATCH_START.unpack_from(self.fetched, begin)
            end = begin + _BATCH_START.size + length
            if offset == base_offset:
                return LenientBatch(self.fetched[begin:end])
            begin = end


class LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A record batch whose header names may be any bytes. Slow: only for what aiokafka's own reader cannot read."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _LenientText(self._buffer)


class _LenientText(bytearray):
    """Bytes that can always be decoded."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _LenientText(part) if isinstance(index, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


class SlicedPartitionRecords(PartitionRecords):  # type: ignore[misc]
    """A fetched partition, read by record batch: yields one `Slice` per batch, empty ones for what is not data."""

    def _unpack_records(self) -> Iterator[Slice]:
        topic, partition = self._tp.topic, self._tp.partition
        batches = self._records
        while batches.has_next():
            batch = batches.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            first = self.next_fetch_offset
            records: list[InputRecord] = []
            if self._is_data(batch):
                try:
                    records = _records(topic, batch)
                except _UNREADABLE:
                    records = _records(topic, batches.leniently(batch.base_offset))
            # Batches of before Kafka 0.11 do not say where they begin; they hold one record at least.
            base_offset = getattr(batch, "base_offset", records[0].offset if records else first)
            missing = max(0, base_offset - first)
            if records and records[0].offset < first:  # the fetch began inside this batch
                records = [record for record in records if record.offset >= first]
            self.next_fetch_offset: int = batch.next_offset
            yield Slice(topic, partition, records, first, batch.next_offset, missing)

    def _is_data(self, batch: Any) -> bool:
        """Neither a marker nor part of an aborted transaction. The same filter as the parent's."""
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._contains_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return False
        return not batch.is_control_batch


class EntriesPartitionRecords(SlicedPartitionRecords):
    """A fetched partition of which only keys and values matter: yields the `Entries` of each batch that is data."""

    def _unpack_records(self) -> Iterator[Entries]:  # type: ignore[override]  # other readers ask for other things
        batches = self._records
        while batches.has_next():
            batch = batches.next_batch()
            first, self.next_fetch_offset = self.next_fetch_offset, batch.next_offset
            if self._is_data(batch):
                yield Entries(batch, batches, first, check_crc=self._check_crcs)


class Entries:
    """Keys and values of one record batch, not decoded before they are asked for, and once only."""

    __slots__ = ("_batch", "_check_crc", "_fetched", "_first_offset")

    def __init__(self, batch: Any, fetched: KeptMemoryRecords, first_offset: int, *, check_crc: bool) -> None:
        self._batch = batch
        self._fetched = fetched
        self._first_offset = first_offset
        self._check_crc = check_crc

    def pairs(self) -> list[tuple[bytes | None, bytes | None]]:
        """Key and value of each record from where the fetch began, in order.

        Raises:
            CorruptRecordException: not what was written.
        """
        if self._check_crc and not self._batch.validate_crc():
            raise CorruptRecordException("Invalid CRC")
        try:
            return self._pairs(self._batch)
        except _UNREADABLE:
            return self._pairs(self._fetched.leniently(self._batch.base_offset))

    def _pairs(self, batch: Any) -> list[tuple[bytes | None, bytes | None]]:
        first_offset = self._first_offset
        if getattr(batch, "base_offset", -1) >= first_offset:
            return [(record.key, record.value) for record in batch]
        return [(record.key, record.value) for record in batch if record.offset >= first_offset]


def _records(topic: str, batch: Any) -> list[InputRecord]:
    return [_new_tuple(InputRecord, (topic, r.offset, r.timestamp, r.key, r.value, r.headers)) for r in batch]


class _SlicedFetches(OrderedDict[TopicPartition, Any]):
    """aiokafka's buffer of fetched partitions; whatever enters it is from then on read by record batch."""

    reader: type[SlicedPartitionRecords] = SlicedPartitionRecords

    def __setitem__(self, partition: TopicPartition, fetched: Any) -> None:
        if type(fetched) is FetchResult:
            records = fetched._partition_records
            if type(records) is PartitionRecords:
                records.__class__ = self.reader
                records._records_iterator = records._unpack_records()
        super().__setitem__(partition, fetched)


def read_by_slices(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Make a started consumer give slices. Must be called before its first fetch is answered."""
    aiokafka_fetcher.MemoryRecords = KeptMemoryRecords
    consumer._fetcher._records = _SlicedFetches(consumer._fetcher._records)


class _EntriesFetches(_SlicedFetches):
    reader = EntriesPartitionRecords


def read_by_entries(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Make a started consumer give `Entries`. Must be called before its first fetch is answered."""
    aiokafka_fetcher.MemoryRecords = KeptMemoryRecords
    consumer._fetcher._records = _EntriesFetches(consumer._fetcher._records)


def merge(slices: list[Slice]) -> Slice:
    """One slice of consecutive ones."""
    first = slices[0]
    for later in slices[1:]:
        first.extend(later)
    return first


class SliceMessage(ConsumerMessage):  # type: ignore[misc]
    """A Faust message whose value is a `Slice`."""

    __slots__ = ()


class SliceSchema(Schema):  # type: ignore[misc]
    """Hands a slice to the stream as it is."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001 - Faust calls it so
            return create_event(None, message.value, message.headers, message)

        return decode


class Pace:
    """How a fetch waits: for many records while many arrive, for any single one while few do.

    A fetch that waits for `fetch_min_bytes` answers every `fetch_max_wait_ms`, also when there is nothing: with forty
    topic partitions that is a tenth of a core at rest. One that waits for a single byte costs nothing at rest and adds
    no latency, but under load it would answer for every record.
    """

    def __init__(self, settings: EngineSettings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.max_wait_ms = settings.fetch_max_wait_ms
        self.min_bytes = settings.fetch_min_bytes
        self._settings = settings
        self._monotonic = monotonic
        self._arrived_at = monotonic()

    def polled(self, has_records: bool) -> None:
        """A poll has given records, or nothing."""
        now = self._monotonic()
        is_quiet = now - self._arrived_at > QUIET_SECONDS
        self.max_wait_ms = QUIET_FETCH_WAIT_MS if is_quiet else self._settings.fetch_max_wait_ms
        self.min_bytes = 1 if is_quiet else self._settings.fetch_min_bytes
        if has_records:
            self._arrived_at = now


class SliceConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread, with a consumer of our own making."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002 - Faust calls it so
        settings: EngineSettings = self.app.engine_settings
        self._assignor = self.app.assignor  # co-partitions the input topics with the changelog
        return aiokafka.AIOKafkaConsumer(
            bootstrap_servers=settings.bootstrap_servers,
            group_id=settings.application_id,
            group_instance_id=settings.group_instance_id,
            partition_assignment_strategy=[self._assignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",  # never relied on: `start_at` says where, and a jump is counted as missing
            isolation_level="read_committed",
            check_crcs=settings.check_crcs,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            fetch_max_wait_ms=settings.fetch_max_wait_ms,
            fetch_min_bytes=settings.fetch_min_bytes,
            max_partition_fetch_bytes=MAX_PARTITION_FETCH_BYTES,
            session_timeout_ms=settings.session_timeout_ms,
            heartbeat_interval_ms=settings.heartbeat_interval_ms,
            **settings.client_options,
        )

    is_connected = False
    _reading = NO_READING
    _polling: asyncio.Lock
    _pace: Pace

    async def on_start(self) -> None:
        self._polling = asyncio.Lock()
        self._pace = Pace(self.app.engine_settings)
        await super().on_start()
        consumer = self._ensure_consumer()
        read_by_slices(consumer)
        consumer._fetcher._prefetch_backoff = UNREAD_WAIT_SECONDS
        self.is_connected = True

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust calls it so
        max_records: int | None = None,  # noqa: ARG002 - slices are bounded by bytes, not by records
    ) -> dict[TopicPartition, list[Slice]]:
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        async with self._polling:
            with fetcher._subscriptions.fetch_context():
                fetched: dict[TopicPartition, list[Slice]] = await fetcher.fetched_records(
                    active_partitions, timeout=min(timeout or 0.0, POLL_SECONDS)
                )
            self._pace.polled(bool(fetched))
            fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes = self._pace.max_wait_ms, self._pace.min_bytes
            for slices in fetched.values():
                slices[0].reading = self._reading
            return fetched

    async def start_at(self, reading: int, positions: Mapping[TP, int], unread: set[TP]) -> None:
        """Begin a reading at these positions; of `unread` nothing is fetched. Waits for the poll under way."""
        await self.call_thread(self._start_at, reading, positions, unread)

    async def _start_at(self, reading: int, positions: Mapping[TP, int], unread: set[TP]) -> None:
        consumer = self._ensure_consumer()
        async with self._polling:
            self._reading = reading
            assigned = consumer.assignment()
            for partition, offset in positions.items():
                consumer.seek(TopicPartition(*partition), offset)
            consumer.pause(*({TopicPartition(*partition) for partition in unread} & assigned))

    async def membership(self) -> tuple[int, str]:
        """Generation and member id in the consumer group."""
        coordinator = self._ensure_consumer()._coordinator
        return coordinator.generation, coordinator.member_id

    async def check_group(self) -> None:
        """Raise what keeps the consumer out of its group; aiokafka waits with rejoining until somebody has asked."""
        if self.is_connected:
            await self.call_thread(self._check_group)

    async def _check_group(self) -> None:
        self._ensure_consumer()._coordinator.check_errors()

    async def committed_offsets(self, partitions: set[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        """What the group has committed, with the note beside it; partitions without an offset are left out."""
        return dict(await self.call_thread(self._committed_offsets, partitions))

    async def _committed_offsets(self, partitions: set[TopicPartition]) -> dict[TopicPartition, OffsetAndMetadata]:
        found: dict[
            TopicPartition, OffsetAndMetadata
        ] = await self._ensure_consumer()._coordinator.fetch_committed_offsets(sorted(partitions))
        return found


class SliceConsumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, delivering slices."""

    def _new_consumer_thread(self) -> SliceConsumerThread:
        return SliceConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def slice_thread(self) -> SliceConsumerThread:
        """The thread that owns the Kafka consumer."""
        thread: SliceConsumerThread = self._thread
        return thread

    def stop_flow(self) -> None:
        """From here on slices may be lost on their way, so the reading is over."""
        super().stop_flow()
        self.app.engine.end_reading()

    async def perform_seek(self) -> None:
        """Nothing: Faust would seek to the group's committed offsets (rule 4)."""

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:  # noqa: ASYNC109
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        generation = self.app.consumer_generation_id
        active = self._get_active_partitions()
        if not active:
            await self.sleep(ALL_FULL_SECONDS)
            return
        # A copy: the set changes meanwhile, and aiokafka takes an empty one for all partitions.
        fetched = await self._getmany(active_partitions=set(active), timeout=timeout)
        for partition, slices in fetched.items():
            if self.should_stop or not self.flow_active:
                return  # a revocation; the next take-over begins a reading
            tp = TP(partition.topic, partition.partition)
            self._read_offset[tp] = None  # Faust's own filter by last offset knows nothing of slices
            yield tp, self._message(tp, merge(slices), generation)

    def _message(self, tp: TP, arrived: Slice, generation: int) -> SliceMessage:
        timestamp = arrived.records[-1].timestamp_ms / 1000 if arrived.records else 0.0
        return SliceMessage(
            tp.topic, tp.partition, arrived.next_offset - 1, timestamp, 0, [], None, arrived, None, -1, -1, tp,
            generation_id=generation,
        )  # fmt: skip


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's Kafka transport with slices."""

    Consumer = SliceConsumer


TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
