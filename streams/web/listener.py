"""Listens on a port, and holds few connections for a short time.

Rules of this module
1. A connection counts from the moment it is accepted, before any TLS handshake.
2. Its first request must have arrived, with all headers, `HEAD_SECONDS` later; whatever happens, the connection is over
   after `CONNECTION_SECONDS`.
3. At most `CONNECTIONS_MAX` are open at once. One more takes the place of the oldest that has sent no whole request, so
   that a probe always gets through. If all of them are being answered, the new one is closed.
4. Being out of descriptors is waited out, with a log line, and never turned in a circle.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from streams.web.http import notice

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from streams.web.http import HttpProtocol

HEAD_SECONDS: Final = 5.0
"""A client on any network sends a request of one kilobyte within a second."""

CONNECTION_SECONDS: Final = 10.0
"""Prometheus waits this long for an answer, and a probe waits less. An answer takes milliseconds, or up to two seconds
with several processes. A client that is not done by then is not a scraper or a probe."""

CONNECTIONS_MAX: Final = 64
"""There are only a few scrapers, probes and people. More connections would hold descriptors and memory that the gate
needs."""

BACKLOG: Final = 128
"""Connections that the system holds for us until we accept them."""

PAUSE_SECONDS: Final = 0.2
"""Between two tries to accept when the system has no descriptor. Ours are given back within seconds."""

GOODBYE_SECONDS: Final = 1.0
"""For the end of a TLS connection."""

_OUT_OF: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Listener:
    """Accepts connections on one address and hands each to a protocol of its own.

    Args:
        make: makes the protocol of a connection.
        tls: what a handshake is made with now; None: no TLS.
    """

    def __init__(self, make: Callable[[], HttpProtocol], *, tls: Callable[[], ssl.SSLContext] | None = None) -> None:
        self._make = make
        self._tls = tls
        self._open: dict[_Connection, None] = {}
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []

    async def start(self, host: str, port: int) -> int:
        """Bind and accept. Returns the port, which the system chooses if 0 was given.

        Raises:
            OSError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        failed: OSError | None = None
        for family, _, _, _, address in dict.fromkeys(found):
            try:
                # One port for all addresses of a name. A machine without IPv6 still has the name `localhost` for ::1.
                at = (address[0], port, *address[2:])
                listening = socket.create_server(at, family=family, backlog=BACKLOG)
            except OSError as error:
                failed = error
                if error.errno != errno.EADDRNOTAVAIL:
                    await self.stop()
                    raise OSError(
                        error.errno, f"{os.strerror(error.errno or 0)}: {host or 'every address'}, port {port}"
                    ) from None
                continue
            listening.setblocking(False)
            self._sockets.append(listening)
            port = port or int(listening.getsockname()[1])
        if not self._sockets:
            raise failed or OSError(errno.EADDRNOTAVAIL, "the name has no address")
        self._accepting = [asyncio.create_task(self._accept(listening)) for listening in self._sockets]
        return port

    async def stop(self) -> None:
        """Close the port, and the connections whose request has not arrived. Idempotent."""
        accepting, self._accepting = self._accepting, []
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)
        sockets, self._sockets = self._sockets, []
        for listening in sockets:
            listening.close()
        for connection in [each for each in self._open if each.is_waiting]:
            connection.abort()

    def abort(self) -> None:
        """End every connection now."""
        for connection in list(self._open):
            connection.abort()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError as error:  # others than these concern the connection that was about to be
                if error.errno in _OUT_OF:
                    notice("A connection to the operations port cannot be accepted now.", why=error.strerror)
                    await asyncio.sleep(PAUSE_SECONDS)
                continue
            self._opened(accepted)
            # While others wait to be accepted, accepting never pauses by itself. What was accepted has its turn here.
            await asyncio.sleep(0)

    def _opened(self, accepted: socket.socket) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            oldest = next((each for each in self._open if each.is_waiting), None)
            if oldest is None:
                accepted.close()
                return
            oldest.abort()
        connection = _Connection(self._make(), accepted, self._closed)
        self._open[connection] = None
        connection.begin(None if self._tls is None else self._tls())

    def _closed(self, connection: _Connection) -> None:
        self._open.pop(connection, None)


class _Connection(asyncio.Protocol):
    """One connection, handed on to the HTTP server's own protocol, and ended when its time is up."""

    def __init__(self, served: HttpProtocol, accepted: socket.socket, closed: Callable[[_Connection], None]) -> None:
        self.is_waiting = True
        """No whole head of a request has arrived."""
        self._served = served
        self._socket = accepted
        self._closed = closed
        self._transport: asyncio.Transport | None = None
        self._is_aborted = False
        loop = asyncio.get_running_loop()
        self._limits = [
            loop.call_later(HEAD_SECONDS, self._abort_if_waiting),
            loop.call_later(CONNECTION_SECONDS, self.abort),
        ]
        self._beginning: asyncio.Task[None] | None = None
        served.head_arrived = self._head_arrived

    def begin(self, context: ssl.SSLContext | None) -> None:
        self._beginning = asyncio.create_task(self._begin(context))

    def abort(self) -> None:
        """End it now, and its request with it."""
        self._end()
        self._is_aborted = True
        if self._transport is not None:
            self._transport.abort()
            return
        # In its handshake, or not yet begun. Closed it must not be: the loop still knows its descriptor.
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:  # the other side has gone
            return

    async def _begin(self, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        self._socket.setblocking(False)
        try:
            if context is None:
                await loop.connect_accepted_socket(lambda: self, self._socket)
            else:
                await loop.connect_accepted_socket(
                    lambda: self,
                    self._socket,
                    ssl=context,
                    ssl_handshake_timeout=HEAD_SECONDS,
                    ssl_shutdown_timeout=GOODBYE_SECONDS,
                )
        except (OSError, TimeoutError):  # no TLS, no certificate that is trusted, or gone: nothing of ours
            self._end()

    def _abort_if_waiting(self) -> None:
        if self.is_waiting:
            self.abort()

    def _head_arrived(self) -> None:
        self.is_waiting = False

    def _end(self) -> None:
        for limit in self._limits:
            limit.cancel()
        self._closed(self)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._served.connection_made(transport)
        if self._is_aborted:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        self._served.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._served.data_received(data)

    def eof_received(self) -> None:
        self._served.eof_received()

    def pause_writing(self) -> None:
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._served.resume_writing()
