"""Everything a worker holds of one partition: queues, positions, the committed store.

Invariants
1. `store`, `latest_ms` and the positions of the input queues are what the last committed transaction left; `merge` is
   the only thing that changes them while the partition is owned, and it is called after a commit only.
2. What a batch takes is chosen without changing anything, so abandoning a batch needs no undo.
3. A recorded position is never forgotten and never gets lower, whether or not this run reads its topic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from streams.exactly_once.batch_log import ServedBatch, served_batch
from streams.exactly_once.changelog import Meta
from streams.exactly_once.due_index import DueIndex
from streams.exactly_once.input_queue import InputQueue, Peeked
from streams.exactly_once.interfaces import NOTHING_DUE, Batch, BatchResult
from streams.records import InputRecord


class Limits(NamedTuple):
    """What one partition may contribute to one transaction."""

    records: int
    size_bytes: int


class PartitionBatch(NamedTuple):
    """What one partition contributes to one transaction, and where that leaves its positions."""

    state: PartitionState
    records: Sequence[InputRecord]
    moments_ms: Sequence[int]
    counts: Mapping[str, int]
    """Records taken per topic."""
    next_positions: Mapping[str, int]
    """Positions to record and to commit, of every input topic that is read."""
    due: Sequence[bytes] = ()
    due_ms: int = 0
    """What became due, applied after the records."""

    @property
    def latest_ms(self) -> int:
        """The latest `now` of the partition once this is committed."""
        return max(self.moments_ms[-1] if self.moments_ms else self.state.latest_ms, self.due_ms)

    def as_batch(self) -> Batch:
        """What the state machine is given."""
        return Batch(self.state.partition, self.records, self.moments_ms, self.state.positions(), self.due, self.due_ms)

    def meta(self) -> Meta:
        """The meta record of the transaction."""
        return Meta(positions={**self.state.recorded, **self.next_positions}, latest_ms=self.latest_ms)

    def served(self) -> ServedBatch:
        """What the batch log says of the transaction. Of a topic never read before, the batch begins where we began."""
        return served_batch({**self.state.positions(), **self.state.recorded}, self.next_positions, self.latest_ms)


class PartitionState:
    """One owned partition."""

    def __init__(
        self,
        partition: int,
        input_queues: Sequence[InputQueue],
        store: dict[bytes, bytes],
        latest_ms: int,
        recorded: Mapping[str, int] | None = None,
    ) -> None:
        self.partition = partition
        self.input_queues = tuple(input_queues)
        """By rank."""
        self.by_topic = {input_queue.topic.name: input_queue for input_queue in input_queues}
        self.barrier_queues = tuple(input_queue for input_queue in input_queues if input_queue.topic.barrier)
        self.other_queues = tuple(input_queue for input_queue in input_queues if not input_queue.topic.barrier)
        self.store = store
        self.latest_ms = latest_ms
        self.recorded = dict(recorded or {})
        """Positions in the latest meta record; those of topics that are not read now are kept for the run that does."""
        self.due = NOTHING_DUE
        """What has become due and no transaction has committed yet."""
        self.due_index: DueIndex | None = None
        """When keys of the store become due; None while nobody looks."""
        self.ends: dict[str, int] = {}
        """Where a bounded run ends, per topic; empty in service."""

    def positions(self) -> dict[str, int]:
        """The next offset of every input topic."""
        return {input_queue.topic.name: input_queue.position for input_queue in self.input_queues}

    def has_queued(self) -> bool:
        """Whether anything waits to be decided."""
        return any(input_queue.queue for input_queue in self.input_queues)

    def has_preferred(self) -> bool:
        """Whether a record waits that goes before others: of any topic behind the barrier but the last in rank."""
        return any(input_queue.queue for input_queue in self.other_queues[:-1])

    def has_work(self) -> bool:
        """Whether anything waits, whether a record asks for it or not."""
        return self.has_queued() or bool(self.due.keys)

    def partition_batch(
        self,
        records: list[InputRecord],
        moments_ms: list[int],
        peeked: Mapping[str, Peeked],
        due: Sequence[bytes] = (),
        due_ms: int = 0,
    ) -> PartitionBatch:
        """Put together what was chosen; topics nothing was taken of keep their position."""
        next_positions = {}
        for input_queue in self.input_queues:
            topic = input_queue.topic.name
            of_topic = peeked.get(topic)
            if of_topic is not None:
                position = of_topic.next_position
            else:
                position = input_queue.position if input_queue.queue else input_queue.arrived
            # An earlier batch may have recorded a position beyond the markers behind its last record.
            next_positions[topic] = max(position, self.recorded.get(topic, 0))
        counts = {topic: len(of_topic.records) for topic, of_topic in peeked.items()}
        return PartitionBatch(self, records, moments_ms, counts, next_positions, due, due_ms)

    def merge(self, partition_batch: PartitionBatch, result: BatchResult) -> None:
        """The transaction has committed: what it changed is true from now on."""
        store = self.store
        for key, value in result.changes.items():
            if value is None:
                store.pop(key, None)
            else:
                store[key] = value
        if self.due_index is not None:
            for key, due_ms in result.due_at_ms.items():
                self.due_index.file(key, due_ms)
        for topic, count in partition_batch.counts.items():
            self.by_topic[topic].advance(count)
        self.latest_ms = partition_batch.latest_ms
        if partition_batch.due:
            self.due = NOTHING_DUE
        self.recorded |= partition_batch.next_positions
