"""Addresses of brokers, as they are given to `--bootstrap`.

Rules of this module
1. An address is HOST:PORT and nothing else. What other programs also accept (a scheme, a path, no port) is refused
   with the form to write, because a client that guesses may connect to another place than was meant.
2. An address that cannot be understood is not repeated in the error, because it may hold a user and a password.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

PORT_MAX: Final = 65_535

_SCHEME: Final = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9+._-]*)://(?P<rest>.*)")
_HOST: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
# Hexadecimal digits and colons, an IPv4 address at the end, and the interface that a link-local address is reached by.
_IPV6: Final = re.compile(r"[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*(%[A-Za-z0-9_.-]+)?")
_SECURED: Final = re.compile(r"ssl|tls|sasl|https", re.IGNORECASE)

COMMAND_CONFIG: Final = "in the file of --command-config (docs/connections.md)"


class AddressRefused(ValueError):
    """It is no address of a broker. The message says why, and what to write."""


class Address(NamedTuple):
    """Where a broker listens. `host` is a name, an IPv4 address, or an IPv6 address without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def read_addresses(text: str) -> tuple[Address, ...]:
    """The addresses of a list with commas; blanks around them and empty places are passed over.

    Raises:
        AddressRefused: there is none, or one of them is not HOST:PORT.
    """
    found = tuple(_address(part) for part in map(str.strip, text.split(",")) if part)
    if not found:
        raise AddressRefused("There is no address: write HOST:PORT, as kafka-1:9092.")
    return found


def as_text(addresses: tuple[Address, ...]) -> str:
    """The list as every Kafka client takes it."""
    return ",".join(map(str, addresses))


def _address(text: str) -> Address:
    if "@" in text:
        raise AddressRefused(
            f"An address has a user in it (`…@…`): write HOST:PORT alone; user and password stand {COMMAND_CONFIG}."
        )
    if any(character.isspace() or character == ";" for character in text):
        raise AddressRefused(
            f"`{text}` holds a blank or a semicolon: separate addresses with commas, as a:9092,b:9092."
        )
    scheme = _SCHEME.fullmatch(text)
    if scheme is not None:
        raise AddressRefused(_about_scheme(text, scheme["name"], scheme["rest"]))
    if "/" in text:
        raise AddressRefused(
            f"`{text}` has a path: write HOST:PORT of a Kafka broker alone (an address with a path is ZooKeeper's)."
        )
    host, port = _parts(text)
    if not (port.isascii() and port.isdecimal() and 1 <= int(port) <= PORT_MAX):
        raise AddressRefused(f"`{text}` has no port from 1 to {PORT_MAX} behind its last colon: write HOST:PORT.")
    return Address(host, int(port))


def _about_scheme(text: str, name: str, rest: str) -> str:
    if _SECURED.search(name):
        return (
            f"`{text}` asks for a secured connection: write HOST:PORT alone, and set security.protocol "
            f"{COMMAND_CONFIG}."
        )
    plain = rest.rstrip("/")
    return f"`{text}` begins with `{name}://`, which a broker's address has not: write it as HOST:PORT, `{plain}`."


def _parts(text: str) -> tuple[str, str]:
    """Host and port, as text.

    Raises:
        AddressRefused: there is no port, or the host cannot be one.
    """
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        if not bracket or not _IPV6.fullmatch(host):
            raise AddressRefused(f"`{text}` is no IPv6 address in brackets: write it as [::1]:9092.")
        if not port.startswith(":"):
            raise AddressRefused(f"`{text}` has no port: write [{host}]:PORT; Kafka's is usually 9092.")
        return host, port[1:]
    if text.count(":") > 1:
        raise AddressRefused(f"`{text}` is an IPv6 address without brackets: write it as [::1]:9092.")
    host, colon, port = text.partition(":")
    if not _HOST.fullmatch(host):
        raise AddressRefused(
            f"`{text}` has no host name before its port: write HOST:PORT in plain letters, digits, dots and dashes."
        )
    if not colon or not port:
        raise AddressRefused(f"`{text}` has no port: write HOST:PORT; Kafka's is usually 9092, as `{host}:9092`.")
    return host, port
