"""How a lane waits, and how it is told to stop waiting."""

from __future__ import annotations

import asyncio
import contextlib


class WakeSignal:
    """A lane's waiting room. Whoever waits here wakes up when something arrived, or when the lane is called off."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self.halted = True
        """True from a revocation to the end of the next take-over: nothing may be decided."""

    def is_halted(self) -> bool:
        """For waits that poll."""
        return self.halted

    def wake(self) -> None:
        """Something arrived or changed."""
        self._wake.set()

    async def wait(self, timeout_seconds: float | None = None) -> None:
        """Until something arrives or changes, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._wake.wait()
        self._wake.clear()
