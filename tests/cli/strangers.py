"""What may stand at an address that was thought to be a broker's: small servers that answer as others do."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TLS_ALERT: Final = bytes.fromhex("15030300020246")
"""Fatal, protocol version: what a TLS listener says to whoever does not speak TLS."""

_VERSIONS: Final = struct.pack(">hi9h", 0, 3, 3, 0, 13, 17, 0, 1, 18, 0, 4)
_UNSUPPORTED_SASL_MECHANISM: Final = struct.pack(">hih", 33, 1, 5) + b"PLAIN"
_ILLEGAL_SASL_STATE: Final = struct.pack(">hi", 34, 0)


@contextlib.contextmanager
def stranger(answer: Callable[[bytes], bytes | None], family: socket.AddressFamily = socket.AF_INET) -> Iterator[str]:
    """A server that answers whatever arrives with what `answer` makes of it; None closes the connection."""
    listener = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
    open_connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65_536):
                said = answer(data)
                if said is None:
                    return
                connection.sendall(said)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                open_connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        host, port = listener.getsockname()[:2]
        yield f"[{host}]:{port}" if family == socket.AF_INET6 else f"{host}:{port}"
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in open_connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join()


def web_server(data: bytes) -> bytes | None:
    """As most do, it waits for the end of a request's head."""
    if b"\r\n\r\n" not in data:
        return b""
    return b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def speaking_kafka(*, sasl: bool = False, advertised: tuple[tuple[str, int], ...] = ()) -> Callable[[bytes], bytes]:
    """A broker as far as clients look at it before they do anything."""

    def answer(data: bytes) -> bytes:
        _, request, _, correlation = struct.unpack_from(">ihhi", data)
        body = {18: _VERSIONS, 17: _UNSUPPORTED_SASL_MECHANISM if sasl else _ILLEGAL_SASL_STATE, 3: _metadata()}
        said = struct.pack(">i", correlation) + body[request]
        return struct.pack(">i", len(said)) + said

    def _metadata() -> bytes:
        brokers = b"".join(
            struct.pack(">ih", number, len(host)) + host.encode() + struct.pack(">ih", port, -1)
            for number, (host, port) in enumerate(advertised)
        )
        return struct.pack(">i", len(advertised)) + brokers + struct.pack(">ii", 0, 0)

    return answer
