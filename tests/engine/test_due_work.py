"""Work that no record asks for: in bounded steps, in transactions like any other, in none where there is nothing."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections import Counter
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.exactly_once.changelog import HOLD_PREFIX, META_KEY, decode_meta
from streams.exactly_once.due_index import DueIndex
from streams.exactly_once.due_work import KEYS_FILED_PER_STEP, DueWork
from streams.exactly_once.input_queue import InputQueue
from streams.exactly_once.interfaces import NOTHING_DUE, BatchResult, Due
from streams.exactly_once.key_kinds import KeyKind
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
    from collections.abc import AsyncIterator, Mapping

    import aiokafka

    from streams.exactly_once.interfaces import Batch
    from streams.exactly_once.partition import PartitionBatch
    from streams.testing.broker import Broker

AT_ONCE = {"due_look_seconds": 0.0}
"""Steps follow each other as fast as they may."""

HOUR = 3_600_000
SECOND = 1_000
EVER = KEYS_FILED_PER_STEP
"""Enough steps for whatever a test waits for."""


# ---- the index ------------------------------------------------------------------------------------------------------


def filed(moments: Mapping[bytes, int]) -> DueIndex:
    index = DueIndex()
    for key, due_ms in moments.items():
        index.file(key, due_ms)
    return index


def test_a_key_is_taken_once_its_hour_has_begun_and_then_by_the_second() -> None:
    due_ms = 5 * HOUR + 1_234_567
    index = filed({b"k": due_ms})
    assert index.next_ms() == 5 * HOUR
    assert index.take(5 * HOUR - 1, 10) == []
    assert index.take(5 * HOUR, 10) == [b"k"]
    index.file(b"k", due_ms)
    opens_ms = index.next_ms()
    assert opens_ms is not None
    assert due_ms < opens_ms <= due_ms + SECOND
    assert index.take(opens_ms - 1, 10) == []
    assert index.take(opens_ms, 10) == [b"k"]
    assert index.next_ms() is None


def test_what_is_overdue_comes_before_what_is_due_now() -> None:
    index = filed({b"late": 1 * HOUR, b"now": 9 * HOUR, b"ahead": 10 * HOUR})
    assert [index.take(9 * HOUR + 5, 10) for _ in range(3)] == [[b"late"], [b"now"], []]
    index.file(b"overdue", 3)
    assert index.take(9 * HOUR + 5, 10) == [b"overdue"]


def test_a_full_bucket_is_taken_in_portions() -> None:
    index = filed({b"%d" % number: 7 for number in range(45)})
    portions = [index.take(SECOND, 20) for _ in range(4)]
    assert list(map(len, portions)) == [20, 20, 5, 0]
    assert {key for keys in portions for key in keys} == {b"%d" % number for number in range(45)}


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 4 * HOUR)), max_size=60), st.lists(st.integers(1, HOUR)))
def test_nothing_is_taken_later_than_a_second_after_its_time(moments: list[tuple[int, int]], steps: list[int]) -> None:
    """Whatever is filed, whenever, and however far the clock goes at a time."""
    index, waiting, now_ms = DueIndex(), dict[bytes, int](), 0
    coming = iter(moments)
    for step_ms in [*steps, 5 * HOUR, SECOND]:
        for number, due_ms in islice(coming, 5):
            key = b"%d" % number
            waiting[key] = min(due_ms, waiting.get(key, due_ms))
            index.file(key, due_ms)
        now_ms += step_ms
        while keys := index.take(now_ms, 3):
            for key in keys:
                due_ms = waiting.get(key, 1 << 60)
                if due_ms <= now_ms:
                    del waiting[key]
                elif key in waiting:
                    index.file(key, due_ms)
        assert not [due_ms for due_ms in waiting.values() if due_ms + SECOND <= now_ms]


def test_an_index_weighs_little_more_than_a_pointer_for_each_key() -> None:
    keys = [b"customer-%d" % number for number in range(50_000)]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    index = DueIndex()
    for number, key in enumerate(keys):
        index.file(key, (number * 7_919 % 35) * 24 * HOUR)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (after - before) / len(keys) < 12
    assert index.next_ms() == 0


# ---- the steps ------------------------------------------------------------------------------------------------------


class _Machine:
    """Has the keys due that it was told to, each from its moment. Notes which it is asked about."""

    approving_kinds = frozenset({KeyKind.HOLD})

    def __init__(self, due: Mapping[bytes, int] | None = None, horizons: object = 1) -> None:
        self.asked: list[bytes] = []
        self.due = dict(due or {})
        self.due_horizons = horizons

    def due_at(self, key: bytes, value: bytes) -> int | None:
        self.asked.append(key)
        return self.due.get(key)

    def apply(self, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        raise NotImplementedError


class _Lane:
    """Due work with a time of its own."""

    def __init__(self, stores: Mapping[int, int], look_seconds: float = 1.0) -> None:
        self.now = 0.0
        self.wall = Clock()
        self.began_ms = self.wall.now_ms()
        self.observer = Recorder()
        self.states = [
            PartitionState(partition, [], {b"c%d-%d" % (partition, number): b"" for number in range(size)}, 0)
            for partition, size in stores.items()
        ]
        self.work = DueWork(self, self.observer, look_seconds=look_seconds, monotonic=lambda: self.now)
        self.work.restart(self.states)

    def now_ms(self) -> int:
        return self.began_ms + int(self.now * 1000)

    def step(self, machine: _Machine) -> int:
        """Take the next step when its time has come; returns how many keys it looked at."""
        before = self.observer.examined_keys
        self.now += self.work.seconds_to_next()
        self.work.step(machine)
        return self.observer.examined_keys - before

    def until_filed(self, machine: _Machine) -> None:
        rounds = self.observer.rounds
        for _ in range(EVER):
            if self.observer.rounds > rounds:
                break
            self.step(machine)
        assert self.observer.rounds > rounds, "no end of it"
        machine.asked.clear()

    def done(self, state: PartitionState, changes: Mapping[bytes, bytes | None]) -> None:
        """What was due is committed."""
        result = BatchResult(changes=dict(changes))
        state.merge(state.partition_batch([], [], {}, state.due.keys, self.now_ms()), result)


def test_an_index_is_made_in_bounded_steps_of_every_key_once() -> None:
    lane, machine = _Lane({0: 2 * KEYS_FILED_PER_STEP + 1, 1: 0, 2: 5}), _Machine()
    steps = 0
    while not lane.observer.rounds:
        before = len(machine.asked)
        lane.step(machine)
        assert len(machine.asked) - before <= KEYS_FILED_PER_STEP
        steps += 1
        assert steps < EVER
    assert sorted(machine.asked) == sorted(key for state in lane.states for key in state.store)
    assert lane.observer.examined_keys == 0


def test_ten_due_of_many_cost_ten() -> None:
    lane = _Lane({0: 20_000})
    keys = list(lane.states[0].store)
    in_a_month, in_an_hour = lane.began_ms + 30 * 24 * HOUR, lane.began_ms + HOUR
    machine = _Machine(dict.fromkeys(keys, in_a_month) | dict.fromkeys(keys[:10], in_an_hour))
    lane.until_filed(machine)
    lane.now += 3_700
    lane.step(machine)
    assert sorted(lane.states[0].due.keys) == sorted(keys[:10])
    assert lane.observer.examined_keys == 10
    assert len(machine.asked) == 10
    for key in keys[:10]:
        machine.due[key] = in_a_month
    lane.done(lane.states[0], {})
    for _ in range(100):
        lane.step(machine)
    assert lane.observer.examined_keys == 10
    assert len(machine.asked) == 20  # each once more, to be filed again


def test_at_rest_a_step_is_as_far_away_as_the_clock_may_go_unwatched() -> None:
    lane, machine = _Lane({0: 5}, look_seconds=7.0), _Machine()
    lane.until_filed(machine)
    lane.step(machine)
    assert lane.work.seconds_to_next() == pytest.approx(7.0)


def test_a_step_is_taken_when_the_next_key_is_due() -> None:
    lane = _Lane({0: 5}, look_seconds=7_200.0)
    machine = _Machine({b"c0-3": (lane.began_ms // HOUR + 1) * HOUR})
    lane.until_filed(machine)
    for _ in range(EVER):
        if lane.states[0].due.keys:
            break
        lane.step(machine)
    assert list(lane.states[0].due.keys) == [b"c0-3"]
    assert 0 <= lane.now_ms() - machine.due[b"c0-3"] <= SECOND


def test_no_step_before_its_time() -> None:
    lane, machine = _Lane({0: 5}), _Machine()
    lane.work.step(machine)
    assert not machine.asked
    lane.step(machine)
    asked = len(machine.asked)
    lane.work.step(machine)
    assert len(machine.asked) == asked


def test_what_was_found_is_committed_before_more_is_looked_for() -> None:
    lane = _Lane({0: 5, 1: 5})
    machine = _Machine({b"c0-3": 0, b"c1-0": 1})
    lane.until_filed(machine)
    assert list(lane.states[0].due.keys) == [b"c0-3"]
    for _ in range(5):
        lane.step(machine)
    assert not machine.asked
    lane.done(lane.states[0], {b"c0-3": None})
    lane.step(machine)
    assert not lane.states[0].due.keys
    assert list(lane.states[1].due.keys) == [b"c1-0"]


@pytest.mark.parametrize("is_kept", [True, False])
def test_what_was_not_committed_when_partitions_moved_is_due_again(is_kept: bool) -> None:
    lane, machine = _Lane({0: 5}), _Machine({b"c0-3": 0})
    lane.until_filed(machine)
    assert list(lane.states[0].due.keys) == [b"c0-3"]
    if not is_kept:
        lane.states = [PartitionState(0, [], dict(lane.states[0].store), 0)]
    lane.work.restart(lane.states)
    assert not lane.states[0].due.keys
    for _ in range(3):
        lane.step(machine)
    assert list(lane.states[0].due.keys) == [b"c0-3"]


def test_a_new_key_and_one_that_is_due_earlier_than_before_are_filed_as_they_are_committed() -> None:
    lane = _Lane({0: 5})
    far = lane.began_ms + 24 * HOUR
    machine = _Machine({b"c0-1": far})
    lane.until_filed(machine)
    state = lane.states[0]
    machine.due |= {b"c0-1": lane.began_ms, b"new": lane.began_ms}
    result = BatchResult(changes={b"c0-1": b"x", b"new": b"x"}, due_at_ms={b"c0-1": 0, b"new": 0})
    state.merge(state.partition_batch([], [], {}), result)
    lane.step(machine)
    assert sorted(state.due.keys) == [b"c0-1", b"new"]


def test_with_other_horizons_everything_is_filed_again_and_what_was_due_waits_for_nothing() -> None:
    lane = _Lane({0: 3 * KEYS_FILED_PER_STEP})
    keys = list(lane.states[0].store)
    soon = (lane.began_ms // HOUR + 1) * HOUR
    machine = _Machine(dict.fromkeys(keys, soon + 900 * HOUR) | {keys[-1]: soon})
    lane.until_filed(machine)
    lane.now += (soon - lane.now_ms()) / 1000 + 1
    other = _Machine(machine.due | {keys[-2]: soon - HOUR}, horizons=2)
    lane.step(other)
    assert list(lane.states[0].due.keys) == [keys[-1]], "due by the index before, while the next is made"
    del other.due[keys[-1]]
    lane.done(lane.states[0], {})
    for _ in range(EVER):
        if lane.states[0].due.keys:
            break
        lane.step(other)
    assert list(lane.states[0].due.keys) == [keys[-2]]
    lane.done(lane.states[0], {keys[-2]: None})
    lane.until_filed(other)
    asked = len(other.asked)
    lane.step(other)
    lane.step(other)
    assert len(other.asked) == asked, "filed once for the same horizons"


def test_a_key_called_due_to_which_nothing_is_done_does_not_keep_the_lane_busy() -> None:
    lane, machine = _Lane({0: 1}), _Machine({b"c0-0": 0})
    lane.until_filed(machine)
    given = 0
    for _ in range(50):
        given += bool(lane.states[0].due.keys)
        lane.states[0].due = NOTHING_DUE
        lane.step(machine)
    assert given == 1


def test_kinds_that_may_approve_wait_for_the_barrier() -> None:
    lane, machine = _Lane({0: 1}), _Machine({b"c0-0": 0, b"h1": 0})
    lane.until_filed(machine)
    assert not lane.states[0].due.needs_barrier
    lane.done(lane.states[0], {b"c0-0": None})
    state = lane.states[0]
    state.merge(state.partition_batch([], [], {}), BatchResult(changes={b"h1": b""}, due_at_ms={b"h1": 0}))
    lane.step(machine)
    assert state.due == Due([b"h1"], needs_barrier=True)


def test_nothing_is_called_due_at_a_moment_before_the_latest_decision() -> None:
    """A partition's clock never goes back: what is due by the latest decision is due."""
    lane = _Lane({0: 1})
    lane.states[0].latest_ms = lane.began_ms + 2 * HOUR
    machine = _Machine({b"c0-0": lane.began_ms + HOUR})
    lane.until_filed(machine)
    assert list(lane.states[0].due.keys) == [b"c0-0"]


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
        await publish(producer, topics.intents, keys(50))
        await worker.until_decided(250)
        commits, length = worker.observer.commits, changelog_length(broker, topics)
        looks, examined = worker.observer.looks, worker.observer.examined_keys
        await worker.until(lambda: worker.observer.looks >= looks + 3, "three looks at rest")
        assert worker.observer.examined_keys == examined
        assert (worker.observer.commits, changelog_length(broker, topics)) == (commits, length)
    assert await released_keys(broker, topics) == Counter(everybody)
    left = {one.key: one.value for one in read_topic(broker.bootstrap_servers, topics.ledger)}
    assert not [key for key, value in left.items() if key and key.startswith(HOLD_PREFIX) and value is not None]


