"""A short, fixed part of the campaign: `python -m tests.property.campaign` goes on where it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.property.checks import CHECKS

if TYPE_CHECKING:
    from collections.abc import Callable

# About ten seconds; the campaign begins at the next seed.
SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_it_holds_of_a_random_history(check: Callable[[int], None], seed: int) -> None:
    check(seed)
