# ruff: noqa: ANN401 - defects replace functions of any shape
"""Mistakes to plant in production code, each of which the simulation must find.

Each replaces something of `streams` by what a careless hand would have written, for as long as the context lasts.
Policies are compiled anew in it, so that mistakes in rules are planted too.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from streams import gate
from streams.decision import decide
from streams.decision.answer import PASS
from streams.decision.checks.table import CHECKS
from streams.decision.ledger import retention
from streams.decision.rules.cap import RollingCapRule
from streams.decision.rules.rule import Limit
from streams.exactly_once import assignment
from streams.exactly_once.assignment import Assignment
from streams.exactly_once.barrier import Barrier
from streams.exactly_once.changelog import META_KEY
from streams.exactly_once.lane import Lane
from streams.exactly_once.offsets import OffsetClient
from streams.exactly_once.partition import PartitionState
from streams.exactly_once.transaction import (
    DECISION_TO_COMMIT_MAX_MS,
    TransactionAborted,
    TransactionWriter,
    _build,
    _offsets,
)
from tests.simulation import history
from tests.simulation.clients import SimulatedBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STALE_SECONDS: Final = 0.5


def _commit_with_a_send_unacknowledged() -> Iterator[Any]:
    """As aiokafka does it by itself: a batch that failed does not keep the transaction from committing."""

    async def check_nothing(*_: Any) -> None:
        pass

    yield patch.object(TransactionWriter, "_check_refused", check_nothing)


def _merge_before_commit() -> Iterator[Any]:
    """Memory is changed when the batch is decided, not when it is committed."""
    write, after_commit = TransactionWriter.write, Lane._after_commit

    async def merged_write(self: Any, partition_batches: Any, results: Any, decided_at_ms: Any) -> int:
        for partition_batch, result in zip(partition_batches, results, strict=True):
            partition_batch.state.merge(partition_batch, result)
        return await write(self, partition_batches, results, decided_at_ms)

    def without_merge(self: Any, partition_batches: Any, results: Any, *moments: Any) -> None:
        with patch.object(PartitionState, "merge", lambda *_: None):
            after_commit(self, partition_batches, results, *moments)

    yield patch.object(TransactionWriter, "write", merged_write)
    yield patch.object(Lane, "_after_commit", without_merge)


def _offsets_before_acknowledgements() -> Iterator[Any]:
    """The proof of ownership is asked for before the changelog has the records, and nothing is looked at after it."""

    async def write(self: Any, partition_batches: Any, results: Any, decided_at_ms: Any) -> int:
        self._turn = (self._turn + 1) % len(self._producers)
        producer = self._producers[self._turn]
        batches = _build(producer, self.sizes, self._settings, partition_batches, results)
        await producer.begin_transaction()
        await self._check_age(producer, decided_at_ms)
        producer.act_for(self._membership)
        await producer.send_offsets_to_transaction(_offsets(partition_batches), self._settings.application_id)
        sent_at_ms = self._clock.now_ms()
        answers = await self._produce(producer, batches)
        latest_ms = max(partition_batch.latest_ms for partition_batch in partition_batches)
        difference_ms = self._clock_difference_ms(answers, sent_at_ms, decided_at_ms, latest_ms)
        await self._check_refused(producer, answers, difference_ms)
        await self._check_clocks(producer, difference_ms)
        await producer.commit_transaction()
        return int(self._clock.now_ms())

    yield patch.object(TransactionWriter, "write", write)


def _generation_left_out() -> Iterator[Any]:
    """Offsets are committed as nobody in particular, as the protocol was before KIP-447."""
    yield patch.object(TransactionWriter, "act_for", lambda *_: None)


def _restored_to_the_last_stable_offset() -> Iterator[Any]:
    """What an open transaction of the previous owner holds up is not waited for."""
    ends = OffsetClient.ends

    async def stable_ends(self: Any, partitions: Any, *halted: Any) -> Any:
        partitions = list(partitions)
        answer = await ends(self, partitions, *halted)
        if answer is not None and all(where.topic == history.TOPICS.ledger for where in answer):
            logs = self._clients.broker.logs
            return {where: logs[where].last_stable for where in answer}
        return answer

    yield patch.object(OffsetClient, "ends", stable_ends)


def _barrier_skipped() -> Iterator[Any]:
    """What has arrived is decided."""

    async def passed(self: Any, asking: Any, *_: Any) -> set[int]:
        return {state.partition for state in asking}

    yield patch.object(Barrier, "passed", passed)


def _barrier_on_a_stale_answer() -> Iterator[Any]:
    """An answer is good for half a second."""
    ends = OffsetClient.ends

    async def kept(self: Any, partitions: Any, *halted: Any) -> Any:
        partitions = frozenset(partitions)
        now = asyncio.get_running_loop().time()
        answers = self.__dict__.setdefault("answers", {})
        if any(where.topic == history.TOPICS.ledger for where in partitions):
            return await ends(self, partitions, *halted)
        if partitions not in answers or now - answers[partitions][0] > STALE_SECONDS:
            answers[partitions] = now, await ends(self, partitions, *halted)
        return answers[partitions][1]

    yield patch.object(OffsetClient, "ends", kept)


def _identity_check_dropped() -> Iterator[Any]:
    """An intent that was decided before is decided again."""
    without = [replace(check, ask=lambda _: PASS) if check.name == "duplicate" else check for check in CHECKS]
    yield patch.object(decide, "CHECKS", without)


def _window_one_millisecond_too_long() -> Iterator[Any]:
    """[now - W, now] where (now - W, now] is meant."""

    def limits(self: Any, request: Any, moment_ms: int) -> Any:
        return [Limit(self.limit, self._window_ms + 1)]

    yield patch.object(RollingCapRule, "limits", limits)


def _pruned_too_early() -> Iterator[Any]:
    """Contacts are forgotten before every window that counts them has passed."""
    pruned = retention.pruned

    def early(ledger: Any, *, history_ms: int, **more: Any) -> Any:
        return pruned(ledger, history_ms=25_000, **more)

    yield patch.object(retention, "pruned", early)


def _rerouted_twice() -> Iterator[Any]:
    """A misrouted record is forwarded once more."""
    is_at_home = gate._Run._is_at_home

    def twice(self: Any, *of_record: Any) -> bool:
        count = len(self._outputs)
        at_home = is_at_home(self, *of_record)
        self._outputs += self._outputs[count:]
        return at_home

    yield patch.object(gate._Run, "_is_at_home", twice)


def _meta_record_not_written() -> Iterator[Any]:
    """Positions are left to the group's offsets, which nobody asks for them."""
    append = SimulatedBatch.append

    def without_meta(self: Any, *, key: Any, **more: Any) -> Any:
        return self if key == META_KEY else append(self, key=key, **more)

    yield patch.object(SimulatedBatch, "append", without_meta)
    yield patch.object(assignment, "check_positions", lambda *_: None)


