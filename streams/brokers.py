"""What stands at the addresses given as brokers, looked at before any client is made.

A Kafka client that is given the address of something else (a listener with TLS, a web server) reports "connection lost"
or nothing, again and again. The first bytes show what is there.

Rules of this module
1. Few bytes are exchanged and nothing is changed: which requests the broker knows, whether it wants authentication,
   and to which addresses it sends its clients on.
2. A finding is certain only if waiting cannot change it: a server of another protocol stays one. Silence, a closed
   connection and an unknown name may be those of a broker that is just starting.
3. One good address is enough, as for Kafka's own clients.
"""

from __future__ import annotations

import socket
import ssl
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from streams.addresses import NOT_YET, Address, read_addresses

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECT_SECONDS: Final = 3.0
"""A connection within a region takes milliseconds, around the world a third of a second; two retries of a lost packet
take three seconds."""

ANSWER_SECONDS: Final = 5.0
"""What is asked is answered from memory; a broker that takes longer for it would hold up every client."""

SECOND_LOOK_SECONDS: Final = 2.0
"""For what did not answer as a broker, and is asked whether it is a web server or speaks TLS."""

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of one answer. A cluster of a thousand brokers describes itself in 100 KB."""

ADVERTISED_LOOKED_AT: Final = 3
"""Of the addresses a broker sends its clients on to: if none of so many is reached, the rest would only take time."""

_API_VERSIONS, _SASL_HANDSHAKE, _METADATA = 18, 17, 3
_ILLEGAL_SASL_STATE: Final = 34
_CLIENT: Final = b"mesura"
_CORRELATION: Final = 1_297_437_505
_WANTED: Final = "Give the address of a Kafka broker, as kafka-1:9092."


class BrokersNotReached(Exception):
    """No address leads to a broker. The message says of each what is wrong with it, and what to do.

    BrokersNotReached
     └── WrongBrokers    it will be the same later
    """


class WrongBrokers(BrokersNotReached):
    """None of the addresses is a broker's that mesura can talk to, and waiting cannot change that."""


class _Finding(NamedTuple):
    text: str
    is_certain: bool = False


class _NoBroker(Exception):
    def __init__(self, text: str, *, is_certain: bool = False) -> None:
        super().__init__(text)
        self.finding: Final = _Finding(text, is_certain)


class _NotKafka(Exception):
    """It answers in another protocol."""


