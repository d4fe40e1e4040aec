"""Builders of well-formed input records, as an upstream system would publish them: JSON, keyed by customer.

    intent("c1", "i1", channel="sms", purpose="marketing")

`to` is the Kafka topic (an intent has a field named `topic`). What is not given is left out of the JSON, so that
defaults are the reader's. Any field can be given, also one that does not exist or holds nonsense: tests of bad input
build on the same functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import orjson
from aiokafka.partitioner import murmur2

from streams.testing.fake_clock import DEFAULT_NOW_MS

if TYPE_CHECKING:
    from collections.abc import Sequence

INTENT_TOPIC: Final = "outbound-intent"
PREFERENCE_TOPIC: Final = "opt-out"
OUTCOME_TOPIC: Final = "contact-outcome"


class OutgoingRecord(NamedTuple):
    """One record to be published. `partition=None`: where murmur2 of the key puts it."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


def murmur2_partition(key: bytes, partitions: int) -> int:
    """The partition that Java producers, aiokafka, and librdkafka with `murmur2_random` choose for a key."""
    return int(murmur2(key) & 0x7FFF_FFFF) % partitions


def intent(
    customer_id: str,
    intent_id: str,
    *,
    channel: str = "sms",
    created_at: int = DEFAULT_NOW_MS,
    to: str = INTENT_TOPIC,
    **more: object,
) -> OutgoingRecord:
    """One intent. Its record timestamp is `created_at`."""
    required = {"intent_id": intent_id, "customer_id": customer_id, "channel": channel, "created_at": created_at}
    return _record(to, customer_id, created_at, required | more)


def preference(
    customer_id: str,
    event_id: str,
    kind: str = "opt_out",
    *,
    at: int = DEFAULT_NOW_MS,
    to: str = PREFERENCE_TOPIC,
    **more: object,
) -> OutgoingRecord:
    """One preference event. `at` is the record's timestamp; give `effective_at` to have it in the event too."""
    required = {"event_id": event_id, "customer_id": customer_id, "type": kind}
    return _record(to, customer_id, at, required | more)


def outcome(
    customer_id: str,
    decision_id: str | None,
    kind: str = "delivered",
    *,
    occurred_at: int = DEFAULT_NOW_MS,
    to: str = OUTCOME_TOPIC,
    **more: object,
) -> OutgoingRecord:
    """One outcome. Without a decision only a `reply` with a `channel` is well-formed."""
    required: dict[str, object] = {"customer_id": customer_id, "type": kind, "occurred_at": occurred_at}
    if decision_id is not None:
        required["decision_id"] = decision_id
    return _record(to, customer_id, occurred_at, required | more)


def _record(topic: str, customer_id: str, timestamp_ms: int, fields: dict[str, object]) -> OutgoingRecord:
    return OutgoingRecord(topic, customer_id.encode(), orjson.dumps(fields), timestamp_ms)
