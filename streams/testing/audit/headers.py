"""The documented headers (docs/contracts.md), read by a reader of the audit's own.

Invariant: where a name stands twice the last one counts, because the gate adds its own behind what was there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.testing.audit.report import Place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.testing.audit.log import Record

ORIGIN: Final = "mesura.origin"
REROUTED: Final = "mesura.rerouted"
ERROR: Final = "mesura.error"
APPLIED: Final = "mesura.applied."
FORWARD_HEADERS: Final = 4
"""Added by forwarding: topic, partition, offset and timestamp of the first place."""

INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1
DIGITS_MAX: Final = 20


def last(headers: Sequence[tuple[str, bytes | None]], name: str) -> str | None:
    """The text of the last header of that name."""
    for known, content in reversed(headers):
        if known == name:
            try:
                return None if content is None else content.decode()
            except UnicodeDecodeError:
                return None
    return None


def whole(text: str | None, low: int, high: int) -> int | None:
    """The decimal number a header says, if it is one within these limits."""
    digits = (text or "").removeprefix("-")
    if not digits.isascii() or not digits.isdecimal() or len(digits) > DIGITS_MAX:
        return None
    number = int(text or "")
    return number if low <= number <= high else None


def place(record: Record, prefix: str) -> Place | None:
    """The place that three headers of this prefix name."""
    topic = last(record.headers, f"{prefix}.topic")
    partition = whole(last(record.headers, f"{prefix}.partition"), 0, INT32_MAX)
    offset = whole(last(record.headers, f"{prefix}.offset"), 0, INT64_MAX)
    return None if topic is None or partition is None or offset is None else Place(topic, partition, offset)


def read_at(record: Record) -> Place | None:
    """Where the lane that answered read the record: where it was forwarded to, else its origin."""
    return place(record, REROUTED) or place(record, ORIGIN)


def first_timestamp(record: Record) -> int | None:
    """The timestamp a forwarded record had where it first stood."""
    return whole(last(record.headers, f"{ORIGIN}.timestamp"), -(2**63), INT64_MAX)
