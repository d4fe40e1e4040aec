"""Bounded runs over the recorded demonstration: values are the core's, answers the model's, every time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.system.harness import STARTER, Place, place_of
from tests.system.replay import CoreReplay, ModelReplay, at_default_names, by_record_clock, written

if TYPE_CHECKING:
    from streams.testing.broker import Broker
    from streams.testing.kafka_io import StoredRecord
    from tests.system.conftest import RecordedRun, Runs

pytestmark = pytest.mark.timeout(400)


def published(run: RecordedRun) -> dict[Place, tuple[object, ...]]:
    """What stands on the input topics, under their default names."""

    def content(record: StoredRecord) -> tuple[object, ...]:
        return record.timestamp_ms, record.key, record.value, record.headers

    found = run.account.inputs.values()
    prefix = run.world.prefix
    return {place_of(r)._replace(topic=r.topic.removeprefix(prefix)): content(r) for r in found}


def test_every_value_is_what_contracts_and_core_give_one_record_at_a_time(broker: Broker, runs: Runs) -> None:
    run = runs.recorded(broker, 1)
    steps = by_record_clock(run.world, run.account.inputs.values())
    expected = CoreReplay(run.world, STARTER).run(steps)
    found = written(run.world, run.account)
    assert len(expected) == len(run.account.inputs) > 20_000
    assert len(run.account.decisions) > 11_000
    differing = [place for place in expected if expected[place] != found[place]]
    assert not differing, f"{len(differing)} of {len(expected)} differ, first {differing[:5]}"


def test_the_same_records_on_fresh_topics_give_the_same_bytes(broker: Broker, runs: Runs) -> None:
    first, second = runs.recorded(broker, 1), runs.recorded(broker, 2)
    assert published(first) == published(second)
    answers = [at_default_names(run.world, written(run.world, run.account)) for run in (first, second)]
    assert answers[0] == answers[1]


@pytest.mark.kafka
def test_both_brokers_give_the_same_bytes(embedded_broker: Broker, real_kafka: Broker, runs: Runs) -> None:
    first, second = runs.recorded(embedded_broker, 1), runs.recorded(real_kafka, 1)
    assert published(first) == published(second)
    answers = [at_default_names(run.world, written(run.world, run.account)) for run in (first, second)]
    assert answers[0] == answers[1]


def test_every_answer_is_the_independent_models(embedded_broker: Broker, runs: Runs) -> None:
    """On one broker: that the other gives the same bytes is another test."""
    run = runs.recorded(embedded_broker, 1)
    steps = by_record_clock(run.world, run.account.inputs.values())
    judgement = ModelReplay(STARTER).judge(run.account, steps)
    assert not judgement.differences, f"{len(judgement.differences)} differences\n" + "\n".join(
        judgement.differences[:10]
    )
    assert judgement.decisions == len(run.account.decisions)
    assert judgement.withdrawals == run.account.counts()["withdrawals"] > 10
    assert judgement.refused == len(run.account.dead_letters) > 100
    # Both ways, and most ways to say no.
    assert judgement.approved > 5_000
    assert len(judgement.reasons) > 20
