"""Three brokers under load: one is killed and nobody notices; two are, and the gate waits, says why, and goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.testing.kafka_cluster import KafkaCluster
from streams.testing.real_kafka import SHORT_LIVED
from streams.testing.waiting import wait_until
from tests.faults.scene import Scene
from tests.faults.verdict import judge
from tests.system.harness import DECIDE_SECONDS, Gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

RATE = 150
CUSTOMERS = 200
SEED = 20_261_201


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[KafkaCluster]:
    """Brokers that may be killed. Without Kafka it ends as the other tests do."""
    request.getfixturevalue("real_kafka")
    with KafkaCluster(java_options=SHORT_LIVED) as cluster:
        yield cluster


def batches(scene: Scene) -> int:
    scene.progress.read()
    return sum(map(len, scene.progress.batches.values()))


def test_one_broker_killed_goes_unnoticed_and_two_make_the_gate_wait_and_say_why(
    cluster: KafkaCluster, topic_prefix: str, tmp_path: Path
) -> None:
    with Scene(cluster, topic_prefix, tmp_path, rate=RATE, customers=CUSTOMERS, seed=SEED) as scene:
        # The same process from first to last: one that ends is not started again.
        gate = Gate(scene.settings(session_timeout_seconds=30.0), tmp_path)
        scene._gates.append(gate)
        gate.until_ready()
        scene.load.begin()
        gate.until(lambda: batches(scene) > 10, DECIDE_SECONDS, "batches under load")

        cluster.nodes[1].kill()
        known = batches(scene)
        gate.until(lambda: batches(scene) > known + 50, DECIDE_SECONDS, "batches without one broker")

        cluster.nodes[2].kill()
        why = gate.until(lambda: _names_replicas(gate), DECIDE_SECONDS, "the reason on /ready")
        assert "partitions take no records, among them " in why
        assert "Start broker" in why
        assert "Partitions of the gate's topics take no records." in gate.said
        assert gate.counted("partitions_unwritable") > 0

        cluster.start()
        wait_until(lambda: gate.get("/ready")[0] == 200, DECIDE_SECONDS, "ready again")
        scene.load.pause()
        cluster.wait_in_sync()
        scene.until_all_decided(gate)
        wait_until(lambda: gate.counted("partitions_unwritable") == 0, DECIDE_SECONDS, "no partition is unwritable")
        verdict = judge(scene, scene.load.end())
        assert verdict.counts["approved"] > 0
        assert gate.exit_code is None
        assert "another worker runs under slot" not in gate.said


def _names_replicas(gate: Gate) -> str:
    status, why = gate.get("/ready")
    return why if status == 503 and "take no records" in why else ""
