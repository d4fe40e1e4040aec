"""From a decoder's complaint to a refusal that gives nothing away.

Rules of this module
1. A decoder's message is passed on only if it matches a form known to hold nothing but our own field names, expected
   types and limits. Everything else is dropped: msgspec, for one, quotes unknown words of an enumeration.
2. Nesting is limited by counting, before anything recursive runs, so that a record's fate never depends on how deep the
   interpreter's stack happens to be.
"""

from __future__ import annotations

import re
from typing import Final

from msgspec import DecodeError, ValidationError

from streams.contracts.errors import RecordRefused, RefusalReason

# Our own events are two levels deep; unknown fields may hold anything reasonable. msgspec gives up near 1 000.
NESTING_MAX: Final = 64

_PLACE: Final = r"(?: - at (?:`key` in )?`(?P<path>\$[\w.\[\]]*)`)?"
_SAYS_LITTLE: Final = re.compile(
    r"Expected `[a-z |]+`(?P<limit> (?:of length )?[<>]=? -?[0-9.e+]+)?(?:, got `[a-z]+`)?" + _PLACE
    + r"|Object missing required field `(?P<missing>\w+)`"
    + r"|(?P<range>Integer value out of range|Number out of range)" + _PLACE.replace("path", "range_path")
    + r"|JSON is malformed: [a-z ]+ \(byte [0-9]+\)"
    + r"|Input data was truncated"
)  # fmt: skip
_ENUMERATION: Final = re.compile(r"Invalid enum value .* - at `(?P<path>\$[\w.]*)`", re.DOTALL)
# gzip, zstd, LZ4 frames, snappy as Java writes it: what a sender's own code has compressed.
_MAGIC: Final = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18", b"\x82SNAPPY")
_COMPRESSED: Final = "compressed by its sender's own code; let the Kafka producer compress (compression.type)"
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKETS: Final = re.compile(rb"[\[\]{}]")


def refusal_of(error: Exception) -> RecordRefused:
    """The refusal that says what the decoder found, and no more than may be said."""
    if isinstance(error, UnicodeError):
        return RecordRefused("not_utf8")
    if isinstance(error, RecursionError):
        return RecordRefused("not_json", "nested too deeply")
    message = str(error)
    known = _SAYS_LITTLE.fullmatch(message)
    detail = message if known is not None else ""
    if isinstance(error, DecodeError) and not isinstance(error, ValidationError):
        return RecordRefused("not_json", detail)
    enumeration = _ENUMERATION.fullmatch(message)
    if enumeration is not None:
        detail = f"not one of the words the contract knows - at `{enumeration['path']}`"
        return RecordRefused("unknown_type" if enumeration["path"] == "$.type" else "out_of_range", detail)
    return RecordRefused(_reason(known), detail)


def _reason(known: re.Match[str] | None) -> RefusalReason:
    if known is None or known["limit"] is not None or known["range"] is not None:
        return "out_of_range"
    return "wrong_type" if known["missing"] is None else "missing_field"


def check_text(value: bytes) -> None:
    """Refuse what is not UTF-8 or is nested deeper than `NESTING_MAX`, wherever in the value that is.

    Raises:
        RecordRefused: `not_utf8` or `not_json`.
    """
    try:
        value.decode()
    except UnicodeDecodeError:
        raise RecordRefused("not_utf8", _COMPRESSED if value.startswith(_MAGIC) else "") from None
    if value.count(b"[") + value.count(b"{") > NESTING_MAX and _depth(value) > NESTING_MAX:
        raise RecordRefused("not_json", f"nested deeper than {NESTING_MAX}")


def _depth(value: bytes) -> int:
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRING.sub(b"", value)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest
