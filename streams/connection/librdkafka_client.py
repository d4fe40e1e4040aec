"""A connection as the settings of librdkafka.

Rules of this module
1. librdkafka reads what it is given once: a client keeps its certificates as long as it lives, and asks for a new token
   by itself. Commands are short; what runs for long makes a new client when the connection fails.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from streams.connection.connection import PasswordLogin, TokenLogin

if TYPE_CHECKING:
    from streams.connection.source import ConnectionSource


class TokenCallback:
    """What librdkafka asks for a token. It may be handed to another process."""

    def __init__(self, source: ConnectionSource) -> None:
        self._source = source

    def __call__(self, _configuration: str) -> tuple[str, float, str, dict[str, str]]:
        login = self._source.current().login
        token = self._source.token()
        extensions = dict(login.extensions) if isinstance(login, TokenLogin) else {}
        # In whole seconds, downwards: librdkafka refuses a token that it takes for expired.
        return token.text, float(math.floor(token.expires_at)), token.principal, extensions


def librdkafka_settings(source: ConnectionSource) -> dict[str, object]:
    """What to give to a client beside its addresses. It holds secrets: for the client alone.

    Raises:
        ConnectionRefused: the connection cannot be used.
    """
    connection = source.read()
    settings: dict[str, object] = {"security.protocol": connection.protocol}
    if connection.is_encrypted:
        settings["ssl.endpoint.identification.algorithm"] = "https" if connection.checks_host else "none"
        if connection.trusted is not None:
            settings["ssl.ca.pem"] = connection.trusted.pem
        if connection.client is not None:
            settings["ssl.certificate.pem"] = connection.client.chain.pem
            settings["ssl.key.pem"] = connection.client.key
            if connection.client.key_password is not None:
                settings["ssl.key.password"] = connection.client.key_password
    if connection.mechanism is not None:
        settings["sasl.mechanism"] = connection.mechanism
    if isinstance(connection.login, PasswordLogin):
        settings["sasl.username"] = connection.login.user
        settings["sasl.password"] = connection.login.password
    elif connection.login is not None:
        settings["oauth_cb"] = TokenCallback(source)
    return settings
