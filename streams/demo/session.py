"""One run of the demonstration, from starting a broker to the final reconciliation.

Rules of this module
1. Whatever ends the run, everything that it started is ended, in reverse order.
2. The run succeeds only if the counts add up. It says so, and the exit code follows from it.
3. With the record clock everything is published first, and the gate ends by itself. With the wall clock the gate is
   ready first, and is stopped at the end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from confluent_kafka import KafkaException

from streams.cli.errors import CommandError
from streams.cli.options import refuse_unreachable, stopped_answering
from streams.cli.policy_source import compiled, policy_file
from streams.cli.render import view_of_policy
from streams.cli.topics import create_topics
from streams.connection.cluster import Cluster
from streams.demo.display import make_display, print_summary
from streams.demo.feed import Feed, FeedRefused, partitions_of
from streams.demo.follow import Follower
from streams.demo.gate_process import GateProcess
from streams.demo.input import PARTITIONS, Live, demo_input
from streams.demo.reconciliation import Check, Reconciliation
from streams.exit_codes import ExitCode
from streams.testing.broker import create_plan
from streams.testing.embedded_broker import EmbeddedBroker
from streams.testing.errors import OffsetGapError, TestingError
from streams.testing.raw_log import refuse_holes
from streams.testing.real_kafka import RealKafka
from streams.topics import TopicNames, TopicPlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.demo.display import Display
    from streams.demo.records import DemoRecord
    from streams.testing.broker import Broker

READY_SECONDS: Final = 60.0
"""How long the gate may take to be ready on empty topics. It takes a few seconds, or longer on a loaded
machine."""

RECORDED_RETENTION_MS: Final = 3_650 * 86_400_000
"""Recorded weeks may be long past when they are published, so a shorter retention would delete them at once."""

GAP_SECONDS: Final = 60.0

_LOOK_SECONDS: Final = 0.1
_METRICS_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSettings:
    """The options. `cluster`: an existing cluster, with topics that have `prefix`. Without it `broker` is started."""

    broker: Literal["embedded", "kafka"]
    cluster: Cluster | None
    clock: Literal["wall", "record"]
    policy: str
    intents: int
    rate: int
    seed: int
    seconds_limit: float
    keep: bool
    prefix: str


def run_demo(settings: DemoSettings) -> int:
    """Run it, and return the exit code: 0 if the counts add up, otherwise 1.

    Raises:
        CommandError: it could not be run.
    """
    policy = view_of_policy(compiled(settings.policy))
    display = make_display(policy, is_measuring=settings.clock == "wall")
    names = TopicNames().with_prefix(settings.prefix) if settings.prefix else TopicNames()
    with contextlib.ExitStack() as stack:
        display.say("Starting a broker …" if settings.cluster is None else f"Using {settings.cluster} …")
        cluster = stack.enter_context(_broker(settings))
        reconciliation = Reconciliation(names)
        run = _Run(settings, cluster, names, reconciliation, display)
        follower = Follower(cluster, names, reconciliation.arrived)
        follower.start()
        stack.callback(follower.stop)
        stack.callback(run.stop)
        with display:
            checks = run.to_the_end(follower)
        latencies_ms = reconciliation.latencies_ms() if settings.clock == "wall" else []
        examples = reconciliation.examples()
        print_summary(reconciliation.figures(), latencies_ms, checks, examples, policy, seconds=run.seconds)
        is_good = all(check.holds for check in checks)
        if settings.keep and settings.clock == "wall":
            run.keep_running()
        return ExitCode.DONE if is_good else ExitCode.ANSWER_IS_NO


class _Run:
    """The gate and the feed of one run."""

    def __init__(
        self,
        settings: DemoSettings,
        cluster: Cluster,
        names: TopicNames,
        reconciliation: Reconciliation,
        display: Display,
    ) -> None:
        self.seconds = 0.0
        self._settings = settings
        self._cluster = cluster
        self._names = names
        self._reconciliation = reconciliation
        self._display = display
        self._partitions = partitions_of(cluster, names)
        self._feed = Feed(cluster, names, reconciliation.published)
        self._stop_feed = threading.Event()
        self._feeder: threading.Thread | None = None
        self._feed_failure = ""
        self._gate: GateProcess | None = None
        self._aborted = 0
        self._known_restarts = 0
        self._next_look = 0.0
        self._until = time.monotonic() + settings.seconds_limit

    def to_the_end(self, follower: Follower) -> list[Check]:
        """Feed and decide until everything is answered, then reconcile."""
        if self._settings.clock == "record":
            self._record_run()
        else:
            self._live_run()
        began = time.monotonic()
        complaint = ""
        while not complaint:
            self.seconds = time.monotonic() - began
            self._display.show(self._reconciliation.figures(), self._reconciliation.examples(), self.seconds)
            is_fed = self._feeder is None or not self._feeder.is_alive()
            if is_fed and not self._feed_failure and self._reconciliation.is_settled():
                break
            complaint = self._feed_failure or follower.failure or self._complaint(is_fed=is_fed)
            time.sleep(_LOOK_SECONDS)
            self._look_after_gate()
        settings = self._settings
        is_own = settings.cluster is None
        shown = self._aborted if is_own and settings.broker == "embedded" else 0
        checks = self._reconciliation.checks(is_alone=is_own, shown_aborted=shown)
        if complaint:
            return [Check("the run reached its end", holds=False, detail=complaint), *checks]
        return [*checks, self._no_gaps(), self._clean_end()]

    def _look_after_gate(self) -> None:
        """Check from time to time how many transactions were aborted, and whether the worker was restarted."""
        assert self._gate is not None
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + _METRICS_SECONDS
            self._gate.look()
            self._aborted = max(self._aborted, self._gate.aborted)
        if self._gate.restarts > self._known_restarts:
            self._known_restarts = self._gate.restarts
            self._display.say(f"The gate's worker was restarted (restart {self._known_restarts}).")

    def stop(self) -> None:
        """End the feed and the gate. Idempotent."""
        self._stop_feed.set()
        if self._feeder is not None:
            self._feeder.join()
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.stop()

    def keep_running(self) -> None:
        """Leave the gate and the broker running until interrupted."""
        assert self._gate is not None
        where = (
            f"--bootstrap {self._cluster}"
            + self._command_config()
            + (f" --prefix {self._names_prefix()}" if self._names_prefix() else "")
        )
        # The reader may press Ctrl-C as soon as the text says that it ends the gate.
        with contextlib.suppress(KeyboardInterrupt):
            self._display.say(
                f"\nThe gate keeps running: {self._gate.ops}/metrics\n"
                f"  mesura watch {where}\n  mesura publish FILE {where}\n"
                f"  mesura explain --intent FILE --gate {self._gate.explain}\n"
                "Ctrl-C ends it."
            )
            while self._gate.ended() is None:
                time.sleep(_LOOK_SECONDS)

    def _command_config(self) -> str:
        path = self._cluster.connection.path
        return "" if path is None else f" --command-config {path}"

    def _names_prefix(self) -> str:
        return self._settings.prefix

    def _record_run(self) -> None:
        records = demo_input(seed=self._settings.seed, intents=self._settings.intents, partitions=self._partitions)
        self._display.say(f"Publishing {len(records):,} records of seven weeks …")
        try:
            self._feed.send(records, self._stop_feed)
        except FeedRefused as refused:
            raise CommandError(f"The broker refused the input: {refused}") from None
        self._display.say("Starting the gate, which decides by the records' own clock and ends by itself.")
        self._gate = self._start_gate()

    def _live_run(self) -> None:
        self._gate = self._start_gate()
        self._display.say("Starting the gate …")
        duration_ms = self._settings.intents * 1000 // self._settings.rate
        live = Live(int(time.time() * 1000), duration_ms)
        records = demo_input(
            seed=self._settings.seed, intents=self._settings.intents, partitions=self._partitions, live=live
        )
        self._wait_until_ready()
        self._display.say(f"The gate is ready: {self._gate.ops}/metrics. Publishing {len(records):,} records …")
        self._feeder = threading.Thread(target=self._send, args=(records, live.start_ms), name="feed", daemon=True)
        self._feeder.start()

    def _send(self, records: list[DemoRecord], live_from_ms: int) -> None:
        try:
            self._feed.send(records, self._stop_feed, live_from_ms=live_from_ms)
        except FeedRefused as refused:
            self._feed_failure = f"the broker refused the input: {refused}"

    def _start_gate(self) -> GateProcess:
        settings = self._settings
        arguments = [
            "--bootstrap",
            self._cluster.bootstrap_servers,
            "--policy",
            str(policy_file(settings.policy)),
            "--ops-port",
            "0",
        ]
        arguments += ["--clock", settings.clock, "--application-id", f"mesura-demo-{settings.prefix}".rstrip("-")]
        if settings.cluster is None and settings.broker == "embedded":
            arguments.append("--no-check-crcs")
        if settings.prefix:
            arguments += ["--prefix", settings.prefix]
        path = self._cluster.connection.path
        if path is not None:
            arguments += ["--command-config", str(path)]
        # Our own broker ends with us, and with it what it knows about erased customers.
        key = os.environ.get("MESURA_ERASURE_KEY") if settings.cluster else None
        return GateProcess(arguments, erasure_key=key or secrets.token_hex(32), is_own_broker=settings.cluster is None)

    def _wait_until_ready(self) -> None:
        assert self._gate is not None
        until = time.monotonic() + READY_SECONDS
        while not self._gate.is_ready():
            if self._gate.ended() is not None:
                raise CommandError(f"The gate did not start:\n{self._gate.last_words()}")
            if time.monotonic() > until:
                raise CommandError(f"The gate was not ready within {READY_SECONDS:.0f} s:\n{self._gate.last_words()}")
            time.sleep(_LOOK_SECONDS)

    def _complaint(self, *, is_fed: bool) -> str:
        """The reason why waiting longer does not help, or an empty text."""
        assert self._gate is not None
        code = self._gate.ended()
        if code is not None and not (self._settings.clock == "record" and code == 0):
            return f"the gate ended with exit code {code}:\n{self._gate.last_words()}"
        if time.monotonic() > self._until:
            where = "before everything was answered" if is_fed else "before everything was published"
            return f"the time limit of {self._settings.seconds_limit:.0f} s was reached {where}"
        return ""

    def _no_gaps(self) -> Check:
        name = "no topic lost a record"
        if self._settings.cluster is not None:
            return Check(name, holds=True, detail="not checked, because the cluster is not ours")
        names = self._names
        topics = [
            *names.intents,
            names.preferences,
            names.outcomes,
            names.approved,
            names.suppressed,
            names.dead_letter,
        ]
        try:
            refuse_holes(self._cluster.bootstrap_servers, topics, deadline_seconds=GAP_SECONDS)
        except OffsetGapError as gap:
            return Check(name, holds=False, detail=str(gap))
        return Check(name, holds=True, detail=f"{len(topics)} topics read from end to end")

    def _clean_end(self) -> Check:
        assert self._gate is not None
        self._gate.look()
        restarts = self._gate.restarts
        if self._settings.clock == "wall":
            return Check("the gate ran without a restart", restarts == 0, f"{restarts} restarts")
        until = time.monotonic() + READY_SECONDS
        while (code := self._gate.ended()) is None and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
        return Check("the gate ended by itself", code == 0, f"exit code {code}, {restarts} restarts")


@contextlib.contextmanager
def _broker(settings: DemoSettings) -> Iterator[Cluster]:
    """A broker with the topics of the gate."""
    retention = {"retention_ms": RECORDED_RETENTION_MS} if settings.clock == "record" else {}
    names = TopicNames().with_prefix(settings.prefix)
    plan = TopicPlan(names, PARTITIONS, 1, recorded_times=settings.clock == "record", **retention)
    try:
        if settings.cluster is not None:
            refuse_unreachable(settings.cluster)
            create_topics(settings.cluster, plan)
            yield settings.cluster
            return
        with _own_broker(settings.broker) as (broker, bootstrap):
            create_plan(broker, plan)
            yield Cluster(bootstrap)
    except KafkaException as error:
        raise stopped_answering(settings.cluster or "its own address", error) from None
    except TestingError as error:
        raise CommandError(str(error)) from None


@contextlib.contextmanager
def _own_broker(kind: Literal["embedded", "kafka"]) -> Iterator[tuple[Broker, str]]:
    """A broker that ends with us."""
    if kind == "kafka":
        with RealKafka() as kafka:
            yield kafka, kafka.bootstrap_servers
        return
    with EmbeddedBroker(partitions=PARTITIONS) as embedded:
        yield embedded, embedded.bootstrap_servers
