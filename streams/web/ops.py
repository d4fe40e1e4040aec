"""The operations endpoint: metrics, liveness, readiness, and the routes its owner adds.

A worker serves its own; the supervisor of several serves one for all of them (`streams.web.machine`).
What it serves itself names no customer. The worker adds `/explain`, which does answer about one: what would be decided
on what is known of that customer. There is no authentication, so the port is to be kept private (`--no-explain` leaves
the route out).

A worker answers on the event loop the lanes run on, on purpose: an answer shows that the loop turns.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final, Protocol

import orjson
from aiohttp import web
from prometheus_client.exposition import choose_encoder, gzip_accepted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from prometheus_client import CollectorRegistry

    from streams.telemetry.health import Health, Standing
    from streams.telemetry.metrics import Telemetry

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 9464

# Nothing that is served here has a body; an added route says how much it takes.
BODY_BYTES_MAX = 1024

# A question about an intent is one intent: more is not a question.
QUESTION_BYTES_MAX: Final = 64 * 1024

NO_STORE = {"Cache-Control": "no-store"}

# A stop must not wait for somebody who reads slowly.
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


class OpsServer:
    """Serves `/metrics`, `/live`, `/ready` and a short index at `/`, and whatever routes it is given besides.

    Binds the loopback address unless told otherwise: there is no authentication, so whoever can reach it may read it.
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

    async def start(self) -> int:
        """Bind and serve. Returns the port, which the system chooses where 0 was asked for.

        Raises:
            OSError: the address cannot be bound.
        """
        assert self._runner is None, "started twice"
        application = web.Application(client_max_size=self._body_bytes_max)
        application.add_routes(self._routes)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUT_DOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port).start()
        except OSError:
            await runner.cleanup()
            raise
        self._runner = runner
        return int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port; stopping what never started is no error."""
        runner, self._runner = self._runner, None
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
