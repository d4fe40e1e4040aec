"""Readiness and liveness: when they change, and that each says why."""

from __future__ import annotations

import pytest

from streams.telemetry.health import BARRIER_REPORT_SECONDS, LAG_REPORT_SECONDS, STALL_SECONDS, Health


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Time:
    return Time()


@pytest.fixture
def health(now: Time) -> Health:
    return Health(monotonic=now)


@pytest.fixture
def deciding(health: Health) -> Health:
    """A worker in service, brought there in the engine's order."""
    health.policy(True)
    health.engine(False, "restoring")
    health.restore_progress(0, 0, 100)
    health.restore_progress(1, 50, 0)
    health.restore_progress(0, 100, 0)
    health.assigned(frozenset({0, 1}))
    health.engine(True, "deciding")
    assert health.readiness().ok
    return health


def test_ready_only_when_nothing_is_missing(health: Health) -> None:
    said = [health.readiness()]
    health.policy(True)
    said.append(health.readiness())
    health.engine(False, "restoring")
    health.restore_progress(0, 0, 100)
    said.append(health.readiness())
    health.restore_progress(0, 100, 0)
    health.assigned(frozenset({0}))
    said.append(health.readiness())
    health.engine(True, "deciding")
    said.append(health.readiness())
    assert [standing.ok for standing in said] == [False, False, False, False, True]
    assert [standing.why for standing in said] == [
        "no policy is loaded yet",
        "no partitions are assigned",
        "ledgers are being restored, 100 records remain",
        "restoring",
        "deciding for 1 partitions",
    ]


def test_not_ready_from_revocation_until_restored_again(deciding: Health) -> None:
    deciding.engine(False, "not assigned")
    assert deciding.readiness().why == "not assigned"
    deciding.engine(False, "restoring")
    deciding.restore_progress(2, 0, 10)
    assert deciding.readiness().why == "ledgers are being restored, 10 records remain"
    deciding.restore_progress(2, 10, 0)
    deciding.assigned(frozenset({1, 2}))
    assert not deciding.readiness().ok
    deciding.engine(True, "deciding")
    assert deciding.readiness().ok


def test_lag_of_which_nobody_tells_is_not_taken_for_none(deciding: Health, now: Time) -> None:
    deciding.lag("outbound-intent", 0, 5, 1.0)
    deciding.lag("opt-out", 0, 0, 0.0)
    now.seconds += LAG_REPORT_SECONDS
    assert deciding.lag_unknown_seconds() == 0
    assert deciding.lag_seconds() == {"outbound-intent": 1.0, "opt-out": 0.0}
    now.seconds += 45
    assert deciding.lag_unknown_seconds() == LAG_REPORT_SECONDS + 45
    assert deciding.lag_seconds() == {"outbound-intent": 1.0 + LAG_REPORT_SECONDS + 45, "opt-out": 0.0}
    deciding.lag("outbound-intent", 0, 0, 0.0)
    assert deciding.lag_unknown_seconds() == 0


def test_a_worker_without_partitions_has_no_lag_to_know(health: Health, now: Time) -> None:
    now.seconds += 1000
    assert health.lag_unknown_seconds() == 0
    health.assigned(frozenset({0}))
    assert health.lag_unknown_seconds() == 0


def test_new_partitions_are_not_decided_before_the_engine_says_so(deciding: Health) -> None:
    deciding.assigned(frozenset({0, 1, 2}))
    assert deciding.restoring()
    deciding.engine(True, "deciding")
    assert not deciding.restoring()


def test_losing_every_partition_ends_readiness(deciding: Health) -> None:
    deciding.assigned(frozenset())
    assert deciding.readiness().why == "no partitions are assigned"


def test_a_policy_taken_away_ends_readiness(deciding: Health) -> None:
    deciding.policy(False, "the policy's file is gone")
    assert deciding.readiness().why == "the policy's file is gone"


def test_a_wrong_clock_ends_readiness_until_it_is_right(deciding: Health) -> None:
    for seconds, ready in ((4.9, True), (5.1, False), (-5.1, False), (0.0, True)):
        deciding.clock_difference(seconds)
        assert deciding.readiness().ok is ready


