# ruff: noqa: ANN401 - aiokafka is untyped
"""Where logs begin and end, as most of their replicas confirm it.

A leader that was deposed and does not know it, because it is cut off from the other brokers, answers with the end that
it last knew. What its successor has acknowledged lies behind that end. So its word alone is not enough: other replicas
have to say that they follow no later leader.

Why this suffices (KIP-320, and `acks=all` with `min.insync.replicas`)
- A record that a later leader has acknowledged lies on `min.insync.replicas` replicas, each of which followed the later
  epoch by then.
- Each replica is asked after the question was put, with the leader's epoch. It says FENCED_LEADER_EPOCH if it follows a
  later one. It says NOT_LEADER_OR_FOLLOWER if it follows this one, and UNKNOWN_LEADER_EPOCH if an earlier one; both
  confirm that it has not followed a later one.
- Most replicas and `min.insync.replicas` have one in common, if that is at least half of them. So nothing that was
  acknowledged before the question lies behind a confirmed end.

Rules of this module
1. An answer counts only if `voices_needed` replicas, the leader among them, have answered after the question.
2. Who owes an answer or has failed lately is asked last, so that a broker that hangs delays nothing.

Limits: of one or two replicas the leader is believed, because waiting for both would make the gate stand still with one
broker away; with two it is right if `min.insync.replicas` is 2. If all replicas of a partition were moved to other
brokers within `METADATA_MAX_AGE_MS`, and the former leader was cut off meanwhile, those that left would confirm it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.errors import (
    KafkaError,
    LeaderNotAvailableError,
    NodeNotReadyError,
    StaleMetadata,
    TopicAuthorizationFailedError,
    for_code,
)
from aiokafka.structs import TopicPartition

from streams.exactly_once.leader_epochs import EARLIEST, LATEST, NO_ERROR, UNKNOWN_EPOCH, ListOffsetsRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streams.exactly_once.witnesses import WitnessedClient

WIDEN_SECONDS: Final = 0.1
"""If those asked first have not confirmed all within this, the other replicas are asked too: far above 2 ms."""

SUSPECT_SECONDS: Final = 10.0
"""How long a broker that has failed is asked last: about as long as the cluster itself waits for it."""

RETRY_SECONDS: Final = 0.05
"""Pause after an attempt that came to nothing, beside the wait for new metadata."""

NOBODY: Final = -1
"""In place of a leader, during an election."""

NOT_LEADER_OR_FOLLOWER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH = 6, 74, 75
EPOCHS_DIFFER: Final = frozenset({FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH})
"""aiokafka has no names for them."""

NOT_A_LATER_EPOCH: Final = frozenset({NOT_LEADER_OR_FOLLOWER, UNKNOWN_LEADER_EPOCH})
"""Of a replica that does not lead. Apache Kafka compares the epochs first, so neither is said by one that follows a
later leader."""


def voices_needed(replicas: int) -> int:
    """How many replicas have to answer, the leader among them."""
    return replicas // 2 + 1 if replicas > 2 else 1


class Place(NamedTuple):
    """Who has a partition, by the metadata."""

    leader: int
    epoch: int
    followers: tuple[int, ...]
    needed: int
    """Voices."""


class _Poll:
    """One question about some partitions, and what has been answered to it."""

    def __init__(self, places: dict[TopicPartition, Place]) -> None:
        self.places = places
        self._voices = {partition: set[int]() for partition in places}
        self.offsets: dict[TopicPartition, int] = {}
        self._open = set(places)

    def is_open(self) -> bool:
        return bool(self._open)

    def hear(self, node: int, response: Any) -> None:
        """Count what one broker has answered; None: nothing.

        Raises:
            KafkaError: a later leader is known, or the leader itself does not answer.
        """
        if response is None:
            if any(self.places[partition].leader == node for partition in self._open):
                raise NodeNotReadyError(f"Broker {node} leads, and does not answer.")
            return
        for topic, partitions in response.topics:
            for number, code, _, offset, _ in partitions:
                partition = TopicPartition(topic, number)
                place = self.places[partition]
                if node == place.leader:
                    if code in EPOCHS_DIFFER:
                        raise StaleMetadata(f"{topic}-{number} has another leader epoch.")
                    if code != NO_ERROR:
                        raise for_code(code)
                    self.offsets[partition] = offset
                elif code == FENCED_LEADER_EPOCH:
                    raise StaleMetadata(f"{topic}-{number} has a later leader.")
                elif code not in NOT_A_LATER_EPOCH:
                    continue
                self._voices[partition].add(node)
                if place.leader in self._voices[partition] and len(self._voices[partition]) >= place.needed:
                    self._open.discard(partition)

    def followers(self) -> Iterable[tuple[TopicPartition, int]]:
        """Of what is open."""
        for partition in self._open:
            for node in self.places[partition].followers:
                yield partition, node


class LogBounds:
    """Asks for the ends and the starts of logs, on connections of its own."""

    def __init__(self, client: WitnessedClient) -> None:
        self._client = client
        self._owing: dict[int, asyncio.Task[Any]] = {}
        self._suspect_until: dict[int, float] = {}
        self._places: dict[TopicPartition, Place] = {}
        """By the metadata that says these leader epochs: each update makes new ones."""
        self._places_of = client.leader_epochs

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """High watermarks as of some moment after the call, confirmed by most replicas. Waits until they are.

        Raises:
            KafkaError: they will never be, as without permission.
        """
        return await self._bounds(LATEST, partitions)

    async def beginning_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Log starts. Raises as `end_offsets`."""
        return await self._bounds(EARLIEST, partitions)

    async def stop(self) -> None:
        """Disconnect."""
        for task in self._owing.values():
            task.cancel()
        await self._client.close()

    async def _bounds(self, bound: int, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Ask until it is answered, each time by the latest metadata."""
        while True:
            try:
                poll = _Poll({partition: await self._place(partition) for partition in partitions})
                await self._ask(bound, poll)
            except KafkaError as error:
                if not error.retriable:
                    raise
                await self._client.force_metadata_update()
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return poll.offsets

    async def _place(self, partition: TopicPartition) -> Place:
        if self._client.leader_epochs is not self._places_of:
            self._places, self._places_of = {}, self._client.leader_epochs
        place = self._places.get(partition)
        return place if place is not None else await self._place_by_metadata(partition)

    async def _place_by_metadata(self, partition: TopicPartition) -> Place:
        found = self._metadata_of(partition)
        if found is None:
            await self._client.add_topic(partition.topic)
            found = self._metadata_of(partition)
        if partition.topic in self._client.cluster.unauthorized_topics:
            raise TopicAuthorizationFailedError(partition.topic)
        if found is None:
            raise StaleMetadata(f"{partition.topic}-{partition.partition} is not known yet.")
        if found.leader == NOBODY:
            raise LeaderNotAvailableError(f"{partition.topic}-{partition.partition} has no leader.")
        epoch = self._client.leader_epochs.get(partition, UNKNOWN_EPOCH)
        in_sync_first = sorted(set(found.replicas) - {found.leader}, key=lambda node: node not in found.isr)
        place = Place(found.leader, epoch, tuple(in_sync_first), voices_needed(len(found.replicas)))
        self._places[partition] = place
        return place

    def _metadata_of(self, partition: TopicPartition) -> Any:
        return self._client.cluster._partitions.get(partition.topic, {}).get(partition.partition)  # noqa: SLF001

    async def _ask(self, bound: int, poll: _Poll) -> None:
        """Ask the leaders and as many others as are needed; if that was not enough, all others."""
        asked = {(partition, node) for partition, place in poll.places.items() for node in self._first_asked(place)}
        tasks = self._begin(bound, poll, asked)
        is_widened = False
        while poll.is_open():
            done, tasks = await asyncio.wait(
                tasks, timeout=None if is_widened else WIDEN_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                poll.hear(*task.result())
            if not poll.is_open():
                return
            if not is_widened and (not done or not tasks):
                is_widened = True
                self._suspect(node for node, task in self._owing.items() if task in tasks)
                tasks |= self._begin(bound, poll, set(poll.followers()) - asked)
            if not tasks:
                raise StaleMetadata("Too few replicas confirm their leader.")

    def _first_asked(self, place: Place) -> list[int]:
        if place.needed == 1:
            return [place.leader]
        now = asyncio.get_running_loop().time()
        trusted_first = sorted(
            place.followers, key=lambda node: node in self._owing or self._suspect_until.get(node, 0.0) > now
        )
        return [place.leader, *trusted_first[: place.needed - 1]]

    def _begin(
        self, bound: int, poll: _Poll, asked: Iterable[tuple[TopicPartition, int]]
    ) -> set[asyncio.Task[tuple[int, Any]]]:
        by_node: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for partition, node in asked:
            by_node[node][partition.topic].append((partition.partition, poll.places[partition].epoch))
        tasks = set()
        for node, topics in by_node.items():
            task = asyncio.create_task(self._answer_of(node, ListOffsetsRequest(bound, topics)))
            self._owing[node] = task
            task.add_done_callback(partial(self._paid, node))
            tasks.add(task)
        return tasks

    def _paid(self, node: int, ended: asyncio.Task[Any]) -> None:
        if self._owing.get(node) is ended:
            del self._owing[node]

    async def _answer_of(self, node: int, request: ListOffsetsRequest) -> tuple[int, Any]:
        """None: it has none."""
        try:
            return node, await self._client.send(node, request)
        except (KafkaError, TimeoutError, OSError):
            self._suspect([node])
            return node, None

    def _suspect(self, nodes: Iterable[int]) -> None:
        until = asyncio.get_running_loop().time() + SUSPECT_SECONDS
        for node in nodes:
            self._suspect_until[node] = until
