"""The plan of a campaign, without a broker."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise

import pytest

from tests.chaos.plan import BROKER_KILLED, KINDS, Crew, Planned, Target, make_plan

SEEDS = range(30)


@pytest.mark.parametrize("minutes", [1.0, 3.0, 30.0])
def test_a_seed_says_everything(minutes: float) -> None:
    assert make_plan(7, minutes) == make_plan(7, minutes)
    assert make_plan(7, minutes) != make_plan(8, minutes)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_kind_occurs_however_short_the_campaign(seed: int) -> None:
    assert {planned.kind for planned in make_plan(seed, 1.0)} == set(KINDS)


@pytest.mark.parametrize("seed", SEEDS)
def test_half_an_hour_has_two_hundred_faults_and_a_few_kills_of_the_broker(seed: int) -> None:
    counts = Counter(planned.kind for planned in make_plan(seed, 30.0))
    assert counts.total() >= 200
    assert len(counts) >= 8
    assert counts[BROKER_KILLED] == 6


@pytest.mark.parametrize("seed", SEEDS)
def test_faults_come_in_order_of_time_and_within_their_bounds(seed: int) -> None:
    plan = make_plan(seed, 3.0)
    assert [planned.at_seconds for planned in plan] == sorted(planned.at_seconds for planned in plan)
    for planned in plan:
        assert planned.kind.seconds[0] <= planned.seconds <= planned.kind.seconds[1]
        assert planned.kind.amounts[0] <= planned.amount <= planned.kind.amounts[1]


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_suffers_two_faults_at_once(seed: int) -> None:
    of_target: dict[object, list[Planned]] = defaultdict(list)
    for planned in make_plan(seed, 30.0):
        if planned.kind.target is not Target.UPSTREAM:
            of_target[planned.kind.target if planned.slot is None else planned.slot].append(planned)
    assert set(of_target) == {0, 1, 2, 3, Target.BROKER, Target.POLICY}
    for faults in of_target.values():
        for one, other in pairwise(faults):
            assert one.ends_at_seconds < other.at_seconds


@pytest.mark.parametrize("seed", SEEDS)
def test_only_workers_behind_a_proxy_have_a_bad_network(seed: int) -> None:
    crew = Crew()
    for planned in make_plan(seed, 30.0, crew):
        assert planned.kind.target is not Target.LINK or planned.slot in crew.linked
