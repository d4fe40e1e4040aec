"""A record that cannot be read, as a dead letter.

Rules of this module
1. It has the original key, value and headers, byte for byte. What the gate adds comes after them and holds no part of
   them.
2. A dead letter can always be written. One that would be larger than the topic accepts loses its value, then its own
   headers, then its key, and states their sizes. The original is where `mesura.error.topic`, `.partition` and
   `.offset` say, as long as that topic is kept.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from streams.contracts.header_names import (
    CONNECT_OFFSET,
    CONNECT_PARTITION,
    CONNECT_TOPIC,
    ERROR_DETAIL,
    ERROR_HEADERS_BYTES,
    ERROR_KEY_BYTES,
    ERROR_OFFSET,
    ERROR_PARTITION,
    ERROR_REASON,
    ERROR_TIMESTAMP,
    ERROR_TOPIC,
    ERROR_VALUE_BYTES,
    ERROR_VALUE_SHA256,
)
from streams.records import OutputRecord

if TYPE_CHECKING:
    from streams.contracts.errors import RecordRefused
    from streams.records import Headers, InputRecord

# The largest record kept whole, unless the caller knows its topic takes more: Kafka's default for a record batch is
# 1 048 588 bytes, and the added headers are below 2 KiB (topic names have at most 249 characters).
VALUE_BYTES_MAX: Final = 1_000_000


def dead_letter(
    record: InputRecord, partition: int, refused: RecordRefused, *, topic: str, value_bytes_max: int = VALUE_BYTES_MAX
) -> OutputRecord:
    """The record as a dead letter on `topic`. `partition` is the one it arrived on and the one it goes to.

    `value_bytes_max` limits key, value and original headers together. A value for which there is no room is replaced by
    null, its size and SHA-256 (which recognises it, but also a value somebody can guess) given in headers.
    """
    place = record.topic.encode()
    number = b"%d" % partition
    offset = b"%d" % record.offset
    added: list[tuple[str, bytes]] = [
        (ERROR_REASON, refused.reason.encode()),
        (ERROR_DETAIL, refused.detail.encode()),
        (ERROR_TOPIC, place),
        (ERROR_PARTITION, number),
        (ERROR_OFFSET, offset),
        (ERROR_TIMESTAMP, b"%d" % record.timestamp_ms),
        (CONNECT_TOPIC, place),
        (CONNECT_PARTITION, number),
        (CONNECT_OFFSET, offset),
    ]
    key, value, headers = record.key, record.value, record.headers
    key_bytes, headers_bytes = len(key or b""), _size(headers)
    if value is not None and key_bytes + headers_bytes + len(value) > value_bytes_max:
        added += (
            (ERROR_VALUE_BYTES, b"%d" % len(value)),
            (ERROR_VALUE_SHA256, hashlib.sha256(value).hexdigest().encode()),
        )
        value = None
    if key_bytes + headers_bytes > value_bytes_max:
        added.append((ERROR_HEADERS_BYTES, b"%d" % headers_bytes))
        headers = ()
    if key_bytes > value_bytes_max:
        added.append((ERROR_KEY_BYTES, b"%d" % key_bytes))
        key = None
    return OutputRecord(topic=topic, key=key, value=value, headers=(*headers, *added))


def _size(headers: Headers) -> int:
    # Kafka allows a header without a value; some clients write them. Ten bytes each for lengths, at most.
    return sum(len(name.encode()) + len(content or b"") + 10 for name, content in headers)
