"""Records of Kafka as everything above Kafka sees them: what was read, and what is to be written.

Rules of this module
1. It imports nothing of `streams`: the engine that moves records and the contracts that read them share these types and
   nothing else.
2. A record is bytes. What the bytes mean is a matter of `streams.contracts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

Header = tuple[str, bytes]
Headers = Sequence[Header]


class InputRecord(NamedTuple):
    """One record of an input topic, as the broker stored it."""

    topic: str
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class OutputRecord(NamedTuple):
    """One record to be written inside the transaction. `partition=None`: the partition its input came from."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    partition: int | None = None
