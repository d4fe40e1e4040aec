"""One transaction: outputs, changelog, meta and batch records, offsets. All of it is seen, or none of it.

The order, and why
1. Every record is produced to an explicit partition, and EVERY acknowledgement is awaited. (aiokafka commits a
   transaction although one of its batches failed.)
2. Then the offsets, with generation and member id. Accepted, they prove that the worker still owned its partitions
   after its changelog records were in the log; whoever owns them next restores up to there.
3. Then the commit. Only when it has returned may anything be merged into memory.
4. Before 2, and again before 3, the age of the decisions is checked. If they are too old, the transaction is aborted
   and the records are decided again. So it is if their moment lies in the future: the clock was wrong when they were
   made, or is wrong now. A clock that jumps to and fro can be right at both checks, so the moment is also compared
   with the broker's append time.
5. A record larger than its topic takes aborts the transaction; the lane then finds out whose answer it was. A timestamp
   that the broker refuses is a difference of clocks if the append times show one too, and a refusal if they do not.

Anything but `TransactionAborted` leaves the outcome to the broker, and the process ends.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import structlog
from aiokafka.errors import InvalidTimestampError, MessageSizeTooLargeError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from streams.exactly_once.batch_log import encode_batch
from streams.exactly_once.changelog import META_KEY, encode_meta
from streams.exactly_once.clients import CLOSE_SECONDS, close, loop_seconds
from streams.exactly_once.errors import LaneError
from streams.exactly_once.fencing import NO_MEMBERSHIP, Membership
from streams.exactly_once.settings import COMMIT_MARK
from streams.exactly_once.sizes import SizeLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.exactly_once.clients import Clients, ProducedBatch, TransactionalProducer
    from streams.exactly_once.interfaces import BatchResult, Clock, Observer
    from streams.exactly_once.partition import PartitionBatch
    from streams.exactly_once.settings import EngineSettings
    from streams.records import Headers

log = structlog.get_logger(__name__)

DECISION_TO_COMMIT_MAX_MS: Final = 2_000
"""A commit that would begin later than this after its decisions is aborted. It is also the least time to live of an
approval, so no commit of an approval begins after the approval's last moment. How long the broker then takes to end the
transaction is not checked: readers must keep to `valid_until` themselves."""

UNANSWERED_SECONDS: Final = 3.0
"""From here on it is told that a transaction waits. Far above what a commit takes, and an election of leaders, too."""

UNANSWERED_REPEAT_SECONDS: Final = 1.0

PRODUCERS_PER_LANE: Final = 2
"""Used in turn: while one transaction's markers are being written, the next one already goes through the other."""

_NO_HEADERS: Final[list[tuple[str, bytes]]] = []

LOG_APPEND_TIME: Final = 1
"""Timestamp type of an acknowledgement whose time is the broker's."""


class TransactionAborted(Exception):
    """Nothing of the transaction is ever seen. `reason` is one of the words below."""

    LATE = "late"
    REFUSED = "refused"
    CLOCK = "clock"
    TOO_LARGE = "too_large"
    UNANSWERED = "unanswered"
    """The brokers did not take its records within the transaction's timeout, and the coordinator has ended it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class Unanswered:
    """While the block runs and takes long, tells the observer for how long already; 0 when it is over."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._has_told = False

    def __enter__(self) -> None:
        self._began_at = loop_seconds()
        self._timer = asyncio.get_running_loop().call_later(UNANSWERED_SECONDS, self._tell)

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        if self._has_told:
            self._observer.commit_unanswered(0.0)

    def _tell(self) -> None:
        self._has_told = True
        self._observer.commit_unanswered(loop_seconds() - self._began_at)
        self._timer = asyncio.get_running_loop().call_later(UNANSWERED_REPEAT_SECONDS, self._tell)


class Answer(NamedTuple):
    """The broker's answer to one record batch: an acknowledgement or the error."""

    topic: str
    partition: int
    said: Any


