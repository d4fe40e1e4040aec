"""Differences planted on one side, to show that the comparison finds such ones.

    python -m tests.versions.campaign --before . --mistake changed-byte

Each is small: in few histories, and in one of the things that are compared.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final
from zlib import crc32

from tests.versions.adapter import Version

_ONE_IN: Final = 512


Undo = Callable[[], None]


def _constant(name: str, value: int) -> Callable[[], Undo]:
    """Another value for a constant of the version's own code, wherever it is used."""

    def plant() -> Undo:
        modules = [each for key, each in sys.modules.items() if key.startswith("streams.") and hasattr(each, name)]
        assert modules, f"this version has no {name}"
        was = getattr(modules[0], name)
        for module in modules:
            setattr(module, name, value)

        def undo() -> None:
            for module in modules:
                setattr(module, name, was)

        return undo

    return plant


def _applied(change: Callable[[list[Any], list[Any], Any], None]) -> Callable[[], Undo]:
    """What a batch gives, changed."""

    def plant() -> Undo:
        original = Version.apply

        def apply(self: Version, *arguments: Any) -> tuple[list[Any], list[Any], Any]:  # noqa: ANN401 - passed on
            outputs, changes, tally = original(self, *arguments)
            change(outputs, changes, tally)
            return outputs, changes, tally

        def undo() -> None:
            Version.apply = original  # type: ignore[method-assign]

        Version.apply = apply  # type: ignore[method-assign, assignment]
        return undo

    return plant


def _changed_byte(outputs: list[Any], changes: list[Any], tally: Any) -> None:  # noqa: ANN401 - a version's own
    for place, (topic, key, value, headers, partition) in enumerate(outputs):
        if value and crc32(value) % _ONE_IN == 0:
            outputs[place] = (topic, key, value[:-1] + b" ", headers, partition)


def _changed_header(outputs: list[Any], changes: list[Any], tally: Any) -> None:  # noqa: ANN401
    for place, (topic, key, value, headers, partition) in enumerate(outputs):
        if value and crc32(value) % _ONE_IN == 1:
            outputs[place] = (topic, key, value, headers[:-1], partition)


def _lost_change(outputs: list[Any], changes: list[Any], tally: Any) -> None:  # noqa: ANN401
    changes[:] = [(key, value) for key, value in changes if value is None or crc32(value) % _ONE_IN]


def _miscounted(outputs: list[Any], changes: list[Any], tally: Any) -> None:  # noqa: ANN401
    tally.duplicates += len(outputs) % 17 == 3


MISTAKES: Final[dict[str, Callable[[], Undo]]] = {
    "changed-byte": _applied(_changed_byte),
    "changed-header": _applied(_changed_header),
    "lost-change": _applied(_lost_change),
    "miscounted": _applied(_miscounted),
    "other-tolerance": _constant("FUTURE_TOLERANCE_MS", 240_000),
    "other-minimum": _constant("VALIDITY_MIN_MS", 1_900),
}


def plant(name: str) -> Undo:
    """Make this mistake from now on, in this process, until it is undone."""
    return MISTAKES[name]()
