"""How often one asker may ask, with a clock of the test's."""

from __future__ import annotations

from streams.web.rate import KEPT_MAX, Rate


def test_a_burst_and_then_so_many_a_second_and_each_asker_alone() -> None:
    now = 0.0
    rate = Rate(per_second=2.0, burst=4.0, monotonic=lambda: now)
    assert [rate.allows("a") for _ in range(5)] == [True] * 4 + [False]
    assert rate.allows("b")
    now = 1.0
    assert [rate.allows("a") for _ in range(3)] == [True, True, False]
    now = 1_000.0
    assert [rate.allows("a") for _ in range(5)] == [True] * 4 + [False]


def test_strangers_do_not_choose_our_memory() -> None:
    rate = Rate(per_second=1.0, burst=1.0, monotonic=lambda: 0.0)
    for number in range(3 * KEPT_MAX):
        rate.allows(str(number))
    assert len(rate._buckets) == KEPT_MAX
