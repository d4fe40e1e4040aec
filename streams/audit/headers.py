"""The documented headers (docs/contracts.md), read by a reader of the audit's own.

Invariant: if a name occurs twice the last one counts, because the gate adds its own headers at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.audit.report import Place

if TYPE_CHECKING:
    from streams.audit.log import Record

ORIGIN: Final = "mesura.origin"
REROUTED: Final = "mesura.rerouted"
ERROR: Final = "mesura.error"
REPLAY: Final = "mesura.replay"
APPLIED: Final = "mesura.applied."
FORWARD_HEADERS: Final = 4
"""Added by forwarding: topic, partition, offset and timestamp of the first place."""

INT32_MAX: Final = 2**31 - 1
INT64_MAX: Final = 2**63 - 1
DIGITS_MAX: Final = 20
"""A 64-bit number and its sign."""


Named = dict[str, bytes | None]


def named(record: Record) -> Named:
    """The headers by name; of those that stand twice the last."""
    return dict(record.headers)


def text(headers: Named, name: str) -> str | None:
    """What a header says."""
    content = headers.get(name)
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError:
        return None


def whole(said: str | None, low: int, high: int) -> int | None:
    """The decimal number that was said, if it is one within these limits."""
    if said is None or len(said) > DIGITS_MAX:
        return None
    try:
        number = int(said)
    except ValueError:
        return None
    return number if low <= number <= high else None


def number(headers: Named, name: str) -> int | None:
    """The offset or count that a header says."""
    return whole(text(headers, name), 0, INT64_MAX)


def place(headers: Named, prefix: str) -> Place | None:
    """The place that three headers of this prefix name."""
    topic = text(headers, f"{prefix}.topic")
    if topic is None:
        return None
    partition = whole(text(headers, f"{prefix}.partition"), 0, INT32_MAX)
    offset = number(headers, f"{prefix}.offset")
    return None if partition is None or offset is None else Place(topic, partition, offset)


def read_at(headers: Named) -> Place | None:
    """Where the lane that answered read the record: where it was forwarded to, else its origin."""
    return place(headers, REROUTED) or place(headers, ORIGIN)


def first_timestamp(headers: Named) -> int | None:
    """The timestamp a forwarded record had where it first stood."""
    return whole(text(headers, f"{ORIGIN}.timestamp"), -(2**63), INT64_MAX)


def replayed_ms(headers: Named) -> int | None:
    """When a dead letter's record was published again."""
    return whole(text(headers, f"{REPLAY}.timestamp"), 0, INT64_MAX)
