"""A dead letter held against the record it was made of: byte for byte, or what did not fit replaced by its size.

Invariant: what the gate added stands behind what was there, so the record's own headers come first.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from streams.audit.headers import ERROR, Named, named, text

if TYPE_CHECKING:
    from streams.audit.log import Record


def is_altered(original: Record, letter: Record) -> bool:
    """Whether key, value or headers are not those of the original."""
    said = named(letter)
    if text(said, f"{ERROR}.headers.bytes") is None and letter.headers[: len(original.headers)] != original.headers:
        return True
    if letter.key != original.key and not (letter.key is None and _says(said, "key.bytes", len(original.key or b""))):
        return True
    if letter.value == original.value:
        return False
    value = original.value or b""
    return not (
        letter.value is None
        and _says(said, "value.bytes", len(value))
        and text(said, f"{ERROR}.value.sha256") == hashlib.sha256(value).hexdigest()
    )


def _says(said: Named, name: str, size: int) -> bool:
    return text(said, f"{ERROR}.{name}") == str(size)
