"""The operations endpoint: metrics, liveness, readiness, and the routes that its owner adds.

The supervisor of `mesura run` serves one endpoint for all its workers (`streams.web.merged_ops`), and asks each worker
at the worker's own endpoint. What this module itself serves names no customer. The worker adds `/explain`, which does
give information about a customer: what would be decided on what is known of them. There is no authentication, so keep
the port private (`--no-explain` disables the route).

A worker answers on the event loop on which the lanes run, on purpose, because an answer shows that the loop runs.

Rules of this module
1. A connection serves one request. It ends with the answer, and at the latest after `CONNECTION_SECONDS`, whether the
   other side is slow or silent and whether a whole request ever arrived.
2. At most `CONNECTIONS_MAX` are open at once. One more takes the place of the oldest, so that a probe always gets
   through.
"""

from __future__ import annotations

import asyncio
import gzip
from typing import TYPE_CHECKING, Final, Protocol

import orjson
from aiohttp import web
from prometheus_client.exposition import choose_encoder, gzip_accepted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp.typedefs import Handler
    from prometheus_client import CollectorRegistry

    from streams.telemetry.health import Health, Standing
    from streams.telemetry.metrics import Telemetry

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9464

# No request that is served here has a body. An added route says how much it accepts.
BODY_BYTES_MAX = 1024

NO_STORE = {"Cache-Control": "no-store"}

CONNECTION_SECONDS: Final = 10.0
"""Prometheus waits this long for an answer, and a probe waits less. An answer takes milliseconds, or up to two seconds
with several processes. A client that is not done by then is not a scraper or a probe."""

CONNECTIONS_MAX: Final = 64
"""There are only a few scrapers, probes and people. More connections would hold descriptors and memory that the gate
needs."""

# A stop must not wait for a slow reader.
SHUT_DOWN_SECONDS: Final = 1.0


class Subject(Protocol):
    """What is asked about: one worker, or all of a machine."""

    async def registry(self) -> CollectorRegistry:
        """The metrics as they are now."""
        ...

    async def liveness(self) -> Standing: ...
    async def readiness(self) -> Standing: ...


class WorkerSubject:
    """One worker: this process."""

    def __init__(self, telemetry: Telemetry, health: Health) -> None:
        self._telemetry = telemetry
        self._health = health

    async def registry(self) -> CollectorRegistry:
        return self._telemetry.registry

    async def liveness(self) -> Standing:
        return self._health.liveness()

    async def readiness(self) -> Standing:
        return self._health.readiness()


class _Connections:
    """The open connections of one server, oldest first."""

    def __init__(self) -> None:
        self._open: dict[_Connection, None] = {}

    def opened(self, connection: _Connection) -> None:
        if len(self._open) >= CONNECTIONS_MAX:
            next(iter(self._open)).abort()
        self._open[connection] = None

    def closed(self, connection: _Connection) -> None:
        self._open.pop(connection, None)


class _Connection(asyncio.Protocol):
    """One connection, handed on to the HTTP server's own protocol, and ended when its time is up."""

    def __init__(self, served: asyncio.Protocol, connections: _Connections) -> None:
        self._served = served
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._limit: asyncio.TimerHandle | None = None

    def abort(self) -> None:
        """End it now, and its request with it."""
        self._connections.closed(self)
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connections.opened(self)
        self._limit = asyncio.get_running_loop().call_later(CONNECTION_SECONDS, self.abort)
        self._served.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._connections.closed(self)
        self._served.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._served.data_received(data)

    def eof_received(self) -> bool | None:
        return self._served.eof_received()

    def pause_writing(self) -> None:
        self._served.pause_writing()

    def resume_writing(self) -> None:
        self._served.resume_writing()


class OpsServer:
    """Serves `/metrics`, `/live`, `/ready`, a short index at `/`, and any additional routes.

    Binds the loopback address by default, because there is no authentication and whoever can reach it may read it.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        body_bytes_max: int = BODY_BYTES_MAX,
        routes: Sequence[web.RouteDef] = (),
    ) -> None:
        self._subject = subject
        self._host = host
        self._port = port
        self._body_bytes_max = body_bytes_max
        self._routes = [
            web.get("/", self._index),
            web.get("/metrics", self._metrics),
            web.get("/live", self._live),
            web.get("/ready", self._ready),
            *routes,
        ]
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None

    async def start(self) -> int:
        """Bind and serve. Returns the port, which the system chooses if 0 was given.

        Raises:
            OSError: the address cannot be bound.
        """
        assert self._runner is None, "started twice"
        application = web.Application(client_max_size=self._body_bytes_max, middlewares=[_refuse_broken_bodies])
        application.add_routes(self._routes)
        application.on_response_prepare.append(_last_of_its_connection)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUT_DOWN_SECONDS)
        await runner.setup()
        server, connections = runner.server, _Connections()
        assert server is not None
        try:
            listening = await asyncio.get_running_loop().create_server(
                lambda: _Connection(server(), connections), self._host, self._port
            )
        except OSError:
            await runner.cleanup()
            raise
        self._runner, self._listening = runner, listening
        return int(listening.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port. Stopping a server that never started is not an error."""
        runner, self._runner = self._runner, None
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.close()
        if runner is not None:
            await runner.cleanup()

    async def _index(self, _request: web.Request) -> web.Response:
        lines = ["mesura", "", *(route.path for route in self._routes if route.path != "/")]
        return web.Response(text="\n".join(lines) + "\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        body = encode(await self._subject.registry())
        headers = {"Content-Type": content_type, **NO_STORE}
        if gzip_accepted(request.headers.get("Accept-Encoding", "")):
            body = gzip.compress(body, compresslevel=1)
            headers["Content-Encoding"] = "gzip"
        return web.Response(body=body, headers=headers)

    async def _live(self, _request: web.Request) -> web.Response:
        return _answer("live", await self._subject.liveness())

    async def _ready(self, _request: web.Request) -> web.Response:
        return _answer("ready", await self._subject.readiness())


@web.middleware
async def _refuse_broken_bodies(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.RequestPayloadError:  # its text may quote the body
        return problem(400, "The body does not match the headers of the request.")


async def _last_of_its_connection(_request: web.Request, response: web.StreamResponse) -> None:
    # The header announces it. Otherwise a client would send its next request in vain.
    response.headers["Connection"] = "close"
    response.force_close()


def _answer(question: str, standing: Standing) -> web.Response:
    return web.Response(
        status=200 if standing.ok else 503,
        body=orjson.dumps({question: standing.ok, "why": standing.why}),
        content_type="application/json",
        headers=NO_STORE,
    )


def problem(status: int, sentence: str) -> web.Response:
    """An answer that could not be given, and why."""
    return web.json_response({"error": sentence}, status=status, headers=NO_STORE)
