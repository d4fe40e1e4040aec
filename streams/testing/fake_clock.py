"""A clock that stands still until it is moved."""

from __future__ import annotations

from typing import Final

DEFAULT_NOW_MS: Final = 1_767_607_200_000
"""2026-01-05T10:00:00Z, a Monday morning in winter: no holiday, no change of daylight saving nearby."""


class FakeClock:
    """Wall time in epoch milliseconds, as the engine's `Clock` protocol wants it; moved by hand.

    Example:
        clock = FakeClock()
        clock.advance(seconds=90)
    """

    def __init__(self, now_ms: int = DEFAULT_NOW_MS) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """The moment it shows."""
        return self._now_ms

    def advance(
        self, *, days: int = 0, hours: int = 0, minutes: int = 0, seconds: int = 0, milliseconds: int = 0
    ) -> int:
        """Move forward by the sum, and return the new moment."""
        step_ms = ((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1_000 + milliseconds
        if step_ms < 0:
            raise ValueError("advance moves forward; use set() to move a clock back")
        self._now_ms += step_ms
        return self._now_ms

    def set(self, now_ms: int) -> None:
        """Show exactly this moment, earlier or later."""
        self._now_ms = now_ms
