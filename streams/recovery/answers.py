"""The committed answers of one partition, by the place of the record that was answered.

Rule of this module: an answer is what a `read_committed` reader sees. What it rests on is not asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from streams.audit.headers import APPLIED, ERROR, Named, named, number, place, read_at
from streams.audit.service import Stated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streams.audit.log import PartitionLog
    from streams.audit.report import Place
    from streams.audit.settings import Topics

Cause = tuple[str, int]
"""Topic and offset of an input record."""


class PolicyNamed(msgspec.Struct, frozen=True):
    """By which policy an answer was made."""

    hash: str


class Answer(msgspec.Struct, frozen=True):
    """What recovery asks of an answer. `type` is `approved` or `suppressed`."""

    type: str
    decision_id: str
    customer_id: str
    channel: str
    decided_at: int
    policy: PolicyNamed
    valid_until: int = 0
    reason: str = ""

    @property
    def is_approved(self) -> bool:
        """Whether the message may have been sent."""
        return self.type == "approved"


class AnswerUnreadable(ValueError):
    """A record of an output topic is no answer."""


class Answered(NamedTuple):
    """An answer, and how far the barrier topics had been applied when it was made."""

    answer: Answer
    applied: Mapping[str, int]


_decode: Final = msgspec.json.Decoder(Answer).decode
ANSWERS: Final = frozenset({"approved", "suppressed"})


def read_answer(value: bytes | None) -> Answer:
    """What stands on an output topic.

    Raises:
        AnswerUnreadable: it is no answer of a gate.
    """
    try:
        return _decode(value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise AnswerUnreadable from None


class CommittedAnswers:
    """Every answer and every dead letter of one partition."""

    def __init__(self, log: PartitionLog, topics: Topics) -> None:
        self._partition = log.partition
        self._barrier = (topics.preferences, topics.outcomes)
        self._by_cause: dict[Cause, Answered] = {}
        self._moments: dict[Cause, Stated] = {}
        self._dead: set[Cause] = set()
        self.unreadable = 0
        """Records of the output topics that are no answers."""
        self.reached: dict[str, int] = {}
        """Per input topic the next offset, as far as answers prove that it was decided."""
        self.latest_ms = 0
        for topic in (topics.approved, topics.suppressed):
            for record in log.of(topic):
                self._file(named(record), record.value)
        for record in log.of(topics.dead_letter):
            cause = self._cause(place(named(record), ERROR))
            if cause is not None:
                self._dead.add(cause)
                self._reach(*cause)

    def to(self, cause: Cause) -> Answer | None:
        """The answer to an intent."""
        found = self._by_cause.get(cause)
        return None if found is None else found.answer

    def is_dead_letter(self, cause: Cause) -> bool:
        """Whether the record became a dead letter."""
        return cause in self._dead

    def stated(self, topic: str, offset: int) -> Stated | None:
        """When the record was decided, and how far preferences and outcomes had been applied by then."""
        return self._moments.get((topic, offset))

    def policies(self) -> Iterator[str]:
        """The hash of the policy of every answer."""
        for each in self._by_cause.values():
            yield each.answer.policy.hash

    def __len__(self) -> int:
        return len(self._by_cause)

    def _file(self, headers: Named, value: bytes | None) -> None:
        cause = self._cause(read_at(headers))
        try:
            answer = read_answer(value)
        except AnswerUnreadable:
            self.unreadable += 1
            return
        if cause is None:
            self.unreadable += 1
            return
        applied = {topic: number(headers, APPLIED + topic) or 0 for topic in self._barrier}
        self._moments.setdefault(cause, Stated(answer.decided_at, applied))
        self.latest_ms = max(self.latest_ms, answer.decided_at)
        self._reach(*cause)
        for topic, offset in applied.items():
            self.reached[topic] = max(self.reached.get(topic, 0), offset)
        if answer.type in ANSWERS:
            self._by_cause[cause] = Answered(answer, applied)

    def _cause(self, where: Place | None) -> Cause | None:
        """Topic and offset, if the record stands on this partition."""
        return None if where is None or where.partition != self._partition else (where.topic, where.offset)

    def _reach(self, topic: str, offset: int) -> None:
        self.reached[topic] = max(self.reached.get(topic, 0), offset + 1)
