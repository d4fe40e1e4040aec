"""What the demonstration publishes, and the few ways in which senders write their records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple

import orjson
from aiokafka.partitioner import murmur2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Kind = Literal["intents", "preferences", "outcomes"]


class DemoRecord(NamedTuple):
    """One record. With `partition` None, murmur2 of the key determines it. Otherwise it was put there by mistake."""

    kind: Kind
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    partition: int | None = None
    headers: Sequence[tuple[str, bytes]] = ()

    def partition_of(self, partitions: int) -> int:
        """The partition to which it goes."""
        if self.partition is not None:
            return self.partition
        assert self.key is not None, "a record without a key says where it goes"
        return home(self.key, partitions)


def home(key: bytes, partitions: int) -> int:
    """The partition of the customer with this key."""
    return int(murmur2(key) & 0x7FFF_FFFF) % partitions


def encoded(fields: Mapping[str, object]) -> bytes:
    """JSON of the fields that are present. The same fields give the same bytes."""
    return orjson.dumps({name: value for name, value in fields.items() if value is not None})


def in_words(moment_ms: int) -> str:
    """The moment as RFC 3339 text, which some systems prefer to milliseconds."""
    return datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds")


def as_cloud_event(record: DemoRecord, event_id: str) -> DemoRecord:
    """The same event in a structured CloudEvents envelope."""
    assert record.value is not None
    envelope = {
        "specversion": "1.0",
        "id": event_id,
        "source": "/demo/crm",
        "type": "mesura.intent",
        "data": orjson.Fragment(record.value),
    }
    headers = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
    return record._replace(value=orjson.dumps(envelope), headers=headers)


def with_registry_prefix(record: DemoRecord) -> DemoRecord:
    """The same event behind the five bytes that schema-registry clients write first."""
    assert record.value is not None
    return record._replace(value=b"\0\0\0\0\x07" + record.value)
