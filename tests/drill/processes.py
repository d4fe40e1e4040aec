"""Faults of the gate's own processes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from tests.drill.fault import Fault
from tests.drill.stage import stage

if TYPE_CHECKING:
    from tests.drill.scene import Scene

ACT: Final = "processes"


def _freeze_one(scene: Scene) -> None:
    scene.machine.signal_workers(signal.SIGSTOP, "1")


def _kill_it(scene: Scene) -> None:
    scene.machine.signal_workers(signal.SIGKILL, "1")


STAGE: Final = stage(ACT)
FAULTS: Final = (
    Fault(
        ACT,
        "one of two worker processes is frozen (SIGSTOP)",
        {"MesuraProcessStuck": r"1 moves 0"},
        _freeze_one,
        _kill_it,
        "`kill -9` of that process; its supervisor starts it again",
    ),
)
