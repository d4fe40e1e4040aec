"""Recognises, by brokers' answers to fetches, that a broker cannot read its own log at an offset.

aiokafka only logs such answers and asks again for ever: nothing behind the offset would be decided, and nobody would
know.

Rules of this module
1. An error that does not come from a move of the partition means that its log cannot be read, whichever error it is.
2. So does an empty answer, if committed records lie behind the offset.
3. Such an answer is reported only if the same has been answered for longer than any move takes; from then on, every
   time.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import for_code

from streams.exactly_once.errors import BatchUnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

LOG_ERROR_SECONDS: Final = 10.0
"""How long a broker may answer that it cannot read a place of its log. While a leader moves, such
answers end sooner."""

LOG_EMPTY_SECONDS: Final = 30.0
"""How long a broker's answers may be empty although committed records lie behind the offset. A broker that finds a
nonsensical length in its log takes it for the end. A broker that serves other partitions first, or is throttled, serves
some of every partition well within this."""

_SAYS_WHAT_IS_STABLE: Final = 4
"""The version of the fetch protocol since which an answer says how far a partition is committed."""

_NO_ERROR: Final = 0

ERRORS_OF_A_MOVE: Final = frozenset(
    {
        1,  # OFFSET_OUT_OF_RANGE: fetching begins where there is something, and what is missing is counted
        3, 100, 103,  # UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID, INCONSISTENT_TOPIC_ID: see `topic_watch.py`
        5, 6, 9,  # LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER, REPLICA_NOT_AVAILABLE
        7, 13, 89,  # REQUEST_TIMED_OUT, NETWORK_EXCEPTION, THROTTLING_QUOTA_EXCEEDED
        29,  # TOPIC_AUTHORIZATION_FAILED: raised by aiokafka
        74, 75, 78,  # FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH, OFFSET_NOT_AVAILABLE
    }
)  # fmt: skip
"""Kafka's codes of the errors that brokers answer while a partition has no leader or another one than was asked, and of
those that are dealt with elsewhere. The others cannot be listed: a broker answers with whatever reading its log raised.
"""

_ERROR_NAMES: Final = {76: "UnsupportedCompressionType", 87: "InvalidRecord"}
"""Of errors for which aiokafka has no name."""


class LogWatch:
    """Those answers to the fetches of one consumer which say that a log cannot be read."""

    def __init__(
        self, refuse: Callable[[BatchUnreadableError], None], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._refuse = refuse
        self._monotonic = monotonic
        self._since: dict[tuple[str, int], tuple[int, float]] = {}
        """By topic and partition: the offset, and when the first of these answers came."""

    def hear(self, request: Any, response: Any) -> None:  # noqa: ANN401 - aiokafka's requests are untyped
        """Note the answer to a fetch, and report each partition that cannot be read."""
        asked = {(topic, p): offset for topic, partitions in request.topics for p, offset, _ in partitions}
        for topic, partitions in response.topics:
            for partition, error_code, _, *rest in partitions:
                place = topic, partition, asked[topic, partition]
                if error_code != _NO_ERROR and error_code not in ERRORS_OF_A_MOVE:
                    self._again(*place, LOG_ERROR_SECONDS, _error_name(error_code))
                elif error_code == _NO_ERROR and _lacks_what_is_there(place[2], response.API_VERSION, rest):
                    self._again(*place, LOG_EMPTY_SECONDS, "nothing, although more lies there,")
                elif self._since:
                    self._since.pop((topic, partition), None)

    def _again(self, topic: str, partition: int, offset: int, limit_seconds: float, answer: str) -> None:
        now = self._monotonic()
        known_offset, since = self._since.get((topic, partition), (offset, now))
        since = since if known_offset == offset else now
        self._since[topic, partition] = (offset, since)
        if now - since >= limit_seconds:
            why = f"the broker has answered {answer} for {limit_seconds:.0f} s"
            self._refuse(BatchUnreadableError(topic, partition, offset, why))


def _lacks_what_is_there(offset: int, version: int, rest: list[Any]) -> bool:
    """Whether an answer is empty although its last stable offset, its first field, lies behind the offset asked for."""
    return version >= _SAYS_WHAT_IS_STABLE and not rest[-1] and bool(rest[0] > offset)


def _error_name(error_code: int) -> str:
    known = for_code(error_code)
    return known.__name__ if known.errno == error_code else _ERROR_NAMES.get(error_code, f"the error {error_code}")
