"""From a record's value to the document of the event it carries: encodings and envelopes of docs/contracts.md.

Invariant: what is found is in the record as it is. An event is never looked for inside what may be an event.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

VALUE_BYTES_MAX: Final = 65_536
NESTING_MAX: Final = 64
LAYERS_MAX: Final = 5
PREFIX_BYTES: Final = 5
NUMBER_MAX: Final = 9_000_000_000_000_000_000

GLUE_BYTES: Final = 18
_LONG_PREFIX = re.compile(
    rb"(?: \x00{6}.{3} | \x00{4}[0-9a-f]{32} | \x01.{16} | \x03\x00.{16} ) (?={)",
    re.DOTALL | re.VERBOSE | re.IGNORECASE,
)

_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_MARK: Final = "\ufeff"
_CLOUD_EVENT: Final = frozenset({"specversion", "data", "data_base64"})
_CONNECT: Final = frozenset({"schema", "payload"})
_ENVELOPES: Final = _CLOUD_EVENT | _CONNECT | {"op", "before", "after"}
_EVENTS: Final = frozenset({"customer_id", "intent_id", "event_id"})


class BadRecord(Exception):
    """The record cannot be read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.unread: dict[str, Any] | None = None
        """The event that the customer of a preference nobody can read gets all the same."""


class Document(NamedTuple):
    """What a record says. `only_what_restricts`: it stood in an envelope out of which nothing else is read."""

    content: Any
    only_what_restricts: bool = False


class Repeating(dict[str, Any]):
    """An object in which names stand more than once."""

    repeated: frozenset[str] = frozenset()
    everything: tuple[tuple[str, Any], ...] = ()
    """All members, in the order in which they stand."""


# ---- JSON -----------------------------------------------------------------------------------------------------------


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = [name for name, _ in pairs]
    repeating = Repeating(found)
    repeating.repeated = frozenset(name for name in found if names.count(name) > 1)
    repeating.everything = tuple(pairs)
    return repeating


def _no_constant(_: str) -> None:
    raise BadRecord("not_json")


def _huge(digits: str) -> float:
    return float(digits) if len(digits) < NUMBER_MAX.bit_length() else float("inf")


_load = partial(json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant).decode)
_load_huge = partial(json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant, parse_int=_huge).decode)


def _parsed(text: str) -> Any:  # noqa: ANN401 - any JSON
    if text.count("[") + text.count("{") > NESTING_MAX and _depth(text) > NESTING_MAX:
        raise BadRecord("not_json")
    try:
        found = _load(text)
    except json.JSONDecodeError:
        raise BadRecord("not_json") from None
    except ValueError:  # more digits than Python reads as one number
        found = _load_huge(text)
    if "\\u" in text and _has_surrogate(found):
        raise BadRecord("not_json")
    return found


def _depth(text: str) -> int:
    depth = deepest = 0
    for character in _STRINGS.sub("", text):
        if character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "]}":
            depth -= 1
    return deepest


