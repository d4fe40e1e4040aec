"""Which partitions a worker owns: what of them is kept over a rebalance, what is restored, and where fetching starts.

Invariants
1. A partition is in exactly one of three states: not owned, being restored, owned. Only an owned one is decided on.
2. A store survives a rebalance only if no generation of the group lies between: the same member, the next generation.
   Otherwise another worker may have owned the partition meanwhile, and it is restored.
3. Positions come from the meta records. The group's committed offsets are only compared with them.
4. An assignment takes effect only if nothing was revoked since it began.
5. Every run of fetched records names its fetch epoch; each assignment begins a new one.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from aiokafka.structs import TopicPartition

from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.fencing import NO_MEMBERSHIP, Membership
from streams.exactly_once.fetched_records import NO_FETCH_EPOCH
from streams.exactly_once.input_queue import InputQueue
from streams.exactly_once.partition import PartitionState
from streams.exactly_once.restore import Restored, changelog_partitions, restore
from streams.exactly_once.settings import ClockMode, EngineSettings
from streams.exactly_once.startup import check_positions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka.structs import OffsetAndMetadata

    from streams.exactly_once.clients import Clients, Source
    from streams.exactly_once.failure import Failure
    from streams.exactly_once.interfaces import Observer
    from streams.exactly_once.offsets import OffsetClient

Found = TypeVar("Found")


class Assignment:
    """The partitions that one worker owns."""

    def __init__(
        self,
        settings: EngineSettings,
        partition_count: int,
        clients: Clients,
        offsets: OffsetClient,
        observer: Observer,
        failure: Failure,
    ) -> None:
        self.partitions: dict[int, PartitionState] = {}
        """Owned; empty while partitions are being restored."""
        self.membership = NO_MEMBERSHIP
        """As which member of the group they are owned."""
        self.fetch_epoch: int | None = None
        """Of the records that may be queued; None from a revocation to the next assignment."""
        self._settings = settings
        self._partition_count = partition_count
        self._clients = clients
        self._offsets = offsets
        self._observer = observer
        self._failure = failure
        self._source: Source | None = None
        self._fetch_epochs = NO_FETCH_EPOCH
        self._revocations = 0
        self._assigning = asyncio.Lock()

    async def assign(self, source: Source, partitions: frozenset[int]) -> bool:
        """Own exactly these partitions: restore what is new, and fetch from where it was decided.

        Returns False if the assignment is not in force: it was revoked meanwhile, or the worker has failed.

        Raises:
            StartupRefusedError: the changelog and the topics or the group do not belong together.
        """
        async with self._assigning:
            self._check_known(partitions)
            revocations = self._revocations
            self._observer.ready(False, "restoring")
            self._source = source
            membership = await source.membership()
            if membership == NO_MEMBERSHIP:
                return False  # another assignment is on its way
            kept = self._kept(membership, partitions)
            new = partitions - kept.keys()
            states = dict(kept)
            self.partitions = {}
            if new:
                states |= await self._restored(source, new)
            if self._revocations != revocations:
                self.partitions = kept  # the next assignment finds them as they were
                return False
            await self._begin(source, membership, states)
            return self._revocations == revocations and not self._failure.has_failed()

    def revoke(self) -> None:
        """The partitions may be another worker's from now on; `assign` says which are still ours."""
        self._revocations += 1
        self.end_fetch_epoch()

    def end_fetch_epoch(self) -> None:
        """Drop what arrives until the next assignment has said where to start."""
        self.fetch_epoch = None

    def _check_known(self, partitions: frozenset[int]) -> None:
        unknown = [partition for partition in partitions if partition >= self._partition_count]
        if unknown:
            raise StartupRefusedError(
                f"Partition {min(unknown)} has appeared, the application was started with {self._partition_count}: "
                "customers have moved to other partitions. Follow the runbook for changing the count."
            )

    def _kept(self, membership: Membership, partitions: frozenset[int]) -> dict[int, PartitionState]:
        """Owned before, and no other worker can have owned them since."""
        before = self.membership
        is_next = membership.member_id == before.member_id and membership.generation in (
            before.generation,
            before.generation + 1,
        )
        if not is_next:
            return {}
        return {partition: state for partition, state in self.partitions.items() if partition in partitions}

    async def _restored(self, source: Source, partitions: frozenset[int]) -> dict[int, PartitionState]:
        """Restored partitions with the positions to start at.

        The group's offsets and the log starts are asked for before the changelog is read, the ends of the topics after
        it. Another owner may decide meanwhile, if we were frozen and have lost the partition without knowing it; what
        was asked first is then never ahead of what was read later, and the worker is not refused for it.
        """
        topic_partitions = {
            TopicPartition(topic.name, partition) for partition in partitions for topic in self._settings.input_topics
        }
        committed = await source.committed_offsets(topic_partitions)
        starts = await self._offsets.starts(topic_partitions)
        marks = await self._offsets.ends(changelog_partitions(self._settings, sorted(partitions)))
        assert marks is not None
        restored = await restore(
            self._settings,
            self._clients,
            {partition.partition: mark for partition, mark in marks.items()},
            self._observer,
        )
        ends = await self._offsets.ends(topic_partitions)
        assert starts is not None
        assert ends is not None
        return {
            partition: self._place(
                partition, of_partition, _of(partition, starts), _of(partition, ends), _of(partition, committed)
            )
            for partition, of_partition in restored.items()
        }

    def _place(
        self,
        partition: int,
        restored: Restored,
        starts: Mapping[str, int],
        ends: Mapping[str, int],
        committed: Mapping[str, OffsetAndMetadata],
    ) -> PartitionState:
        """The state at its positions. What was deleted before it was decided is reported as missing."""
        recorded = restored.meta.positions if restored.meta else {}
        check_positions(self._settings, partition, recorded, committed, ends)
        input_queues = []
        for topic in self._settings.ranked_topics:
            position = recorded.get(topic.name, starts[topic.name])
            if position < starts[topic.name]:
                self._failure.records_missing(topic.name, partition, position, starts[topic.name] - position)
                position = starts[topic.name]
            where = TopicPartition(topic.name, partition)
            input_queues.append(
                InputQueue(topic, position, partial(self._pause_fetching, where), partial(self._resume_fetching, where))
            )
        latest_ms = restored.meta.latest_ms if restored.meta else 0
        state = PartitionState(partition, input_queues, restored.store, latest_ms, recorded)
        if self._settings.clock_mode is ClockMode.RECORD:
            state.ends = dict(ends)
        return state

    async def _begin(self, source: Source, membership: Membership, states: dict[int, PartitionState]) -> None:
        """Own these from now on, and fetch from their positions."""
        for state in states.values():
            for input_queue in state.input_queues:
                input_queue.restart_at(input_queue.position)
        positions = {
            TopicPartition(input_queue.topic.name, state.partition): input_queue.position
            for state in states.values()
            for input_queue in state.input_queues
        }
        self.membership = membership
        self.partitions = states
        self._fetch_epochs += 1
        self.fetch_epoch = self._fetch_epochs  # before asking for it: its first records may be here before the answer
        await source.start_at(self.fetch_epoch, positions)

    def _pause_fetching(self, partition: TopicPartition) -> None:
        if self._source is not None:
            self._source.pause_fetching(partition)

    def _resume_fetching(self, partition: TopicPartition) -> None:
        if self._source is not None:
            self._source.resume_fetching(partition)


def _of(partition: int, offsets: Mapping[TopicPartition, Found]) -> dict[str, Found]:
    return {where.topic: offset for where, offset in offsets.items() if where.partition == partition}
