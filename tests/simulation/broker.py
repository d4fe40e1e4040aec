"""A Kafka cluster as far as the engine can tell: topics, transactions with fencing, one consumer group.

Invariants
1. The end of a transaction is decided when it is asked for; its markers, and its offsets, become visible in each
   partition at a time of their own. The next transaction of the same id waits for all of them.
2. A producer of an older epoch is refused everything. Starting a producer, and a transaction's timeout, make the epoch
   newer and abort what is open.
3. Offsets are taken only from a member of the group's current generation; from nobody in particular (generation -1)
   always, as Kafka does.
4. A member that is not heard of for a session timeout is no member any more. A rebalance waits for every member, at
   most that long.

Behaviour is Apache Kafka's as far as `test_log_contract.py` compares them.
"""

from __future__ import annotations

import asyncio
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.errors import (
    IllegalGenerationError,
    InvalidTimestampError,
    InvalidTxnState,
    MessageSizeTooLargeError,
    ProducerFenced,
    RebalanceInProgressError,
    RequestTimedOutError,
    UnknownMemberIdError,
)
from aiokafka.structs import TopicPartition

from tests.simulation.log import PartitionLog, Stored, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from random import Random

    from tests.simulation.loop import SimulatedLoop

MARKER_SECONDS: Final = 0.004
"""Within this a marker is written, where nothing hangs."""

LOG_APPEND_TIME: Final = 1

STICKY_SHARE: Final = 0.6
"""Of rebalances: Kafka's assignors mostly keep what they can."""


class Record(NamedTuple):
    """What a producer sends."""

    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


