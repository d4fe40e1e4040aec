"""A dead letter held against the record it was made of: byte for byte, or what did not fit replaced by its size.

Invariant: what the gate added stands behind what was there, so the record's own headers come first.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from streams.testing.audit.headers import ERROR, last

if TYPE_CHECKING:
    from streams.testing.audit.log import Record


def is_altered(original: Record, letter: Record) -> bool:
    """Whether key, value or headers are not those of the original."""
    added = letter.headers
    if last(added, f"{ERROR}.headers.bytes") is None:
        if added[: len(original.headers)] != original.headers:
            return True
        added = added[len(original.headers) :]
    if letter.key != original.key and not (letter.key is None and _says(added, "key.bytes", len(original.key or b""))):
        return True
    if letter.value == original.value:
        return False
    value = original.value or b""
    return not (
        letter.value is None
        and _says(added, "value.bytes", len(value))
        and last(added, f"{ERROR}.value.sha256") == hashlib.sha256(value).hexdigest()
    )


def _says(added: tuple[tuple[str, bytes | None], ...], name: str, size: int) -> bool:
    return last(added, f"{ERROR}.{name}") == str(size)
