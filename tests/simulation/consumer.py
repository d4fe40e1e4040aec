"""One worker's membership in the consumer group and its fetches: the engine's `Source` on a simulated broker.

It does what Faust, aiokafka and `faust_recovery.py` do together
1. On a revocation the fetch epoch ends, an assignment under way is cancelled, and the engine pauses; then the group is
   joined again.
2. An assignment is carried out beside the heartbeats, never in their way.
3. Every run of fetched records names its fetch epoch. What was fetched in an earlier one may still arrive.
4. Barrier topics and the others are led by different brokers, so that either may be ahead of the other.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from aiokafka.errors import IllegalGenerationError, RebalanceInProgressError, UnknownMemberIdError
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.exactly_once.fencing import NO_MEMBERSHIP, Membership
from streams.exactly_once.fetched_records import FetchedRecords
from streams.exactly_once.lane import cancel
from streams.exactly_once.settings import COMMIT_MARK
from streams.records import InputRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from streams.exactly_once.engine import Engine
    from tests.simulation.broker import SimulatedBroker
    from tests.simulation.log import Stored
    from tests.simulation.loop import Process
    from tests.simulation.network import Network

JOIN: Final = "join"
HEARTBEAT: Final = "heartbeat"
FETCH: Final = "fetch"
COMMITTED: Final = "committed"
LEAVE: Final = "leave"
POINTS: Final = (JOIN, HEARTBEAT, FETCH, COMMITTED)

FETCHED_MOST: Final = 12
"""Entries of one partition in one fetch."""


class SimulatedConsumer:
    """The consumer of one worker process."""

    def __init__(
        self,
        network: Network,
        broker: SimulatedBroker,
        process: Process,
        random: Random,
        barrier_topics: frozenset[str],
        heartbeat_seconds: float,
    ) -> None:
        self.engine: Engine | None = None
        self._network = network
        self._broker = broker
        self._process = process
        self._random = random
        self._barrier_topics = barrier_topics
        self._heartbeat_seconds = heartbeat_seconds
        self._member: str | None = None
        self._membership = NO_MEMBERSHIP
        self._fetching: list[asyncio.Task[None]] = []
        self._positions: dict[TopicPartition, int] = {}
        self._paused: set[TopicPartition] = set()
        self._resumed = asyncio.Event()
        self._arrives_at = {True: 0.0, False: 0.0}

    # --- the group ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Be a member until the process ends."""
        assert self.engine is not None
        while True:
            generation, self._member, partitions = await self._ask(JOIN, lambda: self._broker.join(self._member))
            self._membership = Membership(generation, self._member)
            assigning = asyncio.ensure_future(self._on_assigned(self.engine, partitions))
            await self._until_revoked()
            self._membership = NO_MEMBERSHIP
            await self._stop_fetching()
            self.engine.end_fetch_epoch()
            if self._random.random() < 0.5:
                await cancel(assigning)
            await self.engine.pause()
            await cancel(assigning)

    async def leave(self) -> None:
        """Leave in good order."""
        await self._stop_fetching()
        member = self._member
        if member is not None:
            await self._ask(LEAVE, lambda: self._broker.leave(member))

    async def _on_assigned(self, engine: Engine, partitions: frozenset[int]) -> None:
        try:
            await engine.on_assigned(self, partitions)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - as `faust_recovery.py`: the engine decides what it means
            engine.fail(error)

    async def _until_revoked(self) -> None:
        member, generation = self._member, self._membership.generation
        assert member is not None
        with contextlib.suppress(UnknownMemberIdError, RebalanceInProgressError, IllegalGenerationError):
            while True:
                await self._ask(HEARTBEAT, lambda: self._broker.heartbeat(member, generation))
                await asyncio.sleep(self._heartbeat_seconds)

    # --- the engine's `Source` ----------------------------------------------------------------------------------------

    async def membership(self) -> Membership:
        await asyncio.sleep(0)
        return self._membership

    async def committed_offsets(self, partitions: set[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        async def serve() -> dict[TopicPartition, OffsetAndMetadata]:
            offsets = self._broker.group_offsets
            # Nobody but engines commits here.
            return {
                where: OffsetAndMetadata(offsets[where], COMMIT_MARK)
                for where in sorted(partitions)
                if where in offsets
            }

        return await self._ask(COMMITTED, serve)

    async def start_at(self, fetch_epoch: int, positions: Mapping[TopicPartition, int]) -> None:
        await self._stop_fetching()
        self._positions = dict(sorted(positions.items()))
        self._paused.clear()
        self._fetching = [
            asyncio.ensure_future(self._fetch(fetch_epoch, leads_barrier)) for leads_barrier in (True, False)
        ]

    def pause_fetching(self, partition: TopicPartition) -> None:
        self._paused.add(partition)

    def resume_fetching(self, partition: TopicPartition) -> None:
        self._paused.discard(partition)
        self._resumed.set()

    # --- fetching -----------------------------------------------------------------------------------------------------

    async def _stop_fetching(self) -> None:
        fetching, self._fetching = self._fetching, []
        for task in fetching:
            await cancel(task)

    async def _fetch(self, fetch_epoch: int, leads_barrier: bool) -> None:
        while True:
            wanted = {
                where: at
                for where, at in self._positions.items()
                if where not in self._paused and (where.topic in self._barrier_topics) is leads_barrier
            }
            if not wanted:
                self._resumed.clear()
                await self._resumed.wait()
                continue
            most = self._random.randint(1, FETCHED_MOST)
            for where, (start, records, after) in (
                await self._ask(FETCH, lambda wanted=wanted, most=most: self._broker.fetch(wanted, most))
            ).items():
                self._deliver(fetch_epoch, where, start, records, after)
                self._positions[where] = after

    def _deliver(
        self, fetch_epoch: int, where: TopicPartition, start: int, records: list[tuple[int, Stored]], after: int
    ) -> None:
        """Through the agent: a little later, in order, whatever has begun meanwhile."""
        assert self.engine is not None
        first = self._positions[where]
        arrived = [
            InputRecord(where.topic, offset, stored.timestamp_ms, stored.key, stored.value, stored.headers)
            for offset, stored in records
        ]
        one = FetchedRecords(where.topic, where.partition, arrived, first, after, max(0, start - first))
        one.fetch_epoch = fetch_epoch
        loop = asyncio.get_running_loop()
        leads_barrier = where.topic in self._barrier_topics
        arrives_at = max(self._arrives_at[leads_barrier], loop.time() + self._network.delay())
        self._arrives_at[leads_barrier] = arrives_at
        loop.call_at(arrives_at, self.engine.arrived, one)

    async def _ask(self, point: str, serve):  # noqa: ANN001, ANN202 - as `Network.ask`
        return await self._network.ask(self._process, point, serve)
