"""The operations endpoint: metrics, liveness, readiness, and the routes that its owner adds.

The supervisor of `mesura run` serves one endpoint for all its workers (`streams.web.merged_ops`), and asks each worker
at the worker's own endpoint. What this module itself serves names no customer. Questions about customers have a port of
their own (`streams.web.customer_questions`).

A worker answers on the event loop on which the lanes run, on purpose, because an answer shows that the loop runs.
`streams.web.guard` says who may ask, `streams.web.listener` how many at once and for how long.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final, Protocol

import orjson
from aiohttp import web
from prometheus_client.exposition import choose_encoder, gzip_accepted

from streams.web.access import Role
from streams.web.guard import OPEN, Guard
from streams.web.http import NO_STORE, HttpServer
from streams.web.listener import Listener

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from prometheus_client import CollectorRegistry

    from streams.telemetry.health import Health, Standing
    from streams.telemetry.metrics import Telemetry
    from streams.web.access import Credentials

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9464

# No request that is served here has a body. An added route says how much it accepts.
BODY_BYTES_MAX = 1024

SCRAPERS: Final = frozenset({Role.METRICS, Role.OPERATOR})
OPERATORS: Final = frozenset({Role.OPERATOR})


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


class PortServer:
    """Serves routes on one port.

    Args:
        needs: the roles of each path (`streams.web.guard`).
        credentials: what is accepted now; None: this is a loopback address, and everybody there may ask.
        names: further host names by which we may be called.
        tls: what a handshake is made with now; None: no TLS.
    """

    def __init__(
        self,
        routes: Sequence[web.RouteDef],
        needs: Mapping[str, frozenset[Role]],
        *,
        host: str = DEFAULT_HOST,
        port: int,
        body_bytes_max: int = BODY_BYTES_MAX,
        credentials: Callable[[], Credentials] | None = None,
        names: frozenset[str] = frozenset(),
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        guard = Guard(needs, credentials, names | {host})
        self._host = host
        self._port = port
        self._http = HttpServer(routes, middlewares=[guard.middleware], body_bytes_max=body_bytes_max)
        self._listener = Listener(self._http.protocol, tls=tls)

    async def start(self) -> int:
        """Bind and serve. Returns the port, which the system chooses if 0 was given.

        Raises:
            OSError: the address cannot be bound.
        """
        await self._http.start()
        try:
            return await self._listener.start(self._host, self._port)
        except OSError:
            await self._http.stop()
            raise

    async def stop(self) -> None:
        """Close the port. Stopping a server that never started is not an error."""
        await self._listener.stop()
        await self._http.stop()
        self._listener.abort()


class OpsServer(PortServer):
    """Serves `/metrics`, `/live`, `/ready`, a short index at `/`, and any additional routes, which need the operator.

    Args:
        open_metrics: whether `/metrics` needs no role.
        needs: the roles of additional routes.
    """

    def __init__(
        self,
        subject: Subject,
        *,
        host: str = DEFAULT_HOST,
        port: int = DEFAULT_PORT,
        body_bytes_max: int = BODY_BYTES_MAX,
        routes: Sequence[web.RouteDef] = (),
        needs: Mapping[str, frozenset[Role]] | None = None,
        open_metrics: bool = False,
        credentials: Callable[[], Credentials] | None = None,
        names: frozenset[str] = frozenset(),
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self._subject = subject
        self._routes = [
            web.get("/", self._index),
            web.get("/metrics", self._metrics),
            web.get("/live", self._live),
            web.get("/ready", self._ready),
            *routes,
        ]
        roles = {
            "/": OPEN,
            "/live": OPEN,
            "/ready": OPEN,
            "/metrics": OPEN if open_metrics else SCRAPERS,
            **{route.path: OPERATORS for route in routes},
            **(needs or {}),
        }
        super().__init__(
            self._routes,
            roles,
            host=host,
            port=port,
            body_bytes_max=body_bytes_max,
            credentials=credentials,
            names=names,
            tls=tls,
        )

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


def _answer(question: str, standing: Standing) -> web.Response:
    return web.Response(
        status=200 if standing.ok else 503,
        body=orjson.dumps({question: standing.ok, "why": standing.why}),
        content_type="application/json",
        headers=NO_STORE,
    )
