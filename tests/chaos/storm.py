"""The gate in a storm: broker, network, workers, upstream and policies of one campaign, and the loop that strikes them.

    with Storm(directory, weather) as storm:
        storm.prepare()
        storm.run(make_plan(seed, minutes), minutes)
        storm.settle()

One thread does everything but the network and the start of a killed broker: it begins the faults that are due, lets
each go a step further, starts ended workers again, and reads what was committed.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import orjson

from streams.exactly_once.transaction import PRODUCERS_PER_LANE
from streams.testing.network import Network
from tests.chaos.broker import Way, proxied
from tests.chaos.faults import DONE_BY, Course
from tests.chaos.follower import Follower
from tests.chaos.plan import Crew, Planned
from tests.chaos.policies import Policies
from tests.chaos.upstream import Order
from tests.chaos.workers import Slot, Workers
from tests.faults.broker_view import BrokerView
from tests.system.harness import REPOSITORY, STOP_SECONDS, World, ends_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from streams.settings import WorkerSettings

PARTITIONS: Final = 16
"""Two and more for every worker, and few enough records of each that the audit, which holds those of two partitions at
once, does with a few gigabytes after half an hour."""

SESSION_SECONDS: Final = 5.0
"""How long a killed worker is missed. Seven heartbeats: on a machine with more to do than it can, one is late."""

TRANSACTION_SECONDS: Final = 12.0

STANDSTILL_SECONDS: Final = 60.0
"""Without a single batch when all faults are over: longer than a session, a transaction and a start together."""

PRIME_SECONDS: Final = 180.0
UNEXPLAINED_MAX: Final = 10
"""Ends of workers. More would only make the report longer."""


@dataclass(frozen=True)
class Weather:
    """How much is published, and by whom."""

    seed: int
    rate: int
    customers: int
    crew: Crew = Crew()  # noqa: RUF009 - immutable
    brokers: int = 1


@dataclass
class Survived:
    """One fault, and how long the gate took to decide everywhere again."""

    kind: str
    what: str
    began_at_seconds: float
    ended_at_seconds: float
    deciding_after_seconds: float
    """From its end until every partition had committed another batch."""
    seen: str
    shift_ms: int
    """Of a clock: how far ahead it was; negative: behind."""


@dataclass
class UnderWay:
    """A fault that has begun."""

    planned: Planned
    course: Course
    began_at: float
    seen: str = ""
    ended_at: float = 0.0
    counts: Counter[int] | None = None
    """Once it is over: the batches of each partition then."""


class UpstreamProcess:
    """What publishes."""

    def __init__(self, order: Order) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.upstream", msgspec.json.encode(order).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )

    def tell(self, command: dict[str, Any]) -> None:
        """Give a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(command) + b"\n")
        self._process.stdin.flush()

    def end(self) -> None:
        """Nothing more is to be published."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def answer(self, wait_seconds: float) -> dict[str, float] | None:
        """What it has said, if it has."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], wait_seconds)[0]:
            return None
        line = self._process.stdout.readline()
        assert line, f"upstream ended with {self._process.wait(STOP_SECONDS)}"
        found: dict[str, float] = json.loads(line)
        return found

    def close(self) -> None:
        """Make sure that it has ended."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            if not stream.closed:
                stream.close()


class Storm:
    """Everything of one campaign, for as long as the block runs."""

    def __init__(
        self,
        directory: Path,
        weather: Weather,
        say: Callable[[str], None] = lambda _: None,
        java_options: Sequence[str] = (),
    ) -> None:
        self.weather = weather
        self.directory = directory
        self.survived: list[Survived] = []
        self.load: dict[str, float] = {}
        self.acknowledged_path = directory / "acknowledged.json"
        self._say = say
        self._java_options = java_options
        self._stack = ExitStack()
        self._under_way: list[UnderWay] = []
        self._began, self.began_ms = time.monotonic(), time.time() * 1000

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            crew, enter = self.weather.crew, stack.enter_context
            self.kafka = enter(proxied(self.weather.brokers, enter(Network()), len(crew.linked), self._java_options))
            self.world = World(self.kafka, f"chaos-{os.getpid()}-", partitions=PARTITIONS)
            self.policies = Policies.written(self.directory / "policies")
            self.follower = enter(Follower(self.world))
            numbers = (*crew.steady, crew.guest)
            slots = [Slot(number, self._settings(number), self.directory / f"worker-{number}") for number in numbers]
            self.workers = Workers(slots)
            self.workers[crew.guest].is_wanted = False
            stack.callback(self.workers.close)
            self._upstream = UpstreamProcess(self._order())
            stack.callback(self._upstream.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *arguments: object) -> None:
        self._stack.__exit__(None, None, None)

    @property
    def seconds(self) -> float:
        """Since the storm began."""
        return time.monotonic() - self._began

    def link(self, slot: int) -> Way:
        """The way of a worker to the brokers."""
        return self.kafka.ways[self.weather.crew.linked.index(slot)]

    def tell_upstream(self, command: dict[str, Any]) -> None:
        """Have something published."""
        self._upstream.tell(command)

    def prepare(self) -> None:
        """Publish everybody's consent, and wait until every partition is being decided."""
        self._until(lambda: self._upstream.answer(0.0), PRIME_SECONDS, "everybody's consent")
        self._until(lambda: self.follower.are_all_beyond(Counter()), PRIME_SECONDS, "the first batches")

    def run(self, plan: list[Planned], minutes: float) -> None:
        """Load and faults, until the time and all of them are over."""
        self._began, self.began_ms = time.monotonic(), time.time() * 1000
        self.tell_upstream({"do": "begin"})
        waiting = list(plan)
        try:
            while waiting or self.seconds < minutes * 60.0 or any(each.counts is None for each in self._under_way):
                while waiting and waiting[0].at_seconds <= self.seconds:
                    self._begin(waiting.pop(0))
                self._step()
        finally:
            for each in self._under_way:
                each.course.close()

    def settle(self) -> None:
        """No faults any more: wait until all that was published is stored and decided, and end the workers."""
        self._upstream.end()
        self.load = self._until(lambda: self._upstream.answer(0.0), PRIME_SECONDS * 2, "every acknowledgement")
        ends = ends_of(self.world)
        while not self.follower.has_reached(ends):
            self._step()
            quiet_seconds = time.monotonic() - self.follower.moved_at
            assert quiet_seconds < STANDSTILL_SECONDS, (
                f"nothing was decided for {quiet_seconds:.0f} s, though no fault is under way; {self._what_is_open()}"
            )
        for each in self._under_way:
            self._note(each)
        self._under_way.clear()
        self.workers.stop()

    def _what_is_open(self) -> str:
        """What the broker has of the workers' transactions, and where records wait for the end of one."""
        names = self.world.names
        topics = (names.ledger, names.batches, names.approved, names.suppressed)
        stable = ends_of(self.world, *topics)
        ends = ends_of(self.world, *topics, isolation_level="read_uncommitted")
        held = [f"{topic}-{n}: {ends[topic, n] - end}" for (topic, n), end in stable.items() if end < ends[topic, n]]
        crew = self.weather.crew
        application = self.workers[0].settings.application_id
        ids = [f"{application}-{n}-0-{turn}" for n in (*crew.steady, crew.guest) for turn in range(PRODUCERS_PER_LANE)]
        with BrokerView(self.world.address) as view:
            found = "; ".join(f"{name} {state}" for name, state in view.describe(ids).items())
        return f"transactions: {found}; records behind open ones: {', '.join(held) or 'none'}"

    def _settings(self, number: int) -> WorkerSettings:
        crew = self.weather.crew
        linked = {"bootstrap_servers": self.link(number).address} if number in crew.linked else {}
        return self.world.settings(
            self.policies.in_force,
            slot=str(number),
            session_timeout_seconds=SESSION_SECONDS,
            transaction_timeout_seconds=TRANSACTION_SECONDS,
            **linked,
        )

    def _order(self) -> Order:
        return Order(
            address=self.world.address,
            prefix=self.world.prefix,
            rate=self.weather.rate,
            customers=self.weather.customers,
            seed=self.weather.seed,
            partitions=PARTITIONS,
            acknowledged_path=str(self.acknowledged_path),
        )

    def _begin(self, planned: Planned) -> None:
        self._say(f"{self.seconds:7.1f} s  {planned}")
        self._under_way.append(UnderWay(planned, DONE_BY[planned.kind](self, planned), self.seconds))

    def _step(self) -> None:
        """Everything goes a little further."""
        self.workers.tick()
        assert len(self.workers.unexplained) < UNEXPLAINED_MAX, "workers end again and again, and no fault explains it"
        self.follower.read()
        for each in list(self._under_way):
            if each.counts is None:
                self._advance(each)
            elif self.follower.are_all_beyond(each.counts):
                self._note(each)
                self._under_way.remove(each)

    def _advance(self, each: UnderWay) -> None:
        try:
            next(each.course)
        except StopIteration as over:
            each.seen = over.value or ""
            each.ended_at = self.seconds
            each.counts = Counter(self.follower.committed)

    def _note(self, each: UnderWay) -> None:
        planned, after = each.planned, self.seconds - each.ended_at
        self.survived.append(
            Survived(planned.kind.name, str(planned), each.began_at, each.ended_at, after, each.seen, planned.shift_ms)
        )

    def _until(self, condition: Callable[[], Any], seconds: float, what: str) -> Any:  # noqa: ANN401
        """As `wait_until`, while the workers go on."""
        until = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < until, f"not within {seconds} s: {what}"
            self._step()
        return found
