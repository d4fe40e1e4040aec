"""The client's side of a SCRAM login (RFC 5802, RFC 7677), in three messages.

The start-up check logs in with it before any client is made: it has to say what the broker answered.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import Final

ITERATIONS_MAX: Final = 1_000_000
"""Kafka's default is 4096. Whoever asks for more than this is no broker, and would keep us computing."""


class ScramFailed(Exception):
    """The server's message is not one that a holder of the password could have sent."""


class ScramLogin:
    """One login: `first`, then `final` with the server's answer, then `check` with its last one."""

    def __init__(self, mechanism: str, user: str, password: str, nonce: str | None = None) -> None:
        self._hash = mechanism.removeprefix("SCRAM-").replace("-", "").lower()
        self._password = password.encode()
        self._nonce = secrets.token_hex(16) if nonce is None else nonce
        escaped = user.replace("=", "=3D").replace(",", "=2C")
        self._first_bare = f"n={escaped},r={self._nonce}"
        self._signature = b""

    def first(self) -> bytes:
        return f"n,,{self._first_bare}".encode()

    def final(self, server_first: bytes) -> bytes:
        """Our proof that we know the password.

        Raises:
            ScramFailed: the server's message is none, or asks for too much.
        """
        said = _fields(server_first)
        try:
            nonce, iterations = said["r"], int(said["i"])
            salt = base64.b64decode(said["s"], validate=True)
        except (KeyError, ValueError, binascii.Error):
            raise ScramFailed from None
        if not nonce.startswith(self._nonce) or not 1 <= iterations <= ITERATIONS_MAX:
            raise ScramFailed
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
        without_proof = f"c=biws,r={nonce}"
        message = f"{self._first_bare},{server_first.decode()},{without_proof}".encode()
        client_key = self._keyed(salted, b"Client Key")
        stored_key = hashlib.new(self._hash, client_key).digest()
        proof = bytes(a ^ b for a, b in zip(client_key, self._keyed(stored_key, message), strict=True))
        self._signature = self._keyed(self._keyed(salted, b"Server Key"), message)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def check(self, server_final: bytes) -> None:
        """Return if the server knows the password too.

        Raises:
            ScramFailed: it does not show that it does.
        """
        try:
            given = base64.b64decode(_fields(server_final)["v"], validate=True)
        except (KeyError, binascii.Error):
            raise ScramFailed from None
        if not hmac.compare_digest(given, self._signature):
            raise ScramFailed

    def _keyed(self, key: bytes, message: bytes) -> bytes:
        return hmac.digest(key, message, self._hash)


def _fields(message: bytes) -> dict[str, str]:
    try:
        parts = message.decode().split(",")
    except UnicodeDecodeError:
        raise ScramFailed from None
    return {part[:1]: part[2:] for part in parts if part[1:2] == "="}
