"""A broker that is cut off from the others, and that everybody else still reaches: it takes itself for what it was.

What the successors of a deposed leader acknowledged is heard all the same, and the gate goes on without the broker,
whatever that led and coordinated.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.conn import create_conn
from aiokafka.errors import CoordinatorNotAvailableError
from aiokafka.protocol.metadata import MetadataRequest
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from streams.testing.kafka_cluster import NODES, KafkaCluster
from streams.testing.network import Network
from streams.testing.real_kafka import SHORT_LIVED
from streams.testing.records import intent, preference
from streams.testing.waiting import wait_until
from tests.system.harness import DECIDE_SECONDS, Gate, World, running
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from streams.testing.records import OutgoingRecord

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

CUT_OFF: Final = 3
STAYING: Final = (1, 2)
PARTITIONS: Final = 4
CUSTOMERS: Final = 120
ANSWER_SECONDS: Final = 30.0
NAMES_TRIED: Final = 300
"""Of all names about a third has none of three coordinators on one broker."""


class View(NamedTuple):
    """What one broker takes for true. A client that knows several would ask any of them."""

    brokers: set[int]
    leaders: set[int]
    """Of the topics in question."""


def view_of(cluster: KafkaCluster, number: int, *topics: str) -> View:
    async def answered() -> View:
        host, port = cluster.bootstrap_servers.split(",")[number - 1].split(":")
        conn = await create_conn(host, int(port))
        try:
            said = await conn.send(MetadataRequest(list(topics)))
        finally:
            conn.close()
        leaders = {leader for _, _, _, partitions in said.topics for _, _, leader, *_ in partitions}
        return View({broker[0] for broker in said.brokers}, leaders)

    return asyncio.run(answered())


def until_views(cluster: KafkaCluster, numbers: Iterable[int], wanted: View, *topics: str) -> None:
    """Wait until each of these brokers takes no more than this for true."""

    def is_so() -> bool:
        views = [view_of(cluster, number, *topics) for number in numbers]
        return all(view.brokers == wanted.brokers and view.leaders <= wanted.leaders for view in views)

    wait_until(is_so, DECIDE_SECONDS, f"brokers {wanted.brokers}, led by {wanted.leaders}")


class LedApart:
    """The cluster, where topics are created so that `CUT_OFF` leads what customers say, and nothing else."""

    is_embedded = False
    replication_factor = NODES

    def __init__(self, cluster: KafkaCluster) -> None:
        self._cluster = cluster

    @property
    def bootstrap_servers(self) -> str:
        return self._cluster.bootstrap_servers

    def create_topics(
        self, names: Iterable[str], *, partitions: int | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        admin = self._cluster.admin()
        for name in names:
            away = [[STAYING[number % 2], STAYING[1 - number % 2], CUT_OFF] for number in range(partitions or 1)]
            replicas = [[CUT_OFF, *STAYING]] * len(away) if name.endswith("opt-out") else away
            topic = NewTopic(name, len(replicas), replica_assignment=replicas, config=dict(config or {}))
            admin.create_topics([topic])[name].result()


def application(cluster: KafkaCluster, prefix: str, *, by_cut_off: bool) -> str:
    """An application id of whose coordinators, the group's and the transactions', `CUT_OFF` is one, or is none."""

    async def found() -> str:
        client = AIOKafkaClient(bootstrap_servers=cluster.bootstrap_servers)
        await client.bootstrap()
        try:
            for attempt in range(NAMES_TRIED):
                name = f"{prefix}gate-{attempt}"
                kinds = [(CoordinationType.GROUP, name)]
                kinds += [(CoordinationType.TRANSACTION, f"{name}-0-0-{turn}") for turn in range(2)]
                if (CUT_OFF in [await _coordinator(client, *each) for each in kinds]) == by_cut_off:
                    return name
        finally:
            await client.close()
        pytest.fail("no name has its coordinators so")

    return asyncio.run(found())


async def _coordinator(client: AIOKafkaClient, kind: int, key: str) -> int:
    while True:
        try:
            return int(await client.coordinator_lookup(kind, key))
        except CoordinatorNotAvailableError:  # while Kafka creates its own topics
            await asyncio.sleep(0.1)


class Upstream:
    """A system that publishes, and has never known of brokers but those that stay and those that they know."""

    def __init__(self, cluster: KafkaCluster, prefix: str) -> None:
        self._prefix = prefix
        address = cluster.bootstrap_servers.rpartition(",")[0]  # without the last one, which is cut off
        self._producer = Producer({"bootstrap.servers": address, "acks": "all", "partitioner": "murmur2_random"})

    def write(self, record: OutgoingRecord) -> None:
        """Returns once every replica in sync has it."""
        refusals: list[object] = []
        self._producer.produce(
            self._prefix + record.topic,
            record.value,
            record.key,
            timestamp=record.timestamp_ms,
            on_delivery=lambda refusal, _: refusals.append(refusal),
        )
        assert self._producer.flush(ANSWER_SECONDS) == 0
        assert refusals == [None]

    def write_intent(self, customer: str) -> None:
        self.write(intent(customer, f"i-{customer}", created_at=_now_ms(), sender="mesura"))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    request.getfixturevalue("real_kafka")  # without Kafka it ends as the other tests do
    with Network() as network, KafkaCluster(network=network, java_options=SHORT_LIVED) as cluster:
        # Kafka makes its own topics for the brokers that are there: one that is late would coordinate nothing.
        until_views(cluster, cluster.nodes, View({*cluster.nodes}, set()))
        yield cluster


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(any_hour())
    return path


def decided(gate: Gate) -> int:
    return int(gate.counted("decisions_total"))


def cut_off(cluster: KafkaCluster, world: World) -> None:
    """Until the others know that it leads nothing any more. It does not know."""
    cluster.cut_off(CUT_OFF)
    topics = (world.names.preferences, *world.names.intents)
    until_views(cluster, STAYING, View({*STAYING}, {*STAYING}), *topics)
    _assert_unaware(cluster, world)


def _assert_unaware(cluster: KafkaCluster, world: World) -> None:
    said = view_of(cluster, CUT_OFF, world.names.preferences)
    assert said.brokers == {*cluster.nodes}
    assert CUT_OFF in said.leaders


def heal(cluster: KafkaCluster) -> None:
    """Until the broker knows too what has changed."""
    cluster.heal(CUT_OFF)
    until_views(cluster, cluster.nodes, View({*cluster.nodes}, set()))
    cluster.wait_in_sync()


def decide_while_it_is_cut_off(
    cluster: KafkaCluster, world: World, gate: Gate, before_each: Mapping[str, OutgoingRecord] | None = None
) -> None:
    """Some intents before the cut, all others after it; of each customer first what stands in `before_each`."""
    upstream = Upstream(cluster, world.prefix)
    for number in range(PARTITIONS):
        upstream.write_intent(f"d-{number}")
    gate.until(lambda: decided(gate) == PARTITIONS, DECIDE_SECONDS, "the first decisions")

    cut_off(cluster, world)
    upstream = Upstream(cluster, world.prefix)
    for number in range(CUSTOMERS):
        if before_each is not None:
            upstream.write(before_each[f"c-{number}"])
        upstream.write_intent(f"c-{number}")
    gate.until(lambda: decided(gate) == PARTITIONS + CUSTOMERS, DECIDE_SECONDS, "decisions without the broker")
    _assert_unaware(cluster, world)
    assert gate.exit_code is None


def test_the_gate_goes_on_without_a_broker_that_led_and_coordinated(
    cluster: KafkaCluster, topic_prefix: str, tmp_path: Path, policy: Path
) -> None:
    # First in this file: once it was cut off the broker coordinates nothing any more.
    name = application(cluster, topic_prefix, by_cut_off=True)
    world = World(cluster, topic_prefix, partitions=PARTITIONS, recorded_times=False)
    with running(world, tmp_path, policy=policy, application_id=name) as gate:
        decide_while_it_is_cut_off(cluster, world, gate)
    heal(cluster)
    approved = [json.loads(record.value or b"")["intent_id"] for record in world.read(world.names.approved)]
    assert len(approved) == len(set(approved)) == PARTITIONS + CUSTOMERS


def test_what_the_successors_of_a_deposed_leader_acknowledged_is_heard(
    cluster: KafkaCluster, topic_prefix: str, tmp_path: Path, policy: Path
) -> None:
    """It answers by the end that it last knew, while opt-outs are acknowledged by others."""
    name = application(cluster, topic_prefix, by_cut_off=False)
    world = World(LedApart(cluster), topic_prefix, partitions=PARTITIONS, recorded_times=False)
    noes = {f"c-{number}": preference(f"c-{number}", f"e-{number}", at=_now_ms()) for number in range(CUSTOMERS)}
    with running(world, tmp_path, policy=policy, application_id=name) as gate:
        assert view_of(cluster, CUT_OFF, world.names.preferences).leaders == {CUT_OFF}
        decide_while_it_is_cut_off(cluster, world, gate, noes)
    heal(cluster)
    suppressed = [json.loads(record.value or b"") for record in world.read(world.names.suppressed)]
    assert {each["customer_id"] for each in suppressed} == noes.keys()
    assert {each["reason"] for each in suppressed} == {"opt_out"}
    assert len(world.read(world.names.approved)) == PARTITIONS
