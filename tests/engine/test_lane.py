"""What the engine may say to a lane: pause, halt, resume, wake; with a writer that commits when it is told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from streams.exactly_once.fencing import NO_MEMBERSHIP, Membership
from streams.exactly_once.input_queue import InputQueue
from streams.exactly_once.interfaces import BatchResult
from streams.exactly_once.lane import Lane, cancel
from streams.exactly_once.partition import PartitionState
from streams.exactly_once.settings import EngineSettings
from streams.testing.waiting import wait_until_async
from streams.topics import input_topics
from tests.engine.harness import DEADLINE_SECONDS
from tests.engine.test_parts import ASKS, STOPS, FixedEnds, arrive, live_scheduler, record
from tests.engine.toy import Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from streams.exactly_once.partition import PartitionBatch

SETTINGS = EngineSettings(bootstrap_servers="127.0.0.1:1", input_topics=input_topics())
NEVER_REACHED = 5
ME = Membership(1, "me")


class Writer:
    """Stands for the transactions of a lane."""

    def __init__(self) -> None:
        self.membership = NO_MEMBERSHIP
        self.begun: list[int] = []
        self.may_commit = asyncio.Event()
        self.may_commit.set()

    def act_for(self, membership: Membership) -> None:
        self.membership = membership

    async def write(self, partition_batches: Sequence[PartitionBatch], *_: Any) -> int:  # noqa: ANN401
        self.begun += [partition_batch.state.partition for partition_batch in partition_batches]
        await self.may_commit.wait()
        return 0


class Bench:
    """A lane whose loop runs, and what it works with."""

    def __init__(self, end: int) -> None:
        self.writer, self.ends, self.observer = Writer(), FixedEnds(end), Recorder()
        machine = SimpleNamespace(apply=lambda batch, _: BatchResult(tally=len(batch.records)))
        self.lane = Lane(
            0, SETTINGS, self.writer, live_scheduler(self.ends), self.observer, lambda: machine, decisions_age=False
        )  # type: ignore[arg-type]

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        await wait_until_async(condition, DEADLINE_SECONDS, what)


def asked(partition: int) -> PartitionState:
    """A partition on which one record waits."""
    state = PartitionState(partition, [InputQueue(STOPS, 0), InputQueue(ASKS, 0)], {}, 0)
    arrive(state.by_topic[ASKS.name], [record(ASKS, 0)])
    return state


@asynccontextmanager
async def running(end: int = 0) -> AsyncIterator[Bench]:
    bench = Bench(end)
    loop = asyncio.create_task(bench.lane.run())
    try:
        yield bench
    finally:
        await cancel(loop)


async def test_a_lane_is_halted_until_it_is_resumed_and_decides_on_the_partitions_it_was_given() -> None:
    async with running() as bench:
        assert bench.lane.is_halted()
        bench.lane.resume(ME, {3: asked(3), 5: asked(5)})
        assert not bench.lane.is_halted()
        await bench.until(lambda: bench.observer.decided == 2, "both records")
        assert bench.writer.membership == ME
        await bench.lane.pause()
        bench.lane.resume(ME, {7: asked(7)})
        await bench.until(lambda: bench.observer.decided == 3, "the record of the next assignment")
        assert sorted(bench.writer.begun) == [3, 5, 7]


async def test_a_pause_lasts_until_the_batch_under_way_is_committed_and_merged() -> None:
    async with running() as bench:
        state = asked(0)
        bench.writer.may_commit.clear()
        bench.lane.resume(ME, {0: state})
        await bench.until(lambda: bench.writer.begun == [0], "a transaction")
        pausing = asyncio.create_task(bench.lane.pause())
        await asyncio.sleep(0)
        assert bench.lane.is_halted()
        assert not pausing.done()
        bench.writer.may_commit.set()
        await pausing
        assert (bench.observer.decided, state.by_topic[ASKS.name].position) == (1, 1)


async def test_what_waits_at_the_barrier_is_abandoned_by_a_pause_and_nothing_changes() -> None:
    async with running(NEVER_REACHED) as bench:
        state = asked(0)
        bench.lane.resume(ME, {0: state})
        await bench.until(lambda: bench.ends.asked == 1, "the question")
        await bench.lane.pause()
        assert (bench.writer.begun, bench.observer.decided, len(state.by_topic[ASKS.name].queue)) == ([], 0, 1)


async def test_a_halt_does_not_wait_and_what_arrives_afterwards_is_not_decided() -> None:
    async with running() as bench:
        state = asked(0)
        bench.lane.resume(ME, {0: state})
        await bench.until(lambda: bench.observer.decided == 1, "the first record")
        bench.lane.halt()
        arrive(state.by_topic[ASKS.name], [record(ASKS, 1)])
        bench.lane.wake()
        await bench.lane.pause()
        assert bench.observer.decided == 1
        bench.lane.resume(ME, {0: state})
        await bench.until(lambda: bench.observer.decided == 2, "the second record")


async def test_an_arrival_wakes_a_lane_that_has_nothing_to_do() -> None:
    async with running() as bench:
        state = asked(0)
        bench.lane.resume(ME, {0: state})
        await bench.until(lambda: bench.observer.decided == 1, "the first record")
        arrive(state.by_topic[ASKS.name], [record(ASKS, 1)])
        bench.lane.wake()
        await bench.until(lambda: bench.observer.decided == 2, "the record that arrived")
