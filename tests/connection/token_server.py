"""A token endpoint on loopback, as an identity provider has one: client credentials in, an access token out.

The tokens are signed by nobody, which Kafka's validator for development accepts.
"""

from __future__ import annotations

import base64
import http.server
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote

if TYPE_CHECKING:
    import ssl
    from types import TracebackType

CLIENT_ID: Final = "mesura-gate"


class TokenServer:
    """Gives tokens to the one client that it knows.

    `secret` is what that client has to say; `lifetime_seconds` of the tokens; `answer` replaces the answer by a status
    and a body.
    """

    def __init__(self, secret: str, *, context: ssl.SSLContext | None = None, principal: str = CLIENT_ID) -> None:
        self.secret = secret
        self.principal = principal
        self.lifetime_seconds = 3600.0
        self.scopes: list[str | None] = []
        self.answer: tuple[int, bytes] | None = None
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "http" if context is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/token"

    @property
    def asked(self) -> int:
        """How many tokens were given out."""
        return len(self.scopes)

    def __enter__(self) -> TokenServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def token(self) -> str:
        now = int(time.time())
        claims = {"sub": self.principal, "iat": now, "exp": now + self.lifetime_seconds}
        return f"{_part({'alg': 'none'})}.{_part(claims)}."

    def reply(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, bytes]:
        if self.answer is not None:
            return self.answer
        given = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        client, _, secret = given.partition(":")
        if (unquote(client), unquote(secret)) != (CLIENT_ID, self.secret):
            return 401, json.dumps({"error": "invalid_client", "error_description": f"who is {given}"}).encode()
        assert form["grant_type"] == ["client_credentials"]
        self.scopes.append(form.get("scope", [None])[0])
        return 200, json.dumps(
            {"access_token": self.token(), "token_type": "Bearer", "expires_in": self.lifetime_seconds}
        ).encode()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        tokens = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                status, body = tokens.reply(self.headers.get("Authorization", ""), form)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", body.decode())
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
