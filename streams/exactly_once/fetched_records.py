# ruff: noqa: SLF001, ANN401 - one of the places for names of library_internals.py; aiokafka is untyped
"""Record batches out of aiokafka's fetcher: for the gate as fetched records, for those who read a log as keys and
values.

Rules of this module
1. A run of fetched records continues exactly where the previous one of its partition ended: `start_offset` is the
   position the consumer had, `next_offset` the one it has now, also when only control batches or aborted records lay
   between.
2. Offsets that no record has are counted (`missing_count`), between batches and inside them, never stepped over
   silently. Markers and aborted records have theirs.
3. Readers are read_committed. Nothing of an aborted transaction is ever seen.
4. A batch that cannot be read ends the fetched records of its partition: the last one says so (`unreadable`), and
   nothing behind it is handed on.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final, TypeVar

from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.structs import TopicPartition

from streams.exactly_once.errors import BatchUnreadableError
from streams.exactly_once.log_watch import LogWatch
from streams.exactly_once.record_batches import FetchedBatch, FetchedBatches, UnreadableError, unpack_with_limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import aiokafka

    from streams.records import InputRecord

NO_FETCH_EPOCH: Final = 0
"""The fetch epoch before the first `start_at`."""

_Found = TypeVar("_Found")


class FetchedRecords:
    """What one poll gave of one partition."""

    __slots__ = (
        "fetch_epoch",
        "first_missing",
        "missing_count",
        "next_offset",
        "partition",
        "records",
        "start_offset",
        "topic",
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
        self.fetch_epoch = NO_FETCH_EPOCH
        self.unreadable: BatchUnreadableError | None = None
        """What lies at `next_offset`."""

    def extend(self, later: FetchedRecords) -> None:
        """Append the run of fetched records that continues this one."""
        assert later.start_offset == self.next_offset
        if not self.missing_count:
            self.first_missing = later.first_missing
        self.records += later.records
        self.next_offset = later.next_offset
        self.missing_count += later.missing_count
        self.unreadable = later.unreadable


class FetchedPartitionRecords(PartitionRecords):  # type: ignore[misc]
    """A fetched partition, read by record batch: yields one `FetchedRecords` per batch, empty ones for what is not
    data."""

    def _unpack_records(self) -> Iterator[FetchedRecords]:
        topic, partition = self._tp.topic, self._tp.partition
        try:
            for batch in self._batches():
                batch.check(check_crc=self._check_crcs)
                one = self._fetched(topic, partition, batch)
                self.next_fetch_offset: int = one.next_offset
                yield one
        except UnreadableError as error:
            position = self.next_fetch_offset
            last = FetchedRecords(topic, partition, [], position, position, 0)
            last.unreadable = BatchUnreadableError(topic, partition, position, str(error), error.end_offset)
            yield last

    def _batches(self) -> Iterator[FetchedBatch]:
        """The batches that hold something at or behind the position. The caller moves the position to each one's end.

        Raises:
            UnreadableError: something was fetched, but no such batch; another fetch would bring the same.
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

    def _fetched(self, topic: str, partition: int, batch: FetchedBatch) -> FetchedRecords:
        position = batch.position
        if self._is_data(batch.parsed):
            records = batch.records(topic)
            first_missing, missing = batch.missing(records)
        else:
            records, first_missing = [], position
            missing = max(0, batch.parsed.base_offset - position)  # only batches that say where they begin get here
        return FetchedRecords(topic, partition, records, position, batch.next_offset, missing, first_missing)

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
        except Exception as error:  # noqa: BLE001 - a nonsensical marker raises anything
            raise UnreadableError(f"it is a damaged transaction marker ({type(error).__name__})") from None


class EntryPartitionRecords(FetchedPartitionRecords):
    """A fetched partition of which only keys and values matter: yields the `Entries` of each batch that is data.

    Raises:
        BatchUnreadableError: nothing behind this batch can be read.
    """

    def _unpack_records(self) -> Iterator[Entries]:  # type: ignore[override]  # another type of item
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
    """Keys and values of one record batch, decoded when they are asked for, and once only."""

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


class _RecordFetches(OrderedDict[TopicPartition, Any]):
    """aiokafka's buffer of fetched partitions; whatever enters it is from then on read by record batch."""

    reader: type[FetchedPartitionRecords] = FetchedPartitionRecords

    def __setitem__(self, partition: TopicPartition, fetched: Any) -> None:
        if type(fetched) is FetchResult:
            records = fetched._partition_records
            if type(records) is PartitionRecords:
                records.__class__ = self.reader
                records._records_iterator = records._unpack_records()
        super().__setitem__(partition, fetched)


def read_as_records(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Make a started consumer give fetched records. Must be called before its first fetch is answered."""
    _read_by(consumer, _RecordFetches, _refuse_as_record)


class _EntryFetches(_RecordFetches):
    reader = EntryPartitionRecords


class _WatchedClient:
    """aiokafka's client, which shows the answers to its fetches to a `LogWatch`."""

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
    """Stands for the records of a partition that the broker cannot read."""

    def __init__(self, error: BatchUnreadableError) -> None:
        assert error.topic is not None
        assert error.partition is not None
        assert error.offset is not None
        self.next_fetch_offset = error.offset
        self._fetched = FetchedRecords(error.topic, error.partition, [], error.offset, error.offset, 0)
        self._fetched.unreadable = error

    def __iter__(self) -> Iterator[FetchedRecords]:
        yield self._fetched


def _refuse_as_record(fetcher: Any, error: BatchUnreadableError) -> None:
    where = TopicPartition(error.topic, error.partition)
    fetcher._records[where] = FetchResult(
        where,
        assignment=fetcher._subscriptions.subscription.assignment,
        partition_records=_NothingButUnreadable(error),
        backoff=fetcher._prefetch_backoff,
    )


def _refuse_by_error(fetcher: Any, error: BatchUnreadableError) -> None:
    fetcher._set_error(TopicPartition(error.topic, error.partition), error)


def read_as_entries(consumer: aiokafka.AIOKafkaConsumer) -> None:
    """Make a started consumer give `Entries`. Must be called before its first fetch is answered.

    From then on `getmany` may raise `BatchUnreadableError`.
    """
    _read_by(consumer, _EntryFetches, _refuse_by_error)


def _read_by(
    consumer: aiokafka.AIOKafkaConsumer,
    fetches: type[_RecordFetches],
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


def merge(fetched: list[FetchedRecords]) -> FetchedRecords:
    """Join consecutive runs of fetched records into one."""
    first = fetched[0]
    for later in fetched[1:]:
        first.extend(later)
    return first
