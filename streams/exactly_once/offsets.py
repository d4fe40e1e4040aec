"""Where logs begin and end: asked of the brokers by the barrier, by restores and by the report of the lag.

Rules of this module
1. Questions go over a connection of their own, so that they never wait behind a fetch.
2. The end of a log is its high watermark (read_uncommitted): everything that was acknowledged before the question lies
   below it, whichever leader acknowledged it (`log_bounds.py`).
3. There is no default for a missing answer. Whoever asks waits until it comes or until `halted` says that nobody needs
   it any more, and every failed attempt is reported.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiokafka.errors import KafkaError

from streams.exactly_once.clients import close, loop_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiokafka.structs import TopicPartition

    from streams.exactly_once.clients import Clients, OffsetReader

ATTEMPT_SECONDS: Final = 1.0
"""How long one question may stay unanswered before it is asked again: far above a healthy broker's 2 ms."""

RETRY_SECONDS: Final = 0.1
"""Pause after a failed attempt, so that a broker that is down is not hammered."""


class OffsetClient:
    """Asks brokers for the starts and ends of topic partitions."""

    def __init__(self, clients: Clients, unanswered: Callable[[float], None]) -> None:
        """`unanswered` is called after each failed attempt, with the seconds since the question was first asked."""
        self._clients = clients
        self._unanswered = unanswered
        self._reader: OffsetReader | None = None

    async def start(self) -> None:
        """Connect."""
        self._reader = await self._clients.offset_reader()

    async def stop(self) -> None:
        """Disconnect. Idempotent."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await close(reader)

    async def ends(
        self, partitions: Iterable[TopicPartition], halted: Callable[[], bool] = lambda: False
    ) -> dict[TopicPartition, int] | None:
        """High watermarks as of some moment after the call. None only if `halted` ended the wait."""
        return await self._ask("end_offsets", list(partitions), halted)

    async def starts(
        self, partitions: Iterable[TopicPartition], halted: Callable[[], bool] = lambda: False
    ) -> dict[TopicPartition, int] | None:
        """Log starts. None only if `halted` ended the wait."""
        return await self._ask("beginning_offsets", list(partitions), halted)

    async def _ask(
        self, question: str, partitions: list[TopicPartition], halted: Callable[[], bool]
    ) -> dict[TopicPartition, int] | None:
        assert self._reader is not None, "not started"
        if not partitions:
            return {}
        asked_at = loop_seconds()
        while not halted():
            try:
                async with asyncio.timeout(ATTEMPT_SECONDS):
                    answer: dict[TopicPartition, int] = await getattr(self._reader, question)(partitions)
                    return answer
            except (KafkaError, TimeoutError, OSError):
                self._unanswered(loop_seconds() - asked_at)
                await asyncio.sleep(RETRY_SECONDS)
        return None
