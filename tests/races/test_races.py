"""The opt-out races, short: with the barrier nobody who said no is approved; without it the same races find some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.races.campaign import WITHOUT_BARRIER, Plan, race

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import Broker

pytestmark = pytest.mark.timeout(400)

WITH = Plan(
    counted_min=500,
    rebalancing_min=80,
    trials_per_second=250.0,
    pairs=8,
    load_per_second=800.0,
    seconds_max=200.0,
)
WITHOUT = Plan(
    counted_min=400,
    rebalancing_min=0,
    trials_per_second=400.0,
    pairs=8,
    load_per_second=800.0,
    seconds_max=200.0,
)


def test_no_race_is_ever_lost(real_kafka: Broker, tmp_path: Path) -> None:
    """The intent leaves within a millisecond of the acknowledged opt-out, some of them while partitions move."""
    outcome = race(real_kafka, tmp_path, WITH)
    assert len(outcome.counted) >= WITH.counted_min
    assert sum(one.trial.is_rebalancing for one in outcome.counted) >= WITH.rebalancing_min
    assert {(one.verdict, one.reason) for one in outcome.answered} == {("suppressed", "opt_out")}
    assert outcome.audit.is_clean, outcome.audit.as_text()


def test_without_the_barrier_the_same_races_are_lost(real_kafka: Broker, tmp_path: Path) -> None:
    outcome = race(real_kafka, tmp_path, WITHOUT, WITHOUT_BARRIER)
    assert {(one.verdict, one.reason) for one in outcome.counted} == {("suppressed", "opt_out"), ("approved", None)}
    assert outcome.audit.found["barrier_broken"] >= len(outcome.approved), outcome.audit.as_text()
