"""The stored form of a ledger, which is also its changelog value.

Rules of this module
1. Equal ledgers have equal forms.
2. The form is MessagePack of an array, its first element the format number. A reader refuses a number that it does not
   know; fields may be added at the end of a format, never moved.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streams.decision.ledger.state import (
    DECISION_ID_BYTES,
    EMPTY_LEDGER,
    LABEL_SETS_MAX,
    LEDGER_FORMAT,
    VALUES_PER_LABEL_SET,
    Ledger,
)
from streams.decision.preference_event import STANDING


class LedgerUnreadable(ValueError):
    """A stored ledger is of an unknown format or damaged. The engine must stop: going on would forget a customer."""


_encode: Final = msgspec.msgpack.Encoder().encode
# Most ledgers say nothing in the last five fields. Then these are left out, as a reader of arrays allows: seven bytes
# less in the log, and in memory the next smaller size of block for a typical customer.
_LAST_FIELDS: Final = msgspec.msgpack.encode(list(msgspec.structs.astuple(EMPTY_LEDGER)[-5:]))[1:]
_HEADER_BYTES: Final = 3  # an array of more than 15
_SHORT_HEADER: Final = bytes((0x90 + len(Ledger.__struct_fields__) - 5,))


def encode_ledger(ledger: Ledger) -> bytes:
    """The compact binary form of a ledger, which is also the changelog value. `decode_ledger` reads it.

    Equal ledgers have equal forms.
    """
    value = _encode(ledger)
    if (
        ledger.forgotten_ms
        or ledger.profile is not None
        or ledger.erased_ms is not None
        or ledger.archived
        or ledger.preference_refused
    ):
        return value
    return _SHORT_HEADER + value[_HEADER_BYTES : -len(_LAST_FIELDS)]


_decoder: Final = msgspec.msgpack.Decoder(Ledger)
_TAG_NUMBERS: Final = bytes(range(LABEL_SETS_MAX))


def decode_ledger(value: bytes) -> Ledger:
    """The ledger of a binary form (`encode_ledger`).

    Raises:
        LedgerUnreadable: the format is unknown, or the bytes are no ledger.
    """
    try:
        ledger = _decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerUnreadable(
            f"A stored ledger of {len(value)} bytes cannot be read. Was it written by another version? {error}"
        ) from None
    if ledger.format != LEDGER_FORMAT:
        raise LedgerUnreadable(
            f"A stored ledger has format {ledger.format}; this version reads format {LEDGER_FORMAT}. "
            "Run the version that wrote it."
        )
    if not _is_sound(ledger):
        raise LedgerUnreadable(
            f"A stored ledger of {len(value)} bytes cannot be read. Its columns do not belong together: it is damaged."
        )
    return ledger


def _is_sound(ledger: Ledger) -> bool:
    """Whether the columns are as long as they must be and name nothing that is not there."""
    contacts, identities, label_value_numbers, label_set_numbers = (
        ledger.assumed_sent,
        ledger.created,
        ledger.label_value_numbers,
        ledger.label_set_numbers,
    )
    label_sets, archived, words = (
        len(label_value_numbers) // VALUES_PER_LABEL_SET,
        ledger.archived,
        len(ledger.label_values),
    )
    for number in label_value_numbers:
        if number > words:
            return False
    for preference in ledger.preferences:
        if preference.type not in STANDING:
            return False
    return (
        len(ledger.ids) == DECISION_ID_BYTES * len(identities)
        and len(contacts) <= len(identities)
        and len(contacts) == len(ledger.decided) == len(label_set_numbers) == len(ledger.flags)
        and len(label_value_numbers) == VALUES_PER_LABEL_SET * label_sets
        # Nothing is left without the numbers that there are.
        and not label_set_numbers.strip(_TAG_NUMBERS[:label_sets])
        and (not archived or 0 <= min(archived) <= max(archived) < label_sets)
    )
