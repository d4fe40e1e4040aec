"""One history: a plan carried out, to the end.

Afterwards faults are over, every worker runs, and whatever upstream published is decided, or the history has stuck.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

from aiokafka.structs import TopicPartition

from streams.decision.policy import compile_policy
from streams.exactly_once.engine import Engine
from streams.exactly_once.settings import EngineSettings
from streams.exactly_once.startup import StartupReport
from streams.gate import Gate, GateSettings
from streams.policy.loader import load_policy
from streams.testing.records import murmur2_partition
from streams.topics import TopicNames, input_topics
from tests.simulation.broker import Record, SimulatedBroker
from tests.simulation.clients import SimulatedClients
from tests.simulation.consumer import SimulatedConsumer
from tests.simulation.log import Transaction
from tests.simulation.loop import Process, SimulatedLoop
from tests.simulation.network import Network
from tests.simulation.plan import BASE_MS, INTENT_TOPIC, PARTITIONS, URGENT_TOPIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.decision.policy import Policy
    from tests.simulation.plan import Fault, Plan, Published

POLICY: Final = Path(__file__).parent / "policy.yaml"
TOPICS: Final = TopicNames(intents=(URGENT_TOPIC, INTENT_TOPIC))
ERASURE_KEY: Final = b"k" * 32
SETTLE_SECONDS: Final = 240.0
"""After the last fault everything is decided within this: several times the longest timeout."""

RESTART_SECONDS: Final = 0.2
"""A supervisor starts an ended worker again after this."""

CLOCK_JUMP_MS: Final = 8_000
"""Beyond what the gate accepts: then it must not commit."""

AHEAD_LIMIT_MS: Final = 6_500
"""In every other history the broker too refuses the answers of a clock that has jumped: Kafka's limit is an hour, and
clocks jump by days. In the rest nothing but the gate's own look at the clock stands in the way."""


@dataclass
class Acknowledged:
    """A record at home on a barrier topic, and when the broker had it."""

    where: TopicPartition
    offset: int
    at_seconds: float


@dataclass
class History:
    """What happened."""

    plan: Plan
    broker: SimulatedBroker
    is_settled: bool = False
    callbacks: int = 0
    seconds: float = 0.0
    ends: list[BaseException] = field(default_factory=list)
    """What ended workers."""
    struck: list[Fault] = field(default_factory=list)
    """The faults that came to pass."""
    generations: int = 0
    preferences: list[Acknowledged] = field(default_factory=list)
    intents: list[Acknowledged] = field(default_factory=list)
    uncaught: list[dict[str, Any]] = field(default_factory=list)


class WallClock:
    """One worker's clock: the broker's time, off by something, in steps."""

    def __init__(self, loop: SimulatedLoop, offset_ms: int, step_ms: int) -> None:
        self.offset_ms = offset_ms
        self._loop = loop
        self._step_ms = step_ms

    def now_ms(self) -> int:
        now_ms = BASE_MS + int(self._loop.time() * 1000) + self.offset_ms
        return now_ms - now_ms % self._step_ms


