"""Who made an output that its topic does not take, and batches no larger than a topic takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiokafka.producer.message_accumulator import BatchBuilder

from streams.exactly_once.fencing import MAX_PRODUCED_BATCH_BYTES, NOT_COMPRESSED
from streams.exactly_once.interfaces import Batch, BatchResult
from streams.exactly_once.sizes import SizeLimits
from streams.records import InputRecord, OutputRecord
from tests.engine.toy import Topics

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from streams.exactly_once.key_kinds import KeyKind

LIMIT = 1_000
TOPICS = Topics("sizes")
LARGE = {3, 4, 17, 40}


@dataclass
class Echo:
    """Answers every record with as many bytes as it asks for; what is named too large with one byte, if it obeys."""

    obeys: bool = True
    due_bytes: int = 0
    applied: list[frozenset[tuple[str, int]]] = field(default_factory=list)

    def apply(self, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        self.applied.append(batch.too_large)
        result = BatchResult()
        for record in batch.records:
            is_named = self.obeys and (record.topic, record.offset) in batch.too_large
            result.outputs.append(OutputRecord(TOPICS.answers, record.key, b"-" if is_named else record.value))
        for _ in batch.due:
            result.outputs.append(OutputRecord(TOPICS.answers, None, b"x" * self.due_bytes))
        return result

    due_horizons: Hashable = None
    approving_kinds: frozenset[KeyKind] = frozenset()

    def due_at(self, key: bytes, value: bytes) -> int | None:
        return None


def batch(large: set[int], due: Sequence[bytes] = ()) -> Batch:
    records = [
        InputRecord(TOPICS.intents, 100 + n, 0, b"k", b"x" * (LIMIT if n in large else 10), ()) for n in range(50)
    ]
    return Batch(0, records, [0] * len(records), {}, due)


def limits() -> SizeLimits:
    return SizeLimits([TOPICS.answers], {TOPICS.answers: LIMIT})


def test_exactly_those_are_named_whose_answer_does_not_fit() -> None:
    machine = Echo()
    result = limits().apply(machine, batch(LARGE), {})
    assert machine.applied[-1] == {(TOPICS.intents, 100 + number) for number in LARGE}
    assert [number for number, output in enumerate(result.outputs) if output.value == b"-"] == sorted(LARGE)


def test_where_everything_fits_the_batch_is_applied_once() -> None:
    machine = Echo()
    limits().apply(machine, batch(set()), {})
    assert machine.applied == [frozenset()]


def test_a_machine_that_does_not_set_aside_is_not_asked_for_ever() -> None:
    machine = Echo(obeys=False)
    result = limits().apply(machine, batch({7}), {})
    assert len(result.outputs[7].value or b"") == LIMIT
    assert machine.applied[-1] == {(TOPICS.intents, 107)}


def test_an_answer_no_record_asked_for_is_nobodys_fault() -> None:
    machine = Echo(due_bytes=LIMIT)
    result = limits().apply(machine, batch({2}, due=[b"h1"]), {})
    assert len(result.outputs[-1].value or b"") == LIMIT
    assert {marks for marks in machine.applied if marks} == {frozenset({(TOPICS.intents, 102)})}


class _Producer:
    def create_batch(self) -> str:
        return "the producer's own"

    def create_smaller_batch(self, max_bytes: int) -> BatchBuilder:
        return BatchBuilder(max_bytes, NOT_COMPRESSED, is_transactional=True)


def test_batches_are_cut_where_their_topic_takes_less_than_a_producer_makes() -> None:
    small = limits().new_batch(_Producer(), TOPICS.answers)
    count = 0
    while small.append(timestamp=0, key=b"k", value=b"x" * 100, headers=[]) is not None:
        count += 1
    assert count > 1
    assert limits().takes(TOPICS.answers, small)
    usual = SizeLimits([TOPICS.answers], {TOPICS.answers: MAX_PRODUCED_BATCH_BYTES})
    assert usual.new_batch(_Producer(), TOPICS.answers) == "the producer's own"
    assert limits().new_batch(_Producer(), TOPICS.ledger) == "the producer's own"


def test_what_is_alone_too_large_is_known_to_the_byte() -> None:
    for size, fits in ((LIMIT, False), (LIMIT - 100, True)):
        alone = BatchBuilder(0, NOT_COMPRESSED, is_transactional=True)
        alone.append(timestamp=0, key=b"k", value=b"x" * size, headers=[])
        assert limits().takes(TOPICS.answers, alone) is fits
        exact = SizeLimits([TOPICS.answers], {TOPICS.answers: alone.size()})
        tight = SizeLimits([TOPICS.answers], {TOPICS.answers: alone.size() - 1})
        assert exact.takes(TOPICS.answers, alone)
        assert not tight.takes(TOPICS.answers, alone)
