"""The fault campaign in small: each fault once, under a lighter load, judged alike. `make faults` runs all of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from streams.testing.real_kafka import SHORT_LIVED, RealKafka
from tests.faults import held_worker as at
from tests.faults.frozen import CASES, Case, freeze
from tests.faults.interruptions import kill_broker_mid_commit, kill_broker_under_supervisor, stop_under_load
from tests.faults.kills import Kills, until_settled
from tests.faults.scene import Scene
from tests.faults.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.testing.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

RATE = 400
CUSTOMERS = 400
SEED = 20_261_122
STOP_LIMIT_SECONDS = 5.0


@contextmanager
def judged(broker: Broker, prefix: str, directory: Path) -> Iterator[Scene]:
    """A scene, and the verdict on it."""
    with Scene(broker, prefix, directory, rate=RATE, customers=CUSTOMERS, seed=SEED) as scene:
        yield scene
        until_settled(scene)
        verdict = judge(scene, scene.load.end())
        assert verdict.counts["approved"] > 0


def test_a_worker_killed_at_any_point_of_a_transaction_loses_and_doubles_nothing(
    real_kafka: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    with judged(real_kafka, topic_prefix, tmp_path) as scene:
        kills = Kills(scene, SEED)
        for point in (at.AFTER_BEGIN, at.AFTER_ACKNOWLEDGEMENTS, at.AFTER_OFFSETS, at.END_SENT, at.END_ANSWERED):
            kills.at_point(point)
        kills.while_restoring()
        kills.at_random()
        kills.during_rebalance(at.REVOKED)


@pytest.mark.parametrize("case", [CASES[1], CASES[3]], ids=lambda case: case.ends)
def test_a_worker_frozen_past_its_session_has_ended_its_transaction_before_the_next_owner_begins(
    real_kafka: Broker, topic_prefix: str, tmp_path: Path, case: Case
) -> None:
    with judged(real_kafka, topic_prefix, tmp_path) as scene:
        freeze(scene, case)


@pytest.fixture
def own_kafka(request: pytest.FixtureRequest) -> Iterator[RealKafka]:
    """A broker that may be killed: the shared one has other tests on it. Without Kafka it ends as they do."""
    request.getfixturevalue("real_kafka")
    with RealKafka(java_options=SHORT_LIVED) as kafka:
        yield kafka


def test_a_broker_killed_in_the_middle_of_a_commit_comes_back_to_a_gate_that_goes_on_by_itself(
    own_kafka: RealKafka, topic_prefix: str, tmp_path: Path
) -> None:
    with judged(own_kafka, topic_prefix, tmp_path) as scene:
        kill_broker_mid_commit(scene, own_kafka, SEED)
        kill_broker_under_supervisor(scene, own_kafka, 1)


def test_a_gate_asked_to_stop_under_load_ends_in_good_order_within_five_seconds(
    real_kafka: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    with judged(real_kafka, topic_prefix, tmp_path) as scene:
        stopped = [stop_under_load(scene, supervised=supervised) for supervised in (False, True)]
    assert [each.exit_code for each in stopped] == [0, 0]
    assert all(each.seconds <= STOP_LIMIT_SECONDS for each in stopped)
