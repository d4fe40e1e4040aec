"""What a partition's records left behind: answers and dead letters by the place of the record that caused them.

Invariant: only headers are decoded here. A trace is taken out once, and what is left in the end has no cause.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streams.audit.headers import ERROR, named, place, read_at
from streams.audit.report import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.audit.log import PartitionLog, Record
    from streams.audit.settings import Topics


class Trace(NamedTuple):
    """One record of an output topic."""

    topic: str
    record: Record


class Traces:
    """Every output of one partition."""

    def __init__(self, log: PartitionLog, topics: Topics) -> None:
        self._partition = log.partition
        self._answers: dict[tuple[str, int], list[Trace]] = {}
        self._dead_letters: dict[tuple[str, int], list[Trace]] = {}
        self.placeless: list[Trace] = []
        """What does not say where its record stands, or stands on another partition than its record."""
        for topic in (topics.approved, topics.suppressed):
            for record in log.of(topic):
                self._file(self._answers, read_at(named(record)), Trace(topic, record))
        for record in log.of(topics.dead_letter):
            self._file(self._dead_letters, place(named(record), ERROR), Trace(topics.dead_letter, record))

    def _file(self, into: dict[tuple[str, int], list[Trace]], cause: Place | None, trace: Trace) -> None:
        if cause is None or cause.partition != self._partition:
            self.placeless.append(trace)
        else:
            into.setdefault((cause.topic, cause.offset), []).append(trace)

    def answers(self, topic: str, offset: int) -> list[Trace]:
        """Takes out the answers to a record, withdrawals among them."""
        return self._answers.pop((topic, offset), [])

    def dead_letters(self, topic: str, offset: int) -> list[Trace]:
        """Takes out the dead letters of a record."""
        return self._dead_letters.pop((topic, offset), [])

    def peek(self, topic: str, offset: int) -> list[Trace]:
        """The answers to a record, left where they are."""
        return self._answers.get((topic, offset), [])

    def peek_dead_letters(self, topic: str, offset: int) -> list[Trace]:
        """The dead letters of a record, left where they are."""
        return self._dead_letters.get((topic, offset), [])

    def causes(self, topic: str) -> Iterator[tuple[int, set[bytes | None]]]:
        """Which records of a topic left something, by offset, and the keys of the answers to them."""
        keys: dict[int, set[bytes | None]] = {}
        for (of_topic, offset), answers in self._answers.items():
            if of_topic == topic:
                keys[offset] = {answer.record.key for answer in answers}
        for of_topic, offset in self._dead_letters:
            if of_topic == topic:
                keys.setdefault(offset, set())
        yield from keys.items()

    def left(self) -> Iterator[tuple[Place | None, Trace]]:
        """What nobody has taken out, with the place it names."""
        for trace in self.placeless:
            yield None, trace
        for filed in (self._answers, self._dead_letters):
            for (topic, offset), traces in filed.items():
                for trace in traces:
                    yield Place(topic, self._partition, offset), trace
