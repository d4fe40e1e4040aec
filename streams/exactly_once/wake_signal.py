"""How a lane waits, and how it is told to stop waiting.

Rule of this module: the signal belongs to one lane, which hands it to nobody but its scheduler. Everybody else
speaks to the lane.
"""

from __future__ import annotations

import asyncio
import contextlib


class WakeSignal:
    """Whoever waits here wakes up when something has arrived, or when the lane is halted."""

    def __init__(self) -> None:
        self._wake = asyncio.Event()
        self._is_halted = True

    def is_halted(self) -> bool:
        """True until the first `resume`, and from each `halt` to the next one: nothing may be decided."""
        return self._is_halted

    def halt(self) -> None:
        """End every wait; nothing may be decided from now on."""
        self._is_halted = True
        self._wake.set()

    def resume(self) -> None:
        """Decisions may be made again."""
        self._is_halted = False
        self._wake.set()

    def wake(self) -> None:
        """Something has arrived or changed."""
        self._wake.set()

    async def wait(self, timeout_seconds: float | None = None) -> None:
        """Until something arrives or changes, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._wake.wait()
        self._wake.clear()
