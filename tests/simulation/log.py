"""The log of one topic partition, as Kafka keeps it.

Invariants
1. Every record and every marker has an offset of its own. The high watermark is the end.
2. The last stable offset is where the first transaction begins whose marker is not in this partition yet. Readers of
   committed records never get beyond it, and pass what was aborted, and markers, without seeing them.
3. A transaction's end is decided once, elsewhere; its marker comes to each partition when it comes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(eq=False)
class Transaction:
    """One transaction. `is_committed`: None until its end is decided."""

    transactional_id: str
    is_committed: bool | None = None


class Stored(NamedTuple):
    """One record. `transaction=None`: written outside of any."""

    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    appended_ms: int
    transaction: Transaction | None = None


class Read(NamedTuple):
    """What a fetch gave: offset and record of what is to be seen, and the position behind it."""

    records: list[tuple[int, Stored]]
    next_offset: int


@dataclass(eq=False)
class PartitionLog:
    """One topic partition. `None` among the entries is a marker."""

    start: int = 0
    entries: list[Stored | None] = field(default_factory=list)
    open: dict[Transaction, int] = field(default_factory=dict)
    """Transactions without a marker here, and where each begins."""

    @property
    def high_watermark(self) -> int:
        """Behind everything acknowledged."""
        return self.start + len(self.entries)

    @property
    def last_stable(self) -> int:
        """Behind everything whose outcome is known."""
        return min(self.open.values(), default=self.high_watermark)

    def append(self, records: list[Stored]) -> int:
        """Write; returns the first offset."""
        first = self.high_watermark
        for record in records:
            if record.transaction is not None:
                self.open.setdefault(record.transaction, self.high_watermark)
            self.entries.append(record)
        return first

    def mark(self, transaction: Transaction) -> None:
        """Write the marker of a transaction whose end is decided."""
        assert transaction.is_committed is not None
        self.open.pop(transaction, None)
        self.entries.append(None)

    def read(self, position: int, most: int, end: int | None = None) -> Read:
        """Committed records from a position on, at most so many entries."""
        first = max(position, self.start)
        after = min(self.last_stable if end is None else end, first + most)
        records = []
        for offset in range(first, after):
            entry = self.entries[offset - self.start]
            if entry is not None and (entry.transaction is None or entry.transaction.is_committed):
                records.append((offset, entry))
        return Read(records, max(first, after))

    def delete_before(self, offset: int) -> None:
        """Retention."""
        del self.entries[: offset - self.start]
        self.start = max(self.start, offset)
