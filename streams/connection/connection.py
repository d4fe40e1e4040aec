"""A connection as it was given: what is encrypted, who is trusted, and who we are.

Rules of this module
1. Values only: nothing here reads a file or knows a client.
2. What is secret has no place in `repr`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"]

PROTOCOLS: Final[tuple[Protocol, ...]] = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final[tuple[Mechanism, ...]] = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")


@dataclass(frozen=True, slots=True)
class Certificates:
    """Certificates as PEM, and where they were given."""

    pem: str = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """Our own certificate with those above it, and its key."""

    chain: Certificates
    key: str = field(repr=False)
    key_origin: str
    key_password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class PasswordLogin:
    """A user and a password, for PLAIN and SCRAM."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLogin:
    """A client that gets its tokens from an endpoint (OAuth 2.0, client credentials)."""

    endpoint: str
    client_id: str
    client_secret: str = field(repr=False)
    scope: str | None = None
    encodes_credentials: bool = False
    """Whether id and secret are URL-encoded within the header, as RFC 6749 says and few endpoints expect."""
    extensions: tuple[tuple[str, str], ...] = ()
    """Sent to the broker beside the token."""
    trusted: Certificates | None = None
    """Whose certificates the endpoint's is checked by; None: those that the system trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to connect. Without anything: in the clear and without a login."""

    protocol: Protocol = "PLAINTEXT"
    trusted: Certificates | None = None
    """The authorities by which a broker's certificate is checked; None: those that the system trusts."""
    client: ClientCertificate | None = None
    checks_host: bool = True
    """Whether a broker's certificate has to be for the host that was connected to."""
    mechanism: Mechanism | None = None
    login: PasswordLogin | TokenLogin | None = None

    @property
    def is_encrypted(self) -> bool:
        return self.protocol in {"SSL", "SASL_SSL"}

    @property
    def has_login(self) -> bool:
        return self.protocol in {"SASL_PLAINTEXT", "SASL_SSL"}
