"""Whether a record is on its customer's partition, and where to send it if not.

Rules of this module
1. A customer lives on the partition that murmur2 of `customer_id` (UTF-8) gives, as Kafka's own clients compute it.
2. A misrouted record is forwarded once, unchanged except for its key. A record from the rerouting topic that is on the
   wrong partition again is refused, so no record can circle.
3. The headers of a forwarded record say where it was first and when. Because its value and its earlier headers are
   unchanged, that position is a proof.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.partitioner import murmur2

from streams.contracts.errors import RecordRefused
from streams.contracts.header_names import ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TIMESTAMP, ORIGIN_TOPIC
from streams.records import OutputRecord

if TYPE_CHECKING:
    from streams.records import Headers, InputRecord


# What Kafka's protocol can say of a place: int32, int64, int64 (a negative timestamp means that there is none).
PARTITION_MAX: Final = 2**31 - 1
OFFSET_MAX: Final = 2**63 - 1
TIMESTAMP_MIN_MS: Final = -(2**63)

_NOT_HERE: Final = "publish it on the topic of its kind, never on the gate's own"


class OriginalPosition(NamedTuple):
    """Where a forwarded record first stood. `topic` tells which kind of event it is."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


def expected_partition(key: bytes, partitions: int) -> int:
    """The partition on which the customer with this key lives (`Utils.toPositive(Utils.murmur2(key)) % partitions`)."""
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def reroute(record: InputRecord, partition: int, customer_id: str, *, partitions: int, topic: str) -> OutputRecord:
    """The record as it is forwarded to `topic`: under its customer's key, on its customer's partition.

    `partition` is the one it arrived on, `topic` the rerouting topic.

    Raises:
        RecordRefused: `misrouted_again` if it comes from the rerouting topic.
    """
    if record.topic == topic:
        raise RecordRefused("misrouted_again")
    key = customer_id.encode()
    return OutputRecord(
        topic=topic,
        key=key,
        value=record.value,
        headers=(
            *record.headers,
            (ORIGIN_TOPIC, record.topic.encode()),
            (ORIGIN_PARTITION, b"%d" % partition),
            (ORIGIN_OFFSET, b"%d" % record.offset),
            (ORIGIN_TIMESTAMP, b"%d" % record.timestamp_ms),
        ),
        partition=expected_partition(key, partitions),
    )


def original_position(headers: Headers) -> OriginalPosition:
    """Where a record of the rerouting topic first stood. If a name stands twice, the last is the gate's.

    Raises:
        RecordRefused: `misrouted_again` if the headers do not say it: the record was not forwarded by a gate.
    """
    found = dict(headers)
    try:
        place = OriginalPosition(
            found[ORIGIN_TOPIC].decode(),
            int(found[ORIGIN_PARTITION]),
            int(found[ORIGIN_OFFSET]),
            int(found[ORIGIN_TIMESTAMP]),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        raise RecordRefused(
            "misrouted_again", f"the headers do not say where the record first stood; {_NOT_HERE}"
        ) from None
    if not (
        0 <= place.partition <= PARTITION_MAX
        and 0 <= place.offset <= OFFSET_MAX
        and TIMESTAMP_MIN_MS <= place.timestamp_ms <= OFFSET_MAX
    ):
        raise RecordRefused("misrouted_again", f"the headers name a place that no record can have; {_NOT_HERE}")
    return place
