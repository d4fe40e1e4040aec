"""The stored form of a ledger, which is also its changelog value.

Rules of this module
1. Equal ledgers have equal forms.
2. The form is MessagePack of an array, its first element the format number. A number that is not known here is refused.
3. Fields may be added at the end of a format, never moved. A version that does not know the last fields reads the
   others, and writes the ledger without them; so what an older version must not forget needs a new format.

    format   fields
    1        before the first release, in several shapes: refused
    2        Those of `Ledger`, in their order (docs/audit.md says what each is). The last six are left out together if
             none of the first five of them says anything and there are no outcomes; the last alone if there are none.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streams.decision.ledger.state import (
    DECISION_ID_BYTES,
    EMPTY_LEDGER,
    LABEL_SETS_MAX,
    LEDGER_FORMAT,
    OUTCOMES_PER_CONTACT_MAX,
    VALUES_PER_LABEL_SET,
    Ledger,
    LedgerFormat,
)
from streams.decision.preference_event import STANDING


class LedgerUnreadable(ValueError):
    """A stored ledger is of an unknown format or damaged. The engine must stop: going on would forget a customer."""


_encode: Final = msgspec.msgpack.Encoder().encode
# Most ledgers say nothing in the last six fields. Then these are left out, as a reader of arrays allows: seven bytes
# less in the log, and in memory the next smaller size of block for a typical customer.
_OPTIONAL_FIELDS: Final = 6
_LAST_FIELDS: Final = msgspec.msgpack.encode(list(msgspec.structs.astuple(EMPTY_LEDGER)[-_OPTIONAL_FIELDS:]))[1:]
_HEADER_BYTES: Final = 3  # an array of more than 15
_LONG_HEADER: Final = b"\xdc"
_SHORT_HEADER: Final = bytes((0x90 + len(Ledger.__struct_fields__) - _OPTIONAL_FIELDS,))
_HEADER_WITHOUT_OUTCOMES: Final = _LONG_HEADER + (len(Ledger.__struct_fields__) - 1).to_bytes(2, "big")


def encode_ledger(ledger: Ledger) -> bytes:
    """The compact binary form of a ledger. `decode_ledger` reads it. Equal ledgers have equal forms."""
    value = _encode(ledger)
    if ledger.outcomes:
        return value
    if (
        ledger.forgotten_ms
        or ledger.profile is not None
        or ledger.erased_ms is not None
        or ledger.archived
        or ledger.preference_refused
    ):
        return _HEADER_WITHOUT_OUTCOMES + value[_HEADER_BYTES:-1]
    return _SHORT_HEADER + value[_HEADER_BYTES : -len(_LAST_FIELDS)]


_decoder: Final = msgspec.msgpack.Decoder(Ledger)
_TAG_NUMBERS: Final = bytes(range(LABEL_SETS_MAX))


def decode_ledger(value: bytes) -> Ledger:
    """The ledger of a binary form (`encode_ledger`).

    Raises:
        LedgerUnreadable: the format is unknown, or the bytes are no ledger.
    """
    # Nearly all are of the present format, and ledgers are read once per intent: so it is tried first.
    try:
        ledger = _decoder.decode(value)
    except _DECODE_ERRORS as error:
        raise _unreadable(value, f"Was it written by another version? {error}") from None
    if ledger.format != LEDGER_FORMAT or not _is_sound(ledger):
        raise _unreadable(value, "Its columns do not belong together: it is damaged.")
    return ledger


def _unreadable(value: bytes, why: str) -> LedgerUnreadable:
    """What is said of a form that cannot be read: its format, if that is another, or else why."""
    try:
        format_number = _decode_format(value).format
    except _DECODE_ERRORS:
        format_number = LEDGER_FORMAT
    if format_number == LEDGER_FORMAT:
        return LedgerUnreadable(f"A stored ledger of {len(value)} bytes cannot be read. {why}")
    return LedgerUnreadable(
        f"A stored ledger has format {format_number}; this version reads format {LEDGER_FORMAT}. "
        "Run the version that wrote it."
    )


_DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


_decode_format: Final = msgspec.msgpack.Decoder(LedgerFormat).decode


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
        and (not ledger.outcomes or _are_sound(ledger.outcomes, len(contacts)))
    )


def _are_sound(outcomes: tuple[tuple[int, ...], ...], contacts: int) -> bool:
    """Whether each contact has types, ascending, each with a moment; and at least one contact has any."""
    return (
        len(outcomes) == contacts
        and any(outcomes)
        and all(
            len(of) % 2 == 0
            and list(of[::2]) == sorted(set(of[::2]))
            and all(0 <= number < OUTCOMES_PER_CONTACT_MAX for number in of[::2])
            for of in outcomes
        )
    )
