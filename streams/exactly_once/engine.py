"""The engine of one worker: which partitions it owns, where reading starts, which lane has what.

Invariants
1. A partition is in exactly one of three states: not owned, being taken over, owned. Only an owned one has a lane.
2. A store survives a rebalance only if no generation of the group lies between: the same member, the next generation.
   Otherwise somebody else may have owned the partition meanwhile, and it is restored.
3. Positions come from the meta records. The group's committed offsets are only compared with them.
4. Lanes go on only if nothing was revoked since the take-over began.
5. The first failure is kept; everything after it is a consequence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import structlog
from aiokafka.structs import TopicPartition

from streams.exactly_once.barrier import Barrier
from streams.exactly_once.clients import KafkaClients, loop_seconds
from streams.exactly_once.due_scan import DueScan
from streams.exactly_once.errors import (
    EngineError,
    LaneError,
    RecordsMissingError,
    StartupRefusedError,
    StateUnreadableError,
    TopicShrunkError,
    diagnosis,
)
from streams.exactly_once.fencing import NO_MEMBERSHIP, Membership
from streams.exactly_once.fetched_records import NO_FETCH_EPOCH
from streams.exactly_once.input_queue import InputQueue
from streams.exactly_once.interfaces import StoredValueUnreadable
from streams.exactly_once.lag import report_lag
from streams.exactly_once.lane import Lane, cancel
from streams.exactly_once.live_scheduler import LiveScheduler
from streams.exactly_once.partition import PartitionState
from streams.exactly_once.replay_scheduler import ReplayScheduler, is_finished
from streams.exactly_once.restore import FIND_SECONDS, Restored, changelog_partitions, offset_of, restore
from streams.exactly_once.settings import ClockMode, EngineSettings
from streams.exactly_once.startup import StartupReport, check_positions
from streams.exactly_once.transaction import TransactionWriter

if TYPE_CHECKING:
    from aiokafka.structs import OffsetAndMetadata

    from streams.exactly_once.clients import Clients
    from streams.exactly_once.errors import BatchUnreadableError
    from streams.exactly_once.fetched_records import FetchedRecords
    from streams.exactly_once.interfaces import Clock, Observer, StateMachine

Found = TypeVar("Found")

LAG_INTERVAL_SECONDS: Final = 5.0
"""Between two reports of the lag. One question to the broker each."""

UNREADABLE_SECONDS: Final = 30.0
"""How long the worker goes on at most when a batch cannot be read. What was queued before it is decided well within
that, on a slow cluster too, unless it waits for the very records that cannot be read."""

log = structlog.get_logger(__name__)


class Source(Protocol):
    """The consumer, as the engine sees it."""

    async def membership(self) -> Membership:
        """Generation and member id of the current assignment; `NO_MEMBERSHIP` if there is none."""
        ...

    async def committed_offsets(self, partitions: set[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """What the group has committed."""
        ...

    async def start_at(self, fetch_epoch: int, positions: Mapping[TopicPartition, int]) -> None:
        """Begin a reading: from here on, every run of fetched records names it."""
        ...

    def pause_fetching(self, partition: TopicPartition) -> None:
        """Stop fetching a partition whose queue is full."""
        ...

    def resume_fetching(self, partition: TopicPartition) -> None:
        """Fetch it again."""
        ...


class Engine:
    """Lanes, partitions and stores of one worker."""

    def __init__(
        self,
        settings: EngineSettings,
        report: StartupReport,
        state_machine: StateMachine,
        observer: Observer,
        clock: Clock,
        clients: Clients | None = None,
    ) -> None:
        self.settings = settings
        self._clients = KafkaClients(settings) if clients is None else clients
        self.partitions: dict[int, PartitionState] = {}
        self.failure: BaseException | None = None
        self.ended = asyncio.Event()
        """Set by the first failure, or by the end of a bounded run."""
        self._observer = observer
        self._clock = clock
        self._state_machine = state_machine
        self._barrier = Barrier(self._clients, observer)
        self._source: Source | None = None
        self._membership = NO_MEMBERSHIP
        self._fetch_epochs = NO_FETCH_EPOCH
        self._fetch_epoch: int | None = None
        self._partition_count = report.partition_count
        self._revocations = 0
        self._assigning = asyncio.Lock()
        self._tasks: list[asyncio.Task[None]] = []
        self._lanes = [self._new_lane(number, report) for number in range(settings.lanes)]

    # Life

    async def start(self) -> None:
        """Connect; fence what is left of a predecessor. Decides nothing until `on_assigned`."""
        self._observer.ready(False, "starting")
        await self._barrier.start()
        await asyncio.gather(*(lane.start() for lane in self._lanes))
        for lane in self._lanes:
            self.keep_running(lane.run())
        self.keep_running(self._report_lag())

    def keep_running(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a loop until the engine stops; whatever ends it earlier ends the worker."""
        self._tasks.append(asyncio.create_task(self._guard(work)))

    async def pause(self) -> None:
        """Finish or abandon what is under way; decide nothing until the next take-over."""
        self._revocations += 1
        self.end_fetch_epoch()
        self._observer.ready(False, "not assigned")
        await asyncio.gather(*(lane.pause() for lane in self._lanes))

    async def stop(self) -> None:
        """Disconnect. Call `pause` first; what is under way after that is left to its timeout."""
        for task in self._tasks:
            await cancel(task)
        for lane in self._lanes:
            await lane.stop()
        await self._barrier.stop()

    def fail(self, error: BaseException) -> None:
        """Something unforeseen: nothing more is decided, the worker ends."""
        if self.failure is None:
            self.failure = error
            log.error("the engine cannot go on", **diagnosis(error))
            self._observer.ready(False, "failed")
        for lane in self._lanes:
            lane.wake_signal.halted = True
            lane.wake_signal.wake()
        self.ended.set()

    # What others may ask

    @property
    def generation(self) -> int:
        """Of the latest take-over that was completed."""
        return self._membership.generation

    def replace_state_machine(self, state_machine: StateMachine) -> None:
        """Decide with this one from the next batch on."""
        self._state_machine = state_machine

    def committed_store(self, partition: int) -> Mapping[bytes, bytes] | None:
        """What is committed of an owned partition, to look into at once and not to keep; None while it is not owned."""
        state = self.partitions.get(partition)
        if state is None or any(lane.wake_signal.halted for lane in self._lanes):
            return None
        return MappingProxyType(state.store)

    # Arrivals

    def arrived(self, one: FetchedRecords) -> None:
        """Queue what was fetched. Never waits, never raises."""
        try:
            self._queue(one)
        except Exception as error:  # noqa: BLE001 - an agent that fails is restarted by Faust, without what it held
            log.error("a slice was not queued", topic=one.topic, partition=one.partition, **diagnosis(error))
            self.fail(LaneError(f"a slice of {one.topic}-{one.partition} was not queued: {type(error).__name__}"))

    def _queue(self, one: FetchedRecords) -> None:
        state = self.partitions.get(one.partition)
        if state is None or one.fetch_epoch != self._fetch_epoch or self.failure is not None:
            return  # of a reading that is over; the next one says where to start
        input_queue = state.by_topic[one.topic]
        if one.start_offset < input_queue.arrived:
            self.fail(TopicShrunkError(one.topic, one.partition, input_queue.arrived, one.start_offset))
            return
        missing = input_queue.add(one)
        if missing is not None:
            self._missing(one.topic, one.partition, missing.first_offset, missing.offset_count)
        if one.unreadable is not None:
            self._stops_at(input_queue, one.unreadable)
        self._lane_of(one.partition).wake_signal.wake()
        self._check_finished()

    def end_fetch_epoch(self) -> None:
        """Drop what arrives until the next take-over has said where to start."""
        self._fetch_epoch = None

    # Assignment

    async def on_assigned(self, source: Source, partitions: frozenset[int]) -> None:
        """Own exactly these partitions: restore what is new, say where reading starts, let the lanes go on.

        Raises:
            StartupRefusedError: the changelog and the topics or the group do not belong together.
            RecordsMissingError: records are gone, and that is not accepted.
        """
        async with self._assigning:
            unknown = [partition for partition in partitions if partition >= self._partition_count]
            if unknown:
                raise StartupRefusedError(
                    f"Partition {min(unknown)} has appeared, the application was started with {self._partition_count}: "
                    "customers have moved to other partitions. Follow the runbook for changing the count."
                )
            revocations = self._revocations
            self._observer.ready(False, "restoring")
            self._source = source
            membership = await source.membership()
            if membership == NO_MEMBERSHIP:
                return  # another assignment is on its way
            kept = self._kept(membership, partitions)
            new = partitions - kept.keys()
            states = dict(kept)
            self.partitions = {}
            if new:
                states |= await self._restored(source, new)
            if self._revocations != revocations:
                self.partitions = kept  # still what they were when the next take-over looks at them
                return
            await self._begin(source, membership, states)

    def _kept(self, membership: Membership, partitions: frozenset[int]) -> dict[int, PartitionState]:
        """Owned before, and nobody else can have owned them since."""
        before = self._membership
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
        it: so whatever happens meanwhile (another owner deciding, while we were frozen and have lost the partition
        without knowing), what was asked first is never ahead of what was read later, and nobody is refused for it.
        """
        topic_partitions = {
            TopicPartition(topic.name, partition) for partition in partitions for topic in self.settings.input_topics
        }
        committed = await source.committed_offsets(topic_partitions)
        starts = await self._barrier.starts(topic_partitions)
        marks = await self._barrier.ends(changelog_partitions(self.settings, sorted(partitions)))
        assert marks is not None
        restored = await restore(
            self.settings,
            self._clients,
            {partition.partition: mark for partition, mark in marks.items()},
            self._observer,
        )
        ends = await self._barrier.ends(topic_partitions)
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
        recorded = restored.meta.positions if restored.meta else {}
        check_positions(self.settings, partition, recorded, committed, ends)
        input_queues = []
        for topic in self.settings.ranked_topics:
            position = recorded.get(topic.name, starts[topic.name])
            if position < starts[topic.name]:
                self._missing(topic.name, partition, position, starts[topic.name] - position)
                position = starts[topic.name]
            where = TopicPartition(topic.name, partition)
            input_queues.append(
                InputQueue(topic, position, partial(self._pause_fetching, where), partial(self._resume_fetching, where))
            )
        latest_ms = restored.meta.latest_ms if restored.meta else 0
        state = PartitionState(partition, input_queues, restored.store, latest_ms, recorded)
        if self.settings.clock_mode is ClockMode.RECORD:
            state.ends = dict(ends)
        return state

    async def _begin(self, source: Source, membership: Membership, states: dict[int, PartitionState]) -> None:
        for state in states.values():
            for input_queue in state.input_queues:
                input_queue.restart_at(input_queue.position)
        positions = {
            TopicPartition(input_queue.topic.name, state.partition): input_queue.position
            for state in states.values()
            for input_queue in state.input_queues
        }
        revocations = self._revocations
        self._membership = membership
        self.partitions = states
        self._fetch_epochs += 1
        self._fetch_epoch = self._fetch_epochs  # before asking for it: its first records may be here before the answer
        await source.start_at(self._fetch_epoch, positions)
        if self._revocations != revocations or self.failure is not None:
            return
        for lane in self._lanes:
            lane.partitions = {p: state for p, state in sorted(states.items()) if self._lane_of(p) is lane}
            lane.resume(membership)
        self._observer.assigned(frozenset(states))
        self._report_ready()
        self._check_finished()

    # Inside

    def _new_lane(self, number: int, report: StartupReport) -> Lane:
        in_service = self.settings.clock_mode is ClockMode.WALL
        return Lane(
            number,
            self.settings,
            TransactionWriter(
                self.settings,
                self._clients,
                number,
                self._clock,
                self._observer,
                compares_clocks=report.compares_clocks,
            ),
            self._live_scheduler() if in_service else ReplayScheduler(self._clock),
            self._observer,
            lambda: self._state_machine,
            decisions_age=in_service,
            due_scan=self._due_scan() if in_service else None,
            on_progress=self._on_progress,
        )

    def _live_scheduler(self) -> LiveScheduler:
        limit_seconds = self.settings.clock_difference_limit_seconds
        return LiveScheduler(self._barrier, self._clock, self._observer, ahead_limit_seconds=limit_seconds)

    def _due_scan(self) -> DueScan:
        return DueScan(self._clock, self._observer, round_seconds=self.settings.due_round_seconds)

    def _lane_of(self, partition: int) -> Lane:
        return self._lanes[partition % len(self._lanes)]

    def _pause_fetching(self, partition: TopicPartition) -> None:
        if self._source is not None:
            self._source.pause_fetching(partition)

    def _resume_fetching(self, partition: TopicPartition) -> None:
        if self._source is not None:
            self._source.resume_fetching(partition)

    def _missing(self, topic: str, partition: int, first_offset: int, count: int) -> None:
        self._observer.records_missing(topic, partition, count)
        if not self.settings.accept_missing_records:
            error = RecordsMissingError(topic, partition, first_offset, count)
            self.fail(error)

    def _stops_at(self, input_queue: InputQueue, unreadable: BatchUnreadableError) -> None:
        """What was read before it is decided first: another worker, or this one again, would come no further."""
        if input_queue.is_stopped:
            self.fail(unreadable)
        else:
            asyncio.get_running_loop().call_later(UNREADABLE_SECONDS, self._still_stops_at, input_queue, unreadable)

    def _still_stops_at(self, input_queue: InputQueue, unreadable: BatchUnreadableError) -> None:
        if input_queue.unreadable is unreadable:
            self.fail(unreadable)

    def _check_stopped(self) -> None:
        for state in self.partitions.values():
            for input_queue in state.input_queues:
                if input_queue.is_stopped and input_queue.unreadable is not None:
                    self.fail(input_queue.unreadable)

    def _on_progress(self) -> None:
        self._report_ready()
        self._check_stopped()
        self._check_finished()

    def _report_ready(self) -> None:
        if self.failure is None:
            wrong = any(lane.is_clock_wrong for lane in self._lanes)
            self._observer.ready(
                not wrong, "clock differs from the broker's or the latest decision's" if wrong else "deciding"
            )

    def _check_finished(self) -> None:
        """A bounded run ends when all its partitions have."""
        bounded = self.settings.clock_mode is ClockMode.RECORD
        if bounded and self.partitions and all(is_finished(state) for state in self.partitions.values()):
            self.ended.set()

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a loop of the engine; whatever ends it ends the worker."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except EngineError as error:
            self.fail(error)
        except StoredValueUnreadable as unreadable:
            self.fail(await self._placed(unreadable))
        except Exception as error:  # noqa: BLE001 - rule of lane.py: anything unforeseen ends the process
            log.error("the engine was ended", **diagnosis(error))
            cause = f" (from {type(error.__cause__).__name__})" if error.__cause__ else ""
            self.fail(LaneError(f"the engine was ended by {type(error).__name__}{cause}"))

    async def _placed(self, unreadable: StoredValueUnreadable) -> StateUnreadableError:
        """The error with the place of the record, which nobody has kept."""
        topic, partition = self.settings.changelog_topic, unreadable.partition
        self._observer.ready(False, "a stored value cannot be read")
        where = TopicPartition(topic, partition)
        until = loop_seconds() + FIND_SECONDS
        ends = await self._barrier.ends([where], lambda: loop_seconds() > until)
        offset = None if ends is None else await offset_of(self._clients, where, unreadable.key, ends[where])
        return StateUnreadableError(topic, partition, offset, str(unreadable))

    async def _report_lag(self) -> None:
        while True:
            await asyncio.sleep(LAG_INTERVAL_SECONDS)
            await report_lag(
                self.partitions, self._barrier, self._clock, self._observer, lambda: self.failure is not None
            )


def _of(partition: int, offsets: Mapping[TopicPartition, Found]) -> dict[str, Found]:
    return {where.topic: offset for where, offset in offsets.items() if where.partition == partition}
