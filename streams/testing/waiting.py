"""Wait for a condition instead of for a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from streams.testing.errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable

Found = TypeVar("Found")

POLL_SECONDS: Final = 0.02
"""Between two looks. Shorter takes processor time from what is waited for."""


def wait_until(
    condition: Callable[[], Found], deadline_seconds: float, what: str, *, poll_seconds: float = POLL_SECONDS
) -> Found:
    """Return the condition's value as soon as it is true.

    Raises:
        DeadlineError: it was not true in time; says `what` was waited for.
    """
    until = time.monotonic() + deadline_seconds
    while not (found := condition()):
        if time.monotonic() >= until:
            raise DeadlineError(f"not within {deadline_seconds} s: {what}")
        time.sleep(poll_seconds)
    return found


async def wait_until_async(condition: Callable[[], Any], deadline_seconds: float, what: str) -> None:
    """As `wait_until`, without blocking the event loop. The condition may be a coroutine function.

    Raises:
        DeadlineError: it was not true in time; says `what` was waited for.
    """
    until = time.monotonic() + deadline_seconds
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        if time.monotonic() >= until:
            raise DeadlineError(f"not within {deadline_seconds} s: {what}")
        await asyncio.sleep(POLL_SECONDS)
