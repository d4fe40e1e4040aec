"""Every clause about what is not understood, undone by itself, is noticed: the core differs from the model."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.property.checks import as_it_is, first_difference
from tests.property.clauses import CLAUSES, undone
from tests.property.strategies import random_history

if TYPE_CHECKING:
    from tests.property.strategies import RecordedCase

SEEDS = 150
"""Twice what the rarest takes. Sound code passes all of them: `test_properties` and the campaign."""

history = cache(random_history)


def is_noticed(case: RecordedCase) -> bool:
    try:
        return first_difference(case, as_it_is) is not None
    except Exception:  # noqa: BLE001 - a core that breaks is noticed
        return True


@pytest.mark.parametrize("name", CLAUSES)
def test_a_clause_that_is_undone_is_noticed(name: str) -> None:
    with undone(name):
        assert any(is_noticed(history(seed)) for seed in range(SEEDS)), f"{name} was not noticed"
