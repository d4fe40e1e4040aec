"""A fault: what provokes alerts, what ends them, and what the runbook must show of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.drill.scene import Scene


def time_passes(scene: Scene) -> None:
    """Nobody has to do anything."""


@dataclass(frozen=True)
class Fault:
    """One row of the drill's table, or several, if a fault raises several alerts.

    Args:
        act: whose scene it happens in, after the faults of the act that stand before it.
        what: in words, for the table.
        alerts: what must fire, and a pattern that must be found in what the section's commands and panels show.
        provoke: does it.
        mend: does what the section tells.
        mended: the same in words.
        prepare: what must be so before; it is not part of the time that an alert takes.
        holds_up: whether the next fault of the act waits until these alerts are over.
    """

    act: str
    what: str
    alerts: Mapping[str, str]
    provoke: Callable[[Scene], None]
    mend: Callable[[Scene], None] = time_passes
    mended: str = "nothing: the range of the rule ends"
    prepare: Callable[[Scene], None] = time_passes
    holds_up: bool = True
