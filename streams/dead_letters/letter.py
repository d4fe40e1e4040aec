"""A dead letter, taken apart: what the gate says of it, and the record as it stood where it first was.

Rules of this module
1. What the gate added is recognised by its place: from the last `mesura.error.reason` on, and of a record that was
   forwarded the four headers before. A record that has such headers of its own keeps them.
2. What a topic holds may be anything: what is no dead letter of a gate's is one error, and quotes nothing.
"""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Final, NamedTuple

from streams.contracts.errors import RecordRefused
from streams.contracts.header_names import (
    ERROR_DETAIL,
    ERROR_HEADERS_BYTES,
    ERROR_KEY_BYTES,
    ERROR_OFFSET,
    ERROR_PARTITION,
    ERROR_REASON,
    ERROR_TIMESTAMP,
    ERROR_TOPIC,
    ERROR_VALUE_BYTES,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TIMESTAMP,
    ORIGIN_TOPIC,
)
from streams.contracts.routing import original_position
from streams.dead_letters.replayed import OwnHeaders, Replayed, split_replay

if TYPE_CHECKING:
    from collections.abc import Sequence

_CUT: Final = {ERROR_VALUE_BYTES: "value", ERROR_HEADERS_BYTES: "headers", ERROR_KEY_BYTES: "key"}
_FORWARDED: Final = (ORIGIN_TOPIC, ORIGIN_PARTITION, ORIGIN_OFFSET, ORIGIN_TIMESTAMP)


class NotADeadLetter(Exception):
    """A record of the dead-letter topic that no gate has written."""


class Place(NamedTuple):
    """Where a record stands. As text it is how the commands name it."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}-{self.offset}"


class StoredRecord(NamedTuple):
    """A record of the dead-letter topic as a client reads it."""

    place: Place
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class DeadLetter(NamedTuple):
    """One dead letter, and the record in it.

    `read_at` is where the gate read the record, `first` where it stood before a gate forwarded it (None: it comes from
    the topic of forwarded records, and does not say). `said_ms` is the record's time there, negative if it had none.
    `cut` names the parts that were too large to be set aside.
    """

    place: Place
    set_aside_ms: int
    reason: str
    detail: str
    read_at: Place
    first: Place | None
    said_ms: int
    cut: tuple[str, ...]
    replayed: Replayed | None
    key: bytes | None
    value: bytes | None
    headers: OwnHeaders

    @property
    def is_forwarded(self) -> bool:
        """Whether a gate had forwarded the record."""
        return self.first != self.read_at

    def without_contents(self) -> DeadLetter:
        """The same without anything that the record holds: small, and free of anybody's data."""
        return self._replace(key=None, value=None, headers=())


def letter_of(record: StoredRecord, rerouted: str) -> DeadLetter:
    """The dead letter. `rerouted` is the name of the topic of forwarded records.

    Raises:
        NotADeadLetter: no gate has written it.
    """
    names = [name for name, _ in record.headers]
    try:
        begins = len(names) - 1 - names[::-1].index(ERROR_REASON)
        said = {name: content or b"" for name, content in record.headers[begins:]}
        read_at = Place(intern(said[ERROR_TOPIC].decode()), int(said[ERROR_PARTITION]), int(said[ERROR_OFFSET]))
        # Of many letters there are few of each, and a plan may hold half a million.
        reason, detail = intern(said[ERROR_REASON].decode()), intern(said[ERROR_DETAIL].decode())
        said_ms = int(said[ERROR_TIMESTAMP])
    except (ValueError, KeyError):
        raise NotADeadLetter from None
    headers = tuple(record.headers[:begins])
    first: Place | None = read_at
    if read_at.topic == rerouted:
        headers, first, said_ms = _before_forwarding(headers, said_ms)
    own, replayed = split_replay(headers)
    return DeadLetter(
        place=record.place,
        set_aside_ms=record.timestamp_ms,
        reason=reason,
        detail=detail,
        read_at=read_at,
        first=first,
        said_ms=said_ms,
        cut=tuple(part for name, part in _CUT.items() if name in said),
        replayed=replayed,
        key=record.key,
        value=record.value,
        headers=own,
    )


def _before_forwarding(headers: OwnHeaders, said_ms: int) -> tuple[OwnHeaders, Place | None, int]:
    """The headers that the record had, its place and its time, before a gate forwarded it."""
    if tuple(name for name, _ in headers[-len(_FORWARDED) :]) != _FORWARDED:
        return headers, None, said_ms
    try:
        first = original_position([(name, content or b"") for name, content in headers])
    except RecordRefused:
        return headers, None, said_ms
    return headers[: -len(_FORWARDED)], Place(first.topic, first.partition, first.offset), first.timestamp_ms
