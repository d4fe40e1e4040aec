# ruff: noqa: ANN401 - as the protocols they fulfil
"""The engine's clients (`streams.exactly_once.clients`) on a simulated broker.

A client belongs to the process that made it; each question takes its time on the network. Retries inside a real client
show as longer delays only, so there are none here.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import ProducerFenced
from aiokafka.structs import TopicPartition

from streams.exactly_once.fencing import NO_MEMBERSHIP, Membership
from tests.simulation.broker import Record, topic_partitions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from random import Random

    from aiokafka.structs import OffsetAndMetadata

    from tests.simulation.broker import Acknowledgement, SimulatedBroker
    from tests.simulation.log import Stored
    from tests.simulation.loop import Process
    from tests.simulation.network import Network

# The points of the network, as faults name them.
START_PRODUCER: Final = "start_producer"
PRODUCE: Final = "produce"
OFFSETS: Final = "offsets"
END: Final = "end"
LIST_OFFSETS: Final = "list_offsets"
READ_CHANGELOG: Final = "read_changelog"
POINTS: Final = (START_PRODUCER, PRODUCE, OFFSETS, END, LIST_OFFSETS, READ_CHANGELOG)

RECORD_OVERHEAD_BYTES: Final = 16
"""Of a record beside its key and value, about."""

CHANGELOG_ENTRIES_MOST: Final = 40
"""In one answer to a restoring worker, so that a restore takes several."""


class SimulatedBatch:
    """Records of one topic partition."""

    def __init__(self, max_bytes: int | None = None) -> None:
        self.records: list[Record] = []
        self._max_bytes = max_bytes
        self._size = 0

    def append(
        self, *, timestamp: int | None, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> Any:
        size = len(key or b"") + len(value or b"") + RECORD_OVERHEAD_BYTES
        if self._max_bytes is not None and self.records and self._size + size > self._max_bytes:
            return None
        self._size += size
        self.records.append(Record(timestamp or 0, key, value, tuple(headers)))
        return self

    def size(self) -> int:
        return self._size

    def close(self) -> None:
        """Nothing more comes."""


class SimulatedProducer:
    """One producer of a transactional id."""

    def __init__(self, clients: SimulatedClients, name: str, epoch: int) -> None:
        self._clients = clients
        self._broker = clients.broker
        self._name = name
        self._epoch = epoch
        self._membership = NO_MEMBERSHIP
        self._has_sent = False
        self._fenced = False
        self._sent: list[asyncio.Task[Acknowledgement]] = []

    def act_for(self, membership: Membership) -> None:
        self._membership = membership

    @property
    def refusal(self) -> str:
        """The simulated broker never has too few replicas."""
        return ""

    def create_batch(self) -> SimulatedBatch:
        return SimulatedBatch()

    def create_smaller_batch(self, max_bytes: int) -> SimulatedBatch:
        return SimulatedBatch(max_bytes)

    async def begin_transaction(self) -> None:
        """Nothing is asked: as with Kafka, the first batch begins it."""
        self._has_sent = False
        self._sent = []
        if self._fenced:
            raise ProducerFenced

    async def send_batch(self, batch: SimulatedBatch, topic: str, *, partition: int) -> asyncio.Future[Any]:
        """On its way; the future is the acknowledgement."""
        self._has_sent = True
        where = TopicPartition(topic, partition)
        task = asyncio.ensure_future(
            self._ask(
                PRODUCE, lambda: self._broker.produce(self._name, self._epoch, where, batch.records, batch.size())
            )
        )
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._sent.append(task)
        return task

    async def send_offsets_to_transaction(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], group_id: str
    ) -> None:
        self._has_sent = True
        generation, member = self._membership
        plain = {where: offset.offset for where, offset in sorted(offsets.items())}
        await self._ask(
            OFFSETS, lambda: self._broker.commit_offsets(self._name, self._epoch, plain, generation, member)
        )

    async def commit_transaction(self) -> None:
        """aiokafka waits for what is under way, and commits whatever became of it."""
        await self._end(commit=True)

    async def abort_transaction(self) -> None:
        await self._end(commit=False)

    async def _end(self, *, commit: bool) -> None:
        if self._sent:
            await asyncio.wait(self._sent)
        if self._has_sent:
            await self._ask(END, lambda: self._broker.end_transaction(self._name, self._epoch, commit=commit))

    async def stop(self) -> None:
        """Disconnect."""

    async def _ask(self, point: str, serve: Any) -> Any:
        try:
            return await self._clients.network.ask(self._clients.process, point, serve)
        except ProducerFenced:
            self._fenced = True
            raise


class SimulatedOffsets:
    """Asks for the ends of logs."""

    def __init__(self, clients: SimulatedClients) -> None:
        self._clients = clients

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._clients.network.ask(self._clients.process, LIST_OFFSETS, lambda: self._ends(partitions))

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._clients.network.ask(self._clients.process, LIST_OFFSETS, lambda: self._starts(partitions))

    async def stop(self) -> None:
        """Disconnect."""

    async def _ends(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        logs = self._clients.broker.logs
        return {where: logs[where].high_watermark for where in topic_partitions(partitions)}

    async def _starts(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        logs = self._clients.broker.logs
        return {where: logs[where].start for where in topic_partitions(partitions)}


class SimulatedEntries:
    """Keys and values of what one fetch gave."""

    def __init__(self, records: Sequence[tuple[int, Stored]]) -> None:
        self._records = records

    def pairs(self) -> list[tuple[bytes | None, bytes | None]]:
        return [(stored.key, stored.value) for _, stored in self._records]

    def offset_of(self, key: bytes) -> int | None:
        return max((offset for offset, stored in self._records if stored.key == key), default=None)


class SimulatedChangelog:
    """Reads committed records of the changelog from its start."""

    def __init__(self, clients: SimulatedClients, partitions: Sequence[TopicPartition]) -> None:
        self._clients = clients
        self._positions = {where: clients.broker.logs[where].start for where in topic_partitions(partitions)}

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int
    ) -> dict[TopicPartition, list[SimulatedEntries]]:
        wanted = {where: self._positions[where] for where in topic_partitions(partitions)}
        try:
            async with asyncio.timeout(timeout_ms / 1000):
                found = await self._clients.network.ask(
                    self._clients.process,
                    READ_CHANGELOG,
                    lambda: self._clients.broker.fetch(wanted, self._clients.random.randint(1, CHANGELOG_ENTRIES_MOST)),
                )
        except TimeoutError:
            return {}
        entries = {}
        for where, (_, records, after) in found.items():
            self._positions[where] = after
            if records:
                entries[where] = [SimulatedEntries(records)]
        return entries

    async def position(self, partition: TopicPartition) -> int:
        return self._positions[partition]

    async def stop(self) -> None:
        """Disconnect."""


class SimulatedClients:
    """The clients of one process."""

    def __init__(
        self,
        network: Network,
        broker: SimulatedBroker,
        process: Process,
        random: Random,
        *,
        transaction_timeout_seconds: float,
    ) -> None:
        self.network = network
        self.broker = broker
        self.process = process
        self.random = random
        self._transaction_timeout_seconds = transaction_timeout_seconds

    async def producer(self, transactional_id: str) -> SimulatedProducer:
        epoch = await self.network.ask(
            self.process,
            START_PRODUCER,
            lambda: self.broker.start_producer(transactional_id, self._transaction_timeout_seconds),
        )
        return SimulatedProducer(self, transactional_id, epoch)

    async def offset_reader(self) -> SimulatedOffsets:
        return SimulatedOffsets(self)

    async def changelog_reader(self, partitions: Sequence[TopicPartition]) -> SimulatedChangelog:
        return SimulatedChangelog(self, partitions)

    async def batch_limits(self, topics: Sequence[str]) -> dict[str, int]:
        return {topic: limit for topic, limit in self.broker.batch_limits.items() if topic in topics}
