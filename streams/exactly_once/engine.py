"""The engine of one worker: it puts the parts together, and tells the lanes what to do.

    consumer → arrivals → queues of the assigned partitions → lanes → transactions

Invariants
1. A partition has exactly one lane, and only while it is owned (`assignment.py`).
2. Lanes are resumed only by an assignment that is in force, and are halted by everything that ends it: a revocation, a
   failure, the stop of the worker.
3. The first failure ends the worker (`failure.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from streams.exactly_once.arrivals import Arrivals
from streams.exactly_once.assignment import Assignment
from streams.exactly_once.barrier import Barrier
from streams.exactly_once.clients import KafkaClients
from streams.exactly_once.due_work import DueWork
from streams.exactly_once.failure import Failure
from streams.exactly_once.lag import report_lag
from streams.exactly_once.lane import Lane, cancel
from streams.exactly_once.live_scheduler import LiveScheduler
from streams.exactly_once.offsets import OffsetClient
from streams.exactly_once.replay_scheduler import ReplayScheduler, is_finished
from streams.exactly_once.settings import ClockMode, EngineSettings
from streams.exactly_once.transaction import TransactionWriter

if TYPE_CHECKING:
    from streams.exactly_once.clients import Clients, Source
    from streams.exactly_once.fetched_records import FetchedRecords
    from streams.exactly_once.interfaces import Clock, Observer, StateMachine
    from streams.exactly_once.startup import StartupReport

LAG_INTERVAL_SECONDS: Final = 5.0
"""Between two reports of the lag. Each asks the broker one question."""


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
        self.ended = asyncio.Event()
        """Set by the first failure, or by the end of a bounded run."""
        self._clients = KafkaClients(settings) if clients is None else clients
        self._observer = observer
        self._clock = clock
        self._state_machine = state_machine
        self._offsets = OffsetClient(self._clients, observer.barrier_unanswered)
        self._failure = Failure(settings, self._clients, self._offsets, observer, self._on_failure)
        self._assignment = Assignment(
            settings, report.partition_count, self._clients, self._offsets, observer, self._failure
        )
        self._arrivals = Arrivals(self._assignment, self._failure, self._on_queued)
        self._tasks: list[asyncio.Task[None]] = []
        self._lanes = [self._new_lane(number, report) for number in range(settings.lanes)]

    # Life

    async def start(self) -> None:
        """Connect; fence what is left of a predecessor. Decides nothing until `on_assigned`."""
        self._observer.ready(False, "starting")
        await self._offsets.start()
        await asyncio.gather(*(lane.start() for lane in self._lanes))
        for lane in self._lanes:
            self.keep_running(lane.run())
        self.keep_running(self._report_lag())

    def keep_running(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a loop until the engine stops; whatever ends it earlier ends the worker."""
        self._tasks.append(asyncio.create_task(self._failure.guard(work)))

    async def on_assigned(self, source: Source, partitions: frozenset[int]) -> None:
        """Own exactly these partitions: restore what is new, say where fetching starts, resume the lanes.

        Raises:
            StartupRefusedError: the changelog and the topics or the group do not belong together.
        """
        if not await self._assignment.assign(source, partitions):
            return
        states = self._assignment.partitions
        for lane in self._lanes:
            of_lane = {number: state for number, state in sorted(states.items()) if self._lane_of(number) is lane}
            lane.resume(self._assignment.membership, of_lane)
        self._observer.assigned(frozenset(states))
        self._report_ready()
        self._check_finished()

    async def pause(self) -> None:
        """Finish or abandon what is under way; decide nothing until the next assignment."""
        self._assignment.revoke()
        self._observer.ready(False, "not assigned")
        await asyncio.gather(*(lane.pause() for lane in self._lanes))

    async def stop(self) -> None:
        """Disconnect. Call `pause` first; what is under way after that is left to its timeout."""
        for task in self._tasks:
            await cancel(task)
        for lane in self._lanes:
            await lane.stop()
        await self._offsets.stop()

    # What others tell it

    def arrived(self, one: FetchedRecords) -> None:
        """Queue what was fetched. Never waits, never raises."""
        self._arrivals.arrived(one)

    def end_fetch_epoch(self) -> None:
        """Drop what arrives until the next assignment has said where to start."""
        self._assignment.end_fetch_epoch()

    def fail(self, error: BaseException) -> None:
        """Something unforeseen has happened: nothing more is decided, the worker ends."""
        self._failure.fail(error)

    def replace_state_machine(self, state_machine: StateMachine) -> None:
        """Decide with this one from the next batch on."""
        self._state_machine = state_machine

    # What others may ask

    @property
    def failure(self) -> BaseException | None:
        """The first failure."""
        return self._failure.first

    @property
    def generation(self) -> int:
        """Of the latest assignment that was completed."""
        return self._assignment.membership.generation

    def committed_store(self, partition: int) -> Mapping[bytes, bytes] | None:
        """What is committed of an owned partition, to look into at once and not to keep; None while it is not owned."""
        state = self._assignment.partitions.get(partition)
        if state is None or any(lane.is_halted() for lane in self._lanes):
            return None
        return MappingProxyType(state.store)

    # Inside

    def _new_lane(self, number: int, report: StartupReport) -> Lane:
        settings, clock, observer = self.settings, self._clock, self._observer
        in_service = settings.clock_mode is ClockMode.WALL
        return Lane(
            number,
            settings,
            TransactionWriter(settings, self._clients, number, clock, observer, compares_clocks=report.compares_clocks),
            self._live_scheduler() if in_service else ReplayScheduler(clock),
            observer,
            lambda: self._state_machine,
            decisions_age=in_service,
            due_work=DueWork(clock, observer, look_seconds=settings.due_look_seconds) if in_service else None,
            on_progress=self._on_progress,
        )

    def _live_scheduler(self) -> LiveScheduler:
        limit_seconds = self.settings.clock_difference_limit_seconds
        barrier = Barrier(self._offsets, self._observer)
        return LiveScheduler(barrier, self._clock, self._observer, ahead_limit_seconds=limit_seconds)

    def _lane_of(self, partition: int) -> Lane:
        return self._lanes[partition % len(self._lanes)]

    def _on_failure(self) -> None:
        for lane in self._lanes:
            lane.halt()
        self.ended.set()

    def _on_queued(self, partition: int) -> None:
        self._lane_of(partition).wake()
        self._check_finished()

    def _on_progress(self) -> None:
        self._report_ready()
        self._arrivals.check_unreadable()
        self._check_finished()

    def _report_ready(self) -> None:
        if not self._failure.has_failed():
            wrong = any(lane.is_clock_wrong for lane in self._lanes)
            self._observer.ready(
                not wrong, "clock differs from the broker's or the latest decision's" if wrong else "deciding"
            )

    def _check_finished(self) -> None:
        """A bounded run ends when all its partitions have."""
        bounded = self.settings.clock_mode is ClockMode.RECORD
        partitions = self._assignment.partitions
        if bounded and partitions and all(is_finished(state) for state in partitions.values()):
            self.ended.set()

    async def _report_lag(self) -> None:
        while True:
            await asyncio.sleep(LAG_INTERVAL_SECONDS)
            await report_lag(
                self._assignment.partitions, self._offsets, self._clock, self._observer, self._failure.has_failed
            )
