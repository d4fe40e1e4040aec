"""Requests that no well-meaning client sends, each with something that looks like a customer's address in it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

PLANTED: Final = "+57-300-555-0199"
"""What must not appear in anything a process prints."""

_TOKEN: Final = PLANTED.encode()
_POST: Final = b"POST /explain HTTP/1.1\r\nHost: localhost\r\n"

MALFORMED: Final[dict[str, bytes]] = {
    "bad chunk size": _POST + b"Transfer-Encoding: chunked\r\n\r\n" + _TOKEN + b"\r\n" + _TOKEN + b"\r\n0\r\n\r\n",
    "chunk longer than said": _POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n" + _TOKEN + b"\r\n0\r\n\r\n",
    "bad chunk after a good one": _POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n" + _TOKEN + b"\r\n\r\n",
    "header without a colon": b"GET /ready HTTP/1.1\r\nHost: localhost\r\n" + _TOKEN + b"\r\n\r\n",
    "header with a blank in its name": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX " + _TOKEN + b": 1\r\n\r\n",
    "header with a control character": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX: \x00" + _TOKEN + b"\r\n\r\n",
    "huge header": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nX: " + _TOKEN * 2_000 + b"\r\n\r\n",
    "many headers": b"GET /ready HTTP/1.1\r\n" + b"".join(b"X%d: %b\r\n" % (n, _TOKEN) for n in range(300)) + b"\r\n",
    "huge line": b"GET /" + _TOKEN * 2_000 + b" HTTP/1.1\r\n\r\n",
    "no such method": b"SAY" + _TOKEN.replace(b"-", b"") + b" /ready HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "method of another kind": b"PATCH /" + _TOKEN + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no such path": b"GET /customers/" + _TOKEN + b"?who=" + _TOKEN + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no version": b"GET /" + _TOKEN + b"\r\n\r\n",
    "version of its own": b"GET /ready " + _TOKEN + b"\r\n\r\n",
    "two lengths": _POST + b"Content-Length: 2\r\nContent-Length: 30\r\nX: " + _TOKEN + b"\r\n\r\n{}",
    "length that is no number": _POST + b"Content-Length: " + _TOKEN + b"\r\n\r\n{}",
    "negative length": _POST + b"Content-Length: -1\r\nX: " + _TOKEN + b"\r\n\r\n{}",
    "length and chunks": _POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n" + _TOKEN + b"\r\n",
    "no such coding": _POST + b"Transfer-Encoding: " + _TOKEN + b"\r\n\r\n{}",
    "body that is not compressed": _POST + b"Content-Encoding: gzip\r\nContent-Length: 16\r\n\r\n" + _TOKEN,
    "question that is no intent": _POST + b"Content-Length: 16\r\n\r\n" + _TOKEN,
    "binary": bytes(range(256)) + _TOKEN + b"\r\n\r\n",
    "TLS hello": b"\x16\x03\x01\x00\x60\x01\x00\x00\x5c\x03\x03" + _TOKEN * 4 + b"\r\n\r\n",
    "upgrade": b"GET /ready HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + _TOKEN,
    "half a line": b"GET /" + _TOKEN,
    "half a header": b"GET /ready HTTP/1.1\r\nX: " + _TOKEN,
    "half a body": _POST + b"Content-Length: 1000\r\n\r\n" + _TOKEN,
    "two requests, the second broken": b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n" + _TOKEN + b"\r\n\r\n",
}

BEGUN: Final = [request for kind, request in MALFORMED.items() if kind.startswith("half")]

ANSWER_SECONDS: Final = 30.0


def send(host: str, port: int, request: bytes) -> bytes:
    """Send it and return what comes back until the other side ends the connection.

    Of a request that is only begun we say that nothing follows, so as not to wait until the other side has enough.
    """
    answer = b""
    with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as connection:
        with contextlib.suppress(OSError):  # it may have been ended before all was sent
            connection.sendall(request)
            if request in BEGUN:
                connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionResetError):
            while received := connection.recv(65_536):
                answer += received
    return answer


async def send_on_loop(port: int, request: bytes) -> bytes:
    """The same from within an event loop that also serves."""
    return await asyncio.to_thread(send, "127.0.0.1", port, request)
