"""How large batches become."""

from __future__ import annotations

from streams.exactly_once.batch_limit import BATCH_SECONDS, FITTED_RECORDS_MIN, SMALLEST_LIMIT_RECORDS, BatchLimit

MAX = 8_000
PER_SECOND = 10_000


def after(limit: BatchLimit, batches: int, per_second: float, overhead_seconds: float = 0.02) -> list[float]:
    """A backlog decided at this rate: what each batch took."""
    took = []
    for _ in range(batches):
        records = limit.records
        took.append(overhead_seconds + records / per_second)
        limit.committed(records, took[-1])
    return took


def test_under_a_backlog_batches_settle_at_the_time_meant_for_them() -> None:
    limit = BatchLimit(MAX)
    took = after(limit, 30, PER_SECOND)
    assert took[0] > 4 * BATCH_SECONDS
    assert all(BATCH_SECONDS / 2 < seconds < BATCH_SECONDS * 1.3 for seconds in took[2:])


def test_what_is_fast_enough_is_never_cut() -> None:
    limit = BatchLimit(MAX)
    after(limit, 5, 100_000)
    assert limit.records == MAX


def test_a_slow_broker_alone_does_not_make_batches_tiny() -> None:
    limit = BatchLimit(MAX)
    after(limit, 20, PER_SECOND, overhead_seconds=1.5)
    assert limit.records == FITTED_RECORDS_MIN


def test_what_comes_too_late_is_halved_down_to_single_records_and_recovers() -> None:
    limit = BatchLimit(MAX)
    for _ in range(20):
        limit.late()
    assert limit.records == SMALLEST_LIMIT_RECORDS
    after(limit, 60, 100_000)
    assert limit.records == MAX
