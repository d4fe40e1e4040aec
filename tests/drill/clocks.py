"""Faults of clocks: the workers of a machine read a clock that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.drill.fault import Fault
from tests.drill.stage import stage
from tests.system import worker_with_clock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.drill.scene import Scene

ACT: Final = "clocks"
AHEAD_MS: Final = 3_000
"""Above 1 s, where the alert begins, and below 5 s, where a worker stops."""


def _file(scene: Scene) -> Path:
    return scene.directory / "clock"


def _set_up(scene: Scene) -> None:
    """The clock is wrong by what the file says, and the file says nothing."""
    _put_right(scene)
    scene.begin(module=worker_with_clock.__name__, environment={worker_with_clock.FILE_VARIABLE: str(_file(scene))})


def _put_ahead(scene: Scene) -> None:
    _file(scene).write_text(str(AHEAD_MS), encoding="ascii")


def _put_right(scene: Scene) -> None:
    _file(scene).write_text("0", encoding="ascii")


STAGE: Final = stage(ACT, set_up=_set_up)
FAULTS: Final = (
    Fault(
        ACT,
        "the clock of the workers is 3 s ahead",
        {"MesuraClockDifference": r"\b[23](\.\d+)?$"},
        _put_ahead,
        _put_right,
        "the clock is put right",
    ),
)
