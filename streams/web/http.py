"""How this endpoint speaks HTTP: aiohttp's server, with limits, and with answers that quote nothing.

Rules of this module
1. No answer repeats what was sent, not even to whoever sent it: an address bar, a proxy's log or a ticket keeps it.
2. A fault of ours is 503 with a sentence, and one log line that names its type.
3. A connection serves one request, so nothing that follows it on the connection is read as another.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiohttp import web

from streams.telemetry.libraries import CLIENTS_FAULT
from streams.telemetry.repetition import Repetition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp.typedefs import Middleware

NO_STORE: Final = {"Cache-Control": "no-store"}

LINE_BYTES_MAX: Final = 4_096
"""Of the request line, and of one header. A token has at most 512 characters, and no path has a parameter."""

HEADERS_MAX: Final = 64
"""A browser behind two proxies sends some thirty."""

# A stop must not wait for a slow reader.
SHUT_DOWN_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)
_notices: Final = Repetition()


def notice(sentence: str, **fields: object) -> None:
    """Log what strangers can cause as often as they like: a few times, and then how often it came."""
    if times := _notices.occurrences(sentence):
        log.warning(sentence, times=times, **fields)


def problem(status: int, sentence: str, headers: dict[str, str] | None = None) -> web.Response:
    """An answer that could not be given, and why."""
    return web.json_response({"error": sentence}, status=status, headers={**NO_STORE, **(headers or {})})


class HttpProtocol(web.RequestHandler):
    """aiohttp's own, except for what it says about faults."""

    head_arrived: Callable[[], None] | None = None
    """Called when a whole head of a request has arrived."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it may quote the request
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("The answer has begun and cannot become another.")
        went_away = isinstance(exc, OSError) or type(exc).__module__ in CLIENTS_FAULT
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR and not went_away:
            notice("A request to the operations port could not be answered.", exc_info=exc)
            response = problem(503, "This could not be answered. The log of the gate says what kind of error it was.")
        else:
            notice("A request to the operations port was malformed or aborted.")
            response = problem(400 if went_away else status, "This is no HTTP request that can be read.")
        response.force_close()
        return response


class HttpServer:
    """Makes the protocols of connections. Call `start` before use and `stop` after it."""

    def __init__(
        self, routes: Sequence[web.RouteDef], *, middlewares: Sequence[Middleware], body_bytes_max: int
    ) -> None:
        application = web.Application(
            client_max_size=body_bytes_max, middlewares=[_heard, *middlewares, _refuse_broken_bodies]
        )
        application.add_routes(routes)
        application.on_response_prepare.append(_as_we_answer)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUT_DOWN_SECONDS)

    async def start(self) -> None:
        await self._runner.setup()

    async def stop(self) -> None:
        await self._runner.cleanup()

    def protocol(self) -> HttpProtocol:
        """For one connection."""
        server = self._runner.server
        assert server is not None, "not started"
        limits: dict[str, Any] = {
            "access_log": None,
            "max_line_size": LINE_BYTES_MAX,
            "max_field_size": LINE_BYTES_MAX,
            "max_headers": HEADERS_MAX,
        }
        return HttpProtocol(server, loop=server._loop, **limits)  # noqa: SLF001


@web.middleware
async def _heard(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401  # aiohttp's own type is private
    protocol = request.protocol
    if isinstance(protocol, HttpProtocol) and protocol.head_arrived is not None:
        protocol.head_arrived()
    answer: web.StreamResponse = await handler(request)
    return answer


@web.middleware
async def _refuse_broken_bodies(request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401
    try:
        answer: web.StreamResponse = await handler(request)
    except web.RequestPayloadError:  # its text may quote the body
        return problem(400, "The body does not match the headers of the request.")
    return answer


async def _as_we_answer(_request: web.Request, response: web.StreamResponse) -> None:
    if isinstance(response, web.HTTPException):  # no such path, not this method, an expectation: aiohttp's own words
        response.content_type = "application/json"
        response.headers.popall("Content-Length", None)
        response.text = '{"error": "' + HTTPStatus(response.status).phrase + '."}'
    # The header announces that the connection ends. Otherwise a client would send its next request in vain.
    response.headers["Connection"] = "close"
    response.headers["Server"] = "mesura"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers.setdefault("Cache-Control", "no-store")
    response.force_close()
