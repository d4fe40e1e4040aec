"""A worker that decides nothing says so and why, soon, and then more and more seldom."""

from __future__ import annotations

import io
import itertools
import json
from typing import Any

import pytest

from streams.telemetry.health import Health
from streams.telemetry.standing_log import AGAIN_SECONDS, AGAIN_SECONDS_MAX, FIRST_SECONDS, StandingLog
from tests.telemetry.test_health import Time

CAUSE = "No Kafka broker answers at kafka-1:9092: nothing listens there."


class Watched:
    """A worker's health, and what is said of it, second by second."""

    def __init__(self, out: io.StringIO) -> None:
        self.now = Time()
        self.health = Health(monotonic=self.now)
        self.log = StandingLog(self.health, self.now)
        self._out = out

    def decide(self) -> None:
        self.health.policy(True)
        self.health.restore_progress(0, 0, 0)
        self.health.assigned(frozenset({0}))
        self.health.engine(True, "deciding")

    def watch(self, seconds: float) -> list[tuple[float, dict[str, Any]]]:
        said = []
        began = self.now.seconds
        while self.now.seconds < began + seconds:
            self.now.seconds += 1
            self._out.seek(0)
            self._out.truncate()
            self.log.look()
            said += [(self.now.seconds - began, json.loads(line)) for line in self._out.getvalue().splitlines()]
        return said


@pytest.fixture
def watched(out: io.StringIO) -> Watched:
    return Watched(out)


def test_a_worker_that_decides_says_nothing(watched: Watched) -> None:
    watched.decide()
    assert watched.watch(1_000) == []


def test_a_short_interruption_needs_no_line(watched: Watched) -> None:
    watched.decide()
    watched.watch(10)
    watched.health.brokers(CAUSE)
    assert watched.watch(FIRST_SECONDS - 1) == []
    watched.health.brokers("")
    assert watched.watch(100) == []


def test_a_long_one_is_said_with_its_cause_and_its_end(watched: Watched) -> None:
    watched.decide()
    watched.watch(10)
    watched.health.brokers(CAUSE)
    said = watched.watch(2 * 60)
    first = FIRST_SECONDS + 1  # it was noticed a second after it began
    assert [(moment, line["level"], line["event"], line["why"]) for moment, line in said] == [
        (first, "warning", "The gate decides nothing.", CAUSE),
        (first + AGAIN_SECONDS, "warning", "The gate decides nothing.", CAUSE),
    ]
    watched.health.brokers("")
    ((_, line),) = watched.watch(100)
    assert (line["level"], line["event"], line["seconds"]) == ("info", "The gate decides.", 120)


def test_it_is_said_more_and_more_seldom(watched: Watched) -> None:
    watched.decide()
    watched.watch(10)
    watched.health.brokers(CAUSE)
    moments = [moment for moment, _ in watched.watch(24 * 3600)]
    pauses = [second - first for first, second in itertools.pairwise(moments)]
    assert pauses[:5] == [60, 120, 240, 480, AGAIN_SECONDS_MAX]
    assert set(pauses[5:]) == {AGAIN_SECONDS_MAX}


def test_a_start_is_no_warning(watched: Watched) -> None:
    watched.health.policy(True)
    watched.health.restore_progress(0, 0, 1_000)
    said = watched.watch(30)
    assert [(line["level"], line["event"], line["why"]) for _, line in said] == [
        ("info", "The gate does not decide yet.", "ledgers are being restored, 1000 records remain")
    ]
    watched.decide()
    assert [line["event"] for _, line in watched.watch(5)] == ["The gate decides."]
