"""The endpoint's own certificate, and the authority of its clients'.

A directory as cert-manager and `kubernetes.io/tls` secrets have it: `tls.crt` (the chain), `tls.key`, and `ca.crt`
where clients may show certificates. Read again when it changes (`streams.web.reread`).
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from streams.connection.errors import ConnectionRefused
from streams.connection.files import read_pem, refuse_open_to_others

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE: Final = "tls.crt"
KEY: Final = "tls.key"
AUTHORITY: Final = "ca.crt"


class TlsRefused(ValueError):
    """The files cannot be used. The message says which and why."""


def read_context(directory: Path) -> ssl.SSLContext:
    """What a handshake is made with.

    Raises:
        TlsRefused: a file is missing, or the files do not fit together.
    """
    certificate, key, authority = (directory / name for name in (CERTIFICATE, KEY, AUTHORITY))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        read_pem(certificate, "certificate")
        _, mode = read_pem(key, "key")
        refuse_open_to_others(key, "key", mode)
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
        if authority.exists():
            context.load_verify_locations(cadata=read_pem(authority, "authority")[0])
            # Not required: probes have none, and a token is enough.
            context.verify_mode = ssl.CERT_OPTIONAL
    except ConnectionRefused as refused:
        raise TlsRefused(str(refused)) from None
    except (ssl.SSLError, OSError, ValueError):
        raise TlsRefused(
            f"{CERTIFICATE}, {KEY} and {AUTHORITY} of {directory} do not fit together or are damaged, or the key has a "
            "password: put the certificate chain, its key without a password, and the clients' authority there, as PEM."
        ) from None
    return context