class TransactionWriter:
    """The producers of one lane."""

    def __init__(
        self,
        settings: EngineSettings,
        clients: Clients,
        lane: int,
        clock: Clock,
        observer: Observer,
        *,
        compares_clocks: bool,
    ) -> None:
        self._settings = settings
        self._clients = clients
        self._lane = lane
        self._clock = clock
        self._observer = observer
        self._compares_clocks = compares_clocks
        self.sizes = SizeLimits(settings.output_topics)
        self._producers: list[TransactionalProducer] = []
        self._turn = 0
        self._membership = NO_MEMBERSHIP

    async def start(self) -> None:
        """Fence what is left of a predecessor; returns when its open transactions are ended."""
        await self.sizes.read(self._clients)
        with Unanswered(self._observer):
            self._producers = await self._new_producers()

    async def _new_producers(self) -> list[TransactionalProducer]:
        return list(await asyncio.gather(*(self._new_producer(turn) for turn in range(PRODUCERS_PER_LANE))))

    async def stop(self) -> None:
        """Close the connections. An open transaction stays open until its timeout or the next start."""
        producers, self._producers = self._producers, []
        for producer in producers:
            await close(producer)

    def act_for(self, membership: Membership) -> None:
        """Commit offsets as this member from now on."""
        self._membership = membership

    async def write(
        self, partition_batches: Sequence[PartitionBatch], results: Sequence[BatchResult], decided_at_ms: int | None
    ) -> int:
        """Commit what the batches gave; returns the moment of the commit.

        `decided_at_ms=None`: the decisions cannot become too old (record clock).

        Raises:
            TransactionAborted: nothing happened; decide again.
        """
        self._turn = (self._turn + 1) % len(self._producers)
        producer = self._producers[self._turn]
        batches = _build(producer, self.sizes, self._settings, partition_batches, results)
        with Unanswered(self._observer):
            return await self._commit(producer, batches, partition_batches, decided_at_ms)

    async def _commit(
        self,
        producer: TransactionalProducer,
        batches: dict[tuple[str, int], list[ProducedBatch]],
        partition_batches: Sequence[PartitionBatch],
        decided_at_ms: int | None,
    ) -> int:
        began_at = loop_seconds()
        await producer.begin_transaction()
        sent_at_ms = self._clock.now_ms()
        answers = await self._produce(producer, batches)
        latest_ms = max(partition_batch.latest_ms for partition_batch in partition_batches)
        difference_ms = self._clock_difference_ms(answers, sent_at_ms, decided_at_ms, latest_ms)
        await self._check_refused(producer, answers, difference_ms, loop_seconds() - began_at)
        await self._check_age(producer, decided_at_ms)
        await self._check_clocks(producer, difference_ms)
        producer.act_for(self._membership)
        await producer.send_offsets_to_transaction(_offsets(partition_batches), self._settings.application_id)
        await self._check_age(producer, decided_at_ms)
        await producer.commit_transaction()
        return self._clock.now_ms()

    async def _new_producer(self, turn: int) -> TransactionalProducer:
        return await self._clients.producer(self._settings.transactional_id(self._lane, turn))

    async def _produce(
        self, producer: TransactionalProducer, batches: dict[tuple[str, int], list[ProducedBatch]]
    ) -> list[Answer]:
        """Send everything, and wait until everything is answered."""
        where, under_way = [], []
        for (topic, partition), of_partition in batches.items():
            for batch in of_partition:
                batch.close()
                where.append((topic, partition))
                under_way.append(await producer.send_batch(batch, topic, partition=partition))
        said = await asyncio.gather(*under_way, return_exceptions=True)
        return [Answer(topic, partition, answer) for (topic, partition), answer in zip(where, said, strict=True)]

    async def _check_refused(
        self, producer: TransactionalProducer, answers: Sequence[Answer], difference_ms: int, seconds: float
    ) -> None:
        refused = next((answer for answer in answers if isinstance(answer.said, BaseException)), None)
        if refused is None:
            return
        if isinstance(refused.said, ProducerFenced):
            # The coordinator refuses a transaction beyond its timeout as it does one that a successor has ended.
            if producer.refusal and seconds * 1000 >= self._settings.transaction_timeout_ms:
                refusal = producer.refusal
                log.warning("A transaction was not ended within its timeout.", seconds=round(seconds), why=refusal)
                await self._abort_refused(producer)
                raise TransactionAborted(TransactionAborted.UNANSWERED, refusal)
            raise LaneError(f"another worker runs under slot {self._settings.worker_slot}: give each its own")
        await self._abort_refused(producer)
        reason = TransactionAborted.REFUSED
        if isinstance(refused.said, MessageSizeTooLargeError):
            reason = TransactionAborted.TOO_LARGE
            await self.sizes.read(self._clients)  # it takes less than it did when we last asked
        elif isinstance(refused.said, InvalidTimestampError) and self._is_too_different(difference_ms):
            reason = TransactionAborted.CLOCK
            self._observer.clock_difference(difference_ms / 1000)
        where = f"{type(refused.said).__name__} from {refused.topic}-{refused.partition}"
        raise TransactionAborted(reason, where)

    async def _abort_refused(self, producer: TransactionalProducer) -> None:
        """Abort, and replace the producer: the refused batch has left a gap in its sequence numbers."""
        with contextlib.suppress(Exception):  # what cannot be aborted here is ended by the successor's start
            async with asyncio.timeout(CLOSE_SECONDS):
                await producer.abort_transaction()
        await close(producer)
        self._producers[self._turn] = await self._new_producer(self._turn)

    async def _check_age(self, producer: TransactionalProducer, decided_at_ms: int | None) -> None:
        if decided_at_ms is None:
            return
        age_ms = self._clock.now_ms() - decided_at_ms
        if age_ms > DECISION_TO_COMMIT_MAX_MS:
            await producer.abort_transaction()
            raise TransactionAborted(TransactionAborted.LATE)
        if -age_ms > self._settings.clock_difference_limit_seconds * 1000:
            self._observer.clock_difference(-age_ms / 1000)
            await producer.abort_transaction()
            raise TransactionAborted(TransactionAborted.CLOCK, f"{-age_ms} ms ahead of now when it was decided")

    def _clock_difference_ms(
        self, answers: Sequence[Answer], sent_at_ms: int, decided_at_ms: int | None, latest_ms: int
    ) -> int:
        """By how much the broker's clock and ours differ at least.

        The broker stamped our records after we sent them and before we had its answer, and not long after they were
        decided; a stamp outside is a difference. The moment of decision itself is compared, because a clock that jumps
        to and fro may be right whenever it is read again.
        """
        if not self._compares_clocks or decided_at_ms is None:
            return 0
        acknowledged_at_ms = self._clock.now_ms()
        difference_ms = 0
        for answer in answers:
            if answer.topic != self._settings.changelog_topic or isinstance(answer.said, BaseException):
                continue
            if answer.said.timestamp_type == LOG_APPEND_TIME:
                stamped_ms = answer.said.timestamp
                late_ms = stamped_ms - DECISION_TO_COMMIT_MAX_MS - decided_at_ms
                outside_ms = sent_at_ms - stamped_ms, stamped_ms - acknowledged_at_ms
                difference_ms = max(difference_ms, *outside_ms, latest_ms - stamped_ms, late_ms)
        return difference_ms

    def _is_too_different(self, difference_ms: int) -> bool:
        return difference_ms > self._settings.clock_difference_limit_seconds * 1000

    async def _check_clocks(self, producer: TransactionalProducer, difference_ms: int) -> None:
        self._observer.clock_difference(difference_ms / 1000)
        if self._is_too_different(difference_ms):
            await producer.abort_transaction()
            raise TransactionAborted(TransactionAborted.CLOCK, f"{difference_ms} ms from the broker's")


