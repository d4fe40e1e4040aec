"""The batches of one partition in the order in which they were committed, from the two topics that tell of them.

    batches    value, JSON: {"served": {topic: [first offset, next offset], …}, "latest_ms": moment, "version": 1}
    ledger     key b"m", value, JSON: {"positions": {topic: next offset, …}, "latest_ms": moment, "version": 1}

Every transaction writes both. The batch records stay as long as the records they speak of; of the meta records a
compacted ledger topic keeps only the last. What was decided before a cluster had batch records is told by what is left
of the meta records.

Invariants
1. A batch that follows the one before without a gap is whole: its moment and its order are known. A stretch of which no
   record is left is not, and nothing about its order is believed.
2. A meta record tells something only where the batch records do not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.audit.log import Record

META_KEY: Final = b"m"


class Batch(NamedTuple):
    """What one transaction served: everything below `positions` that no batch before it has served.

    `is_whole`: no other can have stood between it and the one before. `topic`, `offset`: the record that tells of it.
    """

    topic: str
    offset: int
    positions: dict[str, int]
    latest_ms: int
    appended_ms: int | None
    is_whole: bool


class Recorded(NamedTuple):
    """One record of the batches topic."""

    offset: int
    served: dict[str, tuple[int, int]]
    latest_ms: int
    appended_ms: int | None


def read_metas(topic: str, records: Sequence[Record]) -> tuple[list[Batch], list[int]]:
    """What the meta records of a ledger partition tell, in order, and the offsets of those that cannot be read.

    Behind a meta record stands the mark of its transaction, then the next transaction: offsets that are missing
    otherwise were compacted away, or belonged to a transaction that was aborted.
    """
    metas: list[Batch] = []
    bad: list[int] = []
    before, seen = -2, 0
    for record in records:
        seen += 1
        if record.key != META_KEY:
            continue
        is_whole = record.offset - before - 1 == seen
        before, seen = record.offset, 0
        try:
            said = json.loads(record.value or b"")
            positions = {str(topic): int(offset) for topic, offset in said["positions"].items()}
            metas.append(Batch(topic, record.offset, positions, int(said["latest_ms"]), record.appended_ms, is_whole))
        except (ValueError, KeyError, TypeError, AttributeError):
            bad.append(record.offset)
    return metas, bad


def read_batches(records: Sequence[Record]) -> tuple[list[Recorded], list[int]]:
    """The batch records of a partition in order, and the offsets of those that cannot be read."""
    batches: list[Recorded] = []
    bad: list[int] = []
    for record in records:
        try:
            said = json.loads(record.value or b"")
            served = {str(topic): (int(first), int(end)) for topic, (first, end) in said["served"].items()}
            batches.append(Recorded(record.offset, served, int(said["latest_ms"]), record.appended_ms))
        except (ValueError, KeyError, TypeError, AttributeError):
            bad.append(record.offset)
    return batches, bad


@dataclass
class Timeline:
    """Puts both accounts together."""

    topic: str
    metas: Sequence[Batch]
    recorded: Sequence[Recorded]

    def __post_init__(self) -> None:
        self._reached: dict[str, int] = {}
        self._next_meta = 0

    def batches(self) -> Iterator[Batch]:
        """Every batch, and the stretches of which no record is left."""
        for recorded in self.recorded:
            yield from self._unrecorded_before(recorded)
            self._reach({topic: end for topic, (_, end) in recorded.served.items()})
            yield Batch(
                self.topic,
                recorded.offset,
                dict(self._reached),
                recorded.latest_ms,
                recorded.appended_ms,
                is_whole=True,
            )
        for meta in self.metas[self._next_meta :]:
            if self._adds(meta):
                self._reach(meta.positions)
                yield meta

    def _unrecorded_before(self, recorded: Recorded) -> Iterator[Batch]:
        """What lies between the batch before and this one, as far as meta records tell it, and then the rest."""
        if not self._is_gap(recorded):
            return
        while self._next_meta < len(self.metas):
            meta = self.metas[self._next_meta]
            if not self._is_before(meta, recorded):
                break
            self._next_meta += 1
            if self._adds(meta):
                self._reach(meta.positions)
                yield meta
        if self._is_gap(recorded):
            self._reach({topic: first for topic, (first, _) in recorded.served.items()})
            yield Batch(
                self.topic, recorded.offset, dict(self._reached), recorded.latest_ms, appended_ms=None, is_whole=False
            )

    def _is_gap(self, recorded: Recorded) -> bool:
        return any(first > self._reached.get(topic, 0) for topic, (first, _) in recorded.served.items())

    @staticmethod
    def _is_before(meta: Batch, recorded: Recorded) -> bool:
        return all(meta.positions.get(topic, 0) <= first for topic, (first, _) in recorded.served.items())

    def _adds(self, meta: Batch) -> bool:
        return any(end > self._reached.get(topic, 0) for topic, end in meta.positions.items())

    def _reach(self, positions: Mapping[str, int]) -> None:
        for topic, end in positions.items():
            self._reached[topic] = max(end, self._reached.get(topic, 0))
