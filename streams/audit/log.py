"""The recorded log, as the judge sees it: records of one partition at a time, from wherever they come.

Invariant: it has committed records only, in the order of offsets. What was deleted from a topic shows in `starts`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Record(NamedTuple):
    """One record as the broker stored it. `appended_ms`: when, by the broker's clock, if the topic says that."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    appended_ms: int | None = None


@dataclass
class PartitionLog:
    """One partition of every topic."""

    partition: int
    records: dict[str, list[Record]] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)

    def of(self, topic: str) -> list[Record]:
        """The records of one topic."""
        return self.records.get(topic, [])


class Log(Protocol):
    """A gate's topics. Handed to other processes, so it must be picklable."""

    def partitions(self) -> Sequence[int]:
        """Every partition there is."""
        ...

    def partition(self, number: int) -> PartitionLog:
        """The records of one partition."""
        ...

    def control(self) -> dict[bytes, bytes]:
        """The latest value of each key of the control topic."""
        ...
