"""JSON text that is not plain UTF-8, as UTF-8.

Rules of this module
1. RFC 8259 demands UTF-8 without a byte order mark and lets readers ignore one. Editors and libraries on Windows write
   one, or UTF-16 with or without one, and the text may be an opt-out.
2. Nothing is guessed: the mark, or the zeros around the brace with which every event begins, make the encoding certain.
   Text in any other encoding is refused.
"""

from __future__ import annotations

from typing import Final

from streams.contracts.errors import RecordRefused

# Of one beginning that is another's too the longer comes first. Byte 0, `{`, byte 0 could also be a schema registry's
# prefix with an id beyond two thousand million; registries count from 1.
_BEGINNINGS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"{\0\0\0", "utf-32-le"),
    (b"{\0", "utf-16-le"),
    (b"\0{\0", "utf-16-be"),
)

MARK: Final = "\ufeff"
"""The byte order mark, decoded."""

MARKS_BEGIN: Final = b"\xef\xff\xfe"
"""Encoded, it begins with one of these."""

_BEGIN: Final = frozenset(b"%c" % byte for byte in b"\0" + MARKS_BEGIN)


def as_utf8(value: bytes) -> bytes:
    """The same text in UTF-8, without a mark; whatever begins otherwise as it is.

    Raises:
        RecordRefused: `not_utf8` if it is not the text that its beginning announces.
    """
    if value[1:2] != b"\0" and value[:1] not in _BEGIN:  # as nearly all are
        return value
    for beginning, encoding in _BEGINNINGS:
        if value.startswith(beginning):
            try:
                return value.decode(encoding).lstrip(MARK).encode()
            except UnicodeDecodeError:
                name = encoding.removesuffix("-le").removesuffix("-be").upper()
                raise RecordRefused("not_utf8", f"it begins as {name} and is none; publish UTF-8") from None
    return value
