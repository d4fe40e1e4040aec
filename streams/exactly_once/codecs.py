"""Unpack what producers and brokers compress: gzip, snappy, lz4 and zstd, in every framing Kafka's clients write.

Rules of this module
1. Nothing is unpacked without limit: a megabyte of zstd may hold terabytes, and a worker that runs out of memory is
   started again and meets the same batch.
2. Whatever is not sound ends in `DamagedError`, which says what is wrong and quotes nothing.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import cramjam

if TYPE_CHECKING:
    from collections.abc import Callable

Packed = bytes | bytearray | memoryview

NAMES: Final = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
"""By their number in a batch's attributes; 0 is not compressed."""

UNPACKED_BYTES_MAX: Final = 64 * 1024 * 1024
"""The most that one batch may hold once it is unpacked. In the planned topics a batch has a megabyte at most, so it may
be compressed to a sixtieth. Intents compress to between a tenth and a fiftieth, batches of identical intents further.
A worker needs about three times this to read the batch."""

_FIRST_GUESS: Final = 16
"""Factor by which data is first assumed to grow; four times as much with each further attempt."""

_GUESS_BYTES_MIN: Final = 64 * 1024

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
"""Tells zlib to expect a gzip header."""

_XERIAL_MAGIC: Final = b"\x82SNAPPY\0"
_XERIAL_HEADER_BYTES: Final = len(_XERIAL_MAGIC) + 8
_BLOCK_LENGTH: Final = struct.Struct(">i")


class DamagedError(Exception):
    """These bytes cannot be unpacked, or not within the limit. The text completes "it cannot be read: …"."""


def gunzip(packed: Packed) -> bytes:
    """Unpack gzip data, which may have any number of members."""
    unpacked: list[bytes] = []
    left, room = bytes(packed), UNPACKED_BYTES_MAX
    while left or not unpacked:
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = member.decompress(left, room + 1)
        except zlib.error:
            raise _damaged("gzip") from None
        room -= len(part)
        if room < 0:
            raise _too_large()
        if not member.eof:
            raise _damaged("gzip")
        unpacked.append(part)
        left = member.unused_data
    return b"".join(unpacked)


def unsnappy(packed: Packed) -> bytes:
    """Unpack snappy data: one block (librdkafka and others), or xerial's blocks (Java and most others)."""
    if bytes(packed[: len(_XERIAL_MAGIC)]) != _XERIAL_MAGIC:
        return _snappy_block(packed, UNPACKED_BYTES_MAX)
    unpacked: list[bytes] = []
    at, room = _XERIAL_HEADER_BYTES, UNPACKED_BYTES_MAX
    if len(packed) < at:
        raise _damaged("snappy")
    while at < len(packed):
        if bytes(packed[at : at + len(_XERIAL_MAGIC)]) == _XERIAL_MAGIC:
            at += _XERIAL_HEADER_BYTES  # one stream after another
            continue
        begin = at + _BLOCK_LENGTH.size
        if begin > len(packed):
            raise _damaged("snappy")
        (length,) = _BLOCK_LENGTH.unpack_from(packed, at)
        at = begin + length
        if length <= 0 or at > len(packed):
            raise _damaged("snappy")
        part = _snappy_block(packed[begin:at], room)
        room -= len(part)
        unpacked.append(part)
    return b"".join(unpacked)


def _snappy_block(block: Packed, room: int) -> bytes:
    try:
        # Checked before anything is unpacked: the library would allocate whatever the block claims.
        if cramjam.snappy.decompress_raw_len(block) > room:
            raise _too_large()
        return bytes(cramjam.snappy.decompress_raw(block))
    except cramjam.DecompressionError:
        raise _damaged("snappy") from None


def unlz4(packed: Packed) -> bytes:
    """Unpack data in lz4's frame format."""
    return _into(cramjam.lz4.decompress_into, packed, "lz4")


def unzstd(packed: Packed) -> bytes:
    """Unpack zstd data."""
    return _into(cramjam.zstd.decompress_into, packed, "zstd")


def _into(unpack: Callable[[Any, Any], int], packed: Packed, codec: str) -> bytes:
    """Unpack into a buffer of limited size: the libraries' own functions know no limit."""
    room = min(UNPACKED_BYTES_MAX, max(_GUESS_BYTES_MIN, _FIRST_GUESS * len(packed)))
    while True:
        into = bytearray(room)
        try:
            length = unpack(packed, into)
        except cramjam.DecompressionError as error:
            if "failed to write whole buffer" not in str(error):
                raise _damaged(codec) from None
        else:
            return bytes(memoryview(into)[:length])
        if room == UNPACKED_BYTES_MAX:
            raise _too_large()
        room = min(UNPACKED_BYTES_MAX, 4 * room)


def _damaged(codec: str) -> DamagedError:
    return DamagedError(f"its {codec} data is damaged")


def _too_large() -> DamagedError:
    return DamagedError(f"it holds more than {UNPACKED_BYTES_MAX // 1024**2} MiB once it is unpacked")
