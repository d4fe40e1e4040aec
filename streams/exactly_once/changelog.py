"""Keys of the changelog topic, typed by their first byte, and the one meta record of each partition.

    key    b"c" + customer id      the ledger of one customer
           b"e" + keyed hash       what stays of an erased customer
           b"h" + hold id          an intent waiting to be decided
           b"r" + register name    what the partition knows of a register
           b"m"                    meta: exactly one per partition, rewritten in every transaction

The meta record is the authority on positions: it is written in the same transaction as the decisions it covers, and it
is read from the same log as the state it belongs to. Group offsets are for tools.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.key_kinds import KeyKind

CUSTOMER_PREFIX: Final = KeyKind.CUSTOMER.value
ERASED_PREFIX: Final = KeyKind.ERASED.value
HOLD_PREFIX: Final = KeyKind.HOLD.value
REGISTER_PREFIX: Final = KeyKind.REGISTER.value
META_KEY: Final = KeyKind.META.value

META_VERSION: Final = 1
"""Grows when a reader of the previous version would misunderstand the record."""


class Meta(msgspec.Struct, frozen=True):
    """How far a partition has been decided.

    `positions` are the next offsets of every input topic that was ever read; `latest_ms` is the latest `now` any
    decision was made at.
    """

    positions: dict[str, int]
    latest_ms: int = 0
    version: int = META_VERSION


def customer_key(customer_id: bytes) -> bytes:
    """The key of a customer's ledger."""
    return CUSTOMER_PREFIX + customer_id


def erased_key(keyed_hash: bytes) -> bytes:
    """The key of what stays of an erased customer."""
    return ERASED_PREFIX + keyed_hash


def hold_key(hold_id: bytes) -> bytes:
    """The key of a held intent."""
    return HOLD_PREFIX + hold_id


def register_key(name: bytes) -> bytes:
    """The key of what a partition knows of a register."""
    return REGISTER_PREFIX + name


def encode_meta(meta: Meta) -> bytes:
    """As stored. JSON, because people read this record when something went wrong."""
    return _encoder.encode(meta)


def decode_meta(value: bytes) -> Meta:
    """Read a meta record.

    Raises:
        StartupRefusedError: written by a newer format, or not a meta record.
    """
    try:
        meta = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise StartupRefusedError(
            "The changelog's meta record cannot be read: the topic was not written by this application. "
            "Name the right changelog topic."
        ) from None
    if meta.version > META_VERSION:
        raise StartupRefusedError(
            f"The changelog was written in format {meta.version}, this version knows {META_VERSION}. "
            "Start the newer version again; going back is not possible."
        )
    return meta


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Meta)
