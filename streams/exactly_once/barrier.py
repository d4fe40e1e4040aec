"""The barrier: how far must be applied before anything may be decided.

Rules of this module
1. The question is asked after the records to decide were taken, on a connection of its own: an answer is never older
   than its batch, and never waits behind a fetch.
2. The answer is the high watermark (read_uncommitted): everything a broker has acknowledged lies below it.
3. There is no default for a missing answer. Whoever asks waits, and says so, until it comes or the wait is called off.
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
    from streams.exactly_once.interfaces import Observer

ATTEMPT_SECONDS: Final = 1.0
"""How long one question may stay unanswered before it is put again: far above a healthy broker's 2 ms."""

RETRY_SECONDS: Final = 0.1
"""Pause after a refused connection, so that a broker that is down is not hammered."""


class Barrier:
    """Asks brokers for the ends of topic partitions."""

    def __init__(self, clients: Clients, observer: Observer) -> None:
        self._clients = clients
        self._observer = observer
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
        """High watermarks as of some moment after the call. None only when the wait was called off."""
        return await self._ask("end_offsets", list(partitions), halted)

    async def starts(
        self, partitions: Iterable[TopicPartition], halted: Callable[[], bool] = lambda: False
    ) -> dict[TopicPartition, int] | None:
        """Log starts. None only when the wait was called off."""
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
                self._observer.barrier_unanswered(loop_seconds() - asked_at)
                await asyncio.sleep(RETRY_SECONDS)
        return None
