"""Work that no record asks for: in bounded steps, in transactions like any other, in none where there is nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from streams.exactly_once.changelog import HOLD_PREFIX, META_KEY, decode_meta
from streams.exactly_once.due_scan import KEYS_PER_PORTION, KEYS_PER_STEP, PAUSE_LEAST_SECONDS, DueScan
from streams.exactly_once.input_queue import InputQueue
from streams.exactly_once.interfaces import NOTHING_DUE, BatchResult, Due
from streams.exactly_once.partition import Limits, PartitionState
from streams.testing.kafka_io import read_topic
from streams.testing.waiting import wait_until_async
from tests.engine.harness import (
    DEADLINE_SECONDS,
    PARTITIONS,
    WorkerProcess,
    create,
    keys,
    load,
    publish,
    read,
    running,
)
from tests.engine.test_parts import ASKS, MANY, STOPS, FixedEnds, arrive, live_scheduler, record, resumed
from tests.engine.toy import Clock, Greeter, Recorder, Topics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    import aiokafka

    from streams.exactly_once.interfaces import Batch
    from streams.exactly_once.partition import PartitionBatch
    from streams.testing.broker import Broker

AT_ONCE = {"due_round_seconds": 0.0}
"""A round as fast as steps may follow each other."""


# ---- the walk -------------------------------------------------------------------------------------------------------


class _Looker:
    """Notes which keys it is asked about; calls due what it was told to."""

    def __init__(self, due: Sequence[bytes] = ()) -> None:
        self.asked: list[tuple[bytes, ...]] = []
        self.moments: list[int] = []
        self._due = set(due)

    def due(self, keys: Sequence[bytes], store: Mapping[bytes, bytes], now_ms: int) -> Due:
        self.asked.append(tuple(keys))
        self.moments.append(now_ms)
        return Due([key for key in keys if key in self._due])

    def apply(self, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        raise NotImplementedError


class _Walk:
    """Timers with a time of their own."""

    def __init__(self, stores: Mapping[int, int], round_seconds: float = 0.0) -> None:
        self.now = 0.0
        self.observer = Recorder()
        self.states = [
            PartitionState(partition, [], {b"c%d-%d" % (partition, number): b"" for number in range(size)}, 0)
            for partition, size in stores.items()
        ]
        self.due_scan = DueScan(Clock(), self.observer, round_seconds=round_seconds, monotonic=lambda: self.now)
        self.due_scan.restart(self.states)

    def step(self, machine: _Looker) -> int:
        """Take the next step when its time has come; returns how many keys it looked at."""
        before = self.observer.examined_keys
        self.now += self.due_scan.seconds_to_next()
        self.due_scan.step(machine)
        return self.observer.examined_keys - before


def test_a_round_asks_about_every_key_once_in_bounded_steps() -> None:
    walk, machine = _Walk({0: 2 * KEYS_PER_STEP + 1, 1: 0, 2: 5}), _Looker()
    examined = [walk.step(machine) for _ in range(3)]
    assert examined == [KEYS_PER_STEP, KEYS_PER_STEP, 6]
    assert max(map(len, machine.asked)) == KEYS_PER_PORTION
    assert sorted(key for keys in machine.asked for key in keys) == sorted(
        key for state in walk.states for key in state.store
    )
    assert walk.observer.rounds == 0
    asked = len(machine.asked)
    assert walk.step(machine) == KEYS_PER_STEP
    assert walk.observer.rounds == 1
    assert machine.asked[asked] == machine.asked[0]
    assert walk.observer.examined_keys == sum(map(len, machine.asked))


def test_a_store_may_change_between_two_steps() -> None:
    walk, machine = _Walk({0: 3 * KEYS_PER_STEP}), _Looker()
    first = list(walk.states[0].store)
    for number in range(3):
        walk.step(machine)
        del walk.states[0].store[first[-1 - number]]
        walk.states[0].store[b"cnew-%d" % number] = b""
        walk.states[0].store[b"cnewer-%d" % number] = b""
    assert [key for keys in machine.asked for key in keys] == first
    asked = len(machine.asked)
    for _ in range(4):
        walk.step(machine)
    assert sorted(key for keys in machine.asked[asked:] for key in keys) == sorted(walk.states[0].store)


def test_no_step_before_its_time() -> None:
    walk, machine = _Walk({0: 5}), _Looker()
    walk.due_scan.step(machine)
    assert not machine.asked
    walk.step(machine)
    walk.due_scan.step(machine)
    assert len(machine.asked) == 1


@pytest.mark.parametrize(
    ("stores", "round_seconds", "pause_seconds"),
    [
        ({0: 5, 1: 5}, 3_600.0, 3_600.0),
        ({0: 10 * KEYS_PER_STEP}, 3_600.0, 360.0),
        ({0: 1_000 * KEYS_PER_STEP}, 10.0, PAUSE_LEAST_SECONDS),
        ({0: 0}, 3_600.0, 3_600.0),
        ({}, 3_600.0, 3_600.0),
    ],
)
def test_the_steps_of_a_round_fill_its_time(stores: dict[int, int], round_seconds: float, pause_seconds: float) -> None:
    walk = _Walk(stores, round_seconds)
    walk.step(_Looker())
    assert walk.due_scan.seconds_to_next() == pytest.approx(pause_seconds)


def test_what_was_found_is_committed_before_more_is_looked_for() -> None:
    walk, machine = _Walk({0: 5, 1: 5}), _Looker(due=[b"c0-3"])
    walk.step(machine)
    assert list(walk.states[0].due.keys) == [b"c0-3"]
    walk.step(machine)
    assert len(machine.asked) == 1
    walk.states[0].due = NOTHING_DUE
    walk.step(machine)
    assert machine.asked[1][0] == b"c1-0"


def test_after_a_rebalance_the_walk_goes_on_behind_where_it_was() -> None:
    walk, machine = _Walk(dict.fromkeys(range(3), KEYS_PER_STEP)), _Looker()
    walk.step(machine)
    walk.step(machine)
    walk.due_scan.restart(walk.states)
    for _ in range(3):
        walk.step(machine)
    assert [keys[0][:2] for keys in machine.asked if keys[0].endswith(b"-0")] == [b"c0", b"c1", b"c2", b"c0", b"c1"]


def test_nothing_is_called_due_at_a_moment_before_the_latest_decision() -> None:
    walk, machine = _Walk({0: 1}), _Looker()
    walk.states[0].latest_ms = Clock().now_ms() + 3_600_000
    walk.step(machine)
    assert machine.moments == [walk.states[0].latest_ms]


# ---- the moment and the barrier -------------------------------------------------------------------------------------


class TestServiceOrder:
    def setup_method(self) -> None:
        self.wake_signal = resumed()
        self.ends = FixedEnds(1)
        self.clock = Clock()
        self.order = live_scheduler(self.ends, self.clock)
        self.state = PartitionState(0, [InputQueue(STOPS, 0), InputQueue(ASKS, 0)], {}, self.clock.now_ms() + 1_000)

    async def choose(self, limits: Limits = MANY) -> list[PartitionBatch]:
        chosen, _ = await self.order.choose([self.state], limits, self.wake_signal)
        return chosen

    async def test_what_approves_nothing_does_not_ask_the_barrier(self) -> None:
        self.state.due = Due([b"c1"])
        (partition_batch,) = await self.choose()
        assert self.ends.asked == 0
        batch = partition_batch.as_batch()
        assert (batch.records, batch.due, batch.due_ms) == ([], [b"c1"], self.state.latest_ms)
        assert partition_batch.latest_ms == batch.due_ms

    async def test_what_may_approve_waits_for_what_was_acknowledged(self) -> None:
        self.state.due = Due([b"h1"], needs_barrier=True)
        waiting = asyncio.create_task(self.choose())
        await wait_until_async(lambda: self.ends.asked == 1, DEADLINE_SECONDS, "the question")
        assert not waiting.done()
        arrive(self.state.by_topic[STOPS.name], [record(STOPS, 0)])
        self.wake_signal.wake()
        (partition_batch,) = await waiting
        batch = partition_batch.as_batch()
        assert [one.topic for one in batch.records] == [STOPS.name]
        assert batch.due == [b"h1"]
        assert batch.due_ms == batch.moments_ms[-1]

    async def test_it_is_not_applied_while_preferences_are_left_over(self) -> None:
        arrive(self.state.by_topic[STOPS.name], [record(STOPS, offset) for offset in range(3)])
        self.state.due = Due([b"h1"], needs_barrier=True)
        (partition_batch,) = await self.choose(Limits(2, 1_000))
        assert (len(partition_batch.records), partition_batch.due, partition_batch.due_ms) == (2, (), 0)

    async def test_it_comes_after_the_records_of_its_batch(self) -> None:
        arrive(self.state.by_topic[STOPS.name], [record(STOPS, 0)])
        arrive(self.state.by_topic[ASKS.name], [record(ASKS, 0)])
        self.state.due = Due([b"h1"], needs_barrier=True)
        (partition_batch,) = await self.choose()
        assert [one.topic for one in partition_batch.records] == [STOPS.name, ASKS.name]
        assert partition_batch.due == [b"h1"]

    async def test_at_a_clock_far_behind_the_decisions_nothing_due_is_applied(self) -> None:
        self.state.latest_ms = self.clock.now_ms() + 60_000
        self.state.due = Due([b"c1"])
        assert await self.choose() == []
        assert self.order.is_clock_wrong

    async def test_until_it_is_committed_it_stays_due(self) -> None:
        self.state.due = Due([b"c1"])
        (partition_batch,) = await self.choose()
        assert self.state.has_work()
        self.state.merge(partition_batch, BatchResult(changes={b"c1": None}))
        assert not self.state.has_work()
        assert self.state.latest_ms == partition_batch.due_ms


# ---- on a broker ----------------------------------------------------------------------------------------------------


async def released(broker: Broker, topics: Topics) -> dict[int, list[tuple[bytes, dict[str, Any]]]]:
    """What was answered without a record, per partition: whom, and what."""
    found = {}
    for partition, records in (await read(broker, topics.answers)).items():
        answers = [(one.key or b"", orjson.loads(one.value or b"{}")) for one in records]
        found[partition] = [(key, answer) for key, answer in answers if "released" in answer]
    return found


async def released_keys(broker: Broker, topics: Topics) -> Counter[bytes]:
    return Counter(key for given in (await released(broker, topics)).values() for key, _ in given)


async def until_released(broker: Broker, topics: Topics, count: int) -> None:
    async def enough() -> bool:
        return sum((await released_keys(broker, topics)).values()) >= count

    await wait_until_async(enough, DEADLINE_SECONDS, f"{count} released")


def changelog_length(broker: Broker, topics: Topics) -> int:
    return len(read_topic(broker.bootstrap_servers, topics.ledger))


def held(count: int) -> list[bytes]:
    return [b"held-%d" % number for number in range(count)]


async def test_what_becomes_due_is_done_once_and_then_there_is_no_transaction(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    everybody = held(200)
    async with load(broker) as producer, running(broker, topics, **AT_ONCE) as worker:
        await publish(producer, topics.intents, everybody, b"hold")
        await worker.until_decided(200)
        await until_released(broker, topics, 200)
        commits, length, rounds = worker.observer.commits, changelog_length(broker, topics), worker.observer.rounds
        await publish(producer, topics.intents, keys(50))
        await worker.until_decided(250)
        commits, length = worker.observer.commits, changelog_length(broker, topics)
        rounds, examined = worker.observer.rounds, worker.observer.examined_keys
        await worker.until(lambda: worker.observer.rounds >= rounds + 3, "three rounds at rest")
        assert worker.observer.examined_keys >= examined + 50
        assert (worker.observer.commits, changelog_length(broker, topics)) == (commits, length)
    assert await released_keys(broker, topics) == Counter(everybody)
    left = {one.key: one.value for one in read_topic(broker.bootstrap_servers, topics.ledger)}
    assert not [key for key, value in left.items() if key and key.startswith(HOLD_PREFIX) and value is not None]


class _DueForNothing(Greeter):
    """Calls everything due and changes nothing."""

    def due(self, keys: Sequence[bytes], store: Mapping[bytes, bytes], now_ms: int) -> Due:
        return Due(list(keys))


async def test_what_was_due_and_changes_nothing_is_no_transaction(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    async with (
        load(broker) as producer,
        running(broker, topics, _DueForNothing(topics), **AT_ONCE) as worker,
    ):
        await publish(producer, topics.intents, keys(50))
        await worker.until_decided(50)
        commits, length, rounds = worker.observer.commits, changelog_length(broker, topics), worker.observer.rounds
        await worker.until(lambda: worker.observer.rounds >= rounds + 2, "two rounds")
        assert (worker.observer.commits, changelog_length(broker, topics)) == (commits, length)


async def test_it_is_done_under_constant_load_too(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    everybody = held(300)
    async with load(broker) as producer, running(broker, topics, **AT_ONCE), _constant_load(producer, topics):
        await publish(producer, topics.intents, everybody, b"hold")
        await until_released(broker, topics, 300)
    assert await released_keys(broker, topics) == Counter(everybody)


@asynccontextmanager
async def _constant_load(producer: aiokafka.AIOKafkaProducer, topics: Topics) -> AsyncIterator[None]:
    async def resume() -> None:
        while True:
            await publish(producer, topics.intents, keys(200))

    task = asyncio.create_task(resume())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_moments_never_decrease_when_the_clock_goes_back(broker: Broker, topics: Topics) -> None:
    create(broker, topics, partitions=1)
    async with load(broker) as producer, running(broker, topics, **AT_ONCE) as worker:
        await publish(producer, topics.intents, held(10), b"hold")
        await until_released(broker, topics, 10)
        worker.clock.shift_ms = -3_000
        await publish(producer, topics.intents, [b"later-%d" % number for number in range(10)], b"hold")
        await until_released(broker, topics, 20)
    moments = [answer["now"] for _, answer in (await released(broker, topics))[0]]
    metas = [decode_meta(r.value or b"").latest_ms for r in (await read(broker, topics.ledger))[0] if r.key == META_KEY]
    assert moments == sorted(moments)
    assert metas == sorted(metas)
    assert len(moments) == 20


async def test_whoever_said_no_before_the_time_came_is_not_answered_yes(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    machine = Greeter(topics, hold_ms=1_800_000)
    everybody = held(200)
    wide = {"clock_difference_limit_seconds": 1e9}
    async with load(broker) as producer, running(broker, topics, machine, **AT_ONCE, **wide) as worker:
        await publish(producer, topics.intents, everybody, b"hold")
        await worker.until_decided(200)
        rounds = worker.observer.rounds
        await worker.until(lambda: worker.observer.rounds >= rounds + 2, "two rounds")
        assert not await released_keys(broker, topics)
        await publish(producer, topics.opt_outs, everybody[::2])
        worker.clock.shift_ms = 1_900_000  # a topic refuses what lies more than an hour ahead
        await until_released(broker, topics, 200)
    answers = {key: answer["ok"] for given in (await released(broker, topics)).values() for key, answer in given}
    assert answers == {key: number % 2 == 1 for number, key in enumerate(everybody)}


async def test_a_rebalance_loses_and_doubles_nothing(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    everybody = held(800)
    async with load(broker) as producer, running(broker, topics, worker_slot="a", **AT_ONCE) as first:
        await publish(producer, topics.intents, everybody[:400], b"hold")
        await until_released(broker, topics, 1)
        async with running(broker, topics, worker_slot="b", **AT_ONCE) as second:
            await publish(producer, topics.intents, everybody[400:], b"hold")
            await second.until(lambda: second.observer.is_ready and second.observer.partitions, "partitions")
        await first.until(lambda: len(first.observer.partitions) == PARTITIONS, "everything again")
        await until_released(broker, topics, 800)
    assert await released_keys(broker, topics) == Counter(everybody)


@pytest.mark.kafka
async def test_killed_in_the_middle_of_it_nothing_is_lost_or_doubled(real_kafka: Broker, topics: Topics) -> None:
    create(real_kafka, topics)
    everybody = held(800)
    async with load(real_kafka) as producer:
        await publish(producer, topics.intents, everybody, b"hold")
        worker = WorkerProcess(real_kafka, topics, due_round_seconds=0.0)
        try:
            for _ in range(3):
                done = sum((await released_keys(real_kafka, topics)).values())
                await until_released(real_kafka, topics, done + 1)
                worker.kill()
                worker = WorkerProcess(real_kafka, topics, due_round_seconds=0.0)
            await until_released(real_kafka, topics, len(everybody))
        finally:
            worker.kill()
    assert await released_keys(real_kafka, topics) == Counter(everybody)
