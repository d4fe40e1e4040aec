"""Looks for partitions of the gate's topics that take no records, because a client only waits and does not say why.

Kafka takes a record, and the end of a transaction, while as many replicas are in sync as `min.insync.replicas` says.
With fewer, clients try again without end, the coordinator cannot end what is open, and the end of a log is not told
(KIP-966): barrier, commit and start all wait for the same brokers.

Rules of this module
1. It changes nothing and decides nothing: what it finds explains why the gate waits.
2. A finding is said once, and that it is gone.
3. Where most controllers are away with their brokers, what brokers say of leaders and replicas is not true any more. So
   once a broker was missed or a replica is out of sync, it is also looked which brokers take a connection.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog
from aiokafka.errors import KafkaError, NodeNotReadyError

from streams.exactly_once.topic_configs import connected_admin, topic_configs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from aiokafka.admin import AIOKafkaAdminClient

    from streams.exactly_once.settings import EngineSettings

LOOK_SECONDS: Final = 5.0
"""Between two looks: sooner than a commit that waits makes the worker not ready, and one small question each."""

ANSWER_SECONDS: Final = 5.0
"""How long a look may take; what the brokers do not answer in this time is looked for again."""

ATTEMPTS_MAX: Final = 20
"""With two of three brokers away, one question in three goes to the one that is there."""

CONNECT_SECONDS: Final = 1.0
"""How long a broker may take to accept a connection, once others have been missed."""

MIN_INSYNC: Final = "min.insync.replicas"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Unwritable:
    """A partition that takes no records now."""

    topic: str
    partition: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]
    needed: int

    @property
    def why(self) -> str:
        """In a clause."""
        if self.leader < 0:
            return "has no leader"
        return f"has {len(self.in_sync)} of {len(self.replicas)} replicas in sync, and {MIN_INSYNC} is {self.needed}"


def cause(found: Sequence[Unwritable]) -> str:
    """One sentence for all of them; empty if there are none."""
    if not found:
        return ""
    first = found[0]
    away = sorted({broker for each in found for broker in each.replicas if broker not in each.in_sync})
    brokers = f"Start broker {', '.join(map(str, away))}" if away else "Give them leaders"
    return (
        f"{len(found)} partitions take no records, among them {first.topic}-{first.partition}, which {first.why}. "
        f"{brokers}: the gate waits and then goes on by itself"
    )


def unwritable(
    topics: Sequence[Mapping[str, Any]], needed: Mapping[str, int], away: frozenset[int] = frozenset()
) -> list[Unwritable]:
    """Of described topics those partitions that have no leader, or fewer replicas in sync than needed.

    `away`: brokers that take no connection, whatever the description says of them.
    """
    found = []
    for topic in topics:
        for each in topic["partitions"]:
            replicas = tuple(each["replicas"])
            in_sync = tuple(broker for broker in each["isr"] if broker not in away)
            leader = -1 if each["leader"] in away else each["leader"]
            at_least = needed.get(topic["topic"], 1)
            if leader < 0 or len(in_sync) < at_least:
                found.append(Unwritable(topic["topic"], each["partition"], leader, replicas, in_sync, at_least))
    return found


async def _answer(question: Callable[[], Awaitable[Any]]) -> tuple[Any, bool]:
    """The answer of any broker, and whether the first one that was asked gave it."""
    for attempt in range(ATTEMPTS_MAX):
        try:
            return await question(), attempt == 0
        except NodeNotReadyError:
            await asyncio.sleep(0)  # the client asks one at random, and counts one that is away among them
    raise NodeNotReadyError


async def _away(brokers: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    """Those that take no connection."""
    reached = await asyncio.gather(*(_is_reached(each["host"], each["port"]) for each in brokers))
    return frozenset(each["node_id"] for each, is_reached in zip(brokers, reached, strict=True) if not is_reached)


async def _is_reached(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


class ReplicaWatch:
    """Looks every few seconds. `told` is called with the number of partitions and the sentence when they change."""

    def __init__(self, settings: EngineSettings, topics: Sequence[str], told: Callable[[int, str], None]) -> None:
        self._settings = settings
        self._topics = list(topics)
        self._told = told
        self._said = ""

    async def run(self) -> None:
        """Until cancelled. Connections that fail are made again; `streams.broker_watch` says why they do."""
        while True:
            try:
                async with connected_admin(self._settings) as admin:
                    while True:
                        self._say(await asyncio.wait_for(self._look(admin), ANSWER_SECONDS))
                        await asyncio.sleep(LOOK_SECONDS)
            except (KafkaError, OSError, TimeoutError):
                await asyncio.sleep(LOOK_SECONDS)

    async def _look(self, admin: AIOKafkaAdminClient) -> list[Unwritable]:
        topics, is_sound = await _answer(lambda: admin.describe_topics(self._topics))
        is_whole = all(set(each["replicas"]) == set(each["isr"]) for topic in topics for each in topic["partitions"])
        if is_sound and is_whole and not self._said:
            return []
        cluster, _ = await _answer(admin.describe_cluster)
        away = await _away(cluster["brokers"])
        configs, _ = await _answer(lambda: topic_configs(admin, self._topics))
        needed = {name: int(config[MIN_INSYNC]) for name, config in (configs or {}).items() if MIN_INSYNC in config}
        return unwritable(topics, needed, away)

    def _say(self, found: Sequence[Unwritable]) -> None:
        said = cause(found)
        if said == self._said:
            return
        self._told(len(found), said)
        if said and not self._said:
            log.error("Partitions of the gate's topics take no records.", why=said)
        elif not said:
            log.info("All partitions of the gate's topics take records again.")
        self._said = said
