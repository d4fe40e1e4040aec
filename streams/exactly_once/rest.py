"""How a lane waits, and how it is told to stop waiting."""

from __future__ import annotations

import asyncio
import contextlib


class Rest:
    """A lane's waiting room. Whoever waits here wakes up when something arrived, or when the lane is called off."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self.called_off = True
        """True from a revocation to the end of the next take-over: nothing may be decided."""

    def is_called_off(self) -> bool:
        """For waits that poll."""
        return self.called_off

    def wake(self) -> None:
        """Something arrived or changed."""
        self._wake.set()

    async def wait(self, timeout_seconds: float | None = None) -> None:
        """Until something arrives or changes, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._wake.wait()
        self._wake.clear()
