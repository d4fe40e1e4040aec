"""A plan that fails → a smaller one that fails in the same way.

Parts are taken out as long as what is left still breaks the same promises, large parts first (delta debugging, Zeller
and Hildebrandt 2002). Then the settings are made plain where that changes nothing.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Final, TypeVar

from tests.simulation.history import run
from tests.simulation.plan import SETTINGS, Plan
from tests.simulation.verdict import broken

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Part = TypeVar("Part")

TRIES_MAX: Final = 2_000
"""Histories run for one shrinking: a minute or two."""


def shrunk(plan: Plan, breaks: Callable[[Plan], frozenset[str]] | None = None) -> Plan:
    """The smallest plan found that breaks at least one promise that this one breaks."""
    breaks = breaks or broken_promises
    wanted = breaks(plan)
    assert wanted, "nothing is broken: there is nothing to shrink"
    tries = _Tries(lambda smaller: bool(breaks(smaller) & wanted))
    size = None
    while size != (size := (len(plan.faults), len(plan.published))):
        plan = _with_fewer(plan, "faults", tries)
        plan = _with_fewer(plan, "published", tries)
    defaults = {each.name: each.default for each in fields(Plan)}
    for name in SETTINGS:
        plainer = replace(plan, **{name: defaults[name]})
        if tries.fails(plainer):
            plan = plainer
    return plan


def _with_fewer(plan: Plan, name: str, tries: _Tries) -> Plan:
    left = _fewer(getattr(plan, name), lambda parts: tries.fails(replace(plan, **{name: parts})))
    return replace(plan, **{name: left})


def broken_promises(plan: Plan) -> frozenset[str]:
    """What carrying out the plan breaks."""
    return frozenset(broken(run(plan)))


class _Tries:
    """Counts, so that shrinking ends."""

    def __init__(self, fails: Callable[[Plan], bool]) -> None:
        self._fails = fails
        self._left = TRIES_MAX

    def fails(self, plan: Plan) -> bool:
        """Whether it still fails; no more than so often."""
        self._left -= 1
        return self._left >= 0 and self._fails(plan)


def _fewer(parts: Sequence[Part], still_fails: Callable[[tuple[Part, ...]], bool]) -> tuple[Part, ...]:
    """Without what is not needed: halves, quarters, … single parts."""
    left = tuple(parts)
    size = len(left)
    while size:
        start = 0
        while start < len(left):
            without = left[:start] + left[start + size :]
            if still_fails(without):
                left = without
            else:
                start += size
        size //= 2
    return left
