"""The opt-out races as one run: a gate of two workers, background load, a third worker that comes and goes, the racer.

    python -m tests.races.campaign        the full counts, with and without the barrier; writes bench/results/races.*

`race` is one such run on fresh topics; the short test and the campaign differ in their `Plan` alone.

The third worker comes and goes for as long as the races run: it is started, waited for until it is ready, told to stop,
and started again. Each coming and each going is a rebalance, in which partitions change hands.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from streams.audit import AuditReport, AuditSettings, audit
from streams.testing.real_kafka import open_kafka
from streams.testing.records import murmur2_partition
from tests.races.racer import CUSTOMER_PREFIX, Summary, Task, Trial
from tests.races.report import write_report
from tests.system.conftest import new_prefix
from tests.system.harness import (
    ERASURE_KEY,
    PARTITIONS,
    REPOSITORY,
    START_SECONDS,
    Gate,
    World,
    running,
    until_all_decided,
    value_of,
)
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.testing.broker import Broker

WITH_BARRIER: Final = "streams.worker"
WITHOUT_BARRIER: Final = "tests.races.worker_without_barrier"
END_SECONDS: Final = 60.0
# A worker that a busy machine keeps from its heartbeats for so long ends, and here nobody would start it again.
TIMEOUTS: Final[dict[str, Any]] = {"session_timeout_seconds": 30.0, "transaction_timeout_seconds": 30.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is raced, and under what."""

    counted_min: int
    rebalancing_min: int
    """0: no third worker comes and goes."""
    trials_per_second: float
    pairs: int
    load_per_second: float
    seconds_max: float


FULL: Final = Plan(
    counted_min=20_000,
    rebalancing_min=3_000,
    trials_per_second=250.0,
    pairs=8,
    load_per_second=1_000.0,
    seconds_max=900.0,
)


@dataclass(frozen=True, slots=True)
class Answered:
    """One race and what the gate made of it."""

    trial: Trial
    verdict: str
    reason: str | None
    decided_ms: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run, judged."""

    plan: Plan
    summary: Summary
    load: dict[str, float]
    joins: int
    """How often the third worker came."""
    answered: list[Answered]
    audit: AuditReport
    """Of everything, with the moments at which the racer's opt-outs were acknowledged."""

    @property
    def counted(self) -> list[Answered]:
        """The races whose intent was sent in time."""
        return [race for race in self.answered if race.trial.counts]

    @property
    def approved(self) -> list[Answered]:
        """Of all races, in time or not."""
        return [race for race in self.answered if race.verdict == "approved"]


class ComesAndGoes:
    """A third worker, started and stopped until told to end."""

    def __init__(self, world: World, directory: Path, policy: Path, module: str) -> None:
        self.joins = 0
        self._arguments: Any = (world, directory)
        self._options: Any = {"policy": policy, "module": module, "slot": "third", **TIMEOUTS}
        self._is_over = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> ComesAndGoes:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._is_over.is_set():
                with running(*self._arguments, **self._options):
                    self.joins += 1
        except BaseException as failure:  # noqa: BLE001 - told when the run is over
            self._failure = failure


def race(broker: Broker, directory: Path, plan: Plan, module: str = WITH_BARRIER) -> Outcome:
    """Run the races of the plan against two workers, and judge everything they wrote."""
    world = World(broker, new_prefix())
    policy = directory / "policy.yaml"
    policy.write_text(any_hour(), encoding="utf-8")
    with two_at_work(world, directory, policy, module) as first:
        third = ComesAndGoes(world, directory, policy, module)
        with background_load(world, plan.load_per_second) as load, third if plan.rebalancing_min else nullcontext():
            summary, trials = _races(world, directory, plan)
        until_all_decided(first, world)
    return Outcome(plan, summary, load, third.joins, _answered(world, trials), _audit(world, policy, trials))


