"""Retention at whatever moment, of whichever customers: no answer differs from the model's, which never forgets."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from streams.decision.ledger.codec import decode_ledger, encode_ledger
from streams.exactly_once.changelog import customer_key
from streams.retention import due_ledgers, retained
from tests.golden.sides import Core
from tests.property.checks import first_difference
from tests.property.strategies import random_history

# About ten seconds.
SEEDS = range(40)


class _Walk:
    """Looks at some of the customers before each step, as the walk over the stores may have got there or not."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"retention-{seed}")
        self.found: Counter[str] = Counter()

    def __call__(self, core: Core, now: int) -> None:
        looked_at = [name for name in core.ledgers if self._chance.random() < 0.4]
        store = {customer_key(name.encode()): encode_ledger(core.ledgers[name]) for name in looked_at}
        due = due_ledgers(core.policy, list(store), store, now)
        for name in looked_at:
            key = customer_key(name.encode())
            ledger = decode_ledger(store[key])
            left = retained(core.policy, ledger, now)
            assert (left is ledger) == (key not in due)
            assert retained(core.policy, left, now) is left
            self.found["shorter"] += left is not ledger
            core.ledgers[name] = left


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_answered_otherwise(seed: int) -> None:
    assert first_difference(random_history(seed), _Walk(seed)) is None


def test_the_histories_give_retention_something_to_do() -> None:
    found: Counter[str] = Counter()
    for seed in SEEDS:
        walk = _Walk(seed)
        first_difference(random_history(seed), walk)
        found += walk.found
    assert found["shorter"] > len(SEEDS)
