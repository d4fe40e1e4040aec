"""A worker whose barrier answers "nothing to wait for". It exists for the tests alone: the product has no such switch.

The races must find approvals with it; else they would find none with the barrier either, whatever it did.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from streams import worker
from streams.exactly_once import engine
from streams.exactly_once.barrier import Barrier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aiokafka.structs import TopicPartition


class NothingToWaitFor(Barrier):
    """Answers 0 to the question how far barrier topics reach; every other question of the engine is answered truly."""

    async def ends(
        self, partitions: Iterable[TopicPartition], halted: Callable[[], bool] = lambda: False
    ) -> dict[TopicPartition, int] | None:
        asked = list(partitions)
        barrier_topics = {topic.name for topic in self._clients._settings.input_topics if topic.barrier}  # type: ignore[attr-defined]
        if asked and {partition.topic for partition in asked} <= barrier_topics:
            return dict.fromkeys(asked, 0)
        return await super().ends(asked, halted)


if __name__ == "__main__":
    engine.Barrier = NothingToWaitFor  # type: ignore[attr-defined]
    sys.exit(worker.main())
