"""What has arrived of one partition of one input topic and is not yet decided.

Invariants
1. `position` ≤ every queued offset < `arrived`: what lies between the two is queued, or a marker.
   `position` follows decided records only, so that it does not depend on when markers were fetched.
2. Looking (`peek`) changes nothing. Only `advance`, after the commit, does. An aborted batch is simply looked at again.
3. Runs of fetched records are accepted only where the previous one ended. A jump forward is returned as missing
   offsets. A jump back never comes from the consumer: the topic has lost its end, and what is written there now would
   be taken for decided.
4. Behind a batch that cannot be read nothing is queued. What lies before it is decided as usual.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.exactly_once.errors import BatchUnreadableError
    from streams.exactly_once.fetched_records import FetchedRecords
    from streams.exactly_once.interfaces import InputTopic
    from streams.records import InputRecord

FULL_RECORDS: Final = 8_000
"""Queue length at which fetching of the partition pauses: about two batches. Larger only costs memory."""

FULL_BYTES: Final = 4 * 1024 * 1024
"""The same in bytes, for large records. A queue overshoots it by what was already fetched (1 MiB a partition)."""


class Missing(NamedTuple):
    """Offsets that no record has: how many, and the first of them."""

    first_offset: int
    offset_count: int


class Peeked(NamedTuple):
    """The first records of a queue, and the position to record once they are decided."""

    records: list[InputRecord]
    size_bytes: int
    next_position: int
    is_all: bool


def size_bytes(record: InputRecord) -> int:
    """What a record counts towards limits; headers are not worth the time."""
    return len(record.key or b"") + len(record.value or b"")


class InputQueue:
    """The queue of one topic partition."""

    __slots__ = (
        "_pause", "_resume", "arrived", "is_full", "position", "queue", "queued_bytes", "topic", "unreadable",
    )  # fmt: skip

    def __init__(
        self,
        topic: InputTopic,
        position: int,
        pause: Callable[[], None] = lambda: None,
        resume: Callable[[], None] = lambda: None,
    ) -> None:
        self.topic = topic
        self.position = position
        self.arrived = position
        self.queue: deque[InputRecord] = deque()
        self.queued_bytes = 0
        self.is_full = False
        self.unreadable: BatchUnreadableError | None = None
        """What lies at `arrived`, if it cannot be read."""
        self._pause = pause
        self._resume = resume

    def restart_at(self, position: int) -> None:
        """Forget what is queued; the next run of fetched records continues at `position`."""
        self.position = self.arrived = position
        self.queue.clear()
        self.queued_bytes = 0
        self.is_full = False
        self.unreadable = None

    @property
    def oldest_offset(self) -> int:
        """The first offset that is not decided."""
        return self.queue[0].offset if self.queue else self.arrived

    def add(self, arrived: FetchedRecords) -> Missing | None:
        """Queue a run of fetched records. Returns what is missing before it or in it."""
        jump = max(0, arrived.start_offset - self.arrived)
        first_missing = self.arrived if jump else arrived.first_missing
        missing = jump + arrived.missing_count
        records = arrived.records
        if arrived.start_offset < self.arrived:
            records = [record for record in records if record.offset >= self.arrived]
        self.queue.extend(records)
        self.queued_bytes += sum(map(size_bytes, records))
        self.arrived = max(self.arrived, arrived.next_offset)
        if not self.is_full and (len(self.queue) >= FULL_RECORDS or self.queued_bytes >= FULL_BYTES):
            self.is_full = True
            self._pause()
        if arrived.unreadable is not None and self.unreadable is None:
            self.unreadable = arrived.unreadable
            self._pause()
        return Missing(first_missing, missing) if missing else None

    def peek(self, max_records: int, max_bytes: int, before_offset: int | None = None) -> Peeked:
        """The first records within both limits (one record at least, whatever its size), in offset order."""
        taken: list[InputRecord] = []
        taken_bytes = 0
        for record in islice(self.queue, max_records):
            if before_offset is not None and record.offset >= before_offset:
                break
            record_bytes = size_bytes(record)
            if taken and taken_bytes + record_bytes > max_bytes:
                break
            taken.append(record)
            taken_bytes += record_bytes
        is_all = len(taken) == len(self.queue)
        decided = taken[-1].offset + 1 if taken else self.position
        next_position = self.arrived if is_all else decided
        return Peeked(taken, taken_bytes, next_position, is_all)

    @property
    def is_stopped(self) -> bool:
        """Whether everything before an unreadable batch is decided."""
        return self.unreadable is not None and not self.queue

    def advance(self, count: int) -> None:
        """The first `count` records are decided and committed."""
        queue = self.queue
        for _ in range(count):
            record = queue.popleft()
            self.queued_bytes -= size_bytes(record)
            self.position = record.offset + 1
        if self.is_full and len(queue) <= FULL_RECORDS // 2 and self.queued_bytes <= FULL_BYTES // 2:
            self.is_full = False
            if self.unreadable is None:
                self._resume()
