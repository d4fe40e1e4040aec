"""Where a key lives: murmur2 as Kafka's Java client computes it, written from its definition.

Invariant: depends on nothing; a wrong partitioner in a library would show as a difference.
"""

from __future__ import annotations

from typing import Final

_SEED: Final = 0x9747B28C
_MULTIPLIER: Final = 0x5BD1E995
_ROTATION: Final = 24
_WORD: Final = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """The 32-bit hash, unsigned."""
    size = len(key)
    whole = size - size % 4
    state = (_SEED ^ size) & _WORD
    for start in range(0, whole, 4):
        part = int.from_bytes(key[start : start + 4], "little") * _MULTIPLIER & _WORD
        part = (part ^ part >> _ROTATION) * _MULTIPLIER & _WORD
        state = state * _MULTIPLIER & _WORD ^ part
    if size > whole:
        state = (state ^ int.from_bytes(key[whole:], "little")) * _MULTIPLIER & _WORD
    state = (state ^ state >> 13) * _MULTIPLIER & _WORD
    return state ^ state >> 15


def home(key: bytes, partitions: int) -> int:
    """The partition of a key."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
