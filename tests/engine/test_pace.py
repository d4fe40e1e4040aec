"""How long a fetch waits, and for how much."""

from __future__ import annotations

from streams.exactly_once.settings import EngineSettings
from streams.exactly_once.transport import QUIET_FETCH_WAIT_MS, QUIET_SECONDS, Pace
from tests.engine.toy import input_topics

SETTINGS = EngineSettings(bootstrap_servers="127.0.0.1:1", input_topics=input_topics())
SEVERAL = (SETTINGS.fetch_max_wait_ms, SETTINGS.fetch_min_bytes)
SINGLE = (QUIET_FETCH_WAIT_MS, 1)


class Paced:
    def __init__(self) -> None:
        self.now = 100.0
        self.pace = Pace(SETTINGS, lambda: self.now)

    def after(self, seconds: float, *, has_records: bool) -> tuple[int, int]:
        self.now += seconds
        self.pace.polled(has_records)
        return self.pace.max_wait_ms, self.pace.min_bytes


def test_while_many_records_arrive_they_are_fetched_together() -> None:
    paced = Paced()
    assert [paced.after(QUIET_SECONDS / 2, has_records=True) for _ in range(5)] == [SEVERAL] * 5


def test_while_nothing_arrives_the_first_record_is_waited_for() -> None:
    paced = Paced()
    assert paced.after(QUIET_SECONDS / 2, has_records=False) == SEVERAL
    assert paced.after(QUIET_SECONDS, has_records=False) == SINGLE


def test_single_records_far_apart_are_fetched_one_by_one_and_a_stream_of_them_together_again() -> None:
    paced = Paced()
    assert [paced.after(2 * QUIET_SECONDS, has_records=True) for _ in range(3)] == [SINGLE] * 3
    assert paced.after(QUIET_SECONDS / 2, has_records=True) == SEVERAL
