# ruff: noqa: SLF001, ANN401 - the one place, with fencing.py, for private names (private_names.py); Faust is untyped
"""Record batches through Faust: one Faust message per poll of one partition, whatever it holds.

Rules of this module
1. A slice continues exactly where the previous one of its partition ended: `start_offset` is the position the consumer
   had, `next_offset` the one it has now, also when only control batches or aborted records lay between.
2. Offsets that no record has are counted (`missing_count`), between batches and inside them, never stepped over
   silently. Markers and aborted records have theirs.
3. Readers are read_committed. Nothing of an aborted transaction is ever seen.
4. Where reading starts is said by `start_at` alone, which begins a new reading. Every slice names its reading, and no
   poll spans two of them, so what was fetched before cannot be taken for what comes after. The group's committed
   offsets move nobody.
5. A batch that cannot be read ends the slices of its partition: the last one says so (`unreadable`), and nothing
   behind it is handed on.

Why: per record Faust spends about 150 µs on tasks, queues and acknowledgements; per slice that cost vanishes.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeVar

import aiokafka
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import ConsumerStoppedError
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition
from faust.serializers.schemas import Schema
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.exactly_once.errors import BatchUnreadableError
from streams.exactly_once.log_watch import LogWatch
from streams.exactly_once.record_batches import FetchedBatch, FetchedBatches, UnreadableError, unpack_with_limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from aiokafka.structs import OffsetAndMetadata

    from streams.exactly_once.interfaces import InputRecord
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

_Found = TypeVar("_Found")


class Slice:
    """What one poll gave of one partition."""

    __slots__ = (
        "first_missing", "missing_count", "next_offset", "partition", "reading", "records", "start_offset", "topic",
        "unreadable",
    )  # fmt: skip

    def __init__(
        self,
        topic: str,
        partition: int,
        records: list[InputRecord],
        start_offset: int,
        next_offset: int,
        missing_count: int,
        first_missing: int | None = None,
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.records = records
        self.start_offset = start_offset
        self.next_offset = next_offset
        self.missing_count = missing_count
        self.first_missing = start_offset if first_missing is None else first_missing
        """Of the missing offsets, if there are any."""
        self.reading = NO_READING
        self.unreadable: BatchUnreadableError | None = None
        """What lies at `next_offset`."""

    def extend(self, later: Slice) -> None:
        """Append the slice that continues this one."""
        assert later.start_offset == self.next_offset
        if not self.missing_count:
            self.first_missing = later.first_missing
        self.records += later.records
        self.next_offset = later.next_offset
        self.missing_count += later.missing_count
        self.unreadable = later.unreadable


class SlicedPartitionRecords(PartitionRecords):  # type: ignore[misc]
    """A fetched partition, read by record batch: yields one `Slice` per batch, empty ones for what is not data."""

    def _unpack_records(self) -> Iterator[Slice]:
        topic, partition = self._tp.topic, self._tp.partition
        try:
            for batch in self._batches():
                batch.check(check_crc=self._check_crcs)
                one = self._slice(topic, partition, batch)
                self.next_fetch_offset: int = one.next_offset
                yield one
        except UnreadableError as error:
            position = self.next_fetch_offset
            last = Slice(topic, partition, [], position, position, 0)
            last.unreadable = BatchUnreadableError(topic, partition, position, str(error), error.end_offset)
            yield last

    def _batches(self) -> Iterator[FetchedBatch]:
        """The batches that hold something at or behind the position, which whoever takes one moves to its end.

        Raises:
            UnreadableError: there is none although something came; to fetch again would bring the same.
        """
        is_moved = False
        while self._records.has_next():
            batch = self._records.next_fetched(self.next_fetch_offset)
            if not batch.lies_before:
                if is_moved and batch.base_offset is not None and batch.base_offset < batch.position:
                    raise UnreadableError("it begins before the end of the one before it")
                is_moved = True
                yield batch
            else:
                batch.check(check_crc=self._check_crcs)
        if not is_moved and self._records.size_in_bytes():
            raise UnreadableError("all that the broker sends lies before it")

    def _slice(self, topic: str, partition: int, batch: FetchedBatch) -> Slice:
        position = batch.position
        if self._is_data(batch.parsed):
            records = batch.records(topic)
            first_missing, missing = batch.missing(records)
        else:
            records, first_missing = [], position
            missing = max(0, batch.parsed.base_offset - position)  # only batches that say where they begin get here
        return Slice(topic, partition, records, position, batch.next_offset, missing, first_missing)

    def _is_data(self, batch: Any) -> bool:
        """Neither a marker nor part of an aborted transaction. The same filter as the parent's."""
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch and self._is_abort_marker(batch):
                self._aborted_producers.discard(batch.producer_id)
            if batch.is_transactional and batch.producer_id in self._aborted_producers:
                return False
        return not batch.is_control_batch

    def _is_abort_marker(self, batch: Any) -> bool:
        try:
            return bool(self._contains_abort_marker(batch))
        except Exception as error:  # noqa: BLE001 - a marker of nonsense raises anything
            raise UnreadableError(f"it is a damaged transaction marker ({type(error).__name__})") from None


