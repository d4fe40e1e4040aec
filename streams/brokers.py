"""What stands at the addresses given as brokers, looked at before any client is made.

A Kafka client that is given the address of something else (a listener with TLS, a web server), or that is refused,
reports "connection lost" or nothing, again and again. The first bytes show what is there; how to connect to it is shown
by connecting: with the certificates and the login that the clients will use.

Rules of this module
1. Few bytes are exchanged and nothing is changed: which requests the broker knows, whether it lets us in, and to which
   addresses it sends its clients on.
2. A finding is certain only if waiting cannot change it: a server of another protocol stays one. Silence, a closed
   connection and an unknown name may be those of a broker that is just starting; an expired certificate or a password
   that is refused may be in the middle of being replaced, and a gate that starts then has to come up by itself.
3. One good address is enough, as for Kafka's own clients.
4. What a broker says of a login that it refused is not quoted, because it may repeat what it was sent.
5. A listener's handshake, its login and its addresses are one conversation, read from top to bottom: that is why this
   module is longer than most.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from streams.addresses import Address, read_addresses
from streams.connection.connection import PasswordLogin
from streams.connection.errors import ConnectionRefused, TokenNotGiven
from streams.connection.pem import validity_in
from streams.connection.scram import ScramFailed, ScramLogin
from streams.connection.source import UNSECURED
from streams.connection.tls import refuse_expired, trusting_context
from streams.kafka_requests import (
    API_VERSIONS,
    CLIENT,
    ILLEGAL_SASL_STATE,
    METADATA,
    NO_ERROR,
    SASL_HANDSHAKE,
    LoginRefused,
    NotKafka,
    Silent,
    advertised_in,
    ask,
    authenticate,
    mechanisms_in,
    received,
    short_text,
    versions_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.connection.connection import Connection
    from streams.connection.source import ConnectionSource

CONNECT_SECONDS: Final = 3.0
"""A connection within a region takes milliseconds, around the world a third of a second; two retries of a lost packet
take three seconds."""

ANSWER_SECONDS: Final = 5.0
"""What is asked is answered from memory; a broker that takes longer for it would hold up every client."""

SECOND_LOOK_SECONDS: Final = 2.0
"""For what did not answer as a broker, and is asked whether it is a web server or speaks TLS."""

ADVERTISED_LOOKED_AT: Final = 3
"""Of the addresses a broker sends its clients on to: if none of so many is reached, the rest would only take time."""

_WANTED: Final = "Give the address of a Kafka broker, as kafka-1:9092."
_SAY_SO: Final = "say so in the file of --command-config (or as MESURA_KAFKA_SECURITY_PROTOCOL)"

NAMES_SHOWN: Final = 5
"""Of the hosts that a certificate is for: enough to see which broker it is."""

_ABOUT_A_CERTIFICATE: Final = ("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE")
"""In the names of alerts by which a server refuses a client's certificate, or misses one. Java says `bad certificate`
where there is none, older brokers `handshake failure`."""

# OpenSSL's reasons for not trusting a certificate (X509_V_ERR_…).
_NOT_YET_VALID, _HAS_EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 9, 10, 62, 64
_HANDSHAKE_OVER_PLAINTEXT: Final = {"WRONG_VERSION_NUMBER", "UNEXPECTED_EOF_WHILE_READING", "RECORD_LAYER_FAILURE"}


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


class _Way(NamedTuple):
    """How to connect, for the whole of one look."""

    connection: Connection
    source: ConnectionSource


def reach_brokers(bootstrap_servers: str, source: ConnectionSource = UNSECURED) -> None:
    """Return if one of the addresses leads to a broker that clients can use, connecting as `source` says.

    Raises:
        AddressRefused: one of them is no address.
        ConnectionRefused: what is said about the connection cannot be used.
        WrongBrokers: none does, and none ever will.
        BrokersNotReached: none does now.
    """
    addresses = read_addresses(bootstrap_servers)
    way = _Way(source.read(), source)
    try:
        refuse_expired(way.connection)
    except ConnectionRefused as expired:
        raise BrokersNotReached(str(expired)) from None
    findings = []
    for address in addresses:
        finding = _look(address, way)
        if finding is None:
            return
        findings.append(finding)
    kind = WrongBrokers if all(finding.is_certain for finding in findings) else BrokersNotReached
    raise kind(" ".join(finding.text for finding in findings))


def _look(address: Address, way: _Way) -> _Finding | None:
    """What is wrong with it; None if a client can use it."""
    try:
        advertised = _talk(address, way)
        reasons = []
        for other in advertised[:ADVERTISED_LOOKED_AT]:
            if other == address:
                return None
            try:
                _talk(other, way)
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


def _talk(address: Address, way: _Way) -> list[Address]:
    """Talk to a broker as any client does; returns the addresses it sends its clients on to.

    Raises:
        _NoBroker: nobody there can be talked to like that.
    """
    with _connected(address) as plain:
        try:
            with _secured(plain, address, way) as connection:
                versions = versions_in(ask(connection, API_VERSIONS, 0))
                if SASL_HANDSHAKE in versions:
                    _log_in(connection, address, way)
                if METADATA not in versions:
                    raise _NoBroker(f"{address} is the listener of a Kafka controller. {_WANTED}", is_certain=True)
                return advertised_in(connection, versions[METADATA])
        except Silent as silent:
            raise _second_look(address, silent.how, way.connection) from None
        except ssl.SSLError as refused:
            raise _refused_by_tls(address, refused, way.connection) from None
        except (NotKafka, struct.error, UnicodeDecodeError):
            raise _something_else(address, way.connection) from None


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


# ---- TLS ------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _secured(plain: socket.socket, address: Address, way: _Way) -> Iterator[socket.socket]:
    """The connection, encrypted if that is asked for.

    Raises:
        Silent: there was no answer, as from a listener that takes the first bytes for a request.
        ssl.SSLError: one side refused the other.
    """
    if not way.connection.is_encrypted:
        yield plain
        return
    try:
        wrapped = way.source.context().wrap_socket(plain, server_hostname=address.host)
    except ssl.SSLCertVerificationError as refused:
        raise _not_trusted(address, refused, way) from None
    except ssl.SSLError:
        raise
    except TimeoutError:
        raise Silent(f"there was no answer within {ANSWER_SECONDS:.0f} s") from None
    except OSError:
        raise Silent("the connection was closed without an answer") from None
    with wrapped:
        yield wrapped


def _not_trusted(address: Address, refused: ssl.SSLCertVerificationError, way: _Way) -> _NoBroker:
    code, connection = refused.verify_code, way.connection
    if code in {_HAS_EXPIRED, _NOT_YET_VALID}:
        certificate = _presented(address)
        validity = None if certificate is None else validity_in(certificate)
        if code == _HAS_EXPIRED:
            when = "" if validity is None else f" on {validity.ends:%Y-%m-%d %H:%M} UTC"
            text = f"{address} has a certificate that expired{when}, or one above it did: renew it on the broker."
        else:
            when = "only later" if validity is None else f"from {validity.begins:%Y-%m-%d %H:%M} UTC on"
            text = f"{address} has a certificate that is valid {when}: correct this machine's clock, or the broker's."
        return _NoBroker(text)
    if code in {_OTHER_HOST, _OTHER_ADDRESS}:
        names = _names_presented(address, way)
        return _NoBroker(
            f"{address} has a certificate for {names or 'another host'}, not for {address.host}: connect by a name "
            "that the certificate has, or add this one to it (subjectAltName).",
            is_certain=True,
        )
    trusted = "the authorities that this system trusts" if connection.trusted is None else connection.trusted.origin
    return _NoBroker(
        f"{address} has a certificate that none of {trusted} vouches for ({refused.verify_message}): give the "
        "authority of the brokers' certificates with ssl.truststore.location.",
        is_certain=True,
    )


def _presented(address: Address) -> bytes | None:
    """The certificate that stands there, whoever it is from."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection(address, timeout=CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as connection,
        ):
            return connection.getpeercert(binary_form=True)
    except OSError:
        return None


