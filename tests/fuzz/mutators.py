"""Changes of inputs that stay readable for long enough to get deep: JSON, MessagePack, policies, frames around them.

Rules of this module
1. A mutator takes an input, chance, and the fuzzer's own way of changing bytes; the same three give the same result.
2. Whatever cannot be read as what it should be is changed byte by byte: no input is a dead end.
3. No branch that coverage counts is taken on purpose here: mutators know formats and words, not the code under test.
"""

from __future__ import annotations

import base64
import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.fuzz.frames import piece, split
from tests.fuzz.telling import TOKEN

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping, Sequence

    Bytewise = Callable[[bytes], bytes]
    Mutator = Callable[[bytes, random.Random, Bytewise], bytes]

EDITS_MAX: Final = 3
BLUNT: Final = 0.2
"""Share of inputs changed byte by byte although they could be read."""

_TIMES: Final = (
    *("2026-11-24T10:00:00Z", "2026-11-24t10:00:00.123456789z", "2026-11-24T10:00:00-05:00", "2026-11-24T10:00:00"),
    *("1970-01-01T00:00:00Z", "1970-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "1969-12-31T23:59:59Z"),
    *("2026-02-29T10:00:00Z", "2026-13-01T10:00:00Z", "2026-11-24T10:00:60Z", f"2026-11-24T10:00:00.{'1' * 50}Z"),
    "0000-01-01T00:00:00Z",
)
_TEXTS: Final = (
    *("", "x", TOKEN, "sms", "c-1", "CO", "ES", "US", "UK", "co", "MD", "A1", "ABCD", "AB\n", "é", "\0", ":", '":"'),
    *("opt_out", "opt_in", "profile", "erasure", "pause", "consent_granted", "reply", "sent", "stop", "hold", "drop"),
    *("x" * 64, "x" * 65, "x" * 128, "x" * 129, "😀" * 128, "x" * 256, "x" * 257, "0" * 24, "g" * 24, "A" * 24),
    *("America/Bogota", "Europe/Madrid", "application/cloudevents+json", "1.0", "e30=", "!!", '{"a":"b"}'),
)  # fmt: skip
_NUMBERS: Final = (
    *(0, 1, -1, 50, 100, 101, 1.5, 5.0, -0.0, 1e3, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64, 10**30, 1e300),
    *(9 * 10**18, 9 * 10**18 + 1, 253_402_300_799_999, 253_402_300_800_000, 1_795_514_400_000, 1_795_514_700_001),
)
_NAMES: Final = ("attributes", "data", "data_base64", "specversion", "type", "zz", "", TOKEN, "customer_id")


def value(chance: random.Random, depth: int = 0) -> Any:  # noqa: ANN401 - any JSON
    """Something that is often on an edge."""
    match chance.randrange(8 if depth < 3 else 6):
        case 0 | 1:
            return chance.choice(_TEXTS)
        case 2:
            return chance.choice(_NUMBERS)
        case 3:
            return chance.choice(_TIMES)
        case 4:
            return chance.choice((None, True, False, [], {}))
        case 5:
            return chance.choice(_TEXTS)[:3] + str(chance.randrange(300))
        case 6:
            return [value(chance, depth + 1) for _ in range(chance.randrange(3))]
        case _:
            size = chance.choice((1, 2, 16, 17))
            return {f"{chance.choice(_NAMES)}{n or ''}": value(chance, depth + 2) for n in range(size)}


def json_mutator(fields: Sequence[str], words: Mapping[str, Sequence[Any]]) -> Mutator:
    """Changes a JSON object: `fields` are names it may have, `words` values that mean something in one of them."""

    def mutate(data: bytes, chance: random.Random, bytewise: Bytewise) -> bytes:
        if chance.random() < BLUNT:
            return bytewise(data)
        prefix = data[:5] if data[:1] == b"\0" else b""
        try:
            document = json.loads(data[len(prefix) :])
        except (ValueError, RecursionError):
            return bytewise(data)
        if not isinstance(document, dict):
            document = {}
        target = document
        inner = document.get("data")
        if isinstance(inner, dict) and chance.random() < 0.7:
            target = inner
        for _ in range(chance.randint(1, EDITS_MAX)):
            _change_field(target, fields, words, chance)
        _rewrap(document, chance)
        return prefix + _as_written(document, chance)

    return mutate


def _change_field(
    document: dict[str, Any], fields: Sequence[str], words: Mapping[str, Sequence[Any]], chance: random.Random
) -> None:
    present = list(document)
    known = chance.choice(fields)
    match chance.randrange(8):
        case 0 if present:
            document.pop(chance.choice(present))
        case 1:
            document[chance.choice(_NAMES)] = value(chance)
        case 2 if present:
            document[chance.choice(present)] = value(chance)
        case 3 if present and isinstance(inner := document[chance.choice(present)], dict):
            inner[chance.choice(_NAMES) + str(chance.randrange(20))] = value(chance, 2)
        case 4 | 5 if words:
            known = chance.choice(list(words))
            document[known] = deepcopy(chance.choice(words[known]))
        case _:
            document[known] = value(chance)


def _rewrap(document: dict[str, Any], chance: random.Random) -> None:
    """Sometimes the payload of an envelope moves into base64, or out of it."""
    if "specversion" not in document or chance.random() < 0.8:
        return
    if "data" in document:
        document["data_base64"] = base64.b64encode(_dumped(document.pop("data"), chance)).decode()
    elif isinstance(inside := document.pop("data_base64", None), str):
        try:
            document["data"] = json.loads(base64.b64decode(inside))
        except (ValueError, RecursionError):
            document["data_base64"] = inside[:-1]


def _dumped(document: Any, chance: random.Random) -> bytes:  # noqa: ANN401 - any JSON
    style = chance.choice(((",", ":"), (", ", ": "), (",\n", "\t: ")))
    return json.dumps(document, ensure_ascii=chance.random() < 0.5, separators=style).encode(errors="surrogatepass")


def _as_written(document: dict[str, Any], chance: random.Random) -> bytes:
    """The document as bytes, now and then with what no document can say."""
    text = _dumped(document, chance)
    match chance.randrange(24):
        case 0:  # a name twice
            again = json.dumps({chance.choice([*document, "zz"]): value(chance, 2)})[1:-1].encode()
            return text[:-1] + (b"," if document else b"") + again + b"}"
        case 1:  # a name in disguise
            return text.replace(b'"t', b'"\\u0074', 1)
        case 2:
            depth = chance.choice((10, 63, 64, 65, 2_000))
            return text[:-1] + (b"," if document else b"") + b'"zz":' + b"[" * depth + b"]" * depth + b"}"
        case 3:
            at = chance.randrange(len(text))
            return text[:at] + chance.choice((b"\xff", b"\xed\xa0\x80", b"\\ud83d", b"\0", b'"', b"}")) + text[at:]
        case 4:
            return chance.choice((b"\0\0\0\0\x07", b" ", b"\xef\xbb\xbf", b"\0")) + text
        case 5:
            return text + chance.choice((b" ", b"x", b"{}"))
        case 6:
            numbers = (b"1e999", b"NaN", b"1" * 400, b"-0", b"1.0e5", b"0x1", b"01")
            return text[:-1] + (b"," if document else b"") + b'"zz":' + chance.choice(numbers) + b"}"
        case 7:  # twice inside the attributes
            return text[:-1] + (b"," if document else b"") + b'"attributes":{"a":1,"a":":"}}'
        case _:
            return text


_HEADERS: Final = (
    *(b"", piece(b"content-type") + piece(b"application/cloudevents+json")),
    piece(b"Content-Type") + piece(b" Application/CloudEvents+JSON ; charset=utf-8"),
    piece(b"content-type") + piece(b"application/cloudevents-batch+json"),
    piece(b"content-type") + piece(b"application/json"),
    piece(b"content-type") + piece(None),
    piece(b"ce_specversion") + piece(b"1.0"),
    piece(b"\xff\xfe") + piece(b"\xff"),
    piece(TOKEN.encode()) + piece(TOKEN.encode()),
)


def framed(inner: Mutator) -> Mutator:
    """Changes the value of a record mostly, else its headers or the frame."""

    def mutate(data: bytes, chance: random.Random, bytewise: Bytewise) -> bytes:
        before, rest = split(data)
        if chance.random() < 0.85:
            return (before or b"\0") + inner(rest, chance, bytewise)
        if chance.random() < 0.3:
            return bytewise(data)
        chosen = [header for header in chance.choices(_HEADERS, k=chance.choice((0, 1, 1, 2))) if header]
        flags = len(chosen) | chance.choice((0,) * 12 + (0x80, 0x40))
        return bytes((flags,)) + b"".join(chosen) + rest

    return mutate


def msgpack_mutator(mend: Callable[[Any, random.Random], Any] | None = None) -> Mutator:
    """Changes a MessagePack document leaf by leaf; `mend` may make a document out of a document."""

    def mutate(data: bytes, chance: random.Random, bytewise: Bytewise) -> bytes:
        if chance.random() < BLUNT:
            return bytewise(data)
        try:
            document = msgspec.msgpack.decode(data)
            if mend is not None and chance.random() < 0.6:
                document = mend(document, chance)
            else:
                for _ in range(chance.randint(1, EDITS_MAX)):
                    document = changed(document, chance)
            return msgspec.msgpack.encode(document)
        except (ValueError, RecursionError, OverflowError, TypeError, msgspec.MsgspecError):
            return bytewise(data)

    return mutate


def changed(document: Any, chance: random.Random) -> Any:  # noqa: ANN401 - any MessagePack
    """The document with one thing in it changed."""
    if isinstance(document, list) and document and chance.random() < 0.9:
        at = chance.randrange(len(document))
        match chance.randrange(8):
            case 0:
                return document[:at] + document[at + 1 :]
            case 1:
                return [*document, value(chance, 2)]
            case 2:
                return [*document[:at], document[at], *document[at:]]
            case _:
                return [*document[:at], changed(document[at], chance), *document[at + 1 :]]
    if isinstance(document, int) and not isinstance(document, bool) and chance.random() < 0.6:
        return document + chance.choice((-1, 1, 12, -1_000, 86_400_000, 40 * 86_400_000, -document))
    if isinstance(document, bytes) and chance.random() < 0.7:
        size = chance.choice((1, 12))
        return chance.choice((document + bytes(size), document[:-size], document + document[:size], b""))
    if isinstance(document, str) and chance.random() < 0.5:
        return chance.choice(_TEXTS)
    return value(chance, 2)


def blunt(data: bytes, _chance: random.Random, bytewise: Bytewise) -> bytes:
    """For what has no form worth knowing."""
    return bytewise(data)
