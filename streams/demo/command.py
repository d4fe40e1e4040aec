"""`mesura demo`: shows the gate at work on made-up customers. `mesura demo feed`: such input for a running gate.

Exit codes: 0 the counts add up: every intent record was answered exactly once, and everything that customers and
gateways said was applied; 1 they do not add up (one line says what is wrong); 2 the demo could not run; 130
interrupted. Nothing that was started is left behind, however the demo ends.
"""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING, Final, Literal

import click

from streams.cli.errors import CommandError
from streams.cli.options import cluster_option, cluster_option_for, refuse_unreachable, topic_names, topic_options

if TYPE_CHECKING:
    from types import FrameType

    from streams.connection.cluster import Cluster

LIVE_INTENTS: Final = 15_000
LIVE_RATE: Final = 500
"""Half a minute of a busy day, which is long enough to watch and short enough to wait for."""

FEED_INTENTS: Final = 4_000
FEED_RATE: Final = 20


@click.group(invoke_without_command=True)
@click.option(
    "--broker",
    type=click.Choice(["embedded", "kafka"]),
    default="embedded",
    show_default=True,
    help="Which broker to start. kafka: Apache Kafka, fetched with Maven the first time; needs Java 17.",
)
@cluster_option_for("Do not start a broker. Use this cluster, with topics of the demo's own.", envvars=())
@click.option(
    "--clock",
    type=click.Choice(["wall", "record"]),
    default="wall",
    show_default=True,
    help="wall: live, now. record: seven recorded weeks, decided by the records' own timestamps, with the same "
    "result every time.",
)
@click.option(
    "--policy", default="starter", show_default=True, metavar="FILE", help="A policy file, or starter, small."
)
@click.option("--intents", type=click.IntRange(1), help="Number of intents. Default: 15 000 live, 30 000 recorded.")
@click.option("--rate", type=click.IntRange(1), default=LIVE_RATE, show_default=True, help="Live intents per second.")
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed, other customers.")
@click.option(
    "--seconds-limit", type=click.FloatRange(1), default=300.0, show_default=True, help="Give up after this time."
)
@click.option("--keep", is_flag=True, help="Keep gate and broker running at the end, until Ctrl-C (wall clock only).")
@click.option(
    "--prefix", default="", metavar="TEXT", help="With --bootstrap: the prefix of topic names. Default: a new one."
)
@click.pass_context
def demo(
    context: click.Context,
    broker: Literal["embedded", "kafka"],
    cluster: Cluster | None,
    clock: Literal["wall", "record"],
    policy: str,
    intents: int | None,
    rate: int,
    seed: int,
    seconds_limit: float,
    keep: bool,
    prefix: str,
) -> None:
    """See the gate at work, with nothing else installed."""
    if context.invoked_subcommand is not None:
        return
    if keep and clock == "record":
        raise click.UsageError("--keep needs the wall clock, because a recorded run ends by itself.")
    from streams.demo.input import INTENTS
    from streams.demo.session import DemoSettings, run_demo

    signal.signal(signal.SIGTERM, _interrupt)
    settings = DemoSettings(
        broker=broker,
        cluster=cluster,
        clock=clock,
        policy=policy,
        intents=intents or (INTENTS if clock == "record" else LIVE_INTENTS),
        rate=rate,
        seed=seed,
        seconds_limit=seconds_limit,
        keep=keep,
        # A cluster that others use gets topics of our own, and new ones every time.
        prefix=prefix or (f"demo-{int(time.time()):x}-" if cluster else ""),
    )
    context.exit(run_demo(settings))


@demo.command()
@click.option(
    "--intents", type=click.IntRange(1), default=FEED_INTENTS, show_default=True, help="Number of intents per round."
)
@click.option("--rate", type=click.IntRange(1), default=FEED_RATE, show_default=True, help="Intents per second.")
@click.option("--rounds", type=click.IntRange(0), default=0, show_default=True, help="0: until stopped.")
@click.option("--seed", type=int, default=7, show_default=True, help="Another seed, other customers.")
@click.option(
    "--mishaps",
    is_flag=True,
    help="Producers make mistakes too: unreadable and misplaced records, wrong clocks. They raise alerts.",
)
@cluster_option
@topic_options
def feed(
    intents: int,
    rate: int,
    rounds: int,
    seed: int,
    mishaps: bool,
    cluster: Cluster,
    prefix: str,
    intent_topics: tuple[str, ...],
    renamed_topics: tuple[str, ...],
) -> None:
    """Publish the demonstration's input, live, to a cluster where a gate is already running.

    A broker outage ends the round, and the next one begins when a broker answers again.
    """
    from streams.demo.feed import FeedRefused, partitions_of
    from streams.demo.rounds import Rounds, feed_rounds

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    names = topic_names(prefix, intent_topics, renamed_topics)
    refuse_unreachable(cluster)
    try:
        partitions = partitions_of(cluster, names)
    except FeedRefused as refused:
        raise CommandError(f"The broker refused the input: {refused}.") from None
    plan = Rounds(intents=intents, rate=rate, rounds=rounds, seed=seed, mishaps=mishaps)
    feed_rounds(cluster, names, partitions, plan, stop)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
