"""Sends to a collector from a thread of its own, and loses rather than waits.

Rules of this module
1. Whoever offers something never waits: what finds no room is lost, and counted.
2. What the collector does not take is lost too. The client tries again for `OTEL_EXPORTER_OTLP_TIMEOUT` seconds;
   meanwhile the queue takes what it has room for.
3. An error is named by its type alone: its text may name the headers and the address that it was sent with.
4. The end of a process waits no longer than it says.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")

LINGER_SECONDS: Final = 1.0
"""Between the first that is waiting and sending, so that one request carries many."""

log = structlog.get_logger(__name__)


class Sender(Generic[Item]):
    """A queue and the thread that empties it.

    Args:
        send: sends; returns whether it was taken. May raise.
        what: for the log.
        room: how many wait at most.
        at_once: how many are sent together at most.
    """

    def __init__(
        self,
        send: Callable[[Sequence[Item]], bool],
        *,
        what: str,
        room: int,
        at_once: int,
        linger_seconds: float = LINGER_SECONDS,
    ) -> None:
        # Its lines would say the same again, with the address.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        self._send = send
        self._what = what
        self._at_once = at_once
        self._linger_seconds = linger_seconds
        self._queue: queue.Queue[Item] = queue.Queue(room)
        self._waiting = threading.Event()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._lost = 0
        self._fails = False
        self._thread = threading.Thread(target=self._run, name=f"opentelemetry-{what}", daemon=True)
        self._thread.start()

    def offer(self, item: Item) -> None:
        """Have it sent, if there is room."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self._lose(1)
        self._waiting.set()

    def take_lost(self) -> int:
        """How many were lost since this was last asked."""
        with self._lock:
            lost, self._lost = self._lost, 0
        return lost

    def close(self, seconds: float) -> None:
        """Send what waits, for so long."""
        self._closing.set()
        self._waiting.set()
        self._thread.join(seconds)

    def _lose(self, count: int) -> None:
        with self._lock:
            self._lost += count

    def _run(self) -> None:
        while not (self._closing.is_set() and self._queue.empty()):
            self._waiting.wait()
            self._closing.wait(self._linger_seconds)
            self._waiting.clear()
            while items := self._some():
                self._try(items)

    def _some(self) -> list[Item]:
        items: list[Item] = []
        while len(items) < self._at_once:
            try:
                items.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return items

    def _try(self, items: Sequence[Item]) -> None:
        kind = "refused or not reached"
        try:
            is_taken = self._send(items)
        except Exception as error:  # noqa: BLE001 - whatever a client raises must not end the export
            is_taken, kind = False, type(error).__name__
        if not is_taken:
            self._lose(len(items))
        if is_taken == self._fails:
            self._fails = not is_taken
            if self._fails:
                log.warning(
                    "The OpenTelemetry collector takes nothing; what is exported is lost.",
                    result=self._what,
                    error=kind,
                )
            else:
                log.info("The OpenTelemetry collector takes what is exported again.", result=self._what)
