"""Access tokens from a token endpoint, by OAuth 2.0's client credentials (RFC 6749, section 4.4).

Rules of this module
1. A token is fetched when one is needed and the one we have has lived for four fifths of its time, so that a connection
   never begins with one that is about to expire, and the endpoint is asked seldom.
2. While a token is still valid, an endpoint that does not answer is no fault: the token is used on.
3. What an endpoint says is quoted as far as it is an error code of the standard's. The secret goes nowhere but to the
   address that was given: redirections are refused.
"""

from __future__ import annotations

import base64
import binascii
import http.client
import json
import re
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote_plus, urlencode, urlsplit

from streams.connection.errors import TokenNotGiven
from streams.connection.tls import trusting_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.connection.connection import TokenLogin

REFRESH_AT: Final = 0.8
"""Of its lifetime, as Kafka's own client has it (`sasl.login.refresh.window.factor`)."""

ANSWER_SECONDS: Final = 10.0
"""How long an endpoint may take: a login waits for it, and brokers wait for a login about half a minute."""

ANSWER_BYTES_MAX: Final = 1024 * 1024
"""Kafka's own client takes no more."""

LIFETIME_UNKNOWN_SECONDS: Final = 60.0
"""Of a token that says nothing about when it expires."""

_ERROR_CODE: Final = re.compile(r"[a-z_]{1,64}")
# What a header may carry (RFC 6750), so that no token can add anything to a login.
_TOKEN: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")


class Token(NamedTuple):
    text: str
    principal: str
    """Whom it is for, as far as it says so."""
    fetched_at: float
    expires_at: float
    """Both in seconds since the epoch."""

    def __repr__(self) -> str:
        return f"Token(expires_at={self.expires_at})"

    @property
    def refresh_at(self) -> float:
        return self.fetched_at + REFRESH_AT * (self.expires_at - self.fetched_at)


class Tokens:
    """The token of a client. May be used by several threads."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._login: TokenLogin | None = None
        self._token: Token | None = None

    def get(self, login: TokenLogin) -> Token:
        """A token that is valid now.

        Raises:
            TokenNotGiven: the endpoint gave none.
        """
        with self._lock:
            token = self._token if login == self._login else None
            now = self._now()
            if token is None or now >= token.refresh_at:
                try:
                    token = fetch_token(login, now)
                except TokenNotGiven:
                    if token is None or now >= token.expires_at:
                        raise
                self._login, self._token = login, token
            return token


def fetch_token(login: TokenLogin, now: float) -> Token:
    """A new token.

    Raises:
        TokenNotGiven: the endpoint gave none.
    """
    where = endpoint_in_words(login.endpoint)
    form = {"grant_type": "client_credentials"} | ({} if login.scope is None else {"scope": login.scope})
    client_id, secret = login.client_id, login.client_secret
    if login.encodes_credentials:
        client_id, secret = quote_plus(client_id), quote_plus(secret)
    credentials = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310  # `reading` refuses what is not HTTP
        login.endpoint,
        data=urlencode(form).encode(),
        headers={"Authorization": f"Basic {credentials}", "Accept": "application/json"},
        method="POST",
    )
    handlers: list[urllib.request.BaseHandler] = [_NoRedirection()]
    if urlsplit(login.endpoint).scheme == "https":
        handlers.append(urllib.request.HTTPSHandler(context=trusting_context(login.trusted)))
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=ANSWER_SECONDS) as answer:
            content = answer.read(ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(error, where) from None
    except (OSError, http.client.HTTPException) as error:
        raise TokenNotGiven(_no_answer(error, where)) from None
    return _token(content, now, where)


def endpoint_in_words(endpoint: str) -> str:
    """Its address without what may be secret in it."""
    parts = urlsplit(endpoint)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401  # urllib's signature
        return None


def _refusal(error: urllib.error.HTTPError, where: str) -> TokenNotGiven:
    if 300 <= error.code < 400:
        return TokenNotGiven(
            f"The token endpoint {where} sends us on to another address (HTTP {error.code}), where the secret will not "
            "go: correct sasl.oauthbearer.token.endpoint.url."
        )
    code = ""
    try:
        said = json.loads(error.read(ANSWER_BYTES_MAX))
        if isinstance(said, dict) and _ERROR_CODE.fullmatch(str(said.get("error", ""))):
            code = f", {said['error']}"
    except (ValueError, OSError, http.client.HTTPException):
        pass
    if error.code in {400, 401, 403}:
        return TokenNotGiven(
            f"The token endpoint {where} refuses the client (HTTP {error.code}{code}): correct the client id, the "
            "secret or the scope of OAUTHBEARER."
        )
    return TokenNotGiven(
        f"The token endpoint {where} gives no token (HTTP {error.code}{code}): correct its address, or look into "
        "its log."
    )


def _no_answer(error: Exception, where: str) -> str:
    reason = getattr(error, "reason", error)
    if "CERTIFICATE_VERIFY_FAILED" in str(reason):
        return (
            f"The token endpoint {where} has a certificate that is not trusted: name its authority with "
            f"https.ca.location ({getattr(reason, 'verify_message', 'it could not be verified')})."
        )
    why = getattr(reason, "strerror", None) or (
        "it took too long" if isinstance(reason, TimeoutError) else "it ended the connection"
    )
    return f"The token endpoint {where} does not answer ({why}): correct its address, or let the connection through."


def _token(content: bytes, now: float, where: str) -> Token:
    try:
        said = json.loads(content)
        text = said["access_token"]
        is_token = isinstance(text, str) and _TOKEN.fullmatch(text) is not None
    except (ValueError, KeyError, TypeError):
        is_token = False
    if not is_token:
        raise TokenNotGiven(f"The token endpoint {where} answers without a token: correct its address.")
    claims = _claims(text)
    lifetime = said.get("expires_in")
    expires_at = now + LIFETIME_UNKNOWN_SECONDS
    if isinstance(claims.get("exp"), int | float):
        expires_at = float(claims["exp"])
    elif isinstance(lifetime, int | float) or (isinstance(lifetime, str) and lifetime.isdecimal()):
        expires_at = now + float(lifetime)
    if expires_at <= now:
        raise TokenNotGiven(
            f"The token endpoint {where} gives a token that has expired: correct the clock of this machine or its own."
        )
    return Token(text, str(claims.get("sub", "")), now, expires_at)


def _claims(token: str) -> dict[str, Any]:
    """What a token says of itself, if it is a JSON web token; nobody's signature is checked, that is the broker's."""
    parts = token.split(".")
    try:
        found = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (IndexError, ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}