class _Silent(Exception):
    """It was connected, and did not answer as a broker: `how`, in words."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how: Final = how


def reach_brokers(bootstrap_servers: str) -> None:
    """Return if one of the addresses leads to a broker that clients can use.

    Raises:
        AddressRefused: one of them is no address.
        WrongBrokers: none does, and none ever will.
        BrokersNotReached: none does now.
    """
    findings = []
    for address in read_addresses(bootstrap_servers):
        finding = _look(address)
        if finding is None:
            return
        findings.append(finding)
    kind = WrongBrokers if all(finding.is_certain for finding in findings) else BrokersNotReached
    raise kind(" ".join(finding.text for finding in findings))


def _look(address: Address) -> _Finding | None:
    """What is wrong with it; None if a client can use it."""
    try:
        advertised = _talk(address)
        reasons = []
        for other in advertised[:ADVERTISED_LOOKED_AT]:
            if other == address:
                return None
            try:
                _talk(other)
            except _NoBroker as unreached:
                reasons.append(unreached.finding.text)
            else:
                return None
    except _NoBroker as no_broker:
        return no_broker.finding
    if not reasons:
        return _Finding(f"The broker at {address} knows of no broker yet: it is starting. Try again in a moment.")
    return _Finding(
        f"The broker at {address} sends its clients on to an address that does not lead to a broker from here. "
        f"{reasons[0]} Correct advertised.listeners on the broker, or run where that address is known."
    )


def _talk(address: Address) -> list[Address]:
    """Talk to a broker as any client does; returns the addresses it sends its clients on to.

    Raises:
        _NoBroker: nobody there can be talked to like that.
    """
    with _connected(address) as connection:
        try:
            versions = _versions(_ask(connection, _API_VERSIONS, 0))
            if _SASL_HANDSHAKE in versions and _wants_authentication(connection):
                raise _NoBroker(f"{address} wants a password or a token (SASL): {NOT_YET}.", is_certain=True)
            if _METADATA not in versions:
                raise _NoBroker(f"{address} is the listener of a Kafka controller. {_WANTED}", is_certain=True)
            return _advertised(connection, versions[_METADATA])
        except _Silent as silent:
            raise _second_look(address, silent.how) from None
        except (_NotKafka, struct.error, UnicodeDecodeError):
            raise _something_else(address) from None


def _connected(address: Address) -> socket.socket:
    no_answer = f"No Kafka broker answers at {address}"
    try:
        connection = socket.create_connection(address, timeout=CONNECT_SECONDS)
    except (socket.gaierror, UnicodeError):
        raise _NoBroker(
            f"{no_answer}: the name does not resolve here. Correct it, or run where it is known (the name of a "
            "container is known only inside its network)."
        ) from None
    except ConnectionRefusedError:
        raise _NoBroker(f"{no_answer}: nothing listens there. Start the broker, or correct the address.") from None
    except TimeoutError:
        raise _NoBroker(
            f"{no_answer}: there was no connection within {CONNECT_SECONDS:.0f} s. Correct the address, or let the "
            "connection through (a firewall may drop it)."
        ) from None
    except OSError as error:
        raise _NoBroker(f"{no_answer}: {error.strerror or error}. Correct the address, or the route to it.") from None
    connection.settimeout(ANSWER_SECONDS)
    return connection


# ---- Kafka's protocol: three requests, in versions that every broker since 0.10 answers ------------------------------

_HEADER: Final = struct.Struct(">ihhih")
_INT16, _INT32 = struct.Struct(">h"), struct.Struct(">i")
_VERSIONS: Final = struct.Struct(">hhh")


def _ask(connection: socket.socket, request: int, version: int, body: bytes = b"") -> bytes:
    """The answer's bytes behind its correlation id.

    Raises:
        _Silent: there is none.
        _NotKafka: it is none of Kafka's.
    """
    length = _HEADER.size - 4 + len(_CLIENT) + len(body)
    header = _HEADER.pack(length, request, version, _CORRELATION, len(_CLIENT))
    try:
        connection.sendall(header + _CLIENT + body)
        start = _received(connection, 4)
        (length,) = _INT32.unpack(start)
        if not 4 <= length <= ANSWER_BYTES_MAX:
            raise _NotKafka
        answer = _received(connection, length)
    except TimeoutError:
        raise _Silent(f"there was no answer within {ANSWER_SECONDS:.0f} s") from None
    except OSError:
        raise _Silent("the connection was closed without an answer") from None
    if _INT32.unpack_from(answer)[0] != _CORRELATION:
        raise _NotKafka
    return answer[4:]


def _received(connection: socket.socket, length: int) -> bytes:
    found = b""
    while len(found) < length:
        some = connection.recv(length - len(found))
        if not some:
            raise ConnectionResetError
        found += some
    return found


def _versions(answer: bytes) -> dict[int, tuple[int, int]]:
    """Of each request the lowest and the highest version the broker knows."""
    (count,) = _INT32.unpack_from(answer, 2)
    entries = (_VERSIONS.unpack_from(answer, 6 + _VERSIONS.size * number) for number in range(count))
    return {request: (lowest, highest) for request, lowest, highest in entries}


def _wants_authentication(connection: socket.socket) -> bool:
    # A listener without SASL refuses to speak of mechanisms at all; one with it says that it does not know ours.
    mechanism = _INT16.pack(len(_CLIENT)) + _CLIENT
    (code,) = _INT16.unpack_from(_ask(connection, _SASL_HANDSHAKE, 1, mechanism))
    return bool(code != _ILLEGAL_SASL_STATE)


def _advertised(connection: socket.socket, versions: tuple[int, int]) -> list[Address]:
    lowest, highest = versions
    if lowest <= 1 <= highest:
        return list(_brokers(_ask(connection, _METADATA, 1, _INT32.pack(0)), 0))
    if lowest <= 4 <= highest:  # the throttling time comes first
        return list(_brokers(_ask(connection, _METADATA, 4, _INT32.pack(0) + b"\0"), 4))
    raise _NotKafka


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


# ---- what it is instead ---------------------------------------------------------------------------------------------


def _something_else(address: Address) -> _NoBroker:
    """It answered, and not as a broker does. So it is alive, and a TLS listener's first handshake may take its time."""
    found = _second_look(address, "", ANSWER_SECONDS)
    if found.finding.is_certain:
        return found
    return _NoBroker(f"{address} is no Kafka broker: it answers in another protocol. {_WANTED}", is_certain=True)


def _second_look(address: Address, how: str, seconds: float = SECOND_LOOK_SECONDS) -> _NoBroker:
    """It was connected and did not answer as a broker: is it a web server, or does it speak TLS?"""
    if _speaks_tls(address, seconds):
        return _NoBroker(f"{address} is a TLS listener: {NOT_YET}.", is_certain=True)
    if _speaks_http(address, seconds):
        return _NoBroker(f"{address} is a web server (HTTP), not a Kafka broker. {_WANTED}", is_certain=True)
    return _NoBroker(
        f"No Kafka broker answers at {address}: {how}. If it is just starting, try again; if something else listens "
        "there (as ZooKeeper), correct the address."
    )


def _speaks_http(address: Address, seconds: float) -> bool:
    try:
        with socket.create_connection(address, timeout=seconds) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return _received(connection, 5) == b"HTTP/"
    except OSError:
        return False


def _speaks_tls(address: Address, seconds: float) -> bool:
    # Nothing is sent over this connection: whose certificate it is does not matter.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(address, timeout=seconds) as connection,
            context.wrap_socket(connection, server_hostname=None),
        ):
            return True
    except ssl.SSLError as error:
        # An alert is an answer in TLS: versions or ciphers do not fit.
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
