"""Says in the log that a worker decides nothing, and why, and when that is over.

Rules of this module
1. While a worker is not ready, one sentence says why: soon, and then more and more seldom.
2. Before a worker was ready for the first time this is information, because a start takes its time; afterwards it is a
   warning.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.telemetry.health import Health

LOOK_SECONDS: Final = 1.0

FIRST_SECONDS: Final = 5.0
"""A rebalance takes a second or two, and needs no line."""

AGAIN_SECONDS: Final = 60.0
"""After the first sentence; doubled with each one, up to `AGAIN_SECONDS_MAX`."""

AGAIN_SECONDS_MAX: Final = 600.0
"""A worker may have nothing to do for weeks, as one without partitions."""

log = structlog.get_logger(__name__)


class StandingLog:
    """Looks at a worker's readiness, and writes the sentences."""

    def __init__(self, health: Health, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._health = health
        self._monotonic = monotonic
        self._not_ready_since: float | None = None
        self._next_at = 0.0
        self._pause_seconds = AGAIN_SECONDS
        self._has_said = False
        self._was_ready = False

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def look(self) -> None:
        """Write a sentence if one is due."""
        standing, now = self._health.readiness(), self._monotonic()
        if standing.ok:
            if self._has_said and self._not_ready_since is not None:
                log.info("The gate decides.", why=standing.why, seconds=round(now - self._not_ready_since))
            self._not_ready_since, self._has_said, self._was_ready = None, False, True
            return
        if self._not_ready_since is None:
            self._not_ready_since, self._next_at, self._pause_seconds = now, now + FIRST_SECONDS, AGAIN_SECONDS
        if now < self._next_at:
            return
        seconds = round(now - self._not_ready_since)
        if self._was_ready:
            log.warning("The gate decides nothing.", why=standing.why, seconds=seconds)
        else:
            log.info("The gate does not decide yet.", why=standing.why, seconds=seconds)
        self._has_said = True
        self._next_at = now + self._pause_seconds
        self._pause_seconds = min(2 * self._pause_seconds, AGAIN_SECONDS_MAX)
