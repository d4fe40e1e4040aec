"""The races: an opt-out is acknowledged, and an intent of the same customer is sent at once on another connection.

    python -m tests.races.racer '{…}'        prints what it saw as one line of JSON, writes the trials to a file

A process of its own, one thread, nothing but sockets: what another thread or a garbage collection would add to the time
between acknowledgement and send is the time in which the gate might learn of the opt-out.

A trial counts if the kernel took the intent at most 1 ms after the kernel received the acknowledgement. It is *during a
rebalance* if the group's coordinator said so before the acknowledgement arrived and still said so after the intent was
sent: the last answer that arrived before the one moment and the first that was asked for after the other both name a
rebalance under way.
"""

from __future__ import annotations

import gc
import selectors
import sys
import time
from collections import deque
from typing import Final

import msgspec
from confluent_kafka.admin import AdminClient
from msgspec import Struct
from msgspec.structs import replace

from streams.testing.records import intent, murmur2_partition, outcome, preference
from tests.races.wire import Connection, group_request, group_state, produce_request, written_at

CUSTOMER_PREFIX: Final = "race-"
WITHIN_NS: Final = 1_000_000
STOP_EVERY: Final = 5
"""Every fifth customer says no by a STOP in a reply, the others by an opt-out."""
GROUP_PAUSE_NS: Final = 4_000_000
"""Between an answer of the coordinator and the next question."""
REBALANCING: Final = frozenset({"PreparingRebalance", "CompletingRebalance"})
LOOK_SECONDS: Final = 0.002
"""Longest wait for an answer before the clock is looked at."""


class Task(Struct, frozen=True, kw_only=True):
    """What the racer is asked to do."""

    bootstrap_servers: str
    prefix: str
    group: str
    partitions: int
    trials_per_second: float
    pairs: int
    """Races that may be under way at once, each on two connections of its own."""
    counted_min: int
    rebalancing_min: int
    seconds_max: float
    results: str
    """Where the trials are written."""


class Trial(Struct, frozen=True, array_like=True):
    """One race."""

    customer: str
    is_stop: bool
    offset: int
    """Where the no stands on its partition."""
    acknowledged_ns: int
    sent_ns: int
    is_rebalancing: bool

    @property
    def counts(self) -> bool:
        return self.sent_ns - self.acknowledged_ns <= WITHIN_NS


class Summary(Struct, frozen=True, kw_only=True):
    """What the racer saw."""

    seconds: float
    rebalances: int
    """How often the group went from any other state to a rebalance."""
    group_questions: int
    unstable_seconds: float
    """For how long the coordinator named a rebalance under way."""