def _partition_kept_after_it_was_revoked() -> Iterator[Any]:
    """A worker that gets a partition back continues with what it had of it."""

    def kept(self: Any, membership: Any, partitions: Any) -> Any:
        remembered = self.__dict__.setdefault("remembered", {})
        remembered.update(self.partitions)
        return {number: state for number, state in remembered.items() if number in partitions}

    yield patch.object(Assignment, "_kept", kept)


def _group_offsets_trusted_over_the_meta_record() -> Iterator[Any]:
    """Reading starts where the group's offsets say."""
    place = Assignment._place

    def placed(self: Any, partition: int, restored: Any, starts: Any, ends: Any, committed: Any) -> Any:
        if restored.meta is not None:
            positions = {topic: committed.get(topic, 0) for topic in restored.meta.positions}
            meta = type(restored.meta)(positions, restored.meta.latest_ms, restored.meta.version)
            restored = replace(restored, meta=meta)
        return place(self, partition, restored, starts, ends, committed)

    yield patch.object(Assignment, "_place", placed)


def _moment_not_looked_at_again() -> Iterator[Any]:
    """A clock that was wrong when a batch was decided, and is right when it is sent, goes unnoticed."""

    async def check_age(self: TransactionWriter, producer: Any, decided_at_ms: int | None) -> None:
        if decided_at_ms is not None and self._clock.now_ms() - decided_at_ms > DECISION_TO_COMMIT_MAX_MS:
            await producer.abort_transaction()
            raise TransactionAborted(TransactionAborted.LATE)

    clock_difference_ms = TransactionWriter._clock_difference_ms

    def difference_ms(self: Any, answers: Any, sent_at_ms: int, *_: int) -> int:
        return clock_difference_ms(self, answers, sent_at_ms, sent_at_ms, 0)

    yield patch.object(TransactionWriter, "_check_age", check_age)
    yield patch.object(TransactionWriter, "_clock_difference_ms", difference_ms)


def _uncommitted_records_restored() -> Iterator[Any]:
    """A restore reads what was aborted too."""
    from tests.simulation.broker import SimulatedBroker
    from tests.simulation.log import PartitionLog

    fetch, read = SimulatedBroker.fetch, PartitionLog.read

    def all_of_it(self: Any, position: int, most: int) -> Any:
        found = read(self, position, most)
        entries = enumerate(self.entries[position - self.start : found.next_offset - self.start], position)
        return found._replace(records=[(offset, entry) for offset, entry in entries if entry is not None])

    async def fetched(self: Any, positions: Any, most: int) -> Any:
        if any(where.topic != history.TOPICS.ledger for where in positions):
            return await fetch(self, positions, most)
        found = await fetch(self, positions, most)
        return {
            where: (start, all_of_it(self.logs[where], positions[where], after - positions[where]).records, after)
            for where, (start, _, after) in found.items()
        }

    yield patch.object(SimulatedBroker, "fetch", fetched)


DEFECTS: Final[dict[str, Callable[[], Iterator[Any]]]] = {
    made.__name__.removeprefix("_"): made
    for made in (
        _commit_with_a_send_unacknowledged,
        _merge_before_commit,
        _offsets_before_acknowledgements,
        _generation_left_out,
        _restored_to_the_last_stable_offset,
        _barrier_skipped,
        _barrier_on_a_stale_answer,
        _identity_check_dropped,
        _window_one_millisecond_too_long,
        _pruned_too_early,
        _rerouted_twice,
        _meta_record_not_written,
        _partition_kept_after_it_was_revoked,
        _group_offsets_trusted_over_the_meta_record,
        _uncommitted_records_restored,
        _moment_not_looked_at_again,
    )
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """With this defect; without any for None."""
    with ExitStack() as stack:
        if name is not None:
            for one in DEFECTS[name]():
                stack.enter_context(one)
        history.policy.cache_clear()
        try:
            yield
        finally:
            history.policy.cache_clear()
