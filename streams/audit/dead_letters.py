"""Dead letters: one for each record that demands one, made of that record byte for byte, or with what did not fit
replaced by its size.

Invariant: the gate adds its headers after those that were there, so the record's own headers come first.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from streams.audit.headers import ERROR, Named, named, text

if TYPE_CHECKING:
    from streams.audit.judgement import Judgement
    from streams.audit.log import Record
    from streams.audit.service import Served
    from streams.audit.traces import Trace

FUTURE: Final = "from_the_future"
# These depend on more than the record's bytes, and exactly one of them can be right. Of a record with several faults
# any other reason may be named.
LATER_REASONS: Final = frozenset({FUTURE, "implausible_time", "unknown_word", "misrouted", "misrouted_again"})
TOO_LARGE: Final = "too_large"
# What an answer and its headers can be longer than their intent: ids, explanation, remaining, obligations.
ANSWER_ADDS_BYTES_MAX: Final = 16_384


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


def check_dead_letter(judgement: Judgement, served: Served, reason: str, customer_id: str | None) -> None:
    """The record must have become a dead letter, once, whatever else came of it."""
    topic, record = served.topic, served.record
    place = judgement.place(topic, record)
    letters = judgement.traces.dead_letters(topic, record.offset)
    if not letters:
        judgement.find("dead_letter_missing", customer_id, place, detail=reason)
        return
    judgement.once(place, letters, customer_id)
    letter = letters[0]
    said = text(named(letter.record), f"{ERROR}.reason")
    if is_altered(record, letter.record):
        judgement.find("dead_letter_altered", customer_id, place, judgement.place_of(letter))
    elif (reason in LATER_REASONS or said in LATER_REASONS) and said != reason:
        detail = f"{reason} expected, {said} found"
        judgement.find("dead_letter_reason", customer_id, place, judgement.place_of(letter), detail=detail)


def is_dead_letter_for_size(judgement: Judgement, served: Served, letters: list[Trace]) -> bool:
    """Whether the one dead letter says that the answer was too long, and it may have been."""
    value_bytes = len(served.record.value or b"")
    return (
        len(letters) == 1
        and text(named(letters[0].record), f"{ERROR}.reason") == TOO_LARGE
        and not is_altered(served.record, letters[0].record)
        and value_bytes + ANSWER_ADDS_BYTES_MAX > judgement.settings.answer_bytes_max
    )
