"""Ends of logs: never below what any leader had acknowledged when they were asked for, whoever answers, and when."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from aiokafka.structs import PartitionMetadata, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.exactly_once import log_bounds
from streams.exactly_once.log_bounds import LogBounds, voices_needed
from tests.engine.brokers_of_a_partition import Partition

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.exactly_once.leader_epochs import ListOffsetsRequest

WHERE = TopicPartition("opt-out", 0)
LIST_OFFSETS = {2: (0, 10)}
ENOUGH_SECONDS = 30.0
"""A question that is answered at all is answered at once here."""


class Client:
    """A client of the model: its metadata is what one of the brokers said once."""

    def __init__(self, partition: Partition, told_by: int = 1) -> None:
        self.partition = partition
        self.told_by = told_by
        self.asked: list[int] = []
        self.hanging: set[int] = set()
        self.released = asyncio.Event()
        self.first: int | None = None
        """Who is answered before the others."""
        self.first_has_answered = asyncio.Event()
        self.updates = 0
        self.give_up_after = 0
        self.given_up = asyncio.Event()
        self.leader_epochs: dict[tuple[str, int], int] = {}
        self.cluster: Any = SimpleNamespace(_partitions={}, unauthorized_topics=set())
        self.before_answer: Callable[[], None] = lambda: None
        self.is_closed = False
        self._learn()

    def _learn(self) -> None:
        known = self.partition.replicas[self.told_by]
        replicas = list(self.partition.replicas)
        self.leader_epochs = {WHERE: known.epoch}
        self.cluster._partitions = {
            WHERE.topic: {0: PartitionMetadata(WHERE.topic, 0, known.leader, replicas, replicas, 0)}
        }

    async def force_metadata_update(self) -> None:
        """The latest is learned: several brokers are asked."""
        self.updates += 1
        if self.updates == self.give_up_after:
            self.given_up.set()
        self.told_by = max(self.partition.replicas.values(), key=lambda each: each.epoch).number
        self._learn()

    async def add_topic(self, _: str) -> None:
        self._learn()

    async def send(self, node: int, request: ListOffsetsRequest) -> SimpleNamespace:
        if node in self.hanging:
            await self.released.wait()
        if self.first not in (None, node):
            await self.first_has_answered.wait()
        await asyncio.sleep(0)
        if node in self.partition.down:
            raise KafkaConnectionError("down")
        self.before_answer()
        self.asked.append(node)
        answers = []
        for topic in request.prepare(LIST_OFFSETS).to_object()["topics"]:
            for each in topic["partitions"]:
                code, end = self.partition.answer(node, each["current_leader_epoch"])
                answers.append((topic["topic"], [(each["partition"], code, each["timestamp"], end, -1)]))
        if node == self.first:
            self.first_has_answered.set()
        return SimpleNamespace(topics=answers)

    async def close(self) -> None:
        self.is_closed = True


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_bounds, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(log_bounds, "WIDEN_SECONDS", 0.01)


async def end_of(client: Client) -> int:
    async with asyncio.timeout(ENOUGH_SECONDS):
        return (await LogBounds(client).end_offsets([WHERE]))[WHERE]  # type: ignore[arg-type]


async def end_within(client: Client, updates: int) -> int | None:
    """None: there was no answer until the metadata was asked for so often."""
    client.give_up_after = updates
    asking = asyncio.create_task(end_of(client))
    giving_up = asyncio.create_task(client.given_up.wait())
    await asyncio.wait({asking, giving_up}, return_when=asyncio.FIRST_COMPLETED)
    giving_up.cancel()
    if asking.done():
        return asking.result()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return None


def three(*, acknowledged: int = 5) -> Partition:
    partition = Partition(3, min_insync=2)
    for _ in range(acknowledged):
        partition.write(1)
    return partition


def deposed() -> Partition:
    """Broker 1 leads and is cut off; its successor has acknowledged two more records."""
    partition = three()
    partition.cut_off = {1}
    partition.elect(2)
    partition.write(2)
    partition.write(2)
    return partition


@pytest.mark.parametrize(("replicas", "voices"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 4)])
def test_most_replicas_are_needed_of_three_or_more(replicas: int, voices: int) -> None:
    assert voices_needed(replicas) == voices


async def test_the_leader_and_one_other_are_asked_if_all_is_well() -> None:
    client = Client(three())
    assert await end_of(client) == 5
    assert sorted(client.asked) == [1, 2]
    assert client.updates == 0


async def test_one_broker_alone_needs_no_other() -> None:
    partition = Partition(1, min_insync=1)
    partition.write(1)
    assert await end_of(Client(partition)) == 1


async def test_a_deposed_leader_is_not_believed() -> None:
    client = Client(deposed(), told_by=1)
    assert await end_of(client) == 7
    assert client.updates == 1


async def test_a_deposed_leader_is_not_believed_while_nobody_else_answers() -> None:
    partition = deposed()
    partition.down = {2, 3}
    assert await end_within(Client(partition, told_by=1), updates=5) is None


async def test_a_leader_that_has_just_been_deposed_is_not_believed() -> None:
    """The successor is elected after the leader has answered, and before the others have."""
    partition = three()
    client = Client(partition)
    client.first = 1

    def depose() -> None:
        if client.asked:
            client.before_answer = lambda: None
            partition.cut_off = {1}
            partition.elect(2)
            partition.write(2)

    client.before_answer = depose
    assert await end_of(client) == 6


async def test_a_replica_that_is_behind_confirms() -> None:
    """It follows an earlier epoch, so no later one."""
    partition = three()
    partition.cut_off = {3}
    partition.elect(2)
    partition.down = {1}
    partition.acknowledged = 0
    client = Client(partition, told_by=2)
    assert await end_of(client) == 5
    assert set(client.asked) == {2, 3}


async def test_a_follower_that_hangs_is_replaced_and_then_asked_last() -> None:
    client = Client(three())
    client.hanging = {2}
    bounds = LogBounds(client)  # type: ignore[arg-type]
    assert (await bounds.end_offsets([WHERE]))[WHERE] == 5
    assert sorted(client.asked) == [1, 3]
    assert (await bounds.end_offsets([WHERE]))[WHERE] == 5
    assert sorted(client.asked) == [1, 1, 3, 3]
    await bounds.stop()
    assert client.is_closed


async def test_a_follower_that_is_down_is_replaced() -> None:
    partition = three()
    partition.down = {2}
    assert await end_of(Client(partition)) == 5


async def test_the_leader_alone_of_three_is_not_enough() -> None:
    partition = three()
    partition.down = {2, 3}
    assert await end_within(Client(partition), updates=5) is None


async def test_the_others_do_not_answer_for_the_leader() -> None:
    client = Client(three())
    client.first = 2
    bounds = LogBounds(client)  # type: ignore[arg-type]
    client.hanging = {1}

    def release() -> None:
        if len(client.asked) == 1:  # both followers have answered, or are about to
            client.hanging = set()
            client.released.set()

    client.before_answer = release
    async with asyncio.timeout(ENOUGH_SECONDS):
        assert (await bounds.end_offsets([WHERE]))[WHERE] == 5
    assert client.asked == [2, 3, 1]


async def test_what_is_forbidden_is_said() -> None:
    client = Client(three())
    client.cluster.unauthorized_topics = {WHERE.topic}
    with pytest.raises(TopicAuthorizationFailedError):
        await end_of(client)


EVENTS = st.one_of(
    st.tuples(st.sampled_from(["write", "elect", "cut_off", "heal", "down", "up"]), st.integers(1, 5)),
    st.tuples(st.just("catch_up"), st.just(0)),
)


def happen(partition: Partition, what: str, number: int) -> None:
    if number > partition.count:
        return
    match what:
        case "write" | "elect":
            getattr(partition, what)(number)
        case "cut_off":
            partition.cut_off.add(number)
        case "heal":
            partition.cut_off.discard(number)
        case "down":
            partition.down.add(number)
        case "up":
            partition.down.discard(number)
        case _:
            partition.catch_up()


@settings(max_examples=400, deadline=None)
@given(
    count=st.integers(3, 5),
    before=st.lists(EVENTS, max_size=25),
    meanwhile=st.lists(EVENTS, max_size=8),
    told_by=st.integers(1, 5),
)
def test_no_end_is_below_what_was_acknowledged_before_the_question(
    count: int, before: list[tuple[str, int]], meanwhile: list[tuple[str, int]], told_by: int
) -> None:
    partition = Partition(count, min_insync=(count + 1) // 2)
    for event in before:
        happen(partition, *event)
    promised = partition.acknowledged
    client = Client(partition, told_by=min(told_by, count))

    def go_on() -> None:
        if meanwhile:
            happen(partition, *meanwhile.pop(0))

    client.before_answer = go_on
    found = asyncio.run(end_within(client, updates=20))
    assert found is None or found >= promised
    # And when all is well again, it is answered.
    partition.cut_off, partition.down = set(), set()
    partition.elect(next(each for each in partition.together if partition.replicas[each].end >= partition.acknowledged))
    assert asyncio.run(end_of(Client(partition, told_by=min(told_by, count)))) >= partition.acknowledged
