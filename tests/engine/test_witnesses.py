"""Who leads and who coordinates: what several brokers say together, whoever of them is cut off, late or silent."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import (
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
)

from streams.exactly_once import witnesses
from streams.exactly_once.leader_epochs import MetadataRequest, merged
from streams.exactly_once.witnesses import WitnessedClient, witnessed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ENOUGH_SECONDS = 30.0
NO_ERROR, UNKNOWN_TOPIC, COORDINATOR_NOT_AVAILABLE, GROUP_AUTHORIZATION_FAILED = 0, 3, 15, 30
HOSTS = {number: (number, f"broker-{number}", 9092, None) for number in range(1, 6)}


def metadata(brokers: Iterable[int], **topics: Mapping[int, tuple[int, int]] | int) -> SimpleNamespace:
    """Brokers, and of each topic its partitions with leader and epoch; or an error."""
    return SimpleNamespace(
        brokers=[HOSTS[number] for number in brokers],
        controller_id=1,
        topics=[
            (found, name, False, [])
            if isinstance(found, int)
            else (
                NO_ERROR,
                name,
                False,
                [(0, number, leader, epoch, [1, 2, 3], [1, 2], []) for number, (leader, epoch) in found.items()],
            )
            for name, found in topics.items()
        ],
    )


def coordinator(node: int, error: int = NO_ERROR) -> SimpleNamespace:
    return SimpleNamespace(error_code=error, coordinator_id=node)


# ---- what several answers say together ----


def test_the_latest_epoch_names_the_leader() -> None:
    cut_off, others = metadata([1, 2, 3], a={0: (3, 4), 1: (1, 2)}), metadata([1, 2], a={0: (2, 5), 1: (1, 2)})
    for answers in ([cut_off, others], [others, cut_off], [others, cut_off, others]):
        found = merged(answers)
        ((error, name, _, partitions),) = found.topics
        assert (error, name) == (NO_ERROR, "a")
        assert {each[1]: each[2] for each in partitions} == {0: 2, 1: 1}
        assert found.leader_epochs == {("a", 0): 5, ("a", 1): 2}


def test_a_broker_is_there_if_most_list_it() -> None:
    cut_off, others = metadata([1, 2, 3]), metadata([1, 2])
    assert {broker[0] for broker in merged([cut_off, others, others]).brokers} == {1, 2}
    assert {broker[0] for broker in merged([cut_off, others]).brokers} == {1, 2}
    assert {broker[0] for broker in merged([cut_off, cut_off, others]).brokers} == {1, 2, 3}
    assert {broker[0] for broker in merged([cut_off]).brokers} == {1, 2, 3}


def test_a_topic_is_unknown_if_most_do_not_know_it() -> None:
    known, unknown = metadata([1], a={0: (1, 0)}), metadata([1], a=UNKNOWN_TOPIC)
    assert merged([unknown, known, unknown]).topics[0][0] == UNKNOWN_TOPIC
    assert merged([unknown, known]).topics[0][0] == NO_ERROR
    assert merged([known, unknown, known]).topics[0][0] == NO_ERROR


def test_no_topic_is_created_by_asking_for_it() -> None:
    asked = MetadataRequest(["a"]).prepare({3: (0, 13)})
    assert asked.API_VERSION == 7
    assert asked.to_object() == {"topics": ["a"], "allow_auto_topic_creation": False}
    assert MetadataRequest(None).prepare({3: (0, 13)}).to_object()["topics"] is None


# ---- the client ----


class Connection:
    """Answers what it is given, or not at all."""

    def __init__(self, answer: object) -> None:
        self.answer = answer
        self.is_closed = False
        self.asked = 0

    def connected(self) -> bool:
        return not self.is_closed

    async def send(self, request: object) -> object:
        del request
        self.asked += 1
        if self.answer is None:
            await asyncio.Event().wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def close(self, **_: object) -> asyncio.Future[None]:
        self.is_closed = True
        closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        closed.set_result(None)
        return closed


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witnesses, "LATE_SECONDS", 0.02)
    monkeypatch.setattr(witnesses, "ALONE_SECONDS", 0.1)


def client_of(answers: Mapping[int, Any]) -> tuple[WitnessedClient, dict[int, Connection]]:
    """A client that is connected to these brokers already."""
    client = witnessed(AIOKafkaClient(bootstrap_servers="nowhere.invalid:1"))
    client.cluster.update_metadata(merged([metadata(answers)]))
    connections = {number: Connection(answer) for number, answer in answers.items()}
    client._conns = {(number, ConnectionGroup.DEFAULT): each for number, each in connections.items()}
    return client, connections


async def coordinator_by(answers: Mapping[int, Any]) -> int:
    client, _ = client_of(answers)
    async with asyncio.timeout(ENOUGH_SECONDS):
        try:
            return await client.coordinator_lookup(CoordinationType.GROUP, "mesura")
        finally:
            await client.close()


async def test_most_brokers_name_the_coordinator() -> None:
    assert await coordinator_by({1: coordinator(2), 2: coordinator(2), 3: coordinator(3)}) == 2
    assert await coordinator_by({1: coordinator(2), 2: coordinator(2), 3: None}) == 2
    assert await coordinator_by({1: coordinator(2), 2: KafkaConnectionError(), 3: None}) == 2


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({1: coordinator(1), 2: coordinator(2), 3: coordinator(3)}, CoordinatorNotAvailableError),
        ({1: coordinator(1), 3: coordinator(3)}, CoordinatorNotAvailableError),
        ({1: coordinator(-1, COORDINATOR_NOT_AVAILABLE)}, CoordinatorNotAvailableError),
        ({1: coordinator(-1, GROUP_AUTHORIZATION_FAILED)}, GroupAuthorizationFailedError),
        ({1: KafkaConnectionError(), 2: OSError()}, NodeNotReadyError),
    ],
)
async def test_where_they_do_not_agree_it_is_asked_again(answers: Mapping[int, Any], error: type[KafkaError]) -> None:
    with pytest.raises(error):
        await coordinator_by(answers)
    assert error is GroupAuthorizationFailedError or error.retriable


async def test_connections_to_a_broker_that_most_do_not_list_are_closed() -> None:
    cut_off = metadata([1, 2, 3], a={0: (3, 4)})
    others = metadata([1, 2], a={0: (2, 5)})
    client, connections = client_of({1: others, 2: others, 3: cut_off})
    to_its_coordinator = Connection(None)
    client._conns[3, ConnectionGroup.COORDINATION] = to_its_coordinator
    assert await client._metadata_update(client.cluster, {"a"})
    assert client.leader_epochs == {("a", 0): 5}
    assert {number for number, each in connections.items() if each.is_closed} == {3}
    assert to_its_coordinator.is_closed
    assert {broker.nodeId for broker in client.cluster.brokers()} == {1, 2}
    assert not await client.ready(3)
    await client.close()


async def test_other_metadata_changes_nothing_of_the_client() -> None:
    others = metadata([1, 2], a={0: (2, 5)})
    client, connections = client_of({1: others, 2: others, 3: others})
    all_topics = await client.fetch_all_metadata()
    assert {broker.nodeId for broker in all_topics.brokers()} == {1, 2}
    assert client.leader_epochs == {}
    assert not any(each.is_closed for each in connections.values())
    await client.close()


async def test_who_owes_an_answer_is_asked_last() -> None:
    said = metadata([1, 2, 3, 4, 5])
    client, connections = client_of({1: None, 2: said, 3: said, 4: said, 5: said})
    for _ in range(20):
        assert await client._metadata_update(client.cluster, {"a"})
    assert connections[1].asked == 1
    await client.close()


async def test_where_most_are_silent_the_one_that_answers_must_do() -> None:
    client, _ = client_of({1: metadata([1, 2, 3]), 2: None, 3: None})
    assert await client._metadata_update(client.cluster, {"a"})
    await client.close()


async def test_where_all_that_were_asked_fail_the_others_are_asked() -> None:
    failing = KafkaConnectionError()
    client, connections = client_of({1: failing, 2: failing, 3: failing, 4: failing, 5: metadata([5])})
    for _ in range(10):
        client.cluster.update_metadata(merged([metadata([1, 2, 3, 4, 5])]))
        client._conns = {(number, ConnectionGroup.DEFAULT): each for number, each in connections.items()}
        for each in connections.values():
            each.is_closed = False
        assert await client._metadata_update(client.cluster, {"a"})
    await client.close()


async def test_where_nobody_answers_the_metadata_stays() -> None:
    client, _ = client_of({1: KafkaConnectionError(), 2: KafkaConnectionError()})
    assert not await client._metadata_update(client.cluster, {"a"})
    assert {broker.nodeId for broker in client.cluster.brokers()} == {1, 2}
    await client.close()
