"""In which order, and at which moments, a partition's records were decided.

A batch serves its records by topic (preferences, outcomes, forwarded records, intents in priority order) and
offset, all of it at its moment; under the record clock by (timestamp, topic, offset), each record at the greatest
timestamp so far.

Invariants
1. Every record below the greatest positions is served exactly once, whatever the batches say. If they are wrong, that
   is a finding and no reason to judge a record twice or never.
2. Only a batch that is not whole is a stretch of several. Their answers then tell them apart. That order is only the
   likeliest one, so nothing that depends on it is a broken promise.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from streams.audit.log import PartitionLog, Record
    from streams.audit.timeline import Batch


class Stated(NamedTuple):
    """What an answer says of its own batch: its moment, and how far the barrier topics had been applied."""

    decided_at: int
    applied: dict[str, int]


class Served(NamedTuple):
    """One record as it was served."""

    topic: str
    record: Record
    now: int
    batch: Batch


class Service:
    """Walks through one partition in the order in which it was served."""

    def __init__(
        self,
        log: PartitionLog,
        inputs: Sequence[str],
        barrier: Sequence[str],
        said: Callable[[str, int], Stated | None],
        *,
        is_record_clock: bool,
    ) -> None:
        self._queues = [(topic, log.of(topic)) for topic in inputs]
        self._next = [0] * len(inputs)
        self._barrier = frozenset(barrier)
        self._said = said
        self._is_record_clock = is_record_clock
        self._latest_ms = 0

    def serve(self, batch: Batch) -> Iterator[Served]:
        """What this batch served."""
        rows = []
        for index, (topic, queue) in enumerate(self._queues):
            end = batch.positions.get(topic, 0)
            first = last = self._next[index]
            while last < len(queue) and queue[last].offset < end:
                last += 1
            self._next[index] = last
            rows.append(queue[first:last])
        if self._is_record_clock:
            yield from self._by_record_clock(batch, rows)
        elif batch.is_whole:
            yield from self._at_once(batch, rows, batch.latest_ms)
        else:
            yield from self._by_answers(batch, rows)
        self._latest_ms = max(self._latest_ms, batch.latest_ms)

    def rest(self) -> Iterator[tuple[str, Record]]:
        """What no batch has served."""
        for index, (topic, queue) in enumerate(self._queues):
            for record in queue[self._next[index] :]:
                yield topic, record

    def _at_once(self, batch: Batch, rows: Sequence[Sequence[Record]], now: int) -> Iterator[Served]:
        for (topic, _), records in zip(self._queues, rows, strict=True):
            for record in records:
                yield Served(topic, record, now, batch)

    def _by_record_clock(self, batch: Batch, rows: Sequence[Sequence[Record]]) -> Iterator[Served]:
        heap: list[tuple[int, int, int]] = []
        for rank, records in enumerate(rows):
            if records:
                heappush(heap, (records[0].timestamp_ms, rank, 0))
        now = self._latest_ms
        while heap:
            timestamp_ms, rank, index = heappop(heap)
            now = max(now, timestamp_ms)
            yield Served(self._queues[rank][0], rows[rank][index], now, batch)
            if index + 1 < len(rows[rank]):
                heappush(heap, (rows[rank][index + 1].timestamp_ms, rank, index + 1))

    def _by_answers(self, batch: Batch, rows: Sequence[Sequence[Record]]) -> Iterator[Served]:
        """Batch after batch as the answers tell them apart; one batch if they all say the same."""
        hints = self._hints(batch, rows)
        done = [0] * len(rows)
        for now in sorted({*hints.applied, batch.latest_ms}):
            # First what had been applied in batches of which nothing else is left.
            for limits in (hints.earlier.get(now, {}), None):
                for index, ((topic, _), records) in enumerate(zip(self._queues, rows, strict=True)):
                    while done[index] < len(records):
                        record = records[done[index]]
                        if limits is not None:
                            is_later = record.offset >= limits.get(topic, 0)
                        elif now == batch.latest_ms:
                            is_later = False
                        elif topic in self._barrier:
                            is_later = record.offset >= hints.applied[now].get(topic, 0)
                        else:
                            is_later = hints.moments[index][done[index]] > now
                        if is_later:
                            break
                        done[index] += 1
                        yield Served(topic, record, now, batch)

    def _hints(self, batch: Batch, rows: Sequence[Sequence[Record]]) -> _Hints:
        hints = _Hints({}, {}, [])
        for (topic, _), records in zip(self._queues, rows, strict=True):
            moments: list[int] = []
            now = None
            for record in records:
                said = self._said(topic, record.offset)
                if said is not None and self._latest_ms <= said.decided_at <= batch.latest_ms:
                    now = said.decided_at if now is None else max(now, said.decided_at)
                    hints.take(now, said.applied, (topic, record.offset) if topic in self._barrier else None)
                moments.append(batch.latest_ms if now is None else now)
            hints.moments.append(moments)
        return hints


class _Hints(NamedTuple):
    """What the answers of a stretch tell.

    `applied`, by moment: how far the barrier topics had been applied by its end. `earlier`, by moment: how far other
    topics had been when a record of a barrier topic caused an answer, a withdrawal. `moments`, by topic and record.
    """

    applied: dict[int, dict[str, int]]
    earlier: dict[int, dict[str, int]]
    moments: list[list[int]]

    def take(self, now: int, applied: dict[str, int], cause: tuple[str, int] | None) -> None:
        """What one answer says; `cause` is the record of a barrier topic that it answers."""
        by_the_end, before = self.applied.setdefault(now, {}), self.earlier.setdefault(now, {})
        if cause is not None:
            by_the_end[cause[0]] = max(by_the_end.get(cause[0], 0), cause[1] + 1)
        for topic, offset in applied.items():
            by_the_end[topic] = max(by_the_end.get(topic, 0), offset)
            if cause is not None and topic != cause[0]:
                before[topic] = max(before.get(topic, 0), offset)
