"""A leader that was deposed and does not know it: what its successor acknowledged is heard all the same.

Broker `CUT_OFF` leads what customers say, and nothing else. It is cut off from the other brokers, and everybody still
reaches it. It goes on answering by the end that it last knew, while opt-outs are acknowledged by its successors.
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
GROUPS_TRIED: Final = 60
"""A third of all names have their coordinators elsewhere."""


class LedApart:
    """The cluster, where topics are created so that one broker leads those that are named, and no others."""

    is_embedded = False
    replication_factor = NODES

    def __init__(self, cluster: KafkaCluster, led: str) -> None:
        self._cluster = cluster
        self._led = led

    @property
    def bootstrap_servers(self) -> str:
        return self._cluster.bootstrap_servers

    def create_topics(
        self, names: Iterable[str], *, partitions: int | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        admin = self._cluster.admin()
        for name in names:
            away = [[STAYING[number % 2], STAYING[1 - number % 2], CUT_OFF] for number in range(partitions or 1)]
            replicas = [[CUT_OFF, *STAYING]] * len(away) if name.endswith(self._led) else away
            topic = NewTopic(name, len(replicas), replica_assignment=replicas, config=dict(config or {}))
            admin.create_topics([topic])[name].result()


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    request.getfixturevalue("real_kafka")  # without Kafka it ends as the other tests do
    with Network() as network, KafkaCluster(network=network, java_options=SHORT_LIVED) as cluster:
        yield cluster


def application_away_from(cluster: KafkaCluster, prefix: str, number: int) -> str:
    """An application id of whose coordinators, the group's and the transactions', this broker is none."""

    async def found() -> str:
        client = AIOKafkaClient(bootstrap_servers=cluster.bootstrap_servers)
        await client.bootstrap()
        try:
            for attempt in range(GROUPS_TRIED):
                name = f"{prefix}gate-{attempt}"
                kinds = [(CoordinationType.GROUP, name)]
                kinds += [(CoordinationType.TRANSACTION, f"{name}-0-0-{turn}") for turn in range(2)]
                if number not in [await _coordinator(client, *each) for each in kinds]:
                    return name
        finally:
            await client.close()
        pytest.fail("every name has one of its coordinators there")

    return asyncio.run(found())


async def _coordinator(client: AIOKafkaClient, kind: int, key: str) -> int:
    while True:
        try:
            return int(await client.coordinator_lookup(kind, key))
        except CoordinatorNotAvailableError:  # while Kafka creates its own topics
            await asyncio.sleep(0.1)


class View(NamedTuple):
    """What one broker takes for true. A client that knows several would ask any of them."""

    brokers: set[int]
    leaders: set[int]
    """Of what customers say."""


def view_of(cluster: KafkaCluster, number: int, world: World) -> View:
    async def answered() -> View:
        host, port = cluster.bootstrap_servers.split(",")[number - 1].split(":")
        conn = await create_conn(host, int(port))
        try:
            said = await conn.send(MetadataRequest([world.names.preferences]))
        finally:
            conn.close()
        leaders = {leader for _, _, _, partitions in said.topics for _, _, leader, *_ in partitions}
        return View({broker[0] for broker in said.brokers}, leaders)

    return asyncio.run(answered())


class Upstream:
    """A system that publishes, and has never known of brokers but these and those that they know."""

    def __init__(self, address: str, prefix: str) -> None:
        self._prefix = prefix
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


def decided(gate: Gate) -> int:
    return int(gate.counted("decisions_total"))


def test_what_the_successors_of_a_deposed_leader_acknowledged_is_heard(
    cluster: KafkaCluster, topic_prefix: str, tmp_path: Path
) -> None:
    application = application_away_from(cluster, topic_prefix, CUT_OFF)
    world = World(LedApart(cluster, "opt-out"), topic_prefix, partitions=PARTITIONS, recorded_times=False)
    policy = tmp_path / "policy.yaml"
    policy.write_text(any_hour())
    others = cluster.bootstrap_servers.rpartition(",")[0]  # without the last one, which is to be cut off
    as_it_was = View({*cluster.nodes}, {CUT_OFF})

    with running(world, tmp_path, policy=policy, application_id=application) as gate:
        upstream = Upstream(others, world.prefix)
        for number in range(PARTITIONS):
            upstream.write(_intent(f"d-{number}"))
        gate.until(lambda: decided(gate) == PARTITIONS, DECIDE_SECONDS, "the first decisions")
        assert [view_of(cluster, number, world) for number in cluster.nodes] == [as_it_was] * NODES

        cluster.cut_off(CUT_OFF)
        for number in STAYING:
            wait_until(
                lambda asked=number: view_of(cluster, asked, world).leaders <= {*STAYING},  # type: ignore[misc]
                DECIDE_SECONDS,
                "another leader of each partition",
            )
        assert view_of(cluster, CUT_OFF, world) == as_it_was
        upstream = Upstream(others, world.prefix)
        for number in range(CUSTOMERS):
            upstream.write(preference(f"c-{number}", f"e-{number}", at=_now_ms()))
            upstream.write(_intent(f"c-{number}"))
        gate.until(lambda: decided(gate) == PARTITIONS + CUSTOMERS, DECIDE_SECONDS, "decisions without the broker")
        assert view_of(cluster, CUT_OFF, world) == as_it_was

        cluster.heal(CUT_OFF)
        cluster.wait_in_sync()
    suppressed = [json.loads(record.value or b"") for record in world.read(world.names.suppressed)]
    assert {each["customer_id"] for each in suppressed} == {f"c-{number}" for number in range(CUSTOMERS)}
    assert {each["reason"] for each in suppressed} == {"opt_out"}
    assert len(world.read(world.names.approved)) == PARTITIONS


def _intent(customer: str) -> OutgoingRecord:
    return intent(customer, f"i-{customer}", created_at=_now_ms(), sender="mesura")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
