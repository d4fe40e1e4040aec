"""`kill -9` under load: at named points of a transaction, while restoring, during a rebalance, and at random."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

from tests.faults import held_worker as at
from tests.faults.broker_view import OPEN
from tests.faults.held_worker import Fault
from tests.faults.scene import POINT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.broker_view import Transaction
    from tests.faults.scene import HeldGate, Killed, Scene

DURING_END: Final = (at.END_SENT, at.END_HALF_SENT, at.END_ANSWERED)
REBALANCE: Final = (at.REVOKED, at.STOOD_STILL, at.TAKING_OVER)
AT_RANDOM: Final = "at random"

PASSINGS: Final = (2, 5)
"""Transactions under load before the one that is killed."""

RESTORED: Final = (1, 6)
"""Reports of progress of a restore before the kill."""


def _one_open(transactions: dict[str, Transaction], *, with_group: bool = False) -> bool:
    """The group may be part of it from the second request on; once offsets are added it must be."""
    found = [each for each in transactions.values() if each.state == OPEN and each.partitions]
    return len(found) == 1 and (found[0].holds_group or not with_group)


EXPECTED: Final[dict[str, Callable[[dict[str, Transaction]], bool]]] = {
    at.AFTER_BEGIN: _one_open,
    at.AFTER_FIRST_SEND: _one_open,
    at.AFTER_ACKNOWLEDGEMENTS: _one_open,
    at.AFTER_OFFSETS: lambda found: _one_open(found, with_group=True),
    at.BEFORE_END: lambda found: _one_open(found, with_group=True),
    at.END_HALF_SENT: lambda found: _one_open(found, with_group=True),
    at.END_ANSWERED: lambda found: not any(each.state == OPEN for each in found.values()),
    AT_RANDOM: lambda found: any(each.is_open for each in found.values()),
}
"""What the broker must show right after the kill. Elsewhere it depends on who was faster, and is only reported."""


class Kills:
    """One kill after the other, on one scene."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self._scene = scene
        self._random = random.Random(seed)

    def at_point(self, point: str) -> Killed:
        """Kill the worker at a point of one of its transactions."""
        scene = self._scene
        gate = scene.worker(Fault(point=point, passing=self._random.randint(*PASSINGS), armed=False))
        gate.until_ready()
        scene.load.begin()
        gate.arm()
        gate.until_held()
        # With the request on its way the broker is faster than a question: kill first.
        return self._checked(scene.kill(gate, point, asks_before=point != at.END_SENT))

    def while_restoring(self) -> Killed:
        """Kill the worker while it reads its state back, under load that nobody decides."""
        scene = self._scene
        gate = scene.worker(Fault(point=at.RESTORING, passing=self._random.randint(*RESTORED)))
        assert gate.ops
        scene.load.begin()
        gate.until_held()
        return self._checked(scene.kill(gate, at.RESTORING))

    def during_rebalance(self, point: str) -> Killed:
        """Kill one of two workers while the group hands over partitions; the other one goes on."""
        scene = self._scene
        joins = point == at.TAKING_OVER
        first = scene.worker(None if joins else Fault(point=point, armed=False))
        first.until_ready()
        first.arm()
        second = scene.worker(Fault(point=point) if joins else None, slot="1")
        assert second.ops
        scene.load.begin()
        victim, other = (second, first) if joins else (first, second)
        victim.until_held()
        killed = self._checked(scene.kill(victim, point))
        scene.until_ended(killed)
        other.until(lambda: other.partitions() == scene.world.partitions, POINT_SECONDS, "all partitions")
        assert other.terminate() == 0
        return killed

    def at_random(self) -> Killed:
        """Kill the worker somewhere in a transaction. One that was not in any when the kill came does not count."""
        while True:
            killed = self._at_any_moment()
            if killed.open_after:
                return self._checked(killed)
            self._scene.killed.remove(killed)

    def _at_any_moment(self) -> Killed:
        scene = self._scene
        gate = scene.worker()
        gate.until_ready()
        scene.load.begin()
        transactions, looks = self._random.randint(*PASSINGS), self._random.randint(0, 8)
        self._until_transactions(gate, transactions)
        with scene.view() as view:
            seen = [0]

            def is_open_long_enough() -> bool:
                seen[0] += any(each.is_open for each in view.describe(gate.ids).values())
                return seen[0] > looks

            while not is_open_long_enough():
                assert gate.exit_code is None, gate.said[-3000:]
        return scene.kill(gate, AT_RANDOM, asks_before=False)

    def _until_transactions(self, gate: HeldGate, count: int) -> None:
        """Wait until the worker has begun so many transactions."""
        begun: set[tuple[str, int]] = set()
        with self._scene.view() as view:

            def enough() -> bool:
                begun.update((name, found.start_ms) for name, found in view.describe(gate.ids).items())
                return len(begun) > count

            gate.until(enough, POINT_SECONDS, f"{count} transactions")

    def _checked(self, killed: Killed) -> Killed:
        expected = EXPECTED.get(killed.point)
        assert expected is None or expected(killed.after), f"killed {killed.point}, but the broker had {killed.after}"
        return killed


def until_settled(scene: Scene) -> None:
    """Start a worker that is left alone, let it decide everything, and stop it."""
    gate = scene.worker()
    gate.until_ready()
    scene.until_all_decided(gate, POINT_SECONDS * 3)
    assert gate.terminate() == 0