def _has_surrogate(found: Any) -> bool:  # noqa: ANN401 - any JSON
    try:
        json.dumps(found, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    return False


# ---- encodings ------------------------------------------------------------------------------------------------------


def _text(value: bytes) -> str:
    """The text, without its mark.

    READING: before a brace there is no zero byte in UTF-8, nor behind it; so zeros tell the other encodings without a
    mark. The zero of a registry's prefix is followed by an id that is never so great.
    """
    for start, encoding in (
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe\0\0", "utf-32-le"),
        (b"{\0\0\0", "utf-32-le"),
        (b"\xff\xfe", "utf-16-le"),
        (b"{\0", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
        (b"\0{\0", "utf-16-be"),
        (b"", "utf-8"),
    ):
        if value.startswith(start):
            try:
                return value.decode(encoding).lstrip(_MARK)
            except UnicodeDecodeError:
                break
    raise BadRecord("not_utf8")


# ---- envelopes ------------------------------------------------------------------------------------------------------


def document_of(value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> Document:
    """The document of the event, out of every envelope.

    Raises:
        BadRecord: there is none.
    """
    found, only_what_restricts = _labelled(value, headers), False
    for _ in range(LAYERS_MAX + 1):
        inner = _inside(found)
        if inner is None:
            return Document(found, only_what_restricts)
        found = inner.content
        only_what_restricts |= inner.only_what_restricts
    raise BadRecord("bad_envelope")


def _labelled(value: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> Any:  # noqa: ANN401 - any JSON
    """The document of a value; of a CloudEvent that a header announces, its data."""
    if not value:
        raise BadRecord("no_value")
    if len(value) > VALUE_BYTES_MAX:
        raise BadRecord("too_large")
    # READING: behind 32 hexadecimal digits, too, stands no other JSON than an object.
    if value[0] in {1, 3} or _LONG_PREFIX.match(value) or re.match(rb"\x00{4}[0-9a-fA-F]{32}", value):
        value = _behind_long_prefix(value)
    elif value[0] == 0 and not value.startswith(b"\0{\0"):
        value = value[PREFIX_BYTES:]
        # READING: of what is behind the prefix Avro and Protobuf are told by their first byte, before it is decoded.
        if value and not re.match(rb'[\s{\["\-0-9tfn\xef\xfe\xff]', value):
            raise BadRecord("not_json")
    text = _text(value)
    if not text:
        raise BadRecord("no_value")
    for name, content in headers:
        if name.lower() != "content-type" or not content:
            continue
        media = content.partition(b";")[0].strip().lower()
        if media == b"application/cloudevents+json":
            return _data(_parsed(text))
        if media.startswith(b"application/cloudevents"):
            raise BadRecord("bad_envelope")
    return _parsed(text)


def _behind_long_prefix(value: bytes) -> bytes:
    """What stands behind the id of a registry that is longer than four bytes."""
    prefix = _LONG_PREFIX.match(value)
    if prefix is not None:
        return value[prefix.end() :]
    if value[:2] != b"\3\5" or len(value) < GLUE_BYTES:
        raise BadRecord("not_json")
    inflating = zlib.decompressobj()
    try:
        found = inflating.decompress(value[GLUE_BYTES:], VALUE_BYTES_MAX + 1)
    except zlib.error:
        raise BadRecord("not_json") from None
    if len(found) > VALUE_BYTES_MAX:
        raise BadRecord("too_large")
    if not (inflating.eof and not inflating.unused_data and found[:1] == b"{"):
        raise BadRecord("not_json")
    return found


def _inside(found: Any) -> Document | None:  # noqa: ANN401 - any JSON
    """What a document holds that is an envelope no header announces."""
    if isinstance(found, str):
        return Document(_parsed(found.lstrip(_MARK)))
    if not isinstance(found, dict) or not _EVENTS.isdisjoint(found) or _ENVELOPES.isdisjoint(found):
        return None
    if isinstance(found, Repeating) and not _ENVELOPES.isdisjoint(found.repeated):
        raise BadRecord("repeated_field")
    if "specversion" in found:
        return Document(_data(found))
    if "type" in found:
        return None
    if "payload" in found:
        return Document(_something(found["payload"]), not _CONNECT.issuperset(found))
    if "op" in found and "after" in found:
        if found["op"] not in ("c", "u", "r"):
            raise BadRecord("bad_envelope")
        return Document(_something(found["after"]), only_what_restricts=True)
    return None


def _something(found: Any) -> Any:  # noqa: ANN401 - any JSON
    if found is None:
        raise BadRecord("no_value")
    return found


def _data(envelope: Any) -> Any:  # noqa: ANN401 - any JSON
    """What a CloudEvent holds."""
    if not isinstance(envelope, dict) or envelope.get("specversion") != "1.0":
        raise BadRecord("bad_envelope")
    if isinstance(envelope, Repeating) and not _CLOUD_EVENT.isdisjoint(envelope.repeated):
        raise BadRecord("repeated_field")
    inline, packed = envelope.get("data"), envelope.get("data_base64")
    if (inline is None) == (packed is None):
        raise BadRecord("bad_envelope")
    if packed is None:
        return inline
    try:
        payload = base64.b64decode(packed, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise BadRecord("bad_envelope") from None
    if not payload:
        raise BadRecord("no_value")
    return _parsed(_text(payload))
