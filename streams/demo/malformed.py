"""Makes records that nobody can read, that have the wrong key, or that are on the wrong partition.

Rules of this module
1. Every malformed record is made from a valid record, so that only one thing is wrong with it.
2. The gate decides what becomes of it: it is a dead letter, or is forwarded once to where it belongs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from streams.demo.records import DemoRecord, encoded, home
from streams.demo.timeline import HOUR_MS

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

# Longer than anything the gate reads (64 KiB).
_TOO_LONG: Final = 70_000


def _truncated(record: DemoRecord) -> DemoRecord:
    assert record.value is not None
    return record._replace(value=record.value[: len(record.value) * 2 // 3])


def _not_text(record: DemoRecord) -> DemoRecord:
    assert record.value is not None
    return record._replace(value=record.value[:-1] + b',"topic":"caf\xe9"}')


def _changed(record: DemoRecord, **fields: object) -> DemoRecord:
    assert record.value is not None
    return record._replace(value=encoded({**orjson.loads(record.value), **fields}))


def _given_twice(record: DemoRecord) -> DemoRecord:
    assert record.value is not None
    return record._replace(value=record.value[:-1] + b',"customer_id":"customer-000000"}')


def _time_field(record: DemoRecord) -> str:
    return {"intents": "created_at", "preferences": "effective_at", "outcomes": "occurred_at"}[record.kind]


UNREADABLE: Final[tuple[Callable[[DemoRecord], DemoRecord], ...]] = (
    _truncated,
    _not_text,
    _given_twice,
    lambda record: record._replace(value=None),
    lambda record: record._replace(value=b"hello"),
    lambda record: _changed(record, customer_id=None),
    lambda record: _changed(record, customer_id=7),
    lambda record: _changed(record, **{_time_field(record): "yesterday at noon"}),
    lambda record: _changed(record, country="Colombia", **({"type": "shout"} if record.kind != "intents" else {})),
    lambda record: _changed(record, note="x" * _TOO_LONG),
)
"""Each makes a valid record unreadable in its own way."""


def unreadable(rng: Random, number: int, record: DemoRecord) -> DemoRecord:
    """The record, with something wrong with it. The first ones are all different."""
    ways = UNREADABLE if number < len(UNREADABLE) else UNREADABLE[:-1]
    return ways[number % len(ways) if number < len(UNREADABLE) else rng.randrange(len(ways))](record)


def from_the_future(record: DemoRecord) -> DemoRecord:
    """The intent as written by a system whose clock is an hour ahead."""
    return _changed(record, created_at=record.timestamp_ms + HOUR_MS)


def misplaced(rng: Random, record: DemoRecord, partitions: int) -> DemoRecord:
    """The record as sent by a producer without a key, with another key, or with another partitioner."""
    assert record.key is not None
    way = rng.random()
    if way < 0.35:
        return record._replace(key=None, partition=rng.randrange(partitions))
    if way < 0.5:
        other = f"account-{rng.randrange(10**6):06d}".encode()
        return record._replace(key=other, partition=home(other, partitions))
    elsewhere = (home(record.key, partitions) + rng.randrange(1, max(2, partitions))) % partitions
    return record._replace(partition=elsewhere)
