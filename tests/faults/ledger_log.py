"""The ledger topic as the broker stores it: whose transactions follow each other in a partition, and how each ended.

Offsets are the order that readers see, so nothing here depends on when somebody looked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.structs import TopicPartition

from streams.testing.raw_log import read_logs

if TYPE_CHECKING:
    from collections.abc import Mapping

READ_SECONDS: Final = 30.0


class OpenTransaction(NamedTuple):
    """Records of one partition behind which no marker stands yet."""

    partition: int
    producer_id: int
    first_offset: int


def open_transactions(address: str, topic: str) -> list[OpenTransaction]:
    """What is written and not yet ended, of every producer."""
    found = []
    for partition, log in read_logs(address, [topic], deadline_seconds=READ_SECONDS)[topic].items():
        first: dict[int, int] = {}
        for batch in log.batches:
            if batch.is_marker:
                first.pop(batch.producer_id, None)
            else:
                first.setdefault(batch.producer_id, batch.first_offset)
        found += [OpenTransaction(partition, producer_id, offset) for producer_id, offset in first.items()]
    return found


def are_committed(
    address: str, topic: str, transactions: list[OpenTransaction]
) -> Mapping[OpenTransaction, bool] | None:
    """Whether each is committed, once each is followed by another transaction; None before.

    Fails where records of another transaction stand before the marker: their writer began while this was open.
    """
    since = {TopicPartition(topic, each.partition): each.first_offset for each in transactions}
    logs = read_logs(address, [topic], deadline_seconds=READ_SECONDS, since=since)[topic]
    found = {}
    for transaction in transactions:
        commits: bool | None = None
        is_followed = False
        for batch in logs[transaction.partition].batches:
            if commits is None and batch.producer_id == transaction.producer_id:
                commits = batch.commits if batch.is_marker else None
            else:
                assert commits is not None, f"partition {transaction.partition}: another writer began before the end"
                is_followed = True
        if commits is None or not is_followed:
            return None
        found[transaction] = commits
    return found
