"""What every request must pass before it is answered: the right host, no foreign page, not too often, and the role.

Rules of this module
1. What a route needs is declared with the route and looked up by the route that was found, never by the text of the
   path, so that no spelling of a path avoids it. A route that nobody declared needs a role that nobody has.
2. Host: an address, `localhost`, or a name we know (RFC 9110, section 15.5.20: 421). A page that rebinds its own name
   to our address sends its own name.
3. Origin: a browser's script has one. Only a page of ours could have ours, and there is none.
4. 401: no token, or none that is known. 403: the caller is known and may not. 429: too often.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Final

from aiohttp import web

from streams.web.access import Caller, Credentials, Role, subject_of
from streams.web.http import problem
from streams.web.rate import Rate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.typedefs import Handler, Middleware

PER_SECOND: Final = 200.0
"""Requests of one address. A machine has some probes and scrapers, which ask every few seconds; on the loopback address
whoever waits for a start may ask fifty times a second."""
BURST: Final = 400.0

OPEN: Final[frozenset[Role]] = frozenset()
"""Needs no role."""

_CALLER: Final = web.RequestKey("caller", Caller)

_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")

_ANYBODY_HERE: Final = Caller("loopback", Role.COMPLIANCE)
"""Whoever reaches a loopback address where no access directory was given."""


class Guard:
    """The guard of one port.

    Args:
        needs: the roles of each path, any of which is enough; `OPEN`: none is needed.
        credentials: what is accepted now; None: this is a loopback address, and everybody there may ask everything.
        names: host names by which we may be called, beside addresses and `localhost`.
    """

    def __init__(
        self,
        needs: Mapping[str, frozenset[Role]],
        credentials: Callable[[], Credentials] | None,
        names: frozenset[str] = frozenset(),
    ) -> None:
        self._needs = needs
        self._credentials = credentials
        self._names = {"localhost", socket.gethostname().lower(), *(name.lower() for name in names)}
        self._rate = Rate(per_second=PER_SECOND, burst=BURST)

    @property
    def middleware(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            refused = self._refused(request)
            return await handler(request) if refused is None else refused

        return guard

    def _refused(self, request: web.Request) -> web.Response | None:
        hosts = request.headers.getall("Host", [])
        if not (len(hosts) == 1 and self._is_ours(hosts[0])):
            return problem(
                421, "This is not the host that was asked for. Ask by its address, or start with --ops-name NAME."
            )
        if (origin := request.headers.get("Origin")) is not None and origin != f"{request.scheme}://{hosts[0]}":
            return problem(403, "Pages of other origins may not ask.")
        if not self._rate.allows(request.remote or ""):
            return problem(429, "Too many requests. Ask again in a second.", {"Retry-After": "1"})
        resource = request.match_info.route.resource
        if resource is None:  # no such path, or not by this method: the answer says that
            return None
        needed = self._needs.get(resource.canonical)
        return None if needed == OPEN else self._without_role(request, needed or frozenset())

    def _is_ours(self, host: str) -> bool:
        parts = _HOST.fullmatch(host)
        if parts is None:
            return False
        name = parts["name"].strip("[]").rstrip(".").lower()
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _without_role(self, request: web.Request, needed: frozenset[Role]) -> web.Response | None:
        if self._credentials is None:
            request[_CALLER] = _ANYBODY_HERE
            return None
        caller = _caller(request, self._credentials())
        if caller is None:
            return problem(
                401,
                "This needs a token, or a client certificate that is known: Authorization: Bearer TOKEN.",
                {"WWW-Authenticate": 'Bearer realm="mesura"'},
            )
        if caller.role not in needed:
            may = " or ".join(sorted(needed)) or "nobody"
            return problem(403, f"This needs the role {may}; this token or certificate has the role {caller.role}.")
        request[_CALLER] = caller
        return None


def caller_of(request: web.Request) -> Caller:
    """Who asks. Only for routes that need a role."""
    return request[_CALLER]


def _caller(request: web.Request, credentials: Credentials) -> Caller | None:
    given = request.headers.getall("Authorization", [])
    if given:
        scheme, _, token = given[0].partition(" ")
        is_one = len(given) == 1 and scheme.lower() == "bearer" and token.isascii()
        return credentials.by_token(token.strip()) if is_one else None
    certificate = request.get_extra_info("peercert")
    return credentials.by_subject(subject_of(certificate)) if certificate else None
