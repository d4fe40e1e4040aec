"""Whether a record is about a customer: by its key, by the event in it, or perhaps.

Rules of this module
1. A record is the customer's if its key is the customer's id, or the event in it names it. Events are opened as the
   gate opens them, in every envelope and encoding.
2. What nobody can read may still be the customer's. There the id is looked for as text: in UTF-8 and UTF-16, escaped
   as in JSON, and in base64. In UTF-8 it must stand by itself, so that c-1 is not found in c-10.
3. Events that can be read and name somebody else may mention the customer too, for example in `attributes`.
"""

from __future__ import annotations

import base64
import json
import re
from enum import Enum
from typing import TYPE_CHECKING, Final

import msgspec

from streams.contracts.bare_envelopes import find_bare_envelope
from streams.contracts.envelope import payload_of
from streams.contracts.errors import RecordRefused
from streams.contracts.wire import decode_members

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.records import Headers

BASE64_CHARACTERS_MIN: Final = 6
"""Shorter pieces of base64 are found by chance in any value."""

_BRACE: Final = ord("{")
_HIDING: Final = (b"\\u", b"data_base64")
"""What a JSON object has in it in which a text does not stand as it is."""

_decode_any: Final = msgspec.json.Decoder().decode


class Mention(Enum):
    """By what a record is found. The value is the word for it."""

    KEY = "key"
    CONTENT = "content"
    TEXT = "text"
    """The id stands somewhere in it. It may be somebody else's record, and a person has to look."""


class CustomerId:
    """The id of one customer, and how it is recognised."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.key = text.encode()
        escaped = json.dumps(text)[1:-1].encode()
        self._alone = re.compile(rb"(?<![\w.-])(?:%s|%s)(?![\w-])" % (re.escape(self.key), re.escape(escaped)))
        self._encoded = (text.encode("utf-16-le"), text.encode("utf-16-be"), *_in_base64(self.key))

    def mention(self, key: bytes | None, value: bytes | None, headers: Headers) -> Mention | None:
        """By what the record is found; None if it is not."""
        if key == self.key:
            return Mention.KEY
        if value and (self._may_be_in(value) and customer_in(value, headers) == self.text):
            return Mention.CONTENT
        texts = (key, value, *(content for _, content in headers))
        return Mention.TEXT if any(text is not None and self._stands_in(text) for text in texts) else None

    def _may_be_in(self, value: bytes) -> bool:
        """Whether it is worth reading: any character may be escaped, and only plain objects show what they hold."""
        return value[0] != _BRACE or any(sign in value for sign in (self.key, *_HIDING)) or self._stands_in(value)

    def _stands_in(self, text: bytes) -> bool:
        return self._alone.search(text) is not None or any(form in text for form in self._encoded)


def customer_in(value: bytes, headers: Headers) -> str | None:
    """The customer whom the event in a value names; None if it names none, or cannot be read."""
    try:
        payload = payload_of(value, headers)
        envelope = find_bare_envelope(payload)
        members = decode_members(payload if envelope is None else envelope.payload)
        found = _decode_any(members["customer_id"])
    except (RecordRefused, ValueError, KeyError, RecursionError):
        return None
    return str(found) if isinstance(found, str | int) else None


def _in_base64(text: bytes) -> Iterator[bytes]:
    """How the text looks in base64, at each of the three places where it may begin: the characters that depend on
    nothing else.
    """
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + text)
        piece = coded[-(-before * 8 // 6) : (before + len(text)) * 8 // 6]
        if len(piece) >= BASE64_CHARACTERS_MIN:
            yield piece
