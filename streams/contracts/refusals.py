"""From a decoder's error to a refusal that reveals nothing of the record.

Rules of this module
1. A decoder's message is never passed on, because it names Python's types and quotes unknown words of an enumeration.
   Only the place and the kind of what was found are taken from it, and `advice.py` makes the sentence. A message of
   unknown form gives the reason and no more.
2. Nesting is limited by counting, before anything recursive runs, so that a record's fate never depends on how deep the
   interpreter's stack happens to be.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, ValidationError

from streams.contracts.advice import AN_EVENT, KINDS, THE_VALUE, amiss
from streams.contracts.errors import RecordRefused, RefusalReason
from streams.contracts.fields import what_to_write

if TYPE_CHECKING:
    from streams.contracts.wire import Wire

# Our own events are two levels deep; unknown fields may hold anything reasonable. msgspec gives up near 1 000.
NESTING_MAX: Final = 64

_PLACE: Final = r"(?: - at (?P<key>`key` in )?`\$(?:\.(?P<field>\w+))?(?P<inside>\[\.\.\.\])?`)?"
_KNOWN: Final = re.compile(
    r"Expected `(?P<wanted>[a-z |]+)`(?: (?P<limit>(?:of length )?[<>]=?) -?[0-9.e+]+|, got `(?P<got>[a-z]+)`)" + _PLACE
)
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_ENUMERATION: Final = re.compile(r"Invalid enum value .* - at `\$\.(\w+)`", re.DOTALL)
_NUMBER: Final = re.compile(r"(?:Integer value|Number) out of range" + _PLACE)
_MALFORMED: Final = re.compile(r"JSON is malformed: .*\(byte ([0-9]+)\)", re.DOTALL)
_BEYOND: Final = {
    ("str", ">"): "too short",
    ("str", "<"): "too long",
    ("object", "<"): "too many members",
    ("int", ">"): "a number that is too small",
    ("int", "<"): "a number that is too great",
    ("float", ">"): "a number that is too small",
    ("float", "<"): "a number that is too great",
}
_COMPRESSED: Final = (
    "compressed by its sender's own code; publish plain JSON and let the Kafka producer compress it (compression.type)"
)
# What is no text, by its first bytes: what a sender's own code has compressed (gzip, zstd, LZ4 frames, snappy as Java
# writes it), Avro with its fingerprint, an object as Java writes it.
_BINARY: Final = (
    *((beginning, _COMPRESSED) for beginning in (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\x82SNAPPY")),
    (b"\xc3\x01", "Avro, which is not read; publish JSON, or convert the topic"),
    (b"\xac\xed\x00\x05", "a Java object, serialized; publish JSON, with a serializer for JSON"),
)
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")


def refusal_of(error: Exception, wire: Wire[Any] | None = None) -> RecordRefused:
    """The refusal that says what the decoder found, and no more than may be said. `wire` is what was expected."""
    if isinstance(error, UnicodeError):
        return RecordRefused("not_utf8")
    if isinstance(error, RecursionError):
        return _too_deep()
    message = str(error)
    if isinstance(error, DecodeError) and not isinstance(error, ValidationError):
        return RecordRefused("not_json", _malformed(message))
    if (enumeration := _ENUMERATION.fullmatch(message)) is not None:
        field = enumeration[1]
        reason: RefusalReason = "unknown_type" if field == "type" else "out_of_range"
        return RecordRefused(reason, amiss(field, "a word that the contract does not know", _write(wire, field)))
    if (missing := _MISSING.fullmatch(message)) is not None:
        return RecordRefused("missing_field", amiss(missing[1], "absent", _write(wire, missing[1])))
    if (number := _NUMBER.fullmatch(message)) is not None:
        place = _place(number)
        return RecordRefused("out_of_range", amiss(place, "a number too great to be read", _write(wire, place)))
    known = _KNOWN.fullmatch(message)
    if known is None:
        return RecordRefused("out_of_range")
    place = _place(known)
    if known["got"] is not None:
        return RecordRefused("wrong_type", amiss(place, KINDS.get(known["got"], "something else"), _write(wire, place)))
    found = _BEYOND.get((known["wanted"], known["limit"].removeprefix("of length ")[0]), "beyond its limits")
    return RecordRefused("out_of_range", amiss(place, found, _write(wire, place)))


def _place(known: re.Match[str]) -> str:
    if known["key"]:
        return f"a name in `{known['field']}`"
    if known["inside"]:
        return f"a value in `{known['field']}`"
    return known["field"] or THE_VALUE


def _write(wire: Wire[Any] | None, place: str) -> str:
    return AN_EVENT if wire is None or place == THE_VALUE else what_to_write(wire, place)


def _malformed(message: str) -> str:
    place = _MALFORMED.fullmatch(message)
    if place is not None:
        return f"not JSON at byte {place[1]} of the document; write it with a JSON library, one document a record"
    if message == "Input data was truncated":
        return "the document has no end, or an escape (\\uD83D) no second half; publish it whole, one a record"
    return ""


def _too_deep() -> RecordRefused:
    return RecordRefused(
        "not_json", f"nested deeper than {NESTING_MAX}; write what is your own as text in `attributes`"
    )


def check_text(value: bytes) -> None:
    """Refuse what is not UTF-8 or is nested deeper than `NESTING_MAX`, wherever in the value that is.

    Raises:
        RecordRefused: `not_utf8` or `not_json`.
    """
    try:
        value.decode()
    except UnicodeDecodeError:
        found = (told for beginning, told in _BINARY if value.startswith(beginning))
        raise RecordRefused("not_utf8", next(found, "")) from None
    if value.count(b"[") + value.count(b"{") > NESTING_MAX and _depth(value) > NESTING_MAX:
        raise _too_deep()


def _depth(value: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", value)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
