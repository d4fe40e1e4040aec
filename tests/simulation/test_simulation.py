"""Sound histories keep every promise, planted mistakes are found, and a seed is a seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog

from streams.testing.records import preference
from tests.simulation import clients, consumer
from tests.simulation.campaign import look
from tests.simulation.defects import DEFECTS, planted
from tests.simulation.history import run
from tests.simulation.network import BEFORE
from tests.simulation.plan import BASE_MS, RECORDS_LEAST, Fault, Plan, Published, plan_of
from tests.simulation.quiet import quiet
from tests.simulation.shrink import broken_promises, shrunk
from tests.simulation.verdict import broken

if TYPE_CHECKING:
    from collections.abc import Iterator

SEEDS = 240
SHARES = 4

# What brings a defect to light soonest, where the faults that a seed draws by itself take hundreds of seeds. The
# campaign finds each without help.
BRINGS_TO_LIGHT = {
    "offsets_before_acknowledgements": ("freeze",) * 6,
    "generation_left_out": ("freeze",) * 6,
    "restored_to_the_last_stable_offset": ("kill",) * 6,
    "moment_not_looked_at_again": ("clock",) * 12,
}
FOUND_WITHIN_SEEDS = 150
"""Twice what the rarest takes."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before = structlog.get_config()
    quiet()
    yield
    structlog.configure(**before)


@pytest.mark.parametrize("share", range(SHARES))
def test_every_promise_is_kept(share: int) -> None:
    seen = look(range(share, SEEDS, SHARES))
    assert not seen.broken
    assert seen.seeds == SEEDS // SHARES
    assert seen.least_records >= RECORDS_LEAST
    assert seen.least_workers >= 2
    assert seen.disturbed > seen.seeds // 2


def test_nine_histories_in_ten_are_disturbed() -> None:
    plans = [plan_of(seed) for seed in range(1_000)]
    assert sum(plan.disturbs for plan in plans) >= 900
    assert {fault.kind for plan in plans for fault in plan.faults} == {
        *("kill", "freeze", "stop", "rebalance", "broker_down", "refuse", "clock")
    }
    points = {fault.point for plan in plans for fault in plan.faults if fault.point}
    assert points == {*clients.POINTS, *consumer.POINTS}


def digest(seed: int) -> str:
    """Everything the topics of a history hold, and how it came about."""
    history = run(plan_of(seed))
    text = repr([(where, log.start, log.entries) for where, log in sorted(history.broker.logs.items())])
    return blake2b(f"{history.callbacks} {history.seconds} {text}".encode(), digest_size=16).hexdigest()


def test_a_seed_is_the_same_history_again_in_another_process_with_other_hashes() -> None:
    here = [digest(seed) for seed in (3, 4)]
    assert here == [digest(seed) for seed in (3, 4)]
    assert len(set(here)) == 2
    code = (
        "from tests.simulation.quiet import quiet; quiet()\n"
        "from tests.simulation.test_simulation import digest\n"
        "print(*(digest(seed) for seed in (3, 4)))"
    )
    for number in ("1", "2"):
        there = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": number},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            check=True,
            text=True,
        )
        assert there.stdout.split() == here


def first_found(name: str) -> Plan:
    """The first plan that brings a defect to light."""
    with planted(name):
        for seed in range(FOUND_WITHIN_SEEDS):
            plan = plan_of(seed, BRINGS_TO_LIGHT.get(name))
            if broken(run(plan)):
                return plan
    raise AssertionError(f"{name} was not found within {FOUND_WITHIN_SEEDS} seeds")


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_mistake_is_found_where_sound_code_passes(name: str) -> None:
    plan = first_found(name)
    assert not broken(run(plan))


def test_a_failing_history_is_shrunk_to_what_matters() -> None:
    plan = first_found("merge_before_commit")
    with planted("merge_before_commit"):
        small = shrunk(plan)
        assert broken_promises(small) & broken_promises(plan)
    assert len(small.published) < len(plan.published) / 4
    assert not broken_promises(small)


def test_the_campaign_says_what_it_has_seen(tmp_path: Path) -> None:
    options = ["--seeds", "6", "--from", "50", "--no-defects", "--processes", "1", "--results"]
    subprocess.run(
        [sys.executable, "-m", "tests.simulation.campaign", *options, str(tmp_path)],
        cwd=Path(__file__).parents[2],
        check=True,
        capture_output=True,
    )
    assert "Seeds 50 to 55: **6 histories, 0 with a broken promise**" in (tmp_path / "simulation.md").read_text()
    said = json.loads((tmp_path / "simulation.json").read_text())
    assert (said["seen"]["seeds"], said["seen"]["broken"], said["defects"]) == (6, {}, {})
    assert sum(said["seen"]["faults"].values()) > 0


def test_nothing_is_shrunk_where_nothing_is_broken() -> None:
    with pytest.raises(AssertionError, match="nothing is broken"):
        shrunk(plan_of(0))


def said_yes(at_seconds: float) -> Published:
    return Published(at_seconds, preference("c1", f"yes-{at_seconds}", "opt_in", at=BASE_MS + int(at_seconds * 1000)))


def test_a_worker_frozen_in_an_assignment_while_another_decides_is_not_refused() -> None:
    """It asked for the group's offsets after its restore, found them ahead of it, and took that for lost state."""
    frozen = Fault("freeze", 0, None, consumer.COMMITTED, BEFORE, 1, 5.0)
    plan = Plan(0, (said_yes(2.3),), (frozen,), lanes=2, session_timeout_seconds=4.0)
    history = run(plan)
    assert history.struck == [frozen]
    assert not broken(history)


def test_a_history_that_cannot_settle_is_said_to_be_stuck() -> None:
    away = Fault("broker_down", at_seconds=0.9905, seconds=10_000.0)
    plan = Plan(0, (said_yes(0.99),), (away,))
    assert broken(run(replace(plan, faults=()))) == {}
    # The plan ends when the broker is back; a broker that never is would not end it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Plan, "ends_at", 5.0)
        assert broken(run(plan))["stuck"] == 1
