"""The rounds of a feed: one after another until it is stopped, through outages of the broker.

Rules of this module
1. Each round is of other customers, and connects anew, by what is on disk then.
2. A round that the broker does not take ends with a line that says why. The next one begins when a broker answers.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from streams.brokers import BrokersNotReached, reach_brokers
from streams.connection.errors import ConnectionRefused
from streams.demo.feed import Feed, FeedRefused
from streams.demo.input import Live, demo_input

if TYPE_CHECKING:
    import threading

    from streams.connection.cluster import Cluster
    from streams.topics import TopicNames

CROWDS: Final = 36
"""Each round of a feed writes to other customers. After this many rounds (two hours) the first customers come again,
whose caps have room by then. More customers would only make the ledgers grow."""

LOOK_AGAIN_SECONDS: Final = 2.0
"""Between two looks whether a broker answers again."""


class Rounds(NamedTuple):
    """What a feed publishes."""

    intents: int
    """Of each round."""
    rate: int
    """Intents a second."""
    rounds: int
    """0: until it is stopped."""
    seed: int
    mishaps: bool


def feed_rounds(cluster: Cluster, names: TopicNames, partitions: int, plan: Rounds, stop: threading.Event) -> None:
    """Publish round after round."""
    published = _Count()
    done = 0
    while not stop.is_set() and (not plan.rounds or done < plan.rounds):
        live = Live(int(time.time() * 1000), plan.intents * 1000 // plan.rate, crowd=done % CROWDS)
        records = demo_input(
            seed=plan.seed + done, intents=plan.intents, partitions=partitions, live=live, mishaps=plan.mishaps
        )
        done += 1
        try:
            Feed(cluster, names, published).send(records, stop, live_from_ms=live.start_ms)
        except FeedRefused as refused:
            click.echo(f"round {done}: broken off ({refused}); the next begins when a broker answers", err=True)
            _wait_for_broker(cluster, stop)
        click.echo(f"round {done}: {published.count:,} records published so far")


def _wait_for_broker(cluster: Cluster, stop: threading.Event) -> None:
    """Return when a broker answers, or when the feed is stopped."""
    while not stop.is_set():
        try:
            reach_brokers(cluster.bootstrap_servers, cluster.connection)
        except (BrokersNotReached, ConnectionRefused):
            stop.wait(LOOK_AGAIN_SECONDS)
        else:
            return


class _Count:
    """How many records were acknowledged."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, _topic: str, _partition: int, _offset: int, _timestamp_ms: int) -> None:
        self.count += 1