class _DueForNothing(Greeter):
    """Calls everything due and changes nothing."""

    approving_kinds = frozenset()

    def due_at(self, key: bytes, value: bytes) -> int | None:
        return 0

    def apply(self, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        result = super().apply(batch, store)
        result.due_at_ms.update(dict.fromkeys(result.changes, 0))
        return result


async def test_what_was_due_and_changes_nothing_is_no_transaction(broker: Broker, topics: Topics) -> None:
    create(broker, topics)
    async with (
        load(broker) as producer,
        running(broker, topics, _DueForNothing(topics), **AT_ONCE) as worker,
    ):
        await publish(producer, topics.intents, keys(50))
        await worker.until_decided(50)
        commits, length = worker.observer.commits, changelog_length(broker, topics)
        await worker.until(lambda: worker.observer.examined_keys >= 50, "all looked at")
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
        looks = worker.observer.looks
        await worker.until(lambda: worker.observer.looks >= looks + 2, "two looks")
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
        worker = WorkerProcess(real_kafka, topics, due_look_seconds=0.0)
        try:
            for _ in range(3):
                done = sum((await released_keys(real_kafka, topics)).values())
                await until_released(real_kafka, topics, done + 1)
                worker.kill()
                worker = WorkerProcess(real_kafka, topics, due_look_seconds=0.0)
            await until_released(real_kafka, topics, len(everybody))
        finally:
            worker.kill()
    assert await released_keys(real_kafka, topics) == Counter(everybody)
