# ruff: noqa: ANN401 - Faust is untyped
"""Replaces Faust's table recovery: on every assignment the engine restores what is new, then the flow is resumed.

Faust's own recovery replays the changelog record by record (2 500 a second), and would wait for ever at the transaction
markers at its end. Ours runs outside the rebalance callback, because no heartbeats are sent during the callback.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka.errors import GroupAuthorizationFailedError as AuthorizationError
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import TopicPartition
from faust.tables.manager import TableManager
from faust.tables.recovery import RebalanceAgain, Recovery, ServiceStopped
from faust.types import TP
from mode import Service

from streams.exactly_once.errors import LaneError
from streams.exactly_once.fencing import NO_MEMBERSHIP, Membership

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka.structs import OffsetAndMetadata

    from streams.exactly_once.engine import Engine

GROUP_CHECK_SECONDS: Final = 0.5
"""Between two checks of the group's health, hence how long the worker may wait to rejoin after an error."""

GROUP_ERRORS_MAX: Final = 10
"""The worker ends after more consecutive errors of coordination than this, with no assignment in between."""

log = structlog.get_logger(__name__)


class FaustSource:
    """The engine's `Source`, on Faust's consumer."""

    def __init__(self, app: Any) -> None:
        self._app = app

    @property
    def _thread(self) -> Any:
        return self._app.consumer.consumer_thread

    async def membership(self) -> Membership:
        """Generation and member id of the current assignment; no membership while the group is being left or joined."""
        membership = Membership(*await self._thread.membership())
        return membership if membership.generation == self._app.consumer_generation_id else NO_MEMBERSHIP

    async def committed_offsets(self, partitions: set[TopicPartition]) -> Mapping[TopicPartition, OffsetAndMetadata]:
        """What the group has committed."""
        committed: dict[TopicPartition, OffsetAndMetadata] = await self._thread.committed_offsets(partitions)
        return committed

    async def start_at(self, fetch_epoch: int, positions: Mapping[TopicPartition, int]) -> None:
        """Begin a fetch epoch. The changelog partitions that come with the assignment are never fetched."""
        assigned = self._app.consumer.assignment()
        unread = {TopicPartition(tp.topic, tp.partition) for tp in assigned} - positions.keys()
        await self._thread.start_at(fetch_epoch, positions, unread)

    def pause_fetching(self, partition: TopicPartition) -> None:
        """Stop fetching a partition whose queue is full."""
        self._app.consumer.on_buffer_full(TP(partition.topic, partition.partition))

    def resume_fetching(self, partition: TopicPartition) -> None:
        """Fetch it again."""
        self._app.consumer.on_buffer_drop(TP(partition.topic, partition.partition))


async def watch_group(app: Any, engine: Engine) -> None:
    """Let the consumer rejoin after an error of group coordination; too many in a row end the worker.

    aiokafka rejoins only after somebody has asked for its error, and Faust never asks. The transactions settle which
    generation may decide, so rejoining is always safe.
    """
    errors = 0
    generation = -1
    while True:
        await asyncio.sleep(GROUP_CHECK_SECONDS)
        if engine.generation != generation:
            generation, errors = engine.generation, 0
        try:
            await app.consumer.consumer_thread.check_group()
        except AuthorizationError as error:
            raise LaneError(f"the consumer group refuses the worker: {type(error).__name__}") from error
        except KafkaError as error:
            errors += 1
            log.warning("group coordination failed", error=type(error).__name__, attempt=errors)
            if errors > GROUP_ERRORS_MAX:
                raise LaneError(f"the consumer group cannot be joined: {type(error).__name__}") from error


class EngineRecovery(Recovery):  # type: ignore[misc]
    """Recovery by the engine."""

    @Service.task  # type: ignore[untyped-decorator]
    async def _restart_recovery(self) -> None:
        engine: Engine = self.app.engine
        while not self.should_stop:
            if await self.wait_for_stopped(self.signal_recovery_start):
                break
            self.signal_recovery_start.clear()
            generation = self._generation_id
            try:
                self._set_recovery_started()
                await self._wait(self._on_assigned(engine))
                self._set_recovery_ended()
                await self._wait(self.on_recovery_completed(generation))
            except (RebalanceAgain, IllegalStateError):
                continue  # another assignment is on its way
            except ServiceStopped:
                break
            except Exception as error:  # noqa: BLE001 - the engine decides what it means, and ends the worker
                engine.fail(error)
                break

    @Service.task  # type: ignore[untyped-decorator]
    async def _slurp_changelogs(self) -> None:
        """Does nothing: changelog records never come through the stream path."""

    async def _on_assigned(self, engine: Engine) -> None:
        inputs = {topic.name for topic in engine.settings.input_topics}
        assigned = [tp for tp in self.app.consumer.assignment() if tp.topic in inputs]
        partitions = frozenset(tp.partition for tp in assigned)
        if len(assigned) != len(partitions) * len(inputs):
            raise LaneError("the group's assignment separates topics of one partition: every member must read them all")
        await engine.on_assigned(FaustSource(self.app), partitions)


class EngineTableManager(TableManager):  # type: ignore[misc]
    """Faust's table manager, with the engine's recovery."""

    async def on_start(self) -> None:
        """As Faust does, without the second it waits before: its services start in order, and this is the last."""
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()

    @property
    def recovery(self) -> EngineRecovery:
        recovery: EngineRecovery | None = self._recovery  # type: ignore[has-type]
        if recovery is None:
            recovery = self._recovery = EngineRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return recovery
