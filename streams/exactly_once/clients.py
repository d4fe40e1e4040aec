# ruff: noqa: SLF001, ANN401 - one of the places for names of library_internals.py; aiokafka is untyped
"""What the engine asks of a Kafka client, and aiokafka's answer to it.

Rules of this module
1. The engine reaches a broker through these protocols only, and measures its waits by its event loop (`loop_seconds`).
   With other clients and another loop the whole engine runs without a network; nothing else of it differs.
2. What a client promises is said here and held by the broker contract suite, whichever client it is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiokafka

from streams.exactly_once.fencing import FencedProducer
from streams.exactly_once.fetched_records import read_as_entries
from streams.exactly_once.log_bounds import LogBounds
from streams.exactly_once.topic_configs import connected_admin, topic_configs
from streams.exactly_once.topic_rules import LARGEST_BATCH
from streams.exactly_once.witnesses import METADATA_MAX_AGE_MS, connected_client, witnessed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka.structs import OffsetAndMetadata, TopicPartition

    from streams.exactly_once.fencing import Membership
    from streams.exactly_once.settings import EngineSettings

CLOSE_SECONDS: Final = 2.0
"""How long a client may take to disconnect."""

CHANGELOG_FETCH_BYTES: Final = 512 * 1024
"""Fetched of one partition at once. Eight times as much is no faster and costs 40 MB that stay allocated. A larger
record batch, up to the largest record, still arrives whole."""

CHANGELOG_FETCH_WAIT_MS: Final = 100
"""How long a fetch may wait at the end of a partition, where an open transaction holds up the rest."""


def loop_seconds() -> float:
    """Monotonic seconds of the running event loop: what every wait of the engine is measured by."""
    return asyncio.get_running_loop().time()


class ProducedBatch(Protocol):
    """Records of one topic partition that are sent at once."""

    def append(
        self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> Any:
        """Add a record; None if it does not fit. The first one always does."""
        ...

    def size(self) -> int:
        """Bytes before compression."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class TransactionalProducer(Protocol):
    """The producer of one transactional id. Its transactions follow one another."""

    @property
    def refusal(self) -> str:
        """What the brokers refused last in this transaction, to be tried again; empty: nothing."""
        ...

    def act_for(self, membership: Membership) -> None:
        """Show this generation and member id from now on."""
        ...

    def create_batch(self) -> ProducedBatch:
        """An empty batch, as large as any topic takes."""
        ...

    def create_smaller_batch(self, max_bytes: int) -> ProducedBatch:
        """An empty batch for a topic that takes less."""
        ...

    async def begin_transaction(self) -> None:
        """Begin."""
        ...

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
        """Send; the future is the acknowledgement, with `timestamp` and `timestamp_type`, or the refusal."""
        ...

    async def send_offsets_to_transaction(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group_id: str
    ) -> None:
        """Commit offsets within the transaction; refused unless the membership is the current one."""
        ...

    async def commit_transaction(self) -> None:
        """Returns once the transaction is certain to become visible."""
        ...

    async def abort_transaction(self) -> None:
        """Returns once nothing of it can become visible."""
        ...

    async def stop(self) -> None:
        """Disconnect. An open transaction stays open."""
        ...


class OffsetReader(Protocol):
    """Asks for the ends of topic partitions, on a connection of its own."""

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """High watermarks as of some moment after the call."""
        ...

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Log starts."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...


class ReadEntries(Protocol):
    """Committed records of one record batch."""

    def pairs(self) -> Sequence[tuple[bytes | None, bytes | None]]:
        """Key and value of each record, in order."""
        ...

    def offset_of(self, key: bytes) -> int | None:
        """Where the latest record with this key lies; None if there is none. Instead of `pairs`, not after it."""
        ...


class ChangelogReader(Protocol):
    """Reads committed records of the changelog from its start."""

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int) -> dict[TopicPartition, list[ReadEntries]]:
        """What has arrived, waiting at most so long for anything."""
        ...

    async def position(self, partition: TopicPartition) -> int:
        """The next offset; it passes markers and aborted records too."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...


class Source(Protocol):
    """The consumer, as the engine sees it."""

    async def membership(self) -> Membership:
        """Generation and member id of the current assignment; `NO_MEMBERSHIP` if there is none."""
        ...

    async def committed_offsets(self, partitions: set[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """What the group has committed; partitions without an offset are left out."""
        ...

    async def start_at(self, fetch_epoch: int, positions: Mapping[TopicPartition, int]) -> None:
        """Begin a fetch epoch: from here on, every run of fetched records names it."""
        ...

    def pause_fetching(self, partition: TopicPartition) -> None:
        """Stop fetching a partition whose queue is full."""
        ...

    def resume_fetching(self, partition: TopicPartition) -> None:
        """Fetch it again."""
        ...


class Clients(Protocol):
    """Makes clients. All of them are connected when they are returned."""

    async def producer(self, transactional_id: str) -> TransactionalProducer:
        """Fences every earlier producer of the id; returns when its open transaction is ended."""
        ...

    async def offset_reader(self) -> OffsetReader: ...

    async def changelog_reader(self, partitions: Sequence[TopicPartition]) -> ChangelogReader: ...

    async def batch_limits(self, topics: Sequence[str]) -> dict[str, int]:
        """The largest record batch each topic takes, in bytes; topics of which that is not known are left out."""
        ...


class KafkaClients:
    """Clients of a Kafka cluster."""

    def __init__(self, settings: EngineSettings) -> None:
        self._settings = settings

    async def producer(self, transactional_id: str) -> TransactionalProducer:
        """A started `FencedProducer`."""
        producer = FencedProducer(self._settings, transactional_id)
        try:
            await producer.start()
        except BaseException:
            await close(producer)
            raise
        return producer

    async def offset_reader(self) -> OffsetReader:
        """Bounds that most replicas confirm."""
        return LogBounds(await connected_client(self._settings))

    async def changelog_reader(self, partitions: Sequence[TopicPartition]) -> ChangelogReader:
        """A consumer of these partitions from their starts, read by `Entries`."""
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            check_crcs=self._settings.check_crcs,
            max_partition_fetch_bytes=CHANGELOG_FETCH_BYTES,
            fetch_max_wait_ms=CHANGELOG_FETCH_WAIT_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            **self._settings.client_options,
        )
        witnessed(consumer._client)
        await consumer.start()
        try:
            read_as_entries(consumer)
            consumer.assign(list(partitions))
            await consumer.seek_to_beginning(*partitions)
        except BaseException:
            await close(consumer)
            raise
        reader: ChangelogReader = consumer
        return reader

    async def batch_limits(self, topics: Sequence[str]) -> dict[str, int]:
        """As the broker's `max.message.bytes` says; nothing where the broker cannot tell."""
        async with connected_admin(self._settings) as admin:
            configs = await topic_configs(admin, topics)
        return {name: int(config[LARGEST_BATCH]) for name, config in (configs or {}).items() if LARGEST_BATCH in config}


class Closable(Protocol):
    """Whatever has a connection."""

    async def stop(self) -> None:
        """Disconnect."""
        ...


async def close(client: Closable) -> None:
    """Disconnect a client that is no longer needed, whatever it answers.

    `stop` runs in a task of its own: aiokafka cancels its own tasks when it stops, and while a broker goes away such a
    cancellation can escape from `stop` although the caller was not cancelled.
    """
    stopping = asyncio.ensure_future(client.stop())
    done, late = await asyncio.wait({stopping}, timeout=CLOSE_SECONDS)
    for task in late:
        task.cancel()
    for task in done:
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not report it
