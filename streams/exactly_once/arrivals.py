"""From the consumer into the queues: what was fetched is queued on its partition, or ends the worker.

Rules of this module
1. Nothing here waits or raises: a Faust agent that fails is restarted without what it held.
2. Records of an earlier fetch epoch are dropped: the current one fetches them again, from the recorded positions.
3. What was fetched before an unreadable batch is decided first. Otherwise another worker, or this one after a restart,
   would get no further.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from streams.exactly_once.errors import LaneError, TopicShrunkError, diagnosis

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.exactly_once.assignment import Assignment
    from streams.exactly_once.errors import BatchUnreadableError
    from streams.exactly_once.failure import Failure
    from streams.exactly_once.fetched_records import FetchedRecords
    from streams.exactly_once.input_queue import InputQueue

UNREADABLE_SECONDS: Final = 30.0
"""How long the worker continues at most when a batch cannot be read. What was queued before it is decided well within
that, on a slow cluster too, unless it waits for the very records that cannot be read."""

log = structlog.get_logger(__name__)


class Arrivals:
    """Queues what arrives on the partitions of an assignment."""

    def __init__(self, assignment: Assignment, failure: Failure, on_queued: Callable[[int], None]) -> None:
        """`on_queued` is called with the partition on which something was queued."""
        self._assignment = assignment
        self._failure = failure
        self._on_queued = on_queued

    def arrived(self, one: FetchedRecords) -> None:
        """Queue what was fetched. Never waits, never raises."""
        try:
            self._queue(one)
        except Exception as error:  # noqa: BLE001 - rule 1
            log.error("records were not queued", topic=one.topic, partition=one.partition, **diagnosis(error))
            self._failure.fail(
                LaneError(f"records of {one.topic}-{one.partition} were not queued: {type(error).__name__}")
            )

    def check_unreadable(self) -> None:
        """End the worker where everything before an unreadable batch is decided."""
        for state in self._assignment.partitions.values():
            for input_queue in state.input_queues:
                if input_queue.is_stopped and input_queue.unreadable is not None:
                    self._failure.fail(input_queue.unreadable)

    def _queue(self, one: FetchedRecords) -> None:
        state = self._assignment.partitions.get(one.partition)
        if state is None or one.fetch_epoch != self._assignment.fetch_epoch or self._failure.has_failed():
            return
        input_queue = state.by_topic[one.topic]
        if one.start_offset < input_queue.arrived:
            self._failure.fail(TopicShrunkError(one.topic, one.partition, input_queue.arrived, one.start_offset))
            return
        missing = input_queue.add(one)
        if missing is not None:
            self._failure.records_missing(one.topic, one.partition, missing.first_offset, missing.offset_count)
        if one.unreadable is not None:
            self._end_at(input_queue, one.unreadable)
        self._on_queued(one.partition)

    def _end_at(self, input_queue: InputQueue, unreadable: BatchUnreadableError) -> None:
        """End the worker once what lies before the unreadable batch is decided, or after `UNREADABLE_SECONDS`."""
        if input_queue.is_stopped:
            self._failure.fail(unreadable)
        else:
            asyncio.get_running_loop().call_later(UNREADABLE_SECONDS, self._end_anyway, input_queue, unreadable)

    def _end_anyway(self, input_queue: InputQueue, unreadable: BatchUnreadableError) -> None:
        if input_queue.unreadable is unreadable:
            self._failure.fail(unreadable)
