# ruff: noqa: SLF001, ANN401 - one of the places for names of library_internals.py; aiokafka is untyped
"""A Kafka client that believes no single broker about who leads and who coordinates.

A broker that is cut off from the others, and that clients still reach, goes on naming itself the leader of what it led.
A client that asks it stays with it: its fetches are empty, its transactions wait, its group is one that nobody else is
in. Nothing wrong is decided then (`log_bounds.py`), but nothing is decided at all.

Rules of this module
1. Metadata and coordinators are asked of several brokers at once; `leader_epochs.merged` and the majority say what
   holds. Fewer than `WITNESSES` are enough where no more answer in time.
2. Connections to a broker that is not there any more, by rule 1, are closed. What waits for its answer is then told so
   and asks again elsewhere.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from aiokafka.client import AIOKafkaClient, ConnectionGroup
from aiokafka.errors import CoordinatorNotAvailableError, KafkaError, NodeNotReadyError, for_code
from aiokafka.protocol.coordination import FindCoordinatorRequest

from streams.exactly_once.leader_epochs import NO_ERROR, MetadataRequest, merged

if TYPE_CHECKING:
    from streams.exactly_once.settings import EngineSettings

WITNESSES: Final = 3
"""Brokers that are asked. One of them may be cut off, and the others tell."""

LATE_SECONDS: Final = 0.1
"""How long those are waited for that are slower than the first majority."""

ALONE_SECONDS: Final = 1.0
"""After so long whatever has been answered must do: with most brokers down, one is better than none."""

METADATA_MAX_AGE_MS: Final = 2_000
"""How long a broker that was cut off may be taken for the leader, beyond the time that the cluster itself takes to
choose another; and how long partitions that are added under a running gate may go unnoticed: until then nobody reads
what customers say there. aiokafka's five minutes are for clients that depend on neither; asking costs a millisecond."""


class WitnessedClient(AIOKafkaClient):  # type: ignore[misc]
    """aiokafka's client with the answers of several brokers."""

    leader_epochs: dict[tuple[str, int], int]
    """Of the metadata in force, by topic and partition."""

    _owing: dict[Any, asyncio.Task[Any]]
    """By node, what it was asked last and has not answered."""

    async def _metadata_update(self, cluster_metadata: Any, topics: Any) -> bool:
        answers = await self._ask_witnesses(MetadataRequest(list(topics) if topics else None))
        found = merged(answers) if answers else None
        if found is None or not found.brokers:
            cluster_metadata.failed_update(None)
            return False
        if cluster_metadata is self.cluster:
            self.leader_epochs = found.leader_epochs
        cluster_metadata.update_metadata(found)
        if cluster_metadata is self.cluster:
            self._leave_all_but({broker[0] for broker in found.brokers})
        return True

    async def coordinator_lookup(self, coordinator_type: int, coordinator_key: str) -> int:
        """The node that most of those asked take for the coordinator.

        Raises:
            KafkaError: they know none, or most have another opinion each; asked again, they will agree.
        """
        answers = await self._ask_witnesses(FindCoordinatorRequest(coordinator_key, coordinator_type))
        if not answers:
            raise NodeNotReadyError("No broker answers.")
        named = Counter(answer.coordinator_id for answer in answers if answer.error_code == NO_ERROR)
        if not named:
            raise for_code(answers[0].error_code)
        node, votes = named.most_common(1)[0]
        if 2 * votes <= named.total():
            raise CoordinatorNotAvailableError("The brokers name different coordinators.")
        return int(node)

    async def close(self) -> None:
        """Disconnect."""
        for task in self._owing.values():
            task.cancel()
        await super().close()

    async def _ask_witnesses(self, request: Any) -> list[Any]:
        """What several brokers answer; empty if none of all does. Only then are those asked that owe an answer."""
        nodes = [broker.nodeId for broker in self.cluster.brokers()]
        if ("bootstrap", ConnectionGroup.DEFAULT) in self._conns:
            nodes.append("bootstrap")
        random.shuffle(nodes)
        nodes.sort(key=lambda node: node in self._owing)
        asking = {self._begin(node, request) for node in nodes[:WITNESSES]}
        others, most = nodes[WITNESSES:], len(asking) // 2 + 1
        answers: list[Any] = []
        clock = asyncio.get_running_loop().time
        limit = clock() + ALONE_SECONDS
        while asking:
            left_seconds = limit - clock()
            if answers and left_seconds <= 0:
                break
            done, asking = await asyncio.wait(
                asking,
                timeout=left_seconds if left_seconds > 0 else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            answers += [answer for task in done if (answer := task.result()) is not None]
            if not answers and (not asking or not done):
                asking |= {self._begin(node, request) for node in others}
                others = []
            if len(answers) >= most:
                limit = min(limit, clock() + LATE_SECONDS)
        return answers

    def _begin(self, node: Any, request: Any) -> asyncio.Task[Any]:
        """Ask; who is late is left to answer to nobody, for a connection that is broken off is never made."""
        task = asyncio.create_task(self._answer_of(node, request))
        self._owing[node] = task
        task.add_done_callback(lambda ended: self._owing.pop(node) if self._owing.get(node) is ended else None)
        return task

    async def _answer_of(self, node: Any, request: Any) -> Any:
        """None: it has none."""
        conn = await self._get_conn(node)
        if conn is None:
            return None
        try:
            return await conn.send(request)
        except (KafkaError, TimeoutError, OSError):
            return None

    def _leave_all_but(self, nodes: set[int]) -> None:
        for identity, conn in list(self._conns.items()):
            if identity[0] not in nodes:
                del self._conns[identity]
                conn.close()


def witnessed(client: AIOKafkaClient) -> WitnessedClient:
    """The same client, that from now on believes no single broker; before it is started."""
    client.__class__ = WitnessedClient
    found: WitnessedClient = client
    found.leader_epochs = {}
    found._owing = {}
    return found


async def connected_client(settings: EngineSettings) -> WitnessedClient:
    """A client of its own connections.

    Raises:
        KafkaError: no broker answers.
    """
    client = witnessed(
        AIOKafkaClient(
            bootstrap_servers=settings.bootstrap_servers,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            **settings.client_options,
        )
    )
    try:
        await client.bootstrap()
    except BaseException:
        await client.close()
        raise
    return client
