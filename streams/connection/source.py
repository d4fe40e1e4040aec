"""Where a connection is described, and what is described there now.

Rules of this module
1. Whatever connects asks here first, and here everything is read again: what has changed on disk holds for the next
   connection, and what was withdrawn is trusted no more.
2. What cannot be used does not replace what could: files that belong together are not always replaced at once. A
   service says so in its log, once; a command has no log.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from streams.connection.connection import Connection, TokenLogin
from streams.connection.errors import ConnectionRefused
from streams.connection.reading import read_connection
from streams.connection.settings import read_settings
from streams.connection.tls import tls_context
from streams.connection.tokens import Tokens

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from structlog.typing import FilteringBoundLogger

    from streams.connection.tokens import Token


class ConnectionSource:
    """A properties file, and the variables of an environment. May be used by several threads.

    Args:
        path: the properties file; None: there is none.
        environment: where variables are looked up, those that the file refers to among them.
        log: where a service says that something has changed, or cannot be used; None: nowhere.
    """

    def __init__(
        self,
        path: Path | None = None,
        environment: Mapping[str, str] | None = None,
        log: FilteringBoundLogger | None = None,
    ) -> None:
        self.path: Final = path
        self._environment: Final = dict(environment or {})
        self._log = log
        self._lock = threading.RLock()
        self._current: Connection | None = None
        self._context: ssl.SSLContext | None = None
        self._tokens = Tokens()
        self._complaint = ""

    def __repr__(self) -> str:
        return f"ConnectionSource({str(self.path)!r})"

    def __reduce__(self) -> tuple[type[Self], tuple[Path | None, dict[str, str]]]:
        """To another process goes where it is described; that process reads it itself."""
        return type(self), (self.path, self._environment)

    def read(self) -> Connection:
        """The connection described now.

        Raises:
            ConnectionRefused: there is none that could be used.
        """
        with self._lock:
            connection = read_connection(read_settings(self.path, self._environment).given)
            if connection != self._current:
                context = tls_context(connection) if connection.is_encrypted else None
                if self._current is not None and self._log is not None:
                    self._log.info("The connection to the brokers has changed on disk: new connections are made by it.")
                self._current, self._context = connection, context
            self._complaint = ""
            return connection

    def passed_over(self) -> tuple[str, ...]:
        """The settings in the file that have no meaning here.

        Raises:
            ConnectionRefused: it cannot be understood.
        """
        return read_settings(self.path, self._environment).passed_over

    def current(self) -> Connection:
        """The connection described now, or the one before it while there is none that could be used.

        Raises:
            ConnectionRefused: there never was one.
        """
        with self._lock:
            try:
                return self.read()
            except ConnectionRefused as refused:
                if self._current is None:
                    raise
                if str(refused) != self._complaint and self._log is not None:
                    self._log.error(
                        "The connection's settings cannot be used: those before them stay in force.", why=str(refused)
                    )
                self._complaint = str(refused)
                return self._current

    def context(self) -> ssl.SSLContext:
        """What to make a handshake with now.

        Raises:
            ConnectionRefused: there never was one.
        """
        with self._lock:
            connection = self.current()
            if self._context is None:
                raise ConnectionRefused(f"security.protocol has become {connection.protocol}: restart to change it.")
            return self._context

    def token(self) -> Token:
        """A token to log in with now.

        Raises:
            ConnectionRefused, TokenNotGiven: there is none.
        """
        login = self.current().login
        if not isinstance(login, TokenLogin):
            raise ConnectionRefused("sasl.mechanism is not OAUTHBEARER any more: restart to change it.")
        return self._tokens.get(login)


UNSECURED: Final = ConnectionSource()
"""In the clear and without a login: what nothing was said about."""