def test_a_silent_barrier_ends_readiness_until_it_answers(deciding: Health) -> None:
    deciding.barrier_unanswered(9.0)
    assert deciding.readiness().ok
    deciding.barrier_unanswered(12.0)
    assert deciding.readiness().why == "the barrier has not answered for 12 s"
    deciding.barrier_waited(0.002)  # another lane's
    assert not deciding.readiness().ok
    deciding.barrier_waited(12.5)
    assert deciding.readiness().ok


def test_silence_of_the_barrier_must_be_repeated_to_be_believed(deciding: Health, now: Time) -> None:
    deciding.barrier_unanswered(60.0)
    now.seconds += BARRIER_REPORT_SECONDS
    assert not deciding.readiness().ok
    now.seconds += 1
    assert deciding.readiness().ok
    deciding.barrier_unanswered(1.0)  # a new silence, not the old one
    assert deciding.barrier_unanswered_seconds() == 1.0
    deciding.barrier_unanswered(0.0)
    assert deciding.barrier_unanswered_seconds() == 0.0


def test_live_while_idle_however_long(deciding: Health, now: Time) -> None:
    deciding.lag("outbound-intent", 0, 0, 0.0)
    now.seconds += 10 * STALL_SECONDS
    assert deciding.liveness().ok


def test_a_stuck_lane_is_not_live_until_it_moves(deciding: Health, now: Time) -> None:
    deciding.lag("outbound-intent", 0, 5, 1.0)
    now.seconds += STALL_SECONDS
    assert deciding.liveness().ok
    now.seconds += 1
    assert deciding.liveness().why == "there is work, and no lane has moved for 121 s"
    deciding.turned()
    assert deciding.liveness().ok


def test_work_that_arrives_after_a_quiet_night_is_no_stall(deciding: Health, now: Time) -> None:
    deciding.lag("outbound-intent", 0, 0, 0.0)
    now.seconds += 10 * STALL_SECONDS
    deciding.lag("outbound-intent", 1, 0, 0.0)
    deciding.lag("outbound-intent", 0, 5, 0.1)
    assert deciding.liveness().ok


def test_waiting_for_the_broker_is_not_being_stuck(deciding: Health, now: Time) -> None:
    deciding.lag("outbound-intent", 0, 5, 1.0)
    for _ in range(10):
        now.seconds += STALL_SECONDS - 1
        deciding.barrier_unanswered(60.0)
    assert deciding.liveness().ok
    assert not deciding.readiness().ok


def test_pausing_for_the_clock_is_not_being_stuck(deciding: Health, now: Time) -> None:
    deciding.lag("outbound-intent", 0, 5, 1.0)
    now.seconds += STALL_SECONDS - 1
    deciding.clock_difference(30.0)
    now.seconds += STALL_SECONDS - 1
    assert deciding.liveness().ok


def test_without_assignment_there_is_nothing_to_be_stuck_with(deciding: Health, now: Time) -> None:
    deciding.lag("outbound-intent", 0, 5, 1.0)
    deciding.engine(False, "not assigned")
    now.seconds += 10 * STALL_SECONDS
    assert deciding.liveness().ok
    deciding.engine(True, "deciding")
    assert deciding.liveness().ok


def test_a_restore_is_live_while_it_reports(health: Health, now: Time) -> None:
    for step in range(10):
        health.restore_progress(0, step, 100 - step)
        now.seconds += STALL_SECONDS - 1
    assert health.liveness().ok
    now.seconds += 2
    assert not health.liveness().ok


def test_a_restore_given_up_is_nothing_to_be_stuck_with(deciding: Health, now: Time) -> None:
    deciding.engine(False, "restoring")
    deciding.restore_progress(1, 0, 100)
    deciding.restore_progress(7, 0, 100)
    deciding.engine(False, "not assigned")
    now.seconds += 10 * STALL_SECONDS
    assert deciding.liveness().ok
    assert deciding.readiness().why == "ledgers are being restored, 0 records remain"
    assert deciding.partitions() == 2


def test_restored_records_are_counted_once(health: Health) -> None:
    assert [health.restore_progress(0, restored, 10) for restored in (0, 4, 4, 9)] == [0, 4, 0, 5]
    assert health.restore_progress(0, 2, 10) == 2  # restored anew, from the start


def test_assignment_says_whether_it_changed(health: Health) -> None:
    assert health.assigned(frozenset({0}))
    assert not health.assigned(frozenset({0}))
    assert health.assigned(frozenset())
