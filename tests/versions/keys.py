"""Which partition a customer lives on, and what a decision is called: docs/contracts.md and docs/semantics.md, 6."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

_SEED: Final = 0x9747B28C
_FACTOR: Final = 0x5BD1E995
_WORD: Final = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Kafka's hash of a key, unsigned."""
    length = len(data)
    found = (_SEED ^ length) & _WORD
    whole = length & ~3
    for place in range(0, whole, 4):
        word = int.from_bytes(data[place : place + 4], "little") * _FACTOR & _WORD
        word = (word ^ word >> 24) * _FACTOR & _WORD
        found = found * _FACTOR & _WORD ^ word
    if length > whole:
        found = (found ^ int.from_bytes(data[whole:], "little")) * _FACTOR & _WORD
    found = (found ^ found >> 13) * _FACTOR & _WORD
    return found ^ found >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """The partition on which the customer with this key lives."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def decision_id(customer: bytes, intent: bytes) -> str:
    """The 24 hexadecimal digits of the one decision on this identity."""
    return blake2b(b"%d:%b%b" % (len(customer), customer, intent), digest_size=12).hexdigest()
