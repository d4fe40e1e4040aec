"""The messaging provider that the examples send to: an HTTP server on loopback that records everything it is given.

It knows no repetition, so what reaches it twice was sent twice. It can hold its answer, for a gateway to be killed in
the middle of a send.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final, Self

from streams.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

HELD_SECONDS: Final = 60.0


class Provider:
    """A context manager. `sent` counts by decision, and is complete as soon as a gateway has its answer."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.bodies: dict[str, dict[str, Any]] = {}
        self.unlike: list[str] = []
        """Decisions whose key of repetition was not theirs."""
        self.answer: Callable[[str], int] = lambda _: 202
        """The status for a customer's message."""
        self._hold = threading.Event()
        self._held: list[str] = []
        self._release = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/messages"

    def hold(self) -> None:
        """The next message is recorded and not answered."""
        self._held.clear()
        self._release.clear()
        self._hold.set()

    def until_held(self) -> str:
        """Wait for that message; the decision it is of."""
        wait_until(lambda: self._held, HELD_SECONDS, "a message that the provider holds")
        return self._held[0]

    def release(self) -> None:
        """Answer it."""
        self._release.set()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:  # the name that the base class asks for
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status = provider._take(body, self.headers["idempotency-key"])
                try:
                    self.send_response(status)
                    self.send_header("content-length", "0")
                    if status == HTTPStatus.FOUND:
                        self.send_header("location", provider.url)
                    self.end_headers()
                except OSError:  # it was killed meanwhile
                    self.close_connection = True

            def do_GET(self) -> None:
                self.send_response(HTTPStatus.OK)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _take(self, body: dict[str, Any], key: str) -> int:
        decision_id = body["decision_id"]
        with self._lock:
            self.sent[decision_id] += 1
            self.bodies[decision_id] = body
            if key != decision_id:
                self.unlike.append(decision_id)
            is_held = self._hold.is_set()
            self._hold.clear()
        if is_held:
            self._held.append(decision_id)
            self._release.wait(HELD_SECONDS)
        return self.answer(body["customer_id"])