def _offsets(partition_batches: Sequence[PartitionBatch]) -> dict[TopicPartition, OffsetAndMetadata]:
    """The positions that differ from the latest meta record's, or all if none does.

    Every partition must have some, because an accepted offset proves that the partition is still ours.
    """
    found = {}
    for partition_batch in partition_batches:
        recorded = partition_batch.state.recorded
        positions = partition_batch.next_positions
        moved = {topic: offset for topic, offset in positions.items() if recorded.get(topic) != offset}
        for topic, offset in (moved or positions).items():
            found[TopicPartition(topic, partition_batch.state.partition)] = OffsetAndMetadata(offset, COMMIT_MARK)
    return found


def _build(
    producer: TransactionalProducer,
    sizes: SizeLimits,
    settings: EngineSettings,
    partition_batches: Sequence[PartitionBatch],
    results: Sequence[BatchResult],
) -> dict[tuple[str, int], list[ProducedBatch]]:
    """Record batches per topic partition, each below the size its topic takes.

    Raises:
        TransactionAborted: a single record is larger.
    """
    batches: dict[tuple[str, int], list[ProducedBatch]] = {}

    def put(topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Headers, at_ms: int) -> None:
        as_list = list(headers) if headers else _NO_HEADERS
        of_partition = batches.get((topic, partition))
        if of_partition is None:
            of_partition = batches[topic, partition] = [sizes.new_batch(producer, topic)]
        if of_partition[-1].append(timestamp=at_ms, key=key, value=value, headers=as_list) is None:
            of_partition.append(sizes.new_batch(producer, topic))
            of_partition[-1].append(timestamp=at_ms, key=key, value=value, headers=as_list)

    for partition_batch, result in zip(partition_batches, results, strict=True):
        home = partition_batch.state.partition
        at_ms = partition_batch.latest_ms
        for output in result.outputs:
            partition = home if output.partition is None else output.partition
            put(output.topic, partition, output.key, output.value, output.headers, at_ms)
        for key, value in result.changes.items():
            put(settings.changelog_topic, home, key, value, (), at_ms)
        put(settings.changelog_topic, home, META_KEY, encode_meta(partition_batch.meta()), (), at_ms)
        if settings.batches_topic is not None:
            put(settings.batches_topic, home, None, encode_batch(partition_batch.served()), (), at_ms)
    for (topic, partition), of_partition in batches.items():
        if not all(sizes.takes(topic, batch) for batch in of_partition):
            raise TransactionAborted(TransactionAborted.TOO_LARGE, f"a record for {topic}-{partition}")
    return batches
