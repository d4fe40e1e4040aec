"""Counts that outlive the process that counted them: whole, never backwards, and enough room for all of them."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from streams.telemetry.metrics import MAX_TEXT, MAX_WORDS, Telemetry
from streams.telemetry.series import CounterSeries, HistogramSeries
from streams.telemetry.shared_counters import (
    COUNTERS_MAX,
    CPU_KEY,
    KEYS_BYTES,
    PublishedCounters,
    SharedCounters,
    shared_memory,
)
from streams.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

KILLS = 20
WAIT_SECONDS = 30.0

# Two counters and a histogram that grow in step, published once for each step.
WRITER = """
import sys
from streams.telemetry.shared_counters import SharedCounters
from streams.telemetry.series import CounterSeries, HistogramSeries
storage = SharedCounters(int(sys.argv[1]))
first = CounterSeries("first", "First.", storage=storage)
rest = [CounterSeries(f"rest_{number}", "Rest.", storage=storage) for number in range(500)]
sizes = HistogramSeries("sizes", "Sizes.", (1.0, 2.0), storage=storage)
while True:
    first.add((), 1)
    for each in rest:
        each.add((), 1)
    sizes.observe(1.5)
    storage.publish()
"""


@pytest.fixture
def descriptor() -> Iterator[int]:
    made = shared_memory("test")
    yield made
    os.close(made)


def counted(descriptor: int) -> dict[str, float]:
    return {key: value for key, value in PublishedCounters(descriptor).read().items() if key != CPU_KEY}


def test_nothing_is_seen_before_it_is_published(descriptor: int) -> None:
    storage = SharedCounters(descriptor)
    counter = CounterSeries("decisions", "Decisions.", ("verdict",), storage=storage)
    counter.add(("approved",), 3)
    assert counted(descriptor) == {}
    storage.publish()
    assert counted(descriptor) == {'["decisions","approved"]': 3}
    counter.add(("approved",), 4)
    assert counted(descriptor) == {'["decisions","approved"]': 3}


def test_a_successor_counts_on(descriptor: int) -> None:
    before = SharedCounters(descriptor)
    CounterSeries("decisions", "Decisions.", ("verdict",), storage=before).add(("approved",), 3)
    HistogramSeries("sizes", "Sizes.", (1.0, 2.0), storage=before).observe(1.5, 2)
    before.publish()
    CounterSeries("decisions", "Decisions.", ("verdict",), storage=before).add(("approved",), 100)  # never published

    after = SharedCounters(descriptor)
    decisions = CounterSeries("decisions", "Decisions.", ("verdict",), storage=after)
    decisions.add(("suppressed",), 1)
    decisions.add(("approved",), 2)
    HistogramSeries("sizes", "Sizes.", (1.0, 2.0), storage=after).observe(9.0)
    after.publish()
    assert counted(descriptor) == {
        '["decisions","approved"]': 5,
        '["decisions","suppressed"]': 1,
        '["sizes","1.0"]': 0,
        '["sizes","2.0"]': 2,
        '["sizes","+Inf"]': 1,
        '["sizes","sum"]': 12,
    }


def test_a_key_whose_writer_was_killed_before_its_value_stands_at_zero(descriptor: int) -> None:
    SharedCounters(descriptor).place("decisions", "approved")
    after = SharedCounters(descriptor)
    after.publish()
    assert counted(descriptor) == {'["decisions","approved"]': 0}


def test_a_kill_loses_what_was_not_published_and_nothing_else(descriptor: int) -> None:
    reader = PublishedCounters(descriptor)
    last = 0.0
    for _ in range(KILLS):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(descriptor)], pass_fds=[descriptor])
        try:
            reached = last + 50

            def grows(reached: float = reached) -> bool:
                nonlocal last
                seen = {key: value for key, value in reader.read().items() if key != CPU_KEY}
                if not seen:
                    return False
                now = seen['["first"]']
                assert now >= last, "a counter went backwards"
                last = now
                # Of no batch is there less than all of it.
                assert {value for key, value in seen.items() if "rest" in key} <= {now}
                assert seen['["sizes","2.0"]'] == now
                assert seen['["sizes","sum"]'] == 1.5 * now
                return now > reached

            wait_until(grows, WAIT_SECONDS, "the writer's progress")
        finally:
            writer.kill()
            writer.wait()
    cpu = reader.read()[CPU_KEY]
    assert cpu > 0
    SharedCounters(descriptor).publish()
    assert reader.read()[CPU_KEY] >= cpu


def test_memory_of_another_layout_is_not_taken_for_counts(descriptor: int) -> None:
    os.pwrite(descriptor, b"\1\2\3\4\5\6\7\10", 0)
    with pytest.raises(ValueError, match="another version"):
        SharedCounters(descriptor)


def test_the_largest_vocabularies_have_room(descriptor: int) -> None:
    telemetry = Telemetry(version="0", process_metrics=False, storage=SharedCounters(descriptor))
    words = [f"{number:03}".ljust(MAX_TEXT, "x") for number in range(MAX_WORDS)]
    telemetry.declare_channels(words)
    telemetry.declare_reasons(words)
    telemetry.declare_topics(words)
    telemetry.declare_dead_letter_reasons(words)
    telemetry.declare_withdrawal_reasons(words)
    telemetry.publish()
    # Every label may besides be `other`.
    room = 1.25
    keys = PublishedCounters(descriptor).read()
    assert len(keys) > MAX_WORDS**2
    assert len(keys) * room < COUNTERS_MAX
    assert sum(len(key) + 1 for key in keys) * room < KEYS_BYTES


def test_the_memory_leaves_no_file_and_is_not_inherited_by_accident() -> None:
    descriptor = shared_memory("test")
    try:
        assert not os.get_inheritable(descriptor)
        assert os.fstat(descriptor).st_nlink == 0
    finally:
        os.close(descriptor)
