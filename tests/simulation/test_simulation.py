"""Sound histories keep every promise, planted mistakes are found, and a seed is a seed."""

from __future__ import annotations

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

# Seeds that find each defect, as `python -m tests.simulation.campaign --seeds 0` says. Another plan of seeds needs
# others: run it again.
FINDS = {
    "commit_with_a_send_unacknowledged": 1,
    "merge_before_commit": 0,
    "offsets_before_acknowledgements": 52,
    "generation_left_out": 35,
    "restored_to_the_last_stable_offset": 22,
    "barrier_skipped": 1,
    "barrier_on_a_stale_answer": 3,
    "identity_check_dropped": 0,
    "window_one_millisecond_too_long": 6,
    "pruned_too_early": 0,
    "rerouted_twice": 0,
    "meta_record_not_written": 0,
    "partition_kept_after_it_was_revoked": 6,
    "group_offsets_trusted_over_the_meta_record": 4,
    "uncommitted_records_restored": 1,
    "moment_not_looked_at_again": 623,
}


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


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_mistake_is_found_where_sound_code_passes(name: str) -> None:
    plan = plan_of(FINDS[name])
    assert not broken(run(plan))
    with planted(name):
        assert broken(run(plan))
    assert not broken(run(plan))


def test_a_failing_history_is_shrunk_to_what_matters() -> None:
    with planted("merge_before_commit"):
        plan = plan_of(FINDS["merge_before_commit"])
        small = shrunk(plan)
        assert broken_promises(small) & broken_promises(plan)
    assert len(small.faults) < len(plan.faults) or len(plan.faults) == 1
    assert len(small.published) < len(plan.published) / 4
    assert not broken_promises(small)


def test_nothing_is_shrunk_where_nothing_is_broken() -> None:
    with pytest.raises(AssertionError, match="nothing is broken"):
        shrunk(plan_of(0))


def said_yes(at_seconds: float) -> Published:
    return Published(at_seconds, preference("c1", f"yes-{at_seconds}", "opt_in", at=BASE_MS + int(at_seconds * 1000)))


def test_a_worker_frozen_in_a_take_over_while_another_decides_is_not_refused() -> None:
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
