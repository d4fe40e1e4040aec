"""The broker killed in the middle of a commit, and a gate asked to stop under load."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from streams.testing.waiting import wait_until
from tests.faults import held_worker as at
from tests.faults.held_worker import Fault
from tests.faults.kills import PASSINGS
from tests.faults.scene import POINT_SECONDS

if TYPE_CHECKING:
    from streams.testing.real_kafka import RealKafka
    from tests.faults.broker_view import Transaction
    from tests.faults.scene import Scene
    from tests.system.harness import Gate

START_AGAIN: Final = 3


@dataclass
class BrokerKilled:
    """One kill -9 of the broker."""

    how: str
    before: dict[str, str]
    """The gate's transactions right before."""
    after: dict[str, str]
    """When the broker answered again."""
    deciding_after_seconds: float
    """From the broker's answer to the next committed batch."""
    restarts: int
    """How often the worker was started again."""


def kill_broker_mid_commit(scene: Scene, kafka: RealKafka, seed: int, *, point: str = at.END_SENT) -> BrokerKilled:
    """Kill the broker while the worker's EndTxn is on its way; the worker is started again as often as it ends."""
    passing = random.Random(seed).randint(*PASSINGS)
    gate = scene.worker(Fault(point=point, passing=passing, armed=False))
    gate.until_ready()
    scene.load.begin()
    gate.arm()
    gate.until_held()
    kafka.kill()
    gate.release()
    kafka.start()
    with scene.view() as view:
        after = wait_until(
            lambda: _known(view.describe(gate.ids)), POINT_SECONDS, "the coordinator to have read its log"
        )
    answered = time.monotonic()
    batches = _batches(scene)
    restarts = 0
    while _batches(scene) == batches:
        if gate.exit_code is not None:
            assert gate.exit_code not in (0, 2), gate.said[-3000:]
            gate, restarts = scene.worker(), restarts + 1
        assert time.monotonic() - answered < POINT_SECONDS, f"the gate did not go on:\n{gate.said[-3000:]}"
    seconds = time.monotonic() - answered
    scene.load.pause()
    scene.until_all_decided(gate)
    assert gate.terminate() == 0
    return BrokerKilled(point, {}, _in_words(after), seconds, restarts)


def kill_broker_under_supervisor(scene: Scene, kafka: RealKafka, times: int) -> list[BrokerKilled]:
    """Kill the broker while a transaction is open; `mesura run` does what is to be done."""
    gate = scene.supervised()
    gate.until_ready()
    answers = []
    for _ in range(times):
        scene.load.begin()
        before = _until_open(scene, gate)
        kafka.kill()
        kafka.start()
        with scene.view() as view:
            after = view.list(scene.world.prefix)
        answered, batches, said = time.monotonic(), _batches(scene), gate.said.count("Restart ")
        gate.until(lambda known=batches: _batches(scene) > known, POINT_SECONDS, "the next committed batch")
        seconds = time.monotonic() - answered
        scene.load.pause()
        scene.until_all_decided(gate)
        restarts = gate.said.count("Restart ") - said
        answers.append(BrokerKilled("a transaction open, `mesura run`", before, after, seconds, restarts))
    assert gate.terminate() == 0
    return answers


@dataclass
class Stopped:
    """One SIGTERM."""

    how: str
    open_before: list[str]
    seconds: float
    exit_code: int


def stop_under_load(scene: Scene, *, supervised: bool) -> Stopped:
    """SIGTERM while transactions are being made."""
    gate = scene.supervised() if supervised else scene.worker()
    gate.until_ready()
    scene.load.begin()
    before = _until_open(scene, gate)
    began = time.monotonic()
    code = gate.terminate()
    seconds = time.monotonic() - began
    scene.load.pause()
    scene.progress.read()
    open_before = [state for state in before.values() if state == "Ongoing"]
    return Stopped("`mesura run`" if supervised else "worker", open_before, seconds, code)


def _until_open(scene: Scene, gate: Gate) -> dict[str, str]:
    """Wait until the gate has committed under this load and has a transaction open; what the broker has then."""
    batches = _batches(scene)
    gate.until(lambda: _batches(scene) > batches + 10, POINT_SECONDS, "batches under load")
    found: dict[str, str] = {}
    with scene.view() as view:
        while "Ongoing" not in found.values():
            assert gate.exit_code is None, gate.said[-3000:]
            found = view.list(scene.world.prefix)
    return found


def _batches(scene: Scene) -> int:
    scene.progress.read()
    return sum(map(len, scene.progress.batches.values()))


def _known(found: dict[str, Transaction]) -> dict[str, Transaction] | None:
    """The answer, once the coordinator has one."""
    return None if any(each.state.endswith("Error") for each in found.values()) else found


def _in_words(found: dict[str, Transaction]) -> dict[str, str]:
    return {name: str(transaction) for name, transaction in found.items()}
