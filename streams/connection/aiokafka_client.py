"""A connection as the options of aiokafka's clients, which stay true when files change.

Rules of this module
1. aiokafka holds one TLS context as long as a client lives. The one it is given here makes each handshake by what is on
   disk then: asyncio begins every handshake with `SSLContext.wrap_bio`.
2. aiokafka holds user and password as long as a client lives. Here it is given functions in their place, and
   `create_conn`, by which its clients make every connection, is replaced by one that calls them.
3. aiokafka asks for a token at every login by itself. It does not log in again over a connection that is there: where
   brokers end logins (`connections.max.reauth.ms`), they end the connection, and the client makes a new one.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import aiokafka.client
from aiokafka.abc import AbstractTokenProvider

from streams.connection.connection import PasswordLogin, TokenLogin
from streams.connection.errors import ConnectionRefused, TokenNotGiven

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.connection.source import ConnectionSource


class CurrentContext(ssl.SSLContext):
    """A TLS context for clients that makes each handshake by the connection described then."""

    _source: ConnectionSource

    def __new__(cls, source: ConnectionSource) -> CurrentContext:
        context = super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)
        context._source = source
        return context

    def __init__(self, source: ConnectionSource) -> None:
        """Made in `__new__`, where the library's own class expects a protocol."""

    def wrap_bio(self, *arguments: Any, **options: Any) -> ssl.SSLObject:  # noqa: ANN401  # passed on as they are
        try:
            context = self._source.context()
        except ConnectionRefused as refused:  # as an error that the client takes for a connection that failed
            raise ConnectionError(str(refused)) from None
        return context.wrap_bio(*arguments, **options)


class CurrentToken(AbstractTokenProvider):  # type: ignore[misc]
    """Asked for a token at every login."""

    def __init__(self, source: ConnectionSource) -> None:
        self._source = source

    async def token(self) -> str:
        """Fetched in a thread: the lanes go on meanwhile.

        Raises:
            OSError: there is none; the client takes it for a connection that failed, and tries again.
        """
        try:
            return (await asyncio.to_thread(self._source.token)).text
        except (TokenNotGiven, ConnectionRefused) as error:
            raise ConnectionError(str(error)) from None

    def extensions(self) -> dict[str, str]:
        login = self._source.current().login
        return dict(login.extensions) if isinstance(login, TokenLogin) else {}


def aiokafka_options(source: ConnectionSource) -> dict[str, Any]:
    """What to give to every client of aiokafka's beside its addresses.

    Raises:
        ConnectionRefused: the connection cannot be used.
    """
    connection = source.read()
    if connection.protocol == "PLAINTEXT":
        return {}
    options: dict[str, Any] = {"security_protocol": connection.protocol}
    if connection.is_encrypted:
        options["ssl_context"] = CurrentContext(source)
    if connection.mechanism is not None:
        options["sasl_mechanism"] = connection.mechanism
    if isinstance(connection.login, PasswordLogin):
        options["sasl_plain_username"] = lambda: _password_login(source).user
        options["sasl_plain_password"] = lambda: _password_login(source).password
    elif connection.login is not None:
        options["sasl_oauth_token_provider"] = CurrentToken(source)
    return options


def _password_login(source: ConnectionSource) -> PasswordLogin:
    login = source.current().login
    if not isinstance(login, PasswordLogin):
        raise ConnectionError("sasl.mechanism has changed: restart to change it.")
    return login


def _with_current_login(create: Callable[..., Any]) -> Callable[..., Any]:
    async def create_conn(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  # as aiokafka has it
        for name in ("sasl_plain_username", "sasl_plain_password"):
            if callable(options.get(name)):
                options[name] = options[name]()
        return await create(*arguments, **options)

    return create_conn


aiokafka.client.create_conn = _with_current_login(aiokafka.client.create_conn)
