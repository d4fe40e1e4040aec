# ruff: noqa: SLF001, ANN401 - one of the places for names of library_internals.py; Faust is untyped
"""Record batches through Faust: one Faust message per poll of one partition, whatever it holds (`fetched_records.py`).

Rules of this module
1. Only `start_at` says where fetching starts, and it begins a new fetch epoch. Every run of fetched records names its
   fetch epoch, and no poll spans two of them, so what was fetched before cannot be taken for what comes after. The
   group's committed offsets have no influence.

Why: per record Faust spends about 150 µs on tasks, queues and acknowledgements; per run of fetched records that cost
vanishes.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import aiokafka
from aiokafka.errors import ConsumerStoppedError
from aiokafka.structs import TopicPartition
from faust.serializers.schemas import Schema
from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, ConsumerMessage

from streams.exactly_once.fetched_records import NO_FETCH_EPOCH, merge, read_as_records
from streams.exactly_once.witnesses import METADATA_MAX_AGE_MS, witnessed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from aiokafka.structs import OffsetAndMetadata

    from streams.exactly_once.fetched_records import FetchedRecords
    from streams.exactly_once.settings import EngineSettings

SCHEME: Final = "records"
"""Brokers are given to Faust as `records://host:port`."""

POLL_SECONDS: Final = 0.25
"""Longest wait for records in one poll. Revocation may have to wait for it; a shorter one only costs empty polls."""

ALL_FULL_SECONDS: Final = 0.01
"""Pause between looks at the queues while every partition is full."""

MAX_PARTITION_FETCH_BYTES: Final = 1024 * 1024
"""Fetched of one partition at once; a larger record batch comes alone. More only means longer runs of fetched records,
and more latency."""

UNREAD_WAIT_SECONDS: Final = 0.01
"""How long the next fetch waits until the records of the last one are taken. Nobody takes those of a partition whose
queue is full, and all other partitions of that broker, the opt-outs' and an urgent topic's included, would wait with
it: aiokafka's 100 ms each time. It is not zero, so that partitions taken a moment later are fetched together."""

QUIET_SECONDS: Final = 0.03
"""When records are further apart than this, each is fetched by itself (see `Pace`)."""

QUIET_FETCH_WAIT_MS: Final = 100
"""How long a fetch waits while little arrives. It is answered at once when something does, so a longer wait would save
hardly anything, and would delay a partition that was added meanwhile."""


class FetchedRecordsMessage(ConsumerMessage):  # type: ignore[misc]
    """A Faust message whose value is a `FetchedRecords`."""

    __slots__ = ()


class FetchedRecordsSchema(Schema):  # type: ignore[misc]
    """Hands a run of fetched records to the stream as it is."""

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


class FetchedRecordsConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """Faust's consumer thread, with a consumer of our own making."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:  # noqa: ARG002 - Faust calls it so
        settings: EngineSettings = self.app.engine_settings
        self._assignor = self.app.assignor  # co-partitions the input topics with the changelog
        consumer = aiokafka.AIOKafkaConsumer(
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
        witnessed(consumer._client)
        return consumer

    is_connected = False
    _fetch_epoch = NO_FETCH_EPOCH
    _polling: asyncio.Lock
    _pace: Pace

    async def on_start(self) -> None:
        self._polling = asyncio.Lock()
        self._pace = Pace(self.app.engine_settings)
        await super().on_start()
        consumer = self._ensure_consumer()
        read_as_records(consumer)
        consumer._fetcher._prefetch_backoff = UNREAD_WAIT_SECONDS
        self.is_connected = True

    async def _fetch_records(
        self,
        consumer: aiokafka.AIOKafkaConsumer,
        active_partitions: set[TP],
        timeout: float | None = None,  # noqa: ASYNC109 - Faust calls it so
        max_records: int | None = None,  # noqa: ARG002 - fetched records are bounded by bytes, not by records
    ) -> dict[TopicPartition, list[FetchedRecords]]:
        if not self.consumer.flow_active:
            return {}
        fetcher = consumer._fetcher
        if consumer._closed or fetcher._closed:
            raise ConsumerStoppedError
        async with self._polling:
            with fetcher._subscriptions.fetch_context():
                fetched: dict[TopicPartition, list[FetchedRecords]] = await fetcher.fetched_records(
                    active_partitions, timeout=min(timeout or 0.0, POLL_SECONDS)
                )
            self._pace.polled(bool(fetched))
            fetcher._fetch_max_wait_ms, fetcher._fetch_min_bytes = self._pace.max_wait_ms, self._pace.min_bytes
            for of_partition in fetched.values():
                of_partition[0].fetch_epoch = self._fetch_epoch
            return fetched

    async def start_at(self, fetch_epoch: int, positions: Mapping[TP, int], unread: set[TP]) -> None:
        """Begin a fetch epoch at these positions; nothing is fetched of `unread`. Waits for the poll under way."""
        await self.call_thread(self._start_at, fetch_epoch, positions, unread)

    async def _start_at(self, fetch_epoch: int, positions: Mapping[TP, int], unread: set[TP]) -> None:
        consumer = self._ensure_consumer()
        async with self._polling:
            self._fetch_epoch = fetch_epoch
            assigned = consumer.assignment()
            for partition, offset in positions.items():
                consumer.seek(TopicPartition(*partition), offset)
            consumer.pause(*({TopicPartition(*partition) for partition in unread} & assigned))

    async def membership(self) -> tuple[int, str]:
        """Generation and member id in the consumer group."""
        coordinator = self._ensure_consumer()._coordinator
        return coordinator.generation, coordinator.member_id

    async def check_group(self) -> None:
        """Raise what keeps the consumer out of its group; aiokafka rejoins only after somebody has asked."""
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


class FetchedRecordsConsumer(driver.Consumer):  # type: ignore[misc]
    """Faust's consumer, delivering fetched records."""

    def _new_consumer_thread(self) -> FetchedRecordsConsumerThread:
        return FetchedRecordsConsumerThread(self, loop=self.loop, beacon=self.beacon)

    @property
    def consumer_thread(self) -> FetchedRecordsConsumerThread:
        """The thread that owns the Kafka consumer."""
        thread: FetchedRecordsConsumerThread = self._thread
        return thread

    def stop_flow(self) -> None:
        """From here on fetched records may be lost on their way, so the fetch epoch is over."""
        super().stop_flow()
        self.app.engine.end_fetch_epoch()

    async def perform_seek(self) -> None:
        """Does nothing: Faust would seek to the group's committed offsets (rule 1)."""

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
        for partition, of_partition in fetched.items():
            if self.should_stop or not self.flow_active:
                return  # a revocation; the next assignment begins a fetch epoch
            tp = TP(partition.topic, partition.partition)
            self._read_offset[tp] = None  # Faust's own filter by last offset knows nothing of fetched records
            yield tp, self._message(tp, merge(of_partition), generation)

    def _message(self, tp: TP, arrived: FetchedRecords, generation: int) -> FetchedRecordsMessage:
        timestamp = arrived.records[-1].timestamp_ms / 1000 if arrived.records else 0.0
        return FetchedRecordsMessage(
            tp.topic, tp.partition, arrived.next_offset - 1, timestamp, 0, [], None, arrived, None, -1, -1, tp,
            generation_id=generation,
        )  # fmt: skip


class ConnectedProducer(driver.Producer):  # type: ignore[misc]
    """Faust's producer. Nothing is written by it, but Faust connects it, and it has to get in."""

    def _settings_auth(self) -> Mapping[str, Any]:
        options: Mapping[str, Any] = self.app.engine_settings.client_options
        return options


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's Kafka transport with fetched records."""

    Consumer = FetchedRecordsConsumer
    Producer = ConnectedProducer


TRANSPORTS.aliases[SCHEME] = f"{__name__}:Transport"
