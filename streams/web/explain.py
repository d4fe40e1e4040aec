"""`POST /explain`: the service's answer about one intent, in HTTP. Whoever asks learns of a customer.

Rules of this module
1. It translates and nothing else: the body is the intent as it would be published, the answer is the explanation.
2. 400: the intent cannot be decided. 413: it is too large. 503: the ledger cannot be read; or ask another worker, or
   ask again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from streams.service.errors import (
    GateNotStarted,
    PartitionNotOwned,
    RequestRefused,
    ServiceError,
    StateUnreadable,
)
from streams.service.gate_service import ExplainRequest
from streams.web.http import NO_STORE, problem
from streams.web.questions import EXPLAIN_PATH, too_large

if TYPE_CHECKING:
    from streams.service.gate_service import GateService

STATUS: Final[dict[type[ServiceError], int]] = {
    GateNotStarted: 503,
    RequestRefused: 400,
    PartitionNotOwned: 503,
    StateUnreadable: 503,
}


def explain_route(service: GateService) -> web.RouteDef:
    """The route of a worker that answers about its customers."""

    async def explain(request: web.Request) -> web.Response:
        try:
            service.refuse_until_started()
            body = await request.read()
            explanation = service.explain(ExplainRequest.read(body))
        except web.HTTPRequestEntityTooLarge:
            return too_large()
        except ServiceError as error:
            return problem(STATUS[type(error)], str(error))
        return web.json_response(explanation.as_document(), headers=NO_STORE)

    return web.post(EXPLAIN_PATH, explain)
