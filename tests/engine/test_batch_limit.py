"""How large batches become."""

from __future__ import annotations

from streams.exactly_once.batch_limit import (
    BATCH_SECONDS,
    FITTED_RECORDS_MIN,
    SHORT_BATCH_RECORDS,
    SMALLEST_LIMIT_RECORDS,
    URGENT_BATCH_SECONDS,
    URGENT_REMEMBERED_SECONDS,
    BatchLimit,
)

MAX = 8_000
PER_SECOND = 10_000


class Backlog:
    """A lane with a backlog, and its time."""

    def __init__(self, limit: BatchLimit) -> None:
        self.limit = limit
        self.now = 0.0
        self.sizes: list[int] = []

    def decide(
        self, batches: int, per_second: float, overhead_seconds: float = 0.02, *, urgent: bool = False
    ) -> list[float]:
        """Decided at this rate: what each batch took."""
        took = []
        for _ in range(batches):
            records = self.limit.next_records(self.now, is_urgent=urgent)
            took.append(overhead_seconds + records / per_second)
            self.now += took[-1]
            self.sizes.append(records)
            self.limit.committed(records, took[-1], self.now)
        return took


def test_under_a_backlog_batches_settle_at_the_time_meant_for_them() -> None:
    took = Backlog(BatchLimit(MAX)).decide(30, PER_SECOND)
    assert max(took) < 2.1 * BATCH_SECONDS
    assert all(BATCH_SECONDS / 2 < seconds < BATCH_SECONDS * 1.3 for seconds in took[5:])


def test_a_lane_whose_records_cost_much_begins_with_batches_that_can_be_committed() -> None:
    took = Backlog(BatchLimit(MAX)).decide(10, 2_000)
    assert max(took) < 1.0


def test_what_is_fast_enough_is_never_cut_after_a_few_batches() -> None:
    backlog = Backlog(BatchLimit(MAX))
    backlog.decide(10, 100_000)
    assert backlog.sizes == [500, 1_000, 2_000, 4_000, *[MAX] * 6]


def test_a_limit_below_the_smallest_fitted_batch_is_kept() -> None:
    backlog = Backlog(BatchLimit(3))
    backlog.decide(3, 100_000)
    assert backlog.sizes == [3, 3, 3]


def test_a_slow_broker_alone_does_not_make_batches_tiny() -> None:
    backlog = Backlog(BatchLimit(MAX))
    backlog.decide(20, PER_SECOND, overhead_seconds=1.5)
    assert backlog.limit.records == FITTED_RECORDS_MIN


def test_what_comes_too_late_is_halved_down_to_single_records_and_recovers() -> None:
    backlog = Backlog(BatchLimit(MAX))
    for _ in range(20):
        backlog.limit.late()
    assert backlog.limit.records == SMALLEST_LIMIT_RECORDS
    backlog.decide(60, 100_000)
    assert backlog.limit.records == MAX


def test_while_urgent_records_wait_every_second_batch_is_short_and_the_others_take_less_time() -> None:
    backlog = Backlog(BatchLimit(MAX))
    backlog.decide(30, 20_000)
    backlog.sizes.clear()
    took = backlog.decide(20, 20_000, urgent=True)
    assert backlog.sizes[::2] == [SHORT_BATCH_RECORDS] * 10
    assert all(size >= FITTED_RECORDS_MIN for size in backlog.sizes[1::2])
    assert all(seconds < URGENT_BATCH_SECONDS * 1.5 for seconds in took[4:])


def test_after_the_last_urgent_record_batches_grow_again() -> None:
    backlog = Backlog(BatchLimit(MAX))
    backlog.decide(10, 20_000, urgent=True)
    backlog.decide(5, 20_000)
    assert backlog.sizes[-1] / 20_000 < URGENT_BATCH_SECONDS * 1.3
    while backlog.now < 2 * URGENT_REMEMBERED_SECONDS:
        took = backlog.decide(1, 20_000)
    assert took[-1] > BATCH_SECONDS / 2
