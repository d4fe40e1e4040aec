"""The engine's bookkeeping over assignments, without a broker; and its reports, with one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from streams.exactly_once import arrivals
from streams.exactly_once import engine as engine_module
from streams.exactly_once.engine import Engine
from streams.exactly_once.errors import BatchUnreadableError, TopicShrunkError
from streams.exactly_once.fencing import Membership
from streams.exactly_once.fetched_records import FetchedRecords
from streams.exactly_once.input_queue import InputQueue
from streams.exactly_once.partition import PartitionState
from streams.exactly_once.settings import EngineSettings
from streams.exactly_once.startup import StartupReport
from streams.records import InputRecord
from streams.topics import input_topics
from tests.engine.harness import create, keys, load, publish, running
from tests.engine.toy import Clock, Greeter, Recorder, Topics

if TYPE_CHECKING:
    from streams.testing.broker import Broker

SETTINGS = EngineSettings(bootstrap_servers="127.0.0.1:1", input_topics=input_topics(), accept_missing_records=True)


@pytest.fixture
async def engine() -> Engine:
    """Owns partitions 0 and 1 in generation 5, in fetch epoch 1."""
    made = Engine(SETTINGS, StartupReport(4, compares_clocks=False), Greeter(Topics("t")), Recorder(), Clock())
    assignment = made._assignment
    assignment.partitions = {
        partition: PartitionState(partition, [InputQueue(topic, 0) for topic in SETTINGS.ranked_topics], {}, 0)
        for partition in (0, 1)
    }
    assignment.membership = Membership(5, "me")
    assignment.fetch_epoch = 1
    return made


@pytest.mark.parametrize(
    ("membership", "kept"),
    [
        (Membership(5, "me"), {0}),
        (Membership(6, "me"), {0}),
        (Membership(7, "me"), set()),  # somebody may have owned them in generation 6
        (Membership(6, "me again"), set()),
        (Membership(1, "me"), set()),
    ],
)
async def test_a_store_survives_only_into_the_next_generation(
    engine: Engine, membership: Membership, kept: set[int]
) -> None:
    assert engine._assignment._kept(membership, frozenset({0, 2})).keys() == kept


def _fetched(fetch_epoch: int, start: int, count: int) -> FetchedRecords:
    topic = SETTINGS.ranked_topics[0].name
    records = [InputRecord(topic, offset, 0, b"k", b"v", ()) for offset in range(start, start + count)]
    made = FetchedRecords(topic, 0, records, start, start + count, 0)
    made.fetch_epoch = fetch_epoch
    return made


async def test_records_of_another_fetch_epoch_are_dropped(engine: Engine) -> None:
    queue = engine._assignment.partitions[0].input_queues[0].queue
    engine.arrived(_fetched(0, 0, 5))
    assert not queue
    engine.arrived(_fetched(1, 0, 5))
    assert len(queue) == 5
    engine.end_fetch_epoch()
    engine.arrived(_fetched(1, 5, 5))
    assert len(queue) == 5


def _unreadable(offset: int) -> BatchUnreadableError:
    return BatchUnreadableError(SETTINGS.ranked_topics[0].name, 0, offset, "its checksum is wrong")


async def test_what_cannot_be_read_ends_the_worker_at_once_if_nothing_lies_before_it(engine: Engine) -> None:
    one = _fetched(1, 0, 0)
    one.unreadable = _unreadable(0)
    engine.arrived(one)
    assert engine.failure is one.unreadable


async def test_what_lies_before_it_is_decided_first(engine: Engine) -> None:
    input_queue = engine._assignment.partitions[0].input_queues[0]
    one = _fetched(1, 0, 5)
    one.unreadable = _unreadable(5)
    engine.arrived(one)
    input_queue.advance(4)
    engine._on_progress()
    assert engine.failure is None
    input_queue.advance(1)
    engine._on_progress()
    assert engine.failure is one.unreadable


async def test_it_does_not_wait_for_ever_for_what_may_need_the_unreadable(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrivals, "UNREADABLE_SECONDS", 0.01)
    one = _fetched(1, 0, 5)
    one.unreadable = _unreadable(5)
    engine.arrived(one)
    assert engine.failure is None
    await asyncio.wait_for(engine.ended.wait(), 10)
    assert engine.failure is one.unreadable


async def test_a_topic_that_begins_anew_behind_what_was_read_is_refused(engine: Engine) -> None:
    """As after an unclean election: offset 3 was decided, and holds another record now."""
    engine.arrived(_fetched(1, 0, 5))
    engine.arrived(_fetched(1, 3, 5))
    assert isinstance(engine.failure, TopicShrunkError)
    assert (engine.failure.topic, engine.failure.offset) == (SETTINGS.ranked_topics[0].name, 5)
    assert len(engine._assignment.partitions[0].input_queues[0].queue) == 5


async def test_the_first_failure_is_kept_and_ends_everything(engine: Engine) -> None:
    first = RuntimeError("first")
    engine.fail(first)
    engine.fail(RuntimeError("second"))
    assert engine.failure is first
    assert engine.ended.is_set()
    assert engine.committed_store(0) is None


async def test_lag_is_reported(embedded_broker: Broker, topics: Topics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "LAG_INTERVAL_SECONDS", 0.05)
    create(embedded_broker, topics, 1)
    async with load(embedded_broker) as producer, running(embedded_broker, topics) as worker:
        await publish(producer, topics.intents, keys(100))
        await worker.until_decided(100)
        await worker.until(lambda: worker.observer.lags.get((topics.intents, 0)) == (0, 0.0), "no lag")
        assert len(worker.observer.lags) == 4
