"""The ledger topic as the broker stores it: whose transactions follow each other in a partition, and how each ended.

Offsets are the order that readers see, so nothing here depends on when somebody looked.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.protocol.fetch import FetchRequest_v4, FetchResponse_v4
from aiokafka.record.memory_records import MemoryRecords

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.faults.broker_view import BrokerView

COMMIT: Final = "commit"
ABORT: Final = "abort"
_MARKERS: Final = {0: ABORT, 1: COMMIT}

_ANY_REPLICA: Final = -1
_READ_UNCOMMITTED: Final = 0
_FETCH_BYTES: Final = 8_000_000


class Batch(NamedTuple):
    """One record batch."""

    offset: int
    producer_id: int
    epoch: int
    marker: str | None
    """How its producer's transaction ended; None: records."""


class OpenTransaction(NamedTuple):
    """Records of one partition behind which no marker stands yet."""

    partition: int
    producer_id: int
    first_offset: int


def batches_of(view: BrokerView, topic: str, partition: int, offset: int = 0) -> Iterator[Batch]:
    """Every batch from an offset on, those of open and of aborted transactions too."""
    while True:
        request = FetchRequest_v4(
            _ANY_REPLICA, 0, 0, _FETCH_BYTES, _READ_UNCOMMITTED, [(topic, [(partition, offset, _FETCH_BYTES)])]
        )
        answer = view.ask(request, FetchResponse_v4)
        [(_, [(_, error, high_watermark, _, _, data)])] = answer.topics
        assert not error, f"fetch was answered with error {error}"
        records = MemoryRecords(data)
        while (batch := records.next_batch()) is not None:
            if batch.next_offset > offset:
                offset = batch.next_offset
                yield Batch(batch.base_offset, batch.producer_id, batch.producer_epoch, _marker(batch))
        if offset >= high_watermark:
            return


def open_transactions(view: BrokerView, topic: str, partitions: int) -> list[OpenTransaction]:
    """What is written and not yet ended, of every producer."""
    found = []
    for partition in range(partitions):
        first: dict[int, int] = {}
        for batch in batches_of(view, topic, partition):
            if batch.marker is None:
                first.setdefault(batch.producer_id, batch.offset)
            else:
                first.pop(batch.producer_id, None)
        found += [OpenTransaction(partition, producer_id, offset) for producer_id, offset in first.items()]
    return found


def ends_followed(
    view: BrokerView, topic: str, transactions: list[OpenTransaction]
) -> Mapping[OpenTransaction, str] | None:
    """How each has ended, once each is followed by another transaction; None before.

    Fails where records of another transaction stand before the marker: their writer began while this was open.
    """
    found = {}
    for transaction in transactions:
        ended = None
        is_followed = False
        for batch in batches_of(view, topic, transaction.partition, transaction.first_offset):
            if ended is None and batch.producer_id == transaction.producer_id:
                ended = batch.marker
            else:
                assert ended is not None, f"partition {transaction.partition}: another writer began before the end"
                is_followed = True
        if ended is None or not is_followed:
            return None
        found[transaction] = ended
    return found


def _marker(batch: object) -> str | None:
    if not batch.is_control_batch:  # type: ignore[attr-defined]  # aiokafka's compiled class has no types
        return None
    [record] = batch  # type: ignore[call-overload]
    _, kind = struct.unpack_from(">hh", record.key)
    return _MARKERS[kind]