@contextmanager
def two_at_work(world: World, directory: Path, policy: Path, module: str = WITH_BARRIER) -> Iterator[Gate]:
    """Two workers that share the partitions, for as long as the block runs; gives the first."""
    with ExitStack() as stack:
        first, second = (
            stack.enter_context(
                running(world, directory, policy=policy, ready=False, module=module, slot=slot, **TIMEOUTS)
            )
            for slot in ("first", "second")
        )
        first.until(lambda: first.partitions() == second.partitions() == PARTITIONS // 2, START_SECONDS, "both at work")
        yield first


@contextmanager
def background_load(world: World, per_second: float) -> Iterator[dict[str, float]]:
    """The background load for as long as the block runs; how much it was is in the dictionary afterwards."""
    process = _python("tests.races.load", world.address, world.prefix, str(per_second))
    told: dict[str, float] = {}
    try:
        yield told
    finally:
        said, _ = process.communicate(timeout=END_SECONDS)
    assert process.returncode == 0
    told |= json.loads(said)


def _races(world: World, directory: Path, plan: Plan) -> tuple[Summary, list[Trial]]:
    results = directory / f"trials-{world.prefix}.msgpack"
    task = Task(
        bootstrap_servers=world.address,
        prefix=world.prefix,
        group=f"{world.prefix}gate",
        partitions=world.partitions,
        trials_per_second=plan.trials_per_second,
        pairs=plan.pairs,
        counted_min=plan.counted_min,
        rebalancing_min=plan.rebalancing_min,
        seconds_max=plan.seconds_max,
        results=str(results),
    )
    process = _python("tests.races.racer", msgspec.json.encode(task).decode())
    said, _ = process.communicate(timeout=plan.seconds_max + END_SECONDS)
    assert process.returncode == 0, "the racer has failed"
    return msgspec.json.decode(said, type=Summary), msgspec.msgpack.decode(results.read_bytes(), type=list[Trial])


def _python(module: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )


def _answered(world: World, trials: list[Trial]) -> list[Answered]:
    """What each race got; that it is the only answer to it is for the audit to say."""
    found: dict[str, dict[str, Any]] = {}
    for record in world.read_outputs():
        if (record.key or b"").startswith(CUSTOMER_PREFIX.encode()):
            answer = value_of(record)
            if answer["type"] != "withdrawn":
                found[answer["customer_id"]] = answer
    answers = [(trial, found.pop(trial.customer)) for trial in trials]
    assert not found, "answers to races that were not run"
    return [Answered(trial, one["type"], one.get("reason"), one["decided_at"]) for trial, one in answers]


def _audit(world: World, policy: Path, trials: list[Trial]) -> AuditReport:
    acknowledged_ms = {}
    for trial in trials:
        topic = world.names.outcomes if trial.is_stop else world.names.preferences
        home = murmur2_partition(trial.customer.encode(), world.partitions)
        acknowledged_ms[topic, home, trial.offset] = -(-trial.acknowledged_ns // 1_000_000)
    settings = AuditSettings(
        world.address,
        topics=world.names,
        policies=[policy],
        application_id=f"{world.prefix}gate",
        acknowledged_ms=acknowledged_ms,
        erasure_key=ERASURE_KEY,
    )
    return audit(settings)


def main() -> int:
    """Run the campaign, write the report; 1 if a promise was broken or the races could not have shown it."""
    parser = argparse.ArgumentParser(prog="python -m tests.races.campaign", description=main.__doc__)
    parser.add_argument("--trials", type=int, default=FULL.counted_min)
    parser.add_argument("--rebalancing", type=int, default=FULL.rebalancing_min)
    parser.add_argument("--results", type=Path, default=REPOSITORY / "bench/results")
    options = parser.parse_args()
    plan = replace(FULL, counted_min=options.trials, rebalancing_min=options.rebalancing)
    # Without the barrier a tenth shows what is to be shown: that these races can be lost.
    less = replace(plan, counted_min=plan.counted_min // 10, rebalancing_min=plan.rebalancing_min // 10)
    runs = {"off": (less, WITHOUT_BARRIER), "on": (plan, WITH_BARRIER)}
    outcomes = {}
    with open_kafka() as kafka, tempfile.TemporaryDirectory() as directory:
        for name, (of_run, module) in runs.items():
            began = time.monotonic()
            own = Path(directory) / name
            own.mkdir()
            outcomes[name] = race(kafka, own, of_run, module)
            seconds = time.monotonic() - began
            print(f"barrier {name}: {len(outcomes[name].approved)} approvals, {seconds:.0f} s", flush=True)
    is_shown = write_report(options.results, outcomes["on"], outcomes["off"])
    return 0 if is_shown else 1


if __name__ == "__main__":
    sys.exit(main())
