"""The feed: everything arrives once, in order, on the partition meant; live records are stamped when they are sent."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from streams.cli.main import mesura
from streams.connection.cluster import Cluster
from streams.demo.feed import Feed, FeedRefused, partitions_of
from streams.demo.input import Live, demo_input
from streams.demo.rounds import Rounds, feed_rounds
from streams.testing.broker import create_plan
from streams.testing.embedded_broker import EmbeddedBroker
from streams.testing.kafka_io import read_topic
from streams.testing.waiting import wait_until
from streams.topics import TopicNames, TopicPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

PARTITIONS = 3


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(partitions=PARTITIONS) as running:
        yield running


def make_topics(broker: EmbeddedBroker, prefix: str) -> TopicNames:
    create_plan(broker, TopicPlan(TopicNames().with_prefix(prefix), PARTITIONS, 1))
    return TopicNames().with_prefix(prefix)


def test_recorded_input_arrives_as_it_is(broker: EmbeddedBroker) -> None:
    names = make_topics(broker, "recorded-")
    topics = {"intents": names.intents[0], "preferences": names.preferences, "outcomes": names.outcomes}
    records = demo_input(intents=200, partitions=PARTITIONS)
    acknowledged: Counter[tuple[str, int]] = Counter()
    feed = Feed(
        Cluster(broker.bootstrap_servers), names, lambda topic, partition, *_: acknowledged.update([(topic, partition)])
    )
    feed.send(records, threading.Event())
    for kind, topic in topics.items():
        stored = read_topic(broker.bootstrap_servers, topic, refuse_gaps=True)
        for partition in range(PARTITIONS):
            expected = [
                (record.key, record.value, record.timestamp_ms, tuple(record.headers))
                for record in records
                if record.kind == kind and record.partition_of(PARTITIONS) == partition
            ]
            found = [(r.key, r.value, r.timestamp_ms, r.headers) for r in stored if r.partition == partition]
            assert found == expected
            assert acknowledged[topic, partition] == len(expected)


def test_live_records_are_stamped_when_they_are_sent(broker: EmbeddedBroker) -> None:
    names = make_topics(broker, "live-")
    planned = Live(int(time.time() * 1000) - 5_000, 300)
    records = demo_input(intents=50, partitions=PARTITIONS, live=planned)
    began_ms = int(time.time() * 1000)
    Feed(Cluster(broker.bootstrap_servers), names, lambda *_: None).send(
        records, threading.Event(), live_from_ms=planned.start_ms
    )
    ended_ms = int(time.time() * 1000)
    assert ended_ms - began_ms >= 200
    stored = read_topic(broker.bootstrap_servers, names.intents[0])
    assert all(began_ms <= record.timestamp_ms <= ended_ms for record in stored)
    background = read_topic(broker.bootstrap_servers, names.preferences)
    assert any(record.timestamp_ms < began_ms - 86_400_000 for record in background)


def test_a_feed_can_be_stopped(broker: EmbeddedBroker) -> None:
    names = make_topics(broker, "stopped-")
    stop = threading.Event()
    stop.set()
    Feed(Cluster(broker.bootstrap_servers), names, lambda *_: None).send(demo_input(intents=50), stop)
    assert read_topic(broker.bootstrap_servers, names.preferences) == []


def test_the_command_feeds_a_cluster(broker: EmbeddedBroker) -> None:
    names = make_topics(broker, "command-")
    arguments = ["demo", "feed", "--bootstrap", broker.bootstrap_servers, "--prefix", "command-"]
    result = CliRunner().invoke(mesura, [*arguments, "--intents", "60", "--rate", "600", "--rounds", "2"])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("round 1: ")
    # Two crowds: other customers, and other intents.
    stored = read_topic(broker.bootstrap_servers, names.intents[0])
    assert len(stored) >= 120
    assert {(record.key or b"x")[:10] for record in stored} >= {b"customer-0", b"customer-1"}


def test_it_goes_on_after_an_outage(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.demo.feed.ACKNOWLEDGE_SECONDS", 1.0)
    monkeypatch.setattr("streams.demo.rounds.LOOK_AGAIN_SECONDS", 0.05)
    names = make_topics(broker, "outage-")
    stop = threading.Event()
    said: list[str] = []
    monkeypatch.setattr("click.echo", lambda text, **_: said.append(text))
    plan = Rounds(intents=100, rate=100, rounds=0, seed=7, mishaps=False)
    feeding = threading.Thread(
        target=feed_rounds, args=(Cluster(broker.bootstrap_servers), names, PARTITIONS, plan, stop)
    )

    def arrived() -> int:
        return len(read_topic(broker.bootstrap_servers, names.intents[0]))

    feeding.start()
    try:
        wait_until(lambda: arrived() > 10, 30, "the feed begins")
        broker.go_down()
        wait_until(lambda: any("broken off" in line for line in said), 30, "the round is broken off")
        broker.come_up()
        before = arrived()
        # On a busy machine a round may be broken off once more; more than one arrives whole in the end.
        wait_until(lambda: arrived() > before + 2 * plan.intents, 60, "whole rounds follow")
    finally:
        broker.come_up()
        stop.set()
        feeding.join(30)
    assert not feeding.is_alive()


def test_topics_are_looked_at_first(broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    names = make_topics(broker, "looked-")
    assert partitions_of(Cluster(broker.bootstrap_servers), names) == PARTITIONS
    with pytest.raises(FeedRefused, match="there is no topic nowhere-outbound-intent"):
        partitions_of(Cluster(broker.bootstrap_servers), TopicNames().with_prefix("nowhere-"))
    monkeypatch.setattr("streams.demo.feed.CONNECT_SECONDS", 0.2)
    with pytest.raises(FeedRefused, match="no Kafka broker answers"):
        partitions_of(Cluster("127.0.0.1:1"), names)
