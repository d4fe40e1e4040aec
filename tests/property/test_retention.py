"""Retention at whatever moment, of whichever customers: no answer differs from the model's, which never forgets."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from streams.decision.ledger.codec import decode_ledger, encode_ledger
from streams.decision.ledger.retention import next_due, next_due_of, retained
from tests.golden.sides import Core
from tests.property.checks import first_difference
from tests.property.strategies import random_history

# About ten seconds.
SEEDS = range(40)


HOUR_MS = 3_600_000


class _Retention:
    """Takes what is past its horizon from some of the customers before each step, as due work may have or not."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"retention-{seed}")
        self.found: Counter[str] = Counter()

    def __call__(self, core: Core, now: int) -> None:
        looked_at = [name for name in core.ledgers if self._chance.random() < 0.4]
        horizons = core.policy.horizons
        for name in looked_at:
            value = encode_ledger(core.ledgers[name])
            ledger = decode_ledger(value)
            due_ms = next_due_of(value, horizons)
            assert due_ms == next_due(ledger, horizons)
            left = retained(core.policy.retention, ledger, now)
            if left is ledger:
                assert due_ms is None or due_ms > now
            else:
                assert due_ms is not None
                assert due_ms - HOUR_MS < now
            assert retained(core.policy.retention, left, now) is left
            self.found["due"] += due_ms is not None and due_ms <= now
            self.found["shorter"] += left is not ledger
            core.ledgers[name] = left


@pytest.mark.parametrize("seed", SEEDS)
def test_nobody_is_answered_otherwise(seed: int) -> None:
    assert first_difference(random_history(seed), _Retention(seed)) is None


def test_the_histories_give_retention_something_to_do() -> None:
    found: Counter[str] = Counter()
    for seed in SEEDS:
        retention = _Retention(seed)
        first_difference(random_history(seed), retention)
        found += retention.found
    assert found["shorter"] > len(SEEDS)
    assert 0 < found["due"] <= found["shorter"]