class Pair:
    """A customer's connection and an upstream system's; one race at a time."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.customer = Connection(address)
        self.system = Connection(address)
        self.is_idle = True
        self.name = ""
        self.is_stop = False
        self.opt_out = b""
        self.intent = b""

    def prepare(self, task: Task, number: int) -> None:
        """Make both requests of the next race."""
        self.name = f"{CUSTOMER_PREFIX}{number}"
        self.is_stop = number % STOP_EVERY == 0
        now_ms = time.time_ns() // 1_000_000
        no = (
            outcome(self.name, None, "reply", occurred_at=now_ms, channel="sms", detail="stop")
            if self.is_stop
            else preference(self.name, f"e-{number}", at=now_ms)
        )
        partition = murmur2_partition(self.name.encode(), task.partitions)
        self.opt_out, self.intent = (
            produce_request(record._replace(topic=task.prefix + record.topic, partition=partition))
            for record in (no, intent(self.name, "after", created_at=now_ms))
        )


class GroupWatch:
    """What the coordinator says of the group, question after question."""

    def __init__(self, connection: Connection, group: str) -> None:
        self.connection = connection
        self._request = group_request(group)
        self._asked_ns = 0
        self._due_ns = 0
        self.questions = self.rebalances = self.unstable_ns = 0
        self.is_rebalancing = False
        self.answered_ns = 0
        # Sent, but no answer yet that was asked for afterwards: whether a rebalance was under way is half known.
        self.unsettled: deque[Trial] = deque()
        self.trials: list[Trial] = []
        self.counted = self.counted_rebalancing = 0

    def ask_if_due(self, now_ns: int) -> None:
        if self._asked_ns == 0 and now_ns >= self._due_ns:
            self._asked_ns = self.connection.send(self._request)

    def arrived(self) -> None:
        received = self.connection.receive()
        if received is None:
            return
        is_rebalancing = group_state(received[0]) in REBALANCING
        answered_ns = received[1]
        while self.unsettled and self.unsettled[0].sent_ns < self._asked_ns:
            trial = self.unsettled.popleft()
            self._settle(replace(trial, is_rebalancing=trial.is_rebalancing and is_rebalancing))
        self.questions += 1
        self.rebalances += is_rebalancing and not self.is_rebalancing
        if is_rebalancing and self.is_rebalancing:
            self.unstable_ns += answered_ns - self.answered_ns
        self.is_rebalancing, self.answered_ns = is_rebalancing, answered_ns
        self._asked_ns, self._due_ns = 0, time.time_ns() + GROUP_PAUSE_NS

    def _settle(self, trial: Trial) -> None:
        self.trials.append(trial)
        self.counted += trial.counts
        self.counted_rebalancing += trial.counts and trial.is_rebalancing


class Racer:
    """Runs races until enough of them count."""

    def __init__(self, task: Task) -> None:
        self._task = task
        address = _address(task)
        self._pairs = [Pair(address) for _ in range(task.pairs)]
        self._watch = GroupWatch(Connection(address), task.group)
        self._selector = selectors.DefaultSelector()
        for pair in self._pairs:
            self._selector.register(pair.customer, selectors.EVENT_READ, ("acknowledged", pair))
            self._selector.register(pair.system, selectors.EVENT_READ, ("written", pair))
        self._selector.register(self._watch.connection, selectors.EVENT_READ, ("group", None))
        self._number = 0
        self._under_way = 0

    def run(self) -> Summary:
        for pair in self._pairs:
            self._prepare(pair)
        began_ns = due_ns = time.time_ns()
        between_ns = int(1_000_000_000 / self._task.trials_per_second)
        until_ns = began_ns + int(self._task.seconds_max * 1_000_000_000)
        while not self._is_enough():
            now_ns = time.time_ns()
            assert now_ns < until_ns, f"not enough trials within {self._task.seconds_max} s: {self._so_far}"
            idle = next((pair for pair in self._pairs if pair.is_idle), None)
            if now_ns >= due_ns and idle is not None:
                self._begin(idle)
                due_ns = max(due_ns + between_ns, now_ns)
            self._watch.ask_if_due(now_ns)
            self._wait(LOOK_SECONDS if idle is None else min(max(0.0, (due_ns - now_ns) / 1e9), LOOK_SECONDS))
        seconds = (time.time_ns() - began_ns) / 1e9
        while self._under_way or self._watch.unsettled:
            self._watch.ask_if_due(time.time_ns())
            self._wait(LOOK_SECONDS)
        watch = self._watch
        return Summary(
            seconds=seconds,
            rebalances=watch.rebalances,
            group_questions=watch.questions,
            unstable_seconds=watch.unstable_ns / 1e9,
        )

    @property
    def trials(self) -> list[Trial]:
        return self._watch.trials

    def _wait(self, seconds: float) -> None:
        events = [key.data for key, _ in self._selector.select(seconds)]
        for what, pair in events:
            if what == "acknowledged":
                self._acknowledged(pair)
        for what, pair in events:
            if what == "written":
                self._written(pair)
            elif what == "group":
                self._watch.arrived()

    def _begin(self, pair: Pair) -> None:
        pair.is_idle = False
        self._under_way += 1
        pair.customer.send(pair.opt_out)

    def _acknowledged(self, pair: Pair) -> None:
        """The race: nothing happens here between the answer and the intent that need not."""
        received = pair.customer.receive()
        if received is None:
            return
        answer, acknowledged_ns = received
        offset = written_at(answer)
        sent_ns = pair.system.send(pair.intent)
        watch = self._watch
        # The last answer of the coordinator must be older than the acknowledgement to speak for it.
        before = watch.is_rebalancing and watch.answered_ns <= acknowledged_ns
        watch.unsettled.append(Trial(pair.name, pair.is_stop, offset, acknowledged_ns, sent_ns, before))

    def _written(self, pair: Pair) -> None:
        received = pair.system.receive()
        if received is None:
            return
        written_at(received[0])
        self._under_way -= 1
        self._prepare(pair)
        pair.is_idle = True

    def _prepare(self, pair: Pair) -> None:
        pair.prepare(self._task, self._number)
        self._number += 1

    def _is_enough(self) -> bool:
        counted, rebalancing = self._so_far
        return counted >= self._task.counted_min and rebalancing >= self._task.rebalancing_min

    @property
    def _so_far(self) -> tuple[int, int]:
        return self._watch.counted, self._watch.counted_rebalancing


def _address(task: Task) -> tuple[str, int]:
    """The one broker: leader of every partition and coordinator of every group."""
    brokers = AdminClient({"bootstrap.servers": task.bootstrap_servers, "log_level": 0}).list_topics(timeout=20).brokers
    assert len(brokers) == 1, "the races are run against a cluster of one node: its clock is the machine's"
    found = next(iter(brokers.values()))
    return str(found.host), int(found.port)


def main() -> None:
    """Race, write the trials, print the summary."""
    task = msgspec.json.decode(sys.argv[1], type=Task)
    racer = Racer(task)
    gc.disable()
    summary = racer.run()
    with open(task.results, "wb") as file:  # noqa: PTH123 - the name is all there is
        file.write(msgspec.msgpack.encode(racer.trials))
    sys.stdout.write(msgspec.json.encode(summary).decode() + "\n")


if __name__ == "__main__":
    main()