class _Observer:
    """Told everything, wants nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return _ignore


def _ignore(*_: object, **__: object) -> None:
    """Nothing."""


@cache
def policy() -> Policy:
    """The policy of every history."""
    return compile_policy(load_policy(POLICY).specification)


def gate() -> Gate:
    """A gate as every worker has it."""
    return Gate(
        policy(), GateSettings(TOPICS, PARTITIONS, ERASURE_KEY, is_bounded=False, dead_letter_bytes_max=100_000)
    )


class _Worker:
    """One slot: a process, and its supervisor, who starts another when it ends."""

    def __init__(self, world: World, slot: int) -> None:
        self.slot = slot
        self.clock = WallClock(world.loop, world.plan.clock_offsets_ms[slot], world.plan.clock_step_ms)
        self.process: Process | None = None
        self.is_wanted = True
        self._world = world
        self._stop = asyncio.Event()

    def start(self) -> None:
        """Start a process, if none runs and one is wanted."""
        if self.is_wanted and (self.process is None or not self.process.is_alive):
            self._stop = asyncio.Event()
            self.process = Process(self._world.loop, f"worker-{self.slot}")
            self._world.processes.append(self.process)
            self.process.start(self._run(self.process))

    def kill(self, seconds: float) -> None:
        """kill -9, and another after so many seconds."""
        if self.process is not None and self.process.is_alive:
            self.process.kill()
            self._later(seconds, self.start)

    def freeze(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so many seconds."""
        process = self.process
        if process is not None and process.is_alive and not process.is_frozen:
            process.freeze()
            self._later(seconds, process.thaw)

    def stop(self, seconds: float) -> None:
        """SIGTERM, and another after so many seconds."""
        self.is_wanted = False
        self._stop.set()
        self._later(seconds, self._wanted)

    def _wanted(self) -> None:
        self.is_wanted = True
        self.start()

    def _later(self, seconds: float, what: Callable[[], None]) -> None:
        loop = self._world.loop
        loop.call_later(seconds, what, context=loop.outside)

    async def _run(self, process: Process) -> None:
        world = self._world
        clients = SimulatedClients(
            world.network,
            world.broker,
            process,
            world.random,
            transaction_timeout_seconds=world.plan.transaction_timeout_seconds,
        )
        report = StartupReport(PARTITIONS, compares_clocks=True)
        engine = Engine(world.settings(self.slot), report, gate(), _Observer(), self.clock, clients)  # type: ignore[arg-type]
        reader = SimulatedConsumer(
            world.network,
            world.broker,
            process,
            world.random,
            frozenset((TOPICS.preferences, TOPICS.outcomes)),
            world.plan.session_timeout_seconds / 2.5,
        )
        reader.engine = engine
        try:
            await engine.start()
        except Exception as error:  # noqa: BLE001 - as the app: whatever it is, the process ends
            engine.fail(error)
        membership = asyncio.ensure_future(reader.run())
        ended, asked = asyncio.ensure_future(engine.ended.wait()), asyncio.ensure_future(self._stop.wait())
        await asyncio.wait([ended, asked, membership], return_when=asyncio.FIRST_COMPLETED)
        failure = engine.failure or (membership.exception() if membership.done() else None)
        if failure is not None:
            world.history.ends.append(failure)
        await engine.pause()
        membership.cancel()
        await asyncio.wait([membership])
        if failure is None:
            await reader.leave()
        await engine.stop()
        process.kill()
        self._later(RESTART_SECONDS, self.start)


