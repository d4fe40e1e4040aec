"""What is done to three brokers, and to gates on them: each strike waits for its effect, and puts right.

A strike returns what was seen, in a few words. Two gates suffer it at once: one without encryption, one over SASL_SSL.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from confluent_kafka import ElectionType

from streams.testing.waiting import wait_until
from tests.cluster.races import Races
from tests.system.harness import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.testing.kafka_cluster import KafkaCluster
    from tests.faults.scene import Scene

SEEN_SECONDS: Final = 240.0
"""Until a strike's effect is there, or the gate decides again: three brokers and four workers share a machine."""

PROCESSES: Final = 2
LAST_WORDS_CHARACTERS: Final = 2_000


@dataclass
class Side:
    """One gate of several worker processes under load, with races beside it."""

    name: str
    scene: Scene
    races: Races
    gate: Gate = field(init=False)

    def start(self) -> None:
        """Start the gate on a machine that has nothing of it: its ledgers come from the changelog."""
        directory = self.scene.directory / f"machine-{len(list(self.scene.directory.glob('machine-*')))}"
        directory.mkdir()
        self.gate = Gate(self.scene.settings(), directory, processes=PROCESSES)
        self.scene._gates.append(self.gate)

    def until_ready(self) -> None:
        """Wait until it decides for every partition."""
        self.until(lambda: self.gate.get("/ready")[0] == 200, "ready")

    def last_words(self) -> str:
        """Of its log, where a campaign does not go on."""
        return self.gate.said[-LAST_WORDS_CHARACTERS:] if hasattr(self, "gate") else "not started"

    def batches(self) -> Counter[int]:
        """Committed so far, by partition."""
        self.scene.progress.read()
        return Counter({partition: len(batches) for partition, batches in self.scene.progress.batches.items()})

    def is_beyond(self, before: Mapping[int, int]) -> bool:
        """Whether every partition has committed since."""
        return all(count > before[partition] for partition, count in self.batches().items())

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait; the supervisor must not end meanwhile, whatever becomes of its workers."""
        self.gate.until(condition, SEEN_SECONDS, f"{self.name}: {what}")


@dataclass
class Stage:
    """What is struck."""

    cluster: KafkaCluster
    sides: tuple[Side, ...]

    def until_all_decide(self, why: str) -> None:
        """Wait until every partition of every gate has committed something that it had not."""
        before = [side.batches() for side in self.sides]
        for side, known in zip(self.sides, before, strict=True):
            side.until(lambda side=side, known=known: side.is_beyond(known), why)  # type: ignore[misc]

    def other_than(self, number: int) -> int:
        """Any other node."""
        return min(node for node in self.cluster.nodes if node != number)


def rolling_restart(stage: Stage) -> str:
    """Every broker in good order, one after the other, with all replicas in sync in between."""
    for number, node in stage.cluster.nodes.items():
        node.shut_down()
        stage.until_all_decide(f"without broker {number}")
        node.start()
        stage.cluster.wait_in_sync()
    return f"{len(stage.cluster.nodes)} brokers, one after the other"


def leaders_moved(stage: Stage) -> str:
    """The leader of every partition that is not where it is preferred, at once."""
    topics = [topic for side in stage.sides for topic in side.scene.world.names.all()]
    before = stage.cluster.leaders(topics)
    admin = stage.cluster.admin()  # kept: a client that nobody holds is gone before it has asked
    with suppress(Exception):  # what is where it belongs is refused
        admin.elect_leaders(ElectionType.PREFERRED).result()
    wait_until(lambda: stage.cluster.leaders(topics) != before, SEEN_SECONDS, "other leaders")
    after = stage.cluster.leaders(topics)
    return f"{sum(after[each] != leader for each, leader in before.items())} of {len(before)} partitions"


def one_broker_killed(stage: Stage) -> str:
    """kill -9 of one that is not the controller; decided without it, then it comes back."""
    number = stage.other_than(stage.cluster.controller())
    return _killed(stage, number)


def controller_killed(stage: Stage) -> str:
    """kill -9 of the active controller; another one takes over."""
    number = stage.cluster.controller()
    seen = _killed(stage, number)
    return f"{seen}; then {stage.cluster.controller()} was the controller"


def _killed(stage: Stage, number: int) -> str:
    node = stage.cluster.nodes[number]
    node.kill()
    wait_until(lambda: stage.cluster.controller() not in {number, -1}, SEEN_SECONDS, "a controller")
    stage.until_all_decide(f"without broker {number}")
    node.start()
    stage.cluster.wait_in_sync()
    return f"broker {number}"


def two_brokers_killed(stage: Stage) -> str:
    """kill -9 of two: nothing may be written, and the gate says why; then they come back."""
    for number in (1, 2):
        stage.cluster.nodes[number].kill()
    for side in stage.sides:
        side.until(lambda side=side: _says_why(side), "the reason on /ready")  # type: ignore[misc]
    stage.cluster.start()
    return "every gate said that partitions take no records"


def _says_why(side: Side) -> bool:
    status, why = side.gate.get("/ready")
    return status != 200 and "take no records" in why


def network_cut(stage: Stage) -> str:
    """Nothing passes between one broker and the others, in either direction; clients reach all."""
    number = stage.other_than(stage.cluster.controller())
    asked = stage.other_than(number)
    stage.cluster.cut_off(number)
    try:
        wait_until(lambda: not stage.cluster.sees(asked, number), SEEN_SECONDS, "a broker that is missed")
        stage.until_all_decide(f"with broker {number} cut off")
    finally:
        stage.cluster.heal(number)
    stage.cluster.wait_in_sync()
    return f"broker {number} cut off from the others"


def worker_killed(stage: Stage) -> str:
    """kill -9 of one worker of each gate; its supervisor starts another."""
    for side in stage.sides:
        os.kill(next(iter(side.gate.worker_pids().values())), signal.SIGKILL)
    return "one of two of each gate"


def worker_paused(stage: Stage) -> str:
    """SIGSTOP of one worker of each gate until the other one decides everywhere in its place; SIGCONT."""
    pids = [next(iter(side.gate.worker_pids().values())) for side in stage.sides]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        stage.until_all_decide("by the other worker alone")
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):  # its supervisor gave it up
                os.kill(pid, signal.SIGCONT)
    return "until the other one of two had its partitions"


def machine_lost(stage: Stage) -> str:
    """kill -9 of a gate's supervisor and workers; another starts where there is nothing of it."""
    for side in stage.sides:
        pids = side.gate.worker_pids().values()
        side.gate.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        side.start()
    for side in stage.sides:
        side.until_ready()
    return "ledgers restored from the changelog alone"


STRIKES: Final[Mapping[str, Callable[[Stage], str]]] = {
    "rolling restart of all brokers": rolling_restart,
    "leaders moved": leaders_moved,
    "one broker killed": one_broker_killed,
    "controller killed": controller_killed,
    "two brokers killed": two_brokers_killed,
    "network cut around a broker": network_cut,
    "worker killed": worker_killed,
    "worker paused past its session": worker_paused,
    "machine lost, ledgers restored elsewhere": machine_lost,
}
