"""What repeats is shown a few times and then counted; nothing is withheld for good."""

from __future__ import annotations

import io
import json
import logging

import pytest

from streams.telemetry import repetition
from streams.telemetry.libraries import PASSING, LibraryFilter
from streams.telemetry.repetition import AGAIN_SECONDS, BURST, PASSING_SECONDS, THINGS_MAX, Repetition


class Time:
    def __init__(self) -> None:
        self.seconds = 50.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Time:
    return Time()


@pytest.fixture
def seen(now: Time) -> Repetition:
    return Repetition(now)


def test_a_flood_is_shown_a_few_times_and_counted(seen: Repetition, now: Time) -> None:
    shown = [seen.occurrences("a") for _ in range(10_000)]
    assert shown == [1] * BURST + [0] * (10_000 - BURST)
    now.seconds += AGAIN_SECONDS - 1
    assert seen.occurrences("a") == 0
    now.seconds += 1
    assert seen.occurrences("a", 3) == 10_000 - BURST + 1 + 3


def test_another_thing_is_shown_beside_a_flood(seen: Repetition) -> None:
    for _ in range(100):
        seen.occurrences("a")
    assert seen.occurrences("b") == 1


def test_every_occurrence_is_in_some_line_of_a_flood_that_goes_on(seen: Repetition, now: Time) -> None:
    shown, came = 0, 0
    for _ in range(2_000):
        shown += seen.occurrences("a")
        came += 1
        now.seconds += 1
    now.seconds += AGAIN_SECONDS - 1
    shown += seen.occurrences("a")
    assert shown == came + 1


def test_what_passes_is_not_shown_and_what_lasts_is(seen: Repetition, now: Time) -> None:
    began = now.seconds
    moments = []
    while now.seconds < began + 2 * AGAIN_SECONDS:
        if seen.occurrences("a", is_passing=True):
            moments.append(now.seconds - began)
        now.seconds += 5
    assert moments == [PASSING_SECONDS, PASSING_SECONDS + AGAIN_SECONDS]


def test_what_was_silent_for_long_begins_anew(seen: Repetition, now: Time) -> None:
    assert seen.occurrences("a", is_passing=True) == 0
    now.seconds += AGAIN_SECONDS
    assert seen.occurrences("a", is_passing=True) == 0


def test_it_remembers_a_bounded_number_of_things(seen: Repetition) -> None:
    for number in range(3 * THINGS_MAX):
        assert seen.occurrences(number) == 1
    assert len(seen._things) == repetition.THINGS_MAX


@pytest.mark.parametrize("begins", PASSING)
def test_a_short_fault_of_a_broker_leaves_no_line_of_the_client(begins: str, now: Time, seen: Repetition) -> None:
    judge = LibraryFilter(seen)
    lines = []
    for _ in range(30):
        record = logging.LogRecord("aiokafka", logging.ERROR, "client.py", 1, begins, (), None)
        if judge.filter(record):
            lines.append(now.seconds)
        now.seconds += 3
    assert lines == [50 + PASSING_SECONDS]


def test_a_line_says_for_how_many_it_stands(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    filters = [each for handler in logging.getLogger().handlers for each in handler.filters]
    (judge,) = [each for each in filters if isinstance(each, LibraryFilter)]
    now = Time()
    monkeypatch.setattr(judge, "_repetition", Repetition(now))
    for _ in range(50):
        logging.getLogger("asyncio").error("socket.accept() out of system resource")
    now.seconds += AGAIN_SECONDS
    logging.getLogger("asyncio").error("socket.accept() out of system resource")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line.get("times") for line in lines] == [None] * BURST + [50 - BURST + 1]
