"""What is made of a broker's answers to fetches, by the protocol's own requests and responses."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.protocol.fetch import FetchRequest_v4, FetchResponse_v4

from streams.exactly_once.errors import BatchUnreadableError
from streams.exactly_once.log_watch import ERRORS_OF_A_MOVE, LOG_EMPTY_SECONDS, LOG_ERROR_SECONDS, LogWatch

# Those that Kafka 4.1 knows, -1 among them, and some that it does not know yet.
ERROR_CODES = (-1, *range(1, 150))
OFFSET = 7
STABLE_OFFSET = 9


class Watched:
    def __init__(self) -> None:
        self.now = 100.0
        self.refused: list[BatchUnreadableError] = []
        self.watch = LogWatch(self.refused.append, lambda: self.now)

    def answered(
        self,
        seconds: float,
        error_code: int = 0,
        records: bytes = b"",
        *,
        offset: int = OFFSET,
        stable: int = STABLE_OFFSET,
    ) -> int:
        """How often it has told of a place by then."""
        self.now += seconds
        request = FetchRequest_v4(-1, 100, 1, 1_000, 1, [("t", [(3, offset, 1_000)])])
        self.watch.hear(request, FetchResponse_v4(0, [("t", [(3, error_code, stable, stable, None, records)])]))
        return len(self.refused)


@pytest.mark.parametrize("error_code", ERROR_CODES)
def test_whatever_error_is_answered_for_long_is_told_unless_it_is_that_of_a_move(error_code: int) -> None:
    watched = Watched()
    assert watched.answered(0, error_code) == 0
    assert watched.answered(LOG_ERROR_SECONDS - 0.1, error_code) == 0
    assert watched.answered(0.1, error_code) == (error_code not in ERRORS_OF_A_MOVE)


def test_different_errors_at_one_place_are_one_trouble() -> None:
    watched = Watched()
    assert [watched.answered(LOG_ERROR_SECONDS / 2, code) for code in (87, -1, 2)] == [0, 0, 1]
    [error] = watched.refused
    assert (error.topic, error.partition, error.offset) == ("t", 3, OFFSET)
    assert "the broker has answered CorruptRecordException for 10 s" in str(error)


@pytest.mark.parametrize(
    ("error_code", "name"), [(87, "InvalidRecord"), (76, "UnsupportedCompressionType"), (149, "the error 149")]
)
def test_errors_that_the_client_has_no_name_for_have_one(error_code: int, name: str) -> None:
    watched = Watched()
    watched.answered(0, error_code)
    assert watched.answered(LOG_ERROR_SECONDS, error_code) == 1
    assert f"the broker has answered {name} for" in str(watched.refused[0])


def test_nothing_where_there_is_more_is_told_later() -> None:
    watched = Watched()
    assert [watched.answered(seconds) for seconds in (0, LOG_EMPTY_SECONDS - 0.1, 0.1)] == [0, 0, 1]


def test_nothing_at_the_end_is_no_trouble() -> None:
    watched = Watched()
    assert [watched.answered(LOG_EMPTY_SECONDS, stable=OFFSET) for _ in range(3)] == [0, 0, 0]


@pytest.mark.parametrize(
    "between", [{"records": b"records"}, {"error_code": 6}, {"offset": OFFSET + 1}], ids=["read", "moved", "elsewhere"]
)
def test_what_is_answered_between_begins_it_anew(between: dict[str, Any]) -> None:
    watched = Watched()
    watched.answered(0, -1)
    watched.answered(LOG_ERROR_SECONDS / 2, **between)
    assert watched.answered(LOG_ERROR_SECONDS / 2, -1) == 0
    assert watched.answered(LOG_ERROR_SECONDS, -1) == 1
