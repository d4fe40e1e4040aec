"""The port for questions about customers: who may ask, what is recorded, and what they are shown.

Rules of this module
1. A question is recorded (`streams.access_log`) before anybody is asked for the answer. What cannot be recorded is not
   answered.
2. It goes to the one process that decides for the customer's partition.
3. The role support is shown the masked answer (`streams.web.masking`), the role compliance the whole. Nobody else is
   shown any.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import web

from streams.access_log.writer import AccessNotRecorded
from streams.contracts.decode import decode_intent
from streams.contracts.errors import RecordRefused
from streams.web.access import Role
from streams.web.guard import caller_of
from streams.web.http import NO_STORE, notice, problem
from streams.web.masking import masked
from streams.web.questions import EXPLAIN_PATH, too_large
from streams.web.rate import Rate

if TYPE_CHECKING:
    from streams.access_log.writer import AccessLog

ASKERS: Final = frozenset({Role.SUPPORT, Role.COMPLIANCE})

PER_SECOND: Final = 20.0
"""Questions of one caller. Far more than people ask; a stolen token reads out few customers before somebody notices."""
BURST: Final = 100.0


class NobodyAnswers(Exception):
    """No process can answer now. The text is a sentence that names no customer."""


class Owners(Protocol):
    """Knows which process decides for a customer, and asks it."""

    async def ask_owner(self, customer_id: str, question: bytes) -> tuple[int, bytes]:
        """Status and body of its answer.

        Raises:
            NobodyAnswers: there is none now, or it does not answer.
        """
        ...


class CustomerQuestions:
    """Answers `POST /explain`."""

    def __init__(self, owners: Owners, access_log: AccessLog) -> None:
        self._owners = owners
        self._access_log = access_log
        self._rate = Rate(per_second=PER_SECOND, burst=BURST)

    def routes(self) -> list[web.RouteDef]:
        return [web.post(EXPLAIN_PATH, self._explain)]

    def needs(self) -> dict[str, frozenset[Role]]:
        return {EXPLAIN_PATH: ASKERS}

    async def _explain(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        if not self._rate.allows(caller.who):
            return problem(429, "Too many questions of one caller. Ask again in a second.", {"Retry-After": "1"})
        try:
            question = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return too_large()
        try:
            intent, _ = decode_intent(question)
        except RecordRefused as refused:
            return problem(400, str(refused))
        try:
            self._access_log.record(who=caller.who, role=caller.role, what="explain", customer_id=intent.customer_id)
        except AccessNotRecorded as error:
            notice("A look-up of a customer cannot be recorded, so it is not answered.", why=str(error))
            return problem(503, "This look-up cannot be recorded, so it is not answered. The log of the gate says why.")
        try:
            status, body = await self._owners.ask_owner(intent.customer_id, question)
            if status == HTTPStatus.OK and caller.role is not Role.COMPLIANCE:
                body = masked(body)
        except NobodyAnswers as nobody:
            return problem(503, str(nobody))
        except (ValueError, KeyError, TypeError):  # a worker of another version
            return problem(503, "The answer of the process cannot be masked, so it is not shown.")
        return web.Response(status=status, body=body, content_type="application/json", headers=NO_STORE)
