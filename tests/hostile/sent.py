# ruff: noqa: E501 - requests are read as they are sent, on one line
"""Hostile requests, made by hand: each kind with whatever chance puts into it. A seed makes the same again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, NamedTuple

from tests.web.served import INTENT, TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PLANTED: Final = "planted-customer-4711"
_P: Final = PLANTED.encode()
_HOST: Final = b"Host: localhost\r\n"


class Sent(NamedTuple):
    """One request, as bytes, and whether its token may read what it asks for."""

    kind: str
    port: str
    content: bytes
    may: bool = False
    is_begun: bool = False
    """It is only begun: more would have to follow."""


def _bearer(token: str) -> bytes:
    return b"Authorization: Bearer " + token.encode() + b"\r\n"


def _explain(body: bytes, *headers: bytes, length: int | None = None) -> bytes:
    size = b"Content-Length: %d\r\n" % (len(body) if length is None else length)
    return b"POST /explain HTTP/1.1\r\n" + _HOST + b"".join(headers) + size + b"\r\n" + body


def _get(path: bytes, *headers: bytes, method: bytes = b"GET", host: bytes = _HOST) -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\n" + host + b"".join(headers) + b"\r\n"


def _noise(chance: random.Random, size: int) -> bytes:
    return chance.randbytes(chance.randrange(1, size)) + _P


def _no_token(_: random.Random) -> Sent:
    return Sent("no token", "explain", _explain(INTENT))


def _wrong_role(chance: random.Random) -> Sent:
    if chance.random() < 0.5:
        return Sent("wrong role", "explain", _explain(INTENT, _bearer(TOKENS[chance.choice(("metrics", "operator"))])))
    token = _bearer(TOKENS[chance.choice(("support", "compliance"))])
    return Sent("wrong role", "ops", _get(b"/metrics", token))


def _nearly_a_token(chance: random.Random) -> Sent:
    token = bytearray(TOKENS["compliance"].encode())
    form = chance.randrange(5)
    if form == 0:
        token[chance.randrange(len(token))] = ord("x")
    elif form == 1:
        token.pop()
    elif form == 2:
        token += b"c"
    header = [b"Authorization: Bearer ", b"Authorization: Basic ", b"authorization: bearer\t"][chance.randrange(3)]
    if form >= 3:
        header = b"X-Authorization: Bearer "
    twice = _bearer("w" * 40) if chance.random() < 0.3 else b""
    return Sent("nearly a token", "explain", _explain(INTENT, twice, header + bytes(token) + b"\r\n"))


def _wrong_host(chance: random.Random) -> Sent:
    host = chance.choice(
        (b"evil.example", b"localhost.evil.example", b"127.0.0.1.evil.example", b"x" * 3_000, _P, b"", b"a b")
    )
    return Sent("wrong host", "ops", _get(b"/ready", host=b"Host: " + host + b"\r\n"))


def _two_hosts(_: random.Random) -> Sent:
    return Sent("two hosts", "ops", _get(b"/ready", b"Host: evil.example\r\n"))


def _origin(chance: random.Random) -> Sent:
    origin = chance.choice((b"null", b"http://evil.example", b"http://localhost:1", b"file://"))
    return Sent("origin", "explain", _explain(INTENT, b"Origin: " + origin + b"\r\n", _bearer(TOKENS["compliance"])))


def _path_trick(chance: random.Random) -> Sent:
    path = chance.choice(
        (
            b"//metrics", b"/metrics/", b"/./metrics", b"/live/../metrics", b"/%6detrics", b"/metrics%00", b"/metrics;a",
            b"/%2e%2e/metrics", b"/METRICS", b"/metrics?a=b", b"/metrics#a", b"http://localhost/metrics", b"/live/%2e%2e/metrics",
            b"*", b"/..%2f..%2fetc/passwd", b"/" + _P, b"/metrics?" + _P, b"/\xff\xfe", b"/live\\..\\metrics",
        )
    )  # fmt: skip
    return Sent("path trick", "ops", _get(path))


def _method(chance: random.Random) -> Sent:
    method = chance.choice(
        (b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"CONNECT", b"HEAD", b"PROPFIND", b"get")
    )
    path = chance.choice((b"/metrics", b"/explain", b"/" + _P))
    override = b"X-HTTP-Method-Override: GET\r\n"
    return Sent("method", chance.choice(("ops", "explain")), _get(path, override, method=method))


def _smuggled(chance: random.Random) -> Sent:
    inner = _explain(INTENT)
    form = chance.randrange(5)
    if form == 0:
        head = b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    elif form == 1:
        head = b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    elif form == 2:
        head = b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"
    elif form == 3:
        head = b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n"
    else:
        head = b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"
    token = _bearer(TOKENS["metrics"]) if chance.random() < 0.5 else b""
    return Sent("smuggled", "explain", b"POST /explain HTTP/1.1\r\n" + _HOST + token + head + inner)


def _pipelined(chance: random.Random) -> Sent:
    first = _get(b"/live")
    second = _get(b"/metrics", _bearer(TOKENS["metrics"]))
    return Sent("pipelined", "ops", first * chance.randrange(1, 50) + second)


def _huge(chance: random.Random) -> Sent:
    size = chance.choice((5_000, 70_000, 300_000))
    filler = (_P + b"A" * size)[:size]
    form = chance.randrange(4)
    if form == 0:
        return Sent("huge", "ops", _get(b"/" + filler))
    if form == 1:
        return Sent("huge", "ops", _get(b"/ready", b"X: " + filler + b"\r\n"))
    if form == 2:
        return Sent(
            "huge", "ops", _get(b"/ready", *(b"X%d: %b\r\n" % (n, _P) for n in range(chance.randrange(65, 2_000))))
        )
    return Sent("huge", "explain", _explain(b'{"x": "' + filler + b'"}', _bearer(TOKENS["metrics"])))


def _too_large_a_question(chance: random.Random) -> Sent:
    body = b'{"customer_id": "' + _P + b'", "x": "' + b"A" * chance.choice((70_000, 200_000)) + b'"}'
    return Sent("too large a question", "explain", _explain(body, _bearer(TOKENS["compliance"])), may=True)


def _deep(chance: random.Random) -> Sent:
    depth = chance.choice((100, 1_000, 10_000, 30_000))
    body = chance.choice((b"[" * depth, b'{"a":' * depth, b'{"attributes":' + b"[" * depth + b"]" * depth + b"}"))[
        :60_000
    ]
    return Sent("deep", "explain", _explain(body, _bearer(TOKENS["compliance"])), may=True)


def _no_intent(chance: random.Random) -> Sent:
    body = chance.choice(
        (
            b"", b"{}", b"[]", b"null", b"1e999", b'"' + _P + b'"', b"\xff\xfe" + _P, b'{"customer_id": "\\ud800"}', b"\xef\xbb\xbf{}",
            INTENT[:-10], INTENT * 2, INTENT.replace(b"sms-co", b"\xc3\x28"), INTENT.replace(b"1795618800000", b"9" * 400),
            INTENT.replace(b'"sms"', b'{"a": 1}'), INTENT.replace(b'"sms"', b"NaN"), INTENT.replace(b"Bogota", b"../../" + _P),
        )
    )  # fmt: skip
    return Sent("no intent", "explain", _explain(body, _bearer(TOKENS["compliance"])), may=True)


def _noise_on_a_port(chance: random.Random) -> Sent:
    return Sent("noise", chance.choice(("ops", "explain")), _noise(chance, 3_000) + b"\r\n\r\n")


def _changed(chance: random.Random) -> Sent:
    content = bytearray(_explain(INTENT, _bearer(TOKENS["operator"])))
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(len(content))
        if chance.random() < 0.5:
            content[place] = chance.randrange(256)
        else:
            del content[place]
    return Sent("changed", "explain", bytes(content), is_begun=True)


def _half(chance: random.Random) -> Sent:
    whole = _explain(INTENT, _bearer(TOKENS["compliance"]))
    return Sent("half", "explain", whole[: chance.randrange(1, len(whole) - 1)], is_begun=True)


def _wrong_length(chance: random.Random) -> Sent:
    body = _explain(INTENT, _bearer(TOKENS["metrics"]), length=chance.choice((-1, 0, 7, 10**30, len(INTENT) + 1)))
    return Sent("wrong length", "explain", body, is_begun=True)


def _encoded(chance: random.Random) -> Sent:
    coding = chance.choice((b"gzip", b"deflate", b"br", b"zstd", b"identity", _P))
    headers = (b"Content-Encoding: " + coding + b"\r\n", _bearer(TOKENS["compliance"]))
    return Sent("encoded", "explain", _explain(INTENT, *headers), may=True)


def _expects(_: random.Random) -> Sent:
    return Sent("expects", "ops", _get(b"/ready", b"Expect: " + _P + b"\r\n"))


def _upgrade(chance: random.Random) -> Sent:
    to = chance.choice((b"websocket", b"h2c", b"TLS/1.0"))
    more = b"Connection: Upgrade\r\nUpgrade: " + to + b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    return Sent("upgrade", "ops", _get(b"/ready", more) + _get(b"/metrics"))


def _bad_header(chance: random.Random) -> Sent:
    header = chance.choice(
        (b": " + _P, b"X" + _P, b"X\x00: a", b" folded: " + _P, b"X: a\rb", b"X: \x7f\x80", b"Content-Length: " + _P)
    )
    return Sent("bad header", "ops", _get(b"/ready", header + b"\r\n"), is_begun=True)


KINDS: Final[tuple[Callable[[random.Random], Sent], ...]] = (
    _no_token, _wrong_role, _nearly_a_token, _wrong_host, _two_hosts, _origin, _path_trick, _method, _smuggled, _pipelined, _huge,
    _too_large_a_question, _deep, _no_intent, _noise_on_a_port, _changed, _half, _wrong_length, _encoded, _expects, _upgrade,
    _bad_header,
)  # fmt: skip


def requests(count: int, seed: int) -> Iterator[Sent]:
    """So many, every kind as often as every other."""
    chance = random.Random(seed)
    for number in range(count):
        yield KINDS[number % len(KINDS)](chance)
