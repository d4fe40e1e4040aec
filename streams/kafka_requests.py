"""The requests of Kafka's protocol that tell who stands at an address, over a socket, without any client.

Rules of this module
1. Only requests that change nothing, in versions that every broker since 1.0 answers.
2. Whoever answers is not trusted: lengths are limited, and what is no answer of Kafka's is an error.
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING, Final

from streams.addresses import Address

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one answer. A cluster of a thousand brokers describes itself in 100 KB."""

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE, METADATA = 18, 17, 36, 3
NO_ERROR, ILLEGAL_SASL_STATE = 0, 34
CLIENT: Final = b"mesura"
_CORRELATION: Final = 1_297_437_505


class NotKafka(Exception):
    """It answers in another protocol."""


class Silent(Exception):
    """It was connected, and did not answer as a broker: `how`, in words."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how: Final = how


_HEADER: Final = struct.Struct(">ihhih")
_INT16, _INT32 = struct.Struct(">h"), struct.Struct(">i")
_VERSIONS: Final = struct.Struct(">hhh")


def ask(connection: socket.socket, request: int, version: int, body: bytes = b"") -> bytes:
    """The answer's bytes behind its correlation id.

    Raises:
        Silent: there is none.
        NotKafka: it is none of Kafka's.
    """
    length = _HEADER.size - 4 + len(CLIENT) + len(body)
    header = _HEADER.pack(length, request, version, _CORRELATION, len(CLIENT))
    try:
        connection.sendall(header + CLIENT + body)
        start = received(connection, 4)
        (length,) = _INT32.unpack(start)
        if not 4 <= length <= ANSWER_BYTES_MAX:
            raise NotKafka
        answer = received(connection, length)
    except ssl.SSLError:
        raise  # with TLS 1.3 a broker refuses our certificate only now
    except TimeoutError:
        raise Silent(f"there was no answer within {connection.gettimeout() or 0:.0f} s") from None
    except OSError:
        raise Silent("the connection was closed without an answer") from None
    if _INT32.unpack_from(answer)[0] != _CORRELATION:
        raise NotKafka
    return answer[4:]


def received(connection: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        some = connection.recv(length - len(found))
        if not some:
            raise ConnectionResetError
        found += some
    return found


def versions_in(answer: bytes) -> dict[int, tuple[int, int]]:
    """Of each request the lowest and the highest version the broker knows."""
    (count,) = _INT32.unpack_from(answer, 2)
    entries = (_VERSIONS.unpack_from(answer, 6 + _VERSIONS.size * number) for number in range(count))
    return {request: (lowest, highest) for request, lowest, highest in entries}


def advertised_in(connection: socket.socket, versions: tuple[int, int]) -> list[Address]:
    lowest, highest = versions
    if lowest <= 1 <= highest:
        return list(_brokers(ask(connection, METADATA, 1, _INT32.pack(0)), 0))
    if lowest <= 4 <= highest:  # the throttling time comes first
        return list(_brokers(ask(connection, METADATA, 4, _INT32.pack(0) + b"\0"), 4))
    raise NotKafka


def _brokers(answer: bytes, place: int) -> Iterator[Address]:
    (count,) = _INT32.unpack_from(answer, place)
    place += 4
    for _ in range(count):
        (length,) = _INT16.unpack_from(answer, place + 4)
        place += 6
        host = answer[place : place + length].decode()
        (port,) = _INT32.unpack_from(answer, place + length)
        place += length + 4
        (rack,) = _INT16.unpack_from(answer, place)
        place += 2 + max(rack, 0)
        yield Address(host, port)


class LoginRefused(Exception):
    """The broker does not let us in."""


def authenticate(connection: socket.socket, message: bytes) -> bytes:
    """One message of a login, and the broker's.

    Raises:
        LoginRefused: it does not let us in.
    """
    answer = ask(connection, SASL_AUTHENTICATE, 0, _INT32.pack(len(message)) + message)
    (code,) = _INT16.unpack_from(answer)
    (length,) = _INT16.unpack_from(answer, 2)
    if code != NO_ERROR:
        raise LoginRefused
    place = 4 + max(length, 0)
    (length,) = _INT32.unpack_from(answer, place)
    return answer[place + 4 : place + 4 + max(length, 0)]


def mechanisms_in(answer: bytes) -> tuple[int, str]:
    """The error code, and the mechanisms that the broker offers."""
    (code,) = _INT16.unpack_from(answer)
    (count,) = _INT32.unpack_from(answer, 2)
    place, names = 6, []
    for _ in range(count):
        (length,) = _INT16.unpack_from(answer, place)
        names.append(answer[place + 2 : place + 2 + length].decode())
        place += 2 + length
    return code, ", ".join(names) or "none"


def short_text(content: bytes) -> bytes:
    return _INT16.pack(len(content)) + content