class World:
    """Everything a history consists of."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.random = Random(f"{plan.seed} delays")
        self.loop = SimulatedLoop()
        self.network = Network(self.loop, self.random, slow_share=plan.slow_share, stuck_share=plan.stuck_share)
        self.broker = SimulatedBroker(
            self.loop,
            self.random,
            (name for name in TOPICS.all() if name != TOPICS.control),
            PARTITIONS,
            base_ms=BASE_MS,
        )
        if plan.seed % 2:
            for topic in (TOPICS.approved, TOPICS.suppressed, TOPICS.dead_letter):
                self.broker.ahead_limits_ms[topic] = AHEAD_LIMIT_MS
        self.broker.session_timeout_seconds = plan.session_timeout_seconds
        self.broker.slow_markers_seconds = plan.slow_markers_seconds
        self.history = History(plan, self.broker)
        self.processes: list[Process] = []
        self.workers: list[_Worker] = []
        self._is_settled = False
        self._is_healed = False
        self._at_points = {
            (f"worker-{fault.slot}", fault.point, fault.moment, fault.passing): fault
            for fault in plan.faults
            if fault.at_seconds is None
        }

    def settings(self, slot: int) -> EngineSettings:
        """The engine settings of one worker."""
        plan = self.plan
        return EngineSettings(
            bootstrap_servers="simulated:0",
            input_topics=input_topics(
                intents=TOPICS.intents, opt_out=TOPICS.preferences, outcome=TOPICS.outcomes, rerouted=TOPICS.rerouted
            ),
            changelog_topic=TOPICS.ledger,
            batches_topic=TOPICS.batches,
            output_topics=(TOPICS.approved, TOPICS.suppressed, TOPICS.dead_letter, TOPICS.rerouted),
            control_topic=None,
            worker_slot=str(slot),
            lanes=plan.lanes,
            max_batch_records=plan.batch_records_max,
            transaction_timeout_ms=int(plan.transaction_timeout_seconds * 1000),
            due_look_seconds=1.0,
        )

    def run(self) -> History:
        """From the first start to the end."""
        loop, plan, history = self.loop, self.plan, self.history
        self.network.passed = self._passed
        self.broker.changed = self._look
        with loop._running():
            self.workers = [_Worker(self, slot) for slot in range(plan.workers)]
        for number, worker in enumerate(self.workers):
            loop.call_later(0.05 * number, worker.start, context=loop.outside)
        for one in plan.published:
            loop.call_at(one.at_seconds, self._publish, one, context=loop.outside)
        for fault in plan.faults:
            if fault.at_seconds is not None:
                loop.call_at(fault.at_seconds, self._strike, fault, context=loop.outside)
        loop.call_at(plan.ends_at + 1.0, self._heal, context=loop.outside)
        history.is_settled = loop.run(lambda: self._is_settled, plan.ends_at + SETTLE_SECONDS)
        history.callbacks, history.seconds = loop.callbacks, loop.time()
        history.generations = self.broker.generation
        self.network.passed = _ignore
        for process in self.processes:
            process.is_frozen = False
        loop.close_down()
        history.uncaught = loop.errors
        return history

    # --- upstream -----------------------------------------------------------------------------------------------------

    def _publish(self, one: Published) -> None:
        if self.network.is_down:
            self.loop.call_later(0.1, self._publish, one, context=self.loop.outside)
            return
        record = one.record
        home = murmur2_partition(record.key or b"", PARTITIONS)
        where = TopicPartition(record.topic, home if record.partition is None else record.partition)
        stored = Record(record.timestamp_ms, record.key, record.value, tuple(record.headers))
        transaction = Transaction("upstream") if one.open_seconds is not None else None
        offset = self.broker.publish(where, stored, transaction)
        if transaction is not None:
            commit = not one.is_aborted
            self.loop.call_later(
                one.open_seconds or 0.0, self._end_upstream, where, transaction, commit, context=self.loop.outside
            )
            return
        known = Acknowledged(where, offset, self.loop.time())
        if record.topic in (TOPICS.preferences, TOPICS.outcomes):
            self.history.preferences.append(known)
        elif record.topic in TOPICS.intents:
            self.history.intents.append(known)

    def _end_upstream(self, where: TopicPartition, transaction: Transaction, commit: bool) -> None:
        self.broker.end_upstream(where, transaction, commit=commit)
        self._look()  # an abort may be the last thing that happens

    # --- faults -------------------------------------------------------------------------------------------------------

    def _passed(self, process: Process, point: str, moment: str, passing: int) -> None:
        fault = self._at_points.pop((process.name, point, moment, passing), None)
        if fault is not None and not self._is_healed:
            self._strike(fault)

    def _strike(self, fault: Fault) -> None:
        worker = self.workers[fault.slot]
        self.history.struck.append(fault)
        if fault.kind == "kill":
            worker.kill(fault.seconds)
        elif fault.kind == "freeze":
            worker.freeze(fault.seconds)
        elif fault.kind == "stop":
            worker.stop(fault.seconds)
        elif fault.kind == "rebalance":
            self.broker.rebalance()
        elif fault.kind == "refuse":
            self.broker.refuse_next += 1
        elif fault.kind == "broker_down":
            self.network.is_down = True
            self.loop.call_later(fault.seconds, self.network.up, context=self.loop.outside)
        else:
            worker.clock.offset_ms += CLOCK_JUMP_MS
            self.loop.call_later(fault.seconds, self._set_right, worker.clock, context=self.loop.outside)

    def _set_right(self, clock: WallClock) -> None:
        clock.offset_ms -= CLOCK_JUMP_MS

    # --- the end ------------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        """The plan is over: from here on nothing fails."""
        self._is_healed = True
        self._look()

    def _look(self) -> None:
        """Whether everything published is decided, seen from outside: by the group's offsets, which are committed
        with the decisions.
        """
        if self._is_healed and not any(log.open for log in self.broker.logs.values()):
            self._is_settled = not any(
                self._is_waiting(TopicPartition(topic, partition))
                for topic in (*TOPICS.intents, TOPICS.preferences, TOPICS.outcomes, TOPICS.rerouted)
                for partition in range(PARTITIONS)
            )

    def _is_waiting(self, where: TopicPartition) -> bool:
        log = self.broker.logs[where]
        position = self.broker.group_offsets.get(where, log.start)
        return bool(log.read(position, log.high_watermark).records)


def run(plan: Plan) -> History:
    """Carry out a plan."""
    return World(plan).run()
