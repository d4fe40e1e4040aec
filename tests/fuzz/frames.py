"""The bytes of one input as the parts a target needs, and back.

Rules of this module
1. Any bytes are a frame: what is missing at the end is empty, so that no input is wasted.
2. Nothing here depends on the fuzzer: a case replays without it.

    byte        one byte, 0 at the end
    piece       one byte n, then n bytes; 255 stands for null
    the rest    whatever is left
"""

from __future__ import annotations

from typing import Final

PIECE_BYTES_MAX: Final = 254
"""Longer parts belong at the end of a frame."""

_NULL: Final = 255
HEADERS_MAX: Final = 7
_NO_VALUE: Final = 0x80
_PADDED: Final = 0x40
PADDING: Final = b" " * 70_000
"""Makes a value longer than the gate reads, without inputs that are long themselves."""

Headers = tuple[tuple[str, bytes | None], ...]


class Frame:
    """Reads parts from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def byte(self) -> int:
        """One byte."""
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def number(self) -> int:
        """Eight bytes, signed, the last of them the lowest."""
        self._at += 8
        return int.from_bytes(self._data[self._at - 8 : self._at], "big", signed=True)

    def piece(self) -> bytes | None:
        """A short part, or null."""
        length = self.byte()
        if length == _NULL:
            return None
        self._at += length
        return self._data[self._at - length : self._at]

    def rest(self) -> bytes:
        """Everything that is left."""
        rest = self._data[self._at :]
        self._at = len(self._data)
        return rest

    def headers(self, count: int) -> Headers:
        """So many record headers. Names of any bytes, as the gate reads them: what is not UTF-8 is replaced."""
        return tuple(((self.piece() or b"").decode(errors="replace"), self.piece()) for _ in range(count))

    def value(self) -> tuple[bytes | None, Headers]:
        """A record's value and headers."""
        flags = self.byte()
        headers = self.headers(flags & HEADERS_MAX)
        rest = self.rest()
        if flags & _NO_VALUE:
            return None, headers
        return (rest + PADDING if flags & _PADDED else rest), headers


def piece(content: bytes | None) -> bytes:
    """What `Frame.piece` reads."""
    if content is None:
        return bytes((_NULL,))
    assert len(content) <= PIECE_BYTES_MAX
    return bytes((len(content),)) + content


def number(value: int) -> bytes:
    """What `Frame.number` reads."""
    return value.to_bytes(8, "big", signed=True)


def value(content: bytes | None, headers: Headers = (), *, padded: bool = False) -> bytes:
    """What `Frame.value` reads."""
    assert len(headers) <= HEADERS_MAX
    pieces = b"".join(piece(name.encode()) + piece(header) for name, header in headers)
    flags = len(headers) | (_NO_VALUE if content is None else 0) | (_PADDED if padded else 0)
    return bytes((flags,)) + pieces + (content or b"")


def split(data: bytes) -> tuple[bytes, bytes]:
    """A frame that `Frame.value` reads, as everything before the value, and the value."""
    frame = Frame(data)
    frame.headers(frame.byte() & HEADERS_MAX)
    rest = frame.rest()
    return data[: len(data) - len(rest)], rest