def _names_presented(address: Address, way: _Way) -> str:
    """The hosts that a trusted certificate is for."""
    try:
        context = trusting_context(way.connection.trusted)
        context.check_hostname = False
        with (
            socket.create_connection(address, timeout=CONNECT_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as connection,
        ):
            names = (connection.getpeercert() or {}).get("subjectAltName", ())
    except OSError:
        return ""
    return ", ".join(str(pair[1]) for pair in names[:NAMES_SHOWN])


def _refused_by_tls(address: Address, refused: ssl.SSLError, connection: Connection) -> _NoBroker:
    """TLS was spoken, or not, and one side refused."""
    reason = refused.reason or ""
    if "ALERT" not in reason:
        if isinstance(refused, ssl.SSLEOFError) or reason in _HANDSHAKE_OVER_PLAINTEXT:
            return _second_look(address, "the connection was closed during the handshake", connection)
        return _NoBroker(f"{address} speaks TLS otherwise than we do ({reason}): look into the broker's log.")
    what = reason.partition("ALERT_")[2].replace("_", " ").lower()
    if connection.client is None and any(each in reason for each in _ABOUT_A_CERTIFICATE):
        return _NoBroker(
            f"{address} wants a certificate of ours: give one with ssl.keystore.location (or ssl.certificate.location "
            "and ssl.key.location).",
            is_certain=True,
        )
    if connection.client is not None and any(each in reason for each in _ABOUT_A_CERTIFICATE):
        return _NoBroker(
            f"{address} refuses our certificate ({what}): give one in {connection.client.chain.origin} that is signed "
            "by an authority in the brokers' trust store, with those between.",
        )
    return _NoBroker(f"{address} ends the handshake ({what}): allow TLS 1.2 or 1.3 on that listener.", is_certain=True)


# ---- the login ------------------------------------------------------------------------------------------------------


def _log_in(connection: socket.socket, address: Address, way: _Way) -> None:
    """Log in as the clients will, or find that nobody asks for it.

    Raises:
        _NoBroker: we are not let in, or are asked for what we do not have.
    """
    described = way.connection
    mechanism = described.mechanism or CLIENT.decode()
    code, offered = mechanisms_in(ask(connection, SASL_HANDSHAKE, 1, short_text(mechanism.encode())))
    with_tls = "SSL" if described.is_encrypted else "PLAINTEXT"
    if described.mechanism is None:
        # A listener without SASL refuses to speak of mechanisms at all; one with it says that it does not know ours.
        if code != ILLEGAL_SASL_STATE:
            raise _NoBroker(
                f"{address} wants a password or a token (SASL: {offered}): set security.protocol=SASL_{with_tls}, "
                f"sasl.mechanism and the login; {_SAY_SO}.",
                is_certain=True,
            )
        return
    if code == ILLEGAL_SASL_STATE:
        raise _NoBroker(
            f"{address} takes no login: set security.protocol={with_tls}, and leave sasl.… out.", is_certain=True
        )
    if code != NO_ERROR:
        raise _NoBroker(
            f"{address} does not offer sasl.mechanism={mechanism}, but {offered}: use what it offers, or enable it.",
            is_certain=True,
        )
    _prove_who_we_are(connection, address, way)


def _prove_who_we_are(connection: socket.socket, address: Address, way: _Way) -> None:
    mechanism, login = way.connection.mechanism, way.connection.login
    try:
        if not isinstance(login, PasswordLogin):
            token = way.source.token()
            extensions = "".join(f"\x01{name}={value}" for name, value in login.extensions) if login else ""
            said = authenticate(connection, f"n,,\x01auth=Bearer {token.text}{extensions}\x01\x01".encode())
            if said:  # a token is refused in an answer of its own, after which we have to say that we have heard
                raise LoginRefused
        elif mechanism == "PLAIN":
            authenticate(connection, f"{login.user}\0{login.user}\0{login.password}".encode())
        else:
            scram = ScramLogin(str(mechanism), login.user, login.password)
            first = authenticate(connection, scram.first())
            scram.check(authenticate(connection, scram.final(first)))
    except TokenNotGiven as none:
        raise _NoBroker(str(none)) from None
    except ScramFailed:
        raise _NoBroker(
            f"{address} does not know the password itself: it is no broker of this cluster. {_WANTED}", is_certain=True
        ) from None
    except LoginRefused:
        if isinstance(login, PasswordLogin):
            remedy = "correct user or password, or create the user"
            text = f"{address} refuses the user `{login.user}` by {mechanism}: {remedy}."
        else:
            remedy = "look into the broker's log for what it misses in it (issuer, audience, scope)"
            text = f"{address} refuses the token: {remedy}."
        raise _NoBroker(text) from None


# ---- what it is instead ---------------------------------------------------------------------------------------------


def _something_else(address: Address, connection: Connection) -> _NoBroker:
    """It answered, and not as a broker does. So it is alive, and a TLS listener's first handshake may take its time."""
    found = _second_look(address, "", connection, ANSWER_SECONDS)
    if found.finding.is_certain:
        return found
    return _NoBroker(f"{address} is no Kafka broker: it answers in another protocol. {_WANTED}", is_certain=True)


def _second_look(address: Address, how: str, connection: Connection, seconds: float | None = None) -> _NoBroker:
    """It was connected and did not answer as a broker: is it a web server, or secured otherwise than was said?"""
    seconds = SECOND_LOOK_SECONDS if seconds is None else seconds
    is_tls = _speaks_tls(address, seconds)
    if is_tls and not connection.is_encrypted:
        wanted = "SASL_SSL" if connection.has_login else "SSL (or SASL_SSL if it also wants a login)"
        return _NoBroker(f"{address} is a TLS listener: set security.protocol={wanted}; {_SAY_SO}.", is_certain=True)
    if _speaks_http(address, seconds):
        return _NoBroker(f"{address} is a web server (HTTP), not a Kafka broker. {_WANTED}", is_certain=True)
    if connection.is_encrypted and not is_tls and _speaks_kafka(address, seconds):
        wanted = "SASL_PLAINTEXT" if connection.has_login else "PLAINTEXT"
        return _NoBroker(
            f"{address} is a listener without TLS: give the address of one with it, or set security.protocol={wanted}.",
            is_certain=True,
        )
    return _NoBroker(
        f"No Kafka broker answers at {address}: {how}. If it is just starting, try again; if something else listens "
        "there (as ZooKeeper), correct the address."
    )


def _speaks_kafka(address: Address, seconds: float) -> bool:
    try:
        with socket.create_connection(address, timeout=seconds) as connection:
            return bool(versions_in(ask(connection, API_VERSIONS, 0)))
    except (OSError, Silent, NotKafka, struct.error):
        return False


def _speaks_http(address: Address, seconds: float) -> bool:
    try:
        with socket.create_connection(address, timeout=seconds) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return received(connection, 5) == b"HTTP/"
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
