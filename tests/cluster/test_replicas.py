"""Which partitions take no records, and the sentence for them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from streams.exactly_once.replica_watch import cause, unwritable
from streams.topic_check import differences_of
from streams.topics import TopicPlan


def topic(name: str, *partitions: tuple[int, list[int], list[int]]) -> dict[str, Any]:
    return {
        "topic": name,
        "partitions": [
            {"partition": number, "leader": leader, "replicas": replicas, "isr": in_sync}
            for number, (leader, replicas, in_sync) in enumerate(partitions)
        ],
    }


def test_enough_replicas_need_no_sentence() -> None:
    assert unwritable([topic("a", (1, [1, 2, 3], [1, 2]))], {"a": 2}) == []
    assert cause([]) == ""


def test_the_sentence_names_a_partition_and_the_brokers_that_are_away() -> None:
    found = unwritable([topic("a", (1, [1, 2, 3], [1, 2, 3]), (1, [1, 3], [1]), (-1, [2, 3], [2]))], {"a": 2})
    assert [each.partition for each in found] == [1, 2]
    assert cause(found) == (
        "2 partitions take no records, among them a-1, which has 1 of 2 replicas in sync, and min.insync.replicas "
        "is 2. Start broker 3: the gate waits and then goes on by itself"
    )
    assert found[1].why == "has no leader"


def test_a_broker_that_takes_no_connection_is_away_whatever_the_others_say() -> None:
    found = unwritable([topic("a", (2, [1, 2, 3], [1, 2, 3]))], {"a": 2}, frozenset({1, 2}))
    assert cause(found).endswith(
        "a-0, which has no leader. Start broker 1, 2: the gate waits and then goes on by itself"
    )


@pytest.mark.parametrize(("at_least", "is_told"), [("1", False), ("2", True)])
def test_topics_that_the_loss_of_one_broker_stops_are_told(at_least: str, is_told: bool) -> None:
    planned = TopicPlan(partitions=1, replication_factor=2).topics()[0]
    config = {**planned.config, "min.insync.replicas": at_least}
    told = differences_of(planned, {0: SimpleNamespace(replicas=[1, 2])}, config)
    assert any("so the loss of one broker stops every decision" in each for each in told) is is_told
