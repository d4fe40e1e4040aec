"""What fits into the topics: batches no larger than their topic takes, and the records whose answer fits nowhere.

Rules of this module
1. A topic's limit is what the broker says (`max.message.bytes`), read at start and again after a refusal for size.
   Where the broker cannot say, there is none, and a record that is refused again and again ends the lane.
2. Sizes are those before compression, so nothing is ever sent that would not fit uncompressed.
3. The record that gave an output that does not fit is found by applying shorter beginnings of the batch: a state
   machine answers the same for the same records, and gives outputs in their order. That happens only after something
   did not fit.
4. If the state machine gives the same output again instead of dead-lettering the record, the output is left for the
   broker to refuse, and the lane ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiokafka.producer.message_accumulator import BatchBuilder

from streams.exactly_once.fencing import MAX_PRODUCED_BATCH_BYTES, NOT_COMPRESSED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.exactly_once.clients import Clients, ProducedBatch, TransactionalProducer
    from streams.exactly_once.interfaces import Batch, BatchResult, StateMachine
    from streams.records import OutputRecord


class SizeLimits:
    """The largest record batch each output topic takes."""

    def __init__(self, topics: Sequence[str], limits: Mapping[str, int] | None = None) -> None:
        self._topics = topics
        self._limits = dict(limits or {})

    async def read(self, clients: Clients) -> None:
        """Ask the broker; where it cannot say, the limits stay as they are."""
        self._limits |= await clients.batch_limits(self._topics)

    def takes(self, topic: str, batch: ProducedBatch) -> bool:
        """Whether the topic takes this batch, as far as is known."""
        limit = self._limits.get(topic)
        return limit is None or int(batch.size()) <= limit

    def new_batch(self, producer: TransactionalProducer, topic: str) -> ProducedBatch:
        """An empty batch that refuses records beyond its topic's limit; the first one it takes whatever its size."""
        limit = self._limits.get(topic)
        if limit is None or limit >= MAX_PRODUCED_BATCH_BYTES:
            return producer.create_batch()
        return producer.create_smaller_batch(limit)

    def apply(self, state_machine: StateMachine, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        """Apply the batch, naming the records whose answer fits nowhere to the state machine, which dead-letters them.

        An output that no record caused is left in, for the broker to refuse.
        """
        result = state_machine.apply(batch, store)
        while (number := self._first_too_large(result.outputs)) is not None:
            culprit = self._source_of(state_machine, batch, store, number)
            if culprit is None or culprit in batch.too_large:
                break
            batch = batch._replace(too_large=batch.too_large | {culprit})
            result = state_machine.apply(batch, store)
        return result

    def _first_too_large(self, outputs: Sequence[OutputRecord]) -> int | None:
        for number, output in enumerate(outputs):
            limit = self._limits.get(output.topic)
            if limit is not None and _size_alone(output) > limit:
                return number
        return None

    def _source_of(
        self, state_machine: StateMachine, batch: Batch, store: Mapping[bytes, bytes], number: int
    ) -> tuple[str, int] | None:
        """The record that gave this output: the last one of the shortest beginning of the batch that gives it."""

        def gives(count: int) -> bool:
            beginning = batch._replace(records=batch.records[:count], moments_ms=batch.moments_ms[:count], due=())
            return len(state_machine.apply(beginning, store).outputs) > number

        low, high = 0, len(batch.records)
        if not gives(high):
            return None  # it came from work that no record asked for
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if gives(middle) else (middle, high)
        record = batch.records[high - 1]
        return record.topic, record.offset


def _size_alone(output: OutputRecord) -> int:
    batch = BatchBuilder(0, NOT_COMPRESSED, is_transactional=True)
    batch.append(timestamp=0, key=output.key, value=output.value, headers=list(output.headers))
    return int(batch.size())