class Acknowledgement(NamedTuple):
    """What the broker says of a batch it has stored."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int


@dataclass(eq=False)
class Coordinated:
    """What the coordinator knows of one transactional id."""

    name: str
    timeout_seconds: float = 10.0
    epoch: int = -1
    open: Transaction | None = None
    is_ending: bool = False
    partitions: dict[TopicPartition, None] = field(default_factory=dict)
    offsets: dict[TopicPartition, tuple[int, int]] = field(default_factory=dict)
    """By number in the order in which they were taken, and the offset itself."""
    unmarked: int = 0
    ended: list[asyncio.Future[None]] = field(default_factory=list)


@dataclass(eq=False)
class Member:
    """One member of the group."""

    name: str
    heard_at: float
    joining: asyncio.Future[tuple[int, str, frozenset[int]]] | None = None


class SimulatedBroker:
    """Topics, transactions, one group. Everything that is asked of it is asked through the network."""

    def __init__(
        self, loop: SimulatedLoop, random: Random, topics: Iterable[str], partitions: int, *, base_ms: int
    ) -> None:
        self.logs = {TopicPartition(topic, n): PartitionLog() for topic in topics for n in range(partitions)}
        self.changed: Callable[[], None] = lambda: None
        """Called when a transaction has ended in every partition."""
        self.refuse_next = 0
        """So many of the next batches are not stored, and their producers are told so."""
        self.slow_markers_seconds = 0.0
        self.batch_limits: dict[str, int] = {}
        self.ahead_limits_ms: dict[str, int] = {}
        """`message.timestamp.after.max.ms` of topics that keep their producers' times (KIP-937)."""
        self.session_timeout_seconds = 10.0
        self.generation = 0
        self._loop = loop
        self._random = random
        self._partitions = partitions
        self._base_ms = base_ms
        self._coordinated: dict[str, Coordinated] = {}
        self._members: dict[str, Member] = {}
        self._assignment: dict[str, frozenset[int]] = {}
        self._is_rebalancing = False
        self._member_number = 0
        self._offsets_taken = 0
        self._group_offsets: dict[TopicPartition, tuple[int, int]] = {}
        self._readers: defaultdict[TopicPartition, list[asyncio.Future[None]]] = defaultdict(list)

    @property
    def group_offsets(self) -> dict[TopicPartition, int]:
        """What the group has committed, as far as it is visible: of each partition what was taken last, whichever
        transaction's marker came last.
        """
        return {where: offset for where, (_, offset) in self._group_offsets.items()}

    def now_ms(self) -> int:
        """The broker's clock."""
        return self._base_ms + int(self._loop.time() * 1000)

    # --- records ------------------------------------------------------------------------------------------------------

    def publish(self, where: TopicPartition, record: Record, transaction: Transaction | None = None) -> int:
        """An upstream system's record, acknowledged at once."""
        offset = self.logs[where].append([Stored(*record, self.now_ms(), transaction)])
        self._wake(where)
        return offset

    def end_upstream(self, where: TopicPartition, transaction: Transaction, *, commit: bool) -> None:
        """End an upstream system's transaction."""
        transaction.is_committed = commit
        self.logs[where].mark(transaction)
        self._wake(where)

    async def produce(
        self, name: str, epoch: int, where: TopicPartition, records: Sequence[Record], size_bytes: int
    ) -> Acknowledgement:
        """Store a batch in the id's transaction, which begins with its first."""
        found = await self._of(name, epoch)
        if size_bytes > self.batch_limits.get(where.topic, size_bytes):
            raise MessageSizeTooLargeError
        if self.refuse_next:
            self.refuse_next -= 1
            raise RequestTimedOutError
        now_ms = self.now_ms()
        if max(record.timestamp_ms for record in records) - now_ms > self.ahead_limits_ms.get(where.topic, sys.maxsize):
            raise InvalidTimestampError
        transaction = self._open(found)
        found.partitions[where] = None
        offset = self.logs[where].append([Stored(*record, now_ms, transaction) for record in records])
        self._wake(where)
        return Acknowledgement(where.topic, where.partition, offset, now_ms, LOG_APPEND_TIME)

    async def fetch(
        self, positions: Mapping[TopicPartition, int], most: int
    ) -> dict[TopicPartition, tuple[int, list[tuple[int, Stored]], int]]:
        """Committed records behind these positions, as soon as there is anything: log start, records, next offset."""
        while True:
            found = {}
            for where, position in positions.items():
                log = self.logs[where]
                if log.last_stable > position:
                    records, after = log.read(position, most)
                    found[where] = log.start, records, after
            if found:
                return found
            arrival = self._loop.create_future()
            for where in positions:
                self._readers[where].append(arrival)
            await arrival

    def _wake(self, where: TopicPartition) -> None:
        for arrival in self._readers.pop(where, ()):
            if not arrival.done():
                arrival.set_result(None)

    # --- transactions -------------------------------------------------------------------------------------------------

    async def start_producer(self, name: str, timeout_seconds: float) -> int:
        """Fence earlier producers of the id, end what they left, and give the epoch of the new one."""
        found = self._coordinated.setdefault(name, Coordinated(name))
        found.epoch += 1
        epoch = found.epoch
        if found.open is not None and not found.is_ending:
            self._end(found, commit=False)
        await self._until_ended(found)
        if found.epoch != epoch:
            raise ProducerFenced
        found.timeout_seconds = timeout_seconds
        return epoch

    async def commit_offsets(
        self, name: str, epoch: int, offsets: Mapping[TopicPartition, int], generation: int, member: str
    ) -> None:
        """Offsets that become visible with the transaction."""
        found = await self._of(name, epoch)
        if generation >= 0 or member:
            if member not in self._members:
                raise UnknownMemberIdError
            if generation != self.generation:
                raise IllegalGenerationError
        self._open(found)
        self._offsets_taken += 1
        found.offsets.update({where: (self._offsets_taken, offset) for where, offset in offsets.items()})

    async def end_transaction(self, name: str, epoch: int, *, commit: bool) -> None:
        """Decide the end. Answers before the markers are written."""
        found = self._coordinated[name]
        if epoch < found.epoch:
            raise ProducerFenced
        if found.is_ending or found.open is None:
            raise InvalidTxnState
        self._end(found, commit=commit)

    async def _of(self, name: str, epoch: int) -> Coordinated:
        """What is known of the id, once its last transaction has ended everywhere."""
        found = self._coordinated[name]
        if epoch == found.epoch:
            await self._until_ended(found)
        if epoch < found.epoch:
            raise ProducerFenced
        return found

    def _open(self, found: Coordinated) -> Transaction:
        if found.open is None:
            found.open = Transaction(found.name)
            self._loop.call_later(found.timeout_seconds, self._time_out, found, found.open, context=self._loop.outside)
        return found.open

    def _time_out(self, found: Coordinated, transaction: Transaction) -> None:
        if found.open is transaction and not found.is_ending:
            found.epoch += 1
            self._end(found, commit=False)

    def _end(self, found: Coordinated, *, commit: bool) -> None:
        transaction = found.open
        assert transaction is not None
        transaction.is_committed = commit
        found.is_ending = True
        found.unmarked = len(found.partitions) + 1
        for where in found.partitions:
            self._loop.call_later(
                self._marker_delay(), self._mark, found, transaction, where, context=self._loop.outside
            )
        self._loop.call_later(self._marker_delay(), self._mark_offsets, found, context=self._loop.outside)

    def _marker_delay(self) -> float:
        return self._random.uniform(0.0, MARKER_SECONDS) + self._random.random() * self.slow_markers_seconds

    def _mark(self, found: Coordinated, transaction: Transaction, where: TopicPartition) -> None:
        self.logs[where].mark(transaction)
        self._wake(where)
        self._marked(found)

    def _mark_offsets(self, found: Coordinated) -> None:
        assert found.open is not None
        if found.open.is_committed:
            for where, taken in found.offsets.items():
                self._group_offsets[where] = max(taken, self._group_offsets.get(where, taken))
        self._marked(found)

    def _marked(self, found: Coordinated) -> None:
        found.unmarked -= 1
        if found.unmarked:
            return
        found.open, found.is_ending = None, False
        found.partitions.clear()
        found.offsets.clear()
        ended, found.ended = found.ended, []
        for waiting in ended:
            if not waiting.done():
                waiting.set_result(None)
        self.changed()

    async def _until_ended(self, found: Coordinated) -> None:
        while found.is_ending:
            waiting = self._loop.create_future()
            found.ended.append(waiting)
            await waiting

    # --- the group ----------------------------------------------------------------------------------------------------

    async def join(self, member: str | None) -> tuple[int, str, frozenset[int]]:
        """Join, or join again: the generation, one's name in it, and one's partitions."""
        if member is None or member not in self._members:
            self._member_number += 1
            member = f"member-{self._member_number}"
            joined = self._members[member] = Member(member, self._loop.time())
            self._watch(joined, self._loop.time())
        joining = self._members[member].joining = self._loop.create_future()
        self.rebalance()
        self._complete_if_all_joined()
        return await joining

    async def heartbeat(self, member: str, generation: int) -> None:
        """Say that one is there."""
        found = self._members.get(member)
        if found is None:
            raise UnknownMemberIdError
        found.heard_at = self._loop.time()
        if self._is_rebalancing:
            raise RebalanceInProgressError
        if generation != self.generation:
            raise IllegalGenerationError

    async def leave(self, member: str) -> None:
        """Leave in good order."""
        if self._members.pop(member, None) is not None:
            self.rebalance()
            self._complete_if_all_joined()

    def rebalance(self) -> None:
        """Ask every member to join again."""
        if not self._is_rebalancing:
            self._is_rebalancing = True
            self._loop.call_later(
                self.session_timeout_seconds, self._drop_absent, self.generation, context=self._loop.outside
            )

    def _drop_absent(self, generation: int) -> None:
        if not self._is_rebalancing or generation != self.generation:
            return
        self._members = {name: member for name, member in self._members.items() if member.joining is not None}
        self._complete_if_all_joined()

    def _complete_if_all_joined(self) -> None:
        members = self._members
        if not self._is_rebalancing or any(member.joining is None for member in members.values()):
            return
        self._is_rebalancing = False
        self.generation += 1
        if not members:
            return
        self._assignment = self._assigned(sorted(members))
        for member in members.values():
            joining, member.joining = member.joining, None
            member.heard_at = self._loop.time()
            if joining is not None and not joining.done():
                joining.set_result((self.generation, member.name, self._assignment[member.name]))

    def _assigned(self, names: list[str]) -> dict[str, frozenset[int]]:
        """Mostly as it was where that is fair, sometimes anew."""
        order = list(range(self._partitions))
        is_fair = all(name in self._assignment for name in names) and len(self._assignment) == len(names)
        if is_fair and self._random.random() < STICKY_SHARE:
            return {name: self._assignment[name] for name in names}
        if self._random.random() < STICKY_SHARE:
            return {name: frozenset(order[number :: len(names)]) for number, name in enumerate(names)}
        self._random.shuffle(order)
        return {name: frozenset(order[number :: len(names)]) for number, name in enumerate(names)}

    def _watch(self, member: Member, since: float) -> None:
        """Drop the member when it has not been heard of for a session timeout."""
        self._loop.call_at(since + self.session_timeout_seconds, self._expire, member, context=self._loop.outside)

    def _expire(self, member: Member) -> None:
        if self._members.get(member.name) is not member:
            return
        if member.joining is not None:
            member.heard_at = self._loop.time()
        if self._loop.time() < member.heard_at + self.session_timeout_seconds:
            self._watch(member, member.heard_at)
            return
        del self._members[member.name]
        self.rebalance()
        self._complete_if_all_joined()


def topic_partitions(values: Iterable[Any]) -> list[TopicPartition]:
    """In one order, whatever they came in."""
    return sorted(TopicPartition(*value) for value in values)
