"""From a connection to what OpenSSL needs.

Rules of this module
1. Whatever is wrong with our own side (a password, a key of another certificate, an expired certificate) is said here,
   with its remedy, because a broker could only say that it refuses us.
2. A key is handed over in memory where the system can do that, and otherwise as a file that only we can read and that
   is gone at once.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from streams.connection.errors import ConnectionRefused
from streams.connection.pem import validity_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.connection.connection import Certificates, ClientCertificate, Connection


def tls_context(connection: Connection) -> ssl.SSLContext:
    """What a handshake is made with.

    Raises:
        ConnectionRefused: the certificates or the key cannot be used.
    """
    context = trusting_context(connection.trusted)
    if not connection.checks_host:
        context.check_hostname = False
    if connection.client is not None:
        _load(context, connection.client)
    return context


def trusting_context(trusted: Certificates | None) -> ssl.SSLContext:
    """One that trusts these authorities, or those of the system.

    Raises:
        ConnectionRefused: they are none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if trusted is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        return context
    try:
        context.load_verify_locations(cadata=trusted.pem)
    except (ssl.SSLError, ValueError):
        raise ConnectionRefused(f"A certificate in {trusted.origin} is damaged: copy it again.") from None
    return context


def refuse_expired(connection: Connection, now: datetime | None = None) -> None:
    """Refuse a certificate of our own that is not valid now.

    Raises:
        ConnectionRefused: it has expired, or is not valid yet.
    """
    if connection.client is None:
        return
    origin = connection.client.chain.origin
    validity = validity_of(connection.client.chain.pem)
    now = datetime.now(UTC) if now is None else now
    if validity is not None and now > validity.ends:
        raise ConnectionRefused(
            f"Our own certificate in {origin} expired on {validity.ends:%Y-%m-%d %H:%M} UTC: put a new one there. "
            "It is read again without a restart."
        )
    if validity is not None and now < validity.begins:
        raise ConnectionRefused(
            f"Our own certificate in {origin} is valid from {validity.begins:%Y-%m-%d %H:%M} UTC on: correct this "
            "machine's clock, or wait."
        )


def _load(context: ssl.SSLContext, client: ClientCertificate) -> None:
    password = client.key_password
    try:
        with _as_file(client.key + client.chain.pem) as path:
            # Without a password OpenSSL would ask for one at the terminal.
            context.load_cert_chain(path, password=lambda: password or "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConnectionRefused(
                f"The key in {client.key_origin} is not that of the certificate in {client.chain.origin}: give the two "
                "that were made together."
            ) from None
        if password is not None:
            raise ConnectionRefused(
                f"The key in {client.key_origin} does not open with its password: correct ssl.key.password."
            ) from None
        raise ConnectionRefused(
            f"The certificate in {client.chain.origin} or the key in {client.key_origin} is damaged: copy them again."
        ) from None


@contextlib.contextmanager
def _as_file(text: str) -> Iterator[str]:
    """A name by which OpenSSL can read the text while the block runs."""
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        descriptor = os.memfd_create("certificate")
        try:
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(text.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile() as file:  # for its owner alone
        file.write(text.encode())
        file.flush()
        yield file.name