class EntriesPartitionRecords(SlicedPartitionRecords):
    """A fetched partition of which only keys and values matter: yields the `Entries` of each batch that is data.

    Raises:
        BatchUnreadableError: there is no going on behind this batch.
    """

    def _unpack_records(self) -> Iterator[Entries]:  # type: ignore[override]  # other readers ask for other things
        topic, partition = self._tp.topic, self._tp.partition
        try:
            for batch in self._batches():
                batch.check(check_crc=False)
                is_data = self._is_data(batch.parsed)
                self.next_fetch_offset = batch.next_offset
                if is_data:
                    yield Entries(topic, partition, batch, check_crc=self._check_crcs)
        except UnreadableError as error:
            offset = self.next_fetch_offset
            raise BatchUnreadableError(topic, partition, offset, str(error), error.end_offset) from None


class Entries:
    """Keys and values of one record batch, not decoded before they are asked for, and once only."""

    __slots__ = ("_batch", "_check_crc", "_partition", "_topic")

    def __init__(self, topic: str, partition: int, batch: FetchedBatch, *, check_crc: bool) -> None:
        self._topic = topic
        self._partition = partition
        self._batch = batch
        self._check_crc = check_crc

    def pairs(self) -> list[tuple[bytes | None, bytes | None]]:
        """Key and value of each record from where the fetch began, in order.

        Raises:
            BatchUnreadableError: not what was written.
        """
        return self._read(FetchedBatch.pairs)

    def offset_of(self, key: bytes) -> int | None:
        """Where the latest record with this key lies; None if there is none. Instead of `pairs`, not after it.

        Raises:
            BatchUnreadableError: not what was written.
        """
        return self._read(lambda batch: batch.offset_of(key))

    def _read(self, read: Callable[[FetchedBatch], _Found]) -> _Found:
        try:
            self._batch.check(check_crc=self._check_crc)
            return read(self._batch)
        except UnreadableError as error:
            offset = self._batch.position
            raise BatchUnreadableError(self._topic, self._partition, offset, str(error), error.end_offset) from None


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
    _read_by(consumer, _SlicedFetches, _refuse_by_slice)


class _EntriesFetches(_SlicedFetches):
    reader = EntriesPartitionRecords


class _WatchedClient:
    """aiokafka's client, with an ear for what its fetcher only logs."""

    def __init__(self, client: Any, watch: LogWatch) -> None:
        self._client = client
        self._watch = watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        response = await self._client.send(node_id, request, **options)
        if isinstance(request, FetchRequest):
            self._watch.hear(request, response)
        return response


class _NothingButUnreadable:
    """Stands for the records of a partition of which the broker reads none."""

    def __init__(self, error: BatchUnreadableError) -> None:
        assert error.topic is not None
        assert error.partition is not None
        assert error.offset is not None
        self.next_fetch_offset = error.offset
        self._slice = Slice(error.topic, error.partition, [], error.offset, error.offset, 0)
        self._slice.unreadable = error

    def __iter__(self) -> Iterator[Slice]:
        yield self._slice


def _refuse_by_slice(fetcher: Any, error: BatchUnreadableError) -> None:
    where = TopicPartition(error.topic, error.partition)
    fetcher._records[where] = FetchResult(
        where,
        assignment=fetcher._subscriptions.subscription.assignment,
        partition_records=_NothingButUnreadable(error),
        backoff=fetcher._prefetch_backoff,
    )


def _refuse_by_error(fetcher: Any, error: BatchUnreadableError) -> None:
    fetcher._set_error(TopicPartition(error.topic, error.partition), error)


def read_by_entries(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Make a started consumer give `Entries`. Must be called before its first fetch is answered.

    From then on `getmany` may raise `BatchUnreadableError`.
    """
    _read_by(consumer, _EntriesFetches, _refuse_by_error)


def _read_by(
    consumer: aiokafka.AIOKafkaConsumer,
    fetches: type[_SlicedFetches],
    refuse: Callable[[Any, BatchUnreadableError], None],
) -> None:
    unpack_with_limits()
    aiokafka_fetcher.MemoryRecords = FetchedBatches
    fetcher = consumer._fetcher
    fetcher._records = fetches(fetcher._records)

    def refuse_once(error: BatchUnreadableError) -> None:
        if TopicPartition(error.topic, error.partition) not in fetcher._records:
            refuse(fetcher, error)

    fetcher._client = _WatchedClient(fetcher._client, LogWatch(refuse_once))


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
