"""Publishes what a plan replays.

Rules of this module
1. Each record goes to the partition that the plan names, once, acknowledged by all in-sync replicas, outside of any
   transaction.
2. What customers said, and outcomes, are acknowledged before the first intent is sent: nobody is approved against a no
   that was set aside with their intent. If one of them is not acknowledged, no intent is sent.
3. However it ends, what was sent is either acknowledged or given up before this returns, and the caller learns how many
   were acknowledged.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import Producer

from streams.dead_letters.plan import letters_at
from streams.dead_letters.replayed import Replayed, with_replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from confluent_kafka import KafkaError

    from streams.connection.cluster import Cluster
    from streams.dead_letters.assessment import Assessed
    from streams.dead_letters.letter import DeadLetter, Place
    from streams.topics import TopicNames

ACKNOWLEDGE_SECONDS: Final = 120.0
"""How long a record may wait for its acknowledgement: longer than a broker takes to restart."""

QUEUED_RECORDS_MAX: Final = 10_000
"""How many may be in flight. With the largest records that is some hundred megabytes; the disk of a broker, not this,
is what makes it slow."""

RECORD_BYTES_MAX: Final = 8 * 1024 * 1024
"""What the client takes; the topics decide. Inputs are measured compressed, and dead letters hold them unpacked."""


_STEP_SECONDS: Final = 0.2


class Outcome:
    """What has become of the records so far."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.failures: list[str] = []
        self.gone = 0
        """Letters of the plan that were deleted before they were published."""

    def delivered(self, error: KafkaError | None, _message: object) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.failures.append(str(error.str()))


def publish(
    cluster: Cluster,
    names: TopicNames,
    replayed: Mapping[Place, Assessed],
    *,
    now_ms: Callable[[], int],
    outcome: Outcome,
) -> None:
    """Publish the records of these letters. `outcome` is told what becomes of them, also if this is interrupted.

    Raises:
        TopicsUnreadable, KafkaException: see `kafka_topics`.
    """
    producer = Producer(
        {
            **cluster.client_settings(),
            "enable.idempotence": True,
            "acks": "all",
            "compression.type": "lz4",
            "message.max.bytes": RECORD_BYTES_MAX,
            "queue.buffering.max.messages": QUEUED_RECORDS_MAX,
            "delivery.timeout.ms": int(ACKNOWLEDGE_SECONDS * 1000),
            "on_delivery": outcome.delivered,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
    said: list[Place] = []
    intents: list[Place] = []
    for place, assessed in replayed.items():
        (intents if assessed.topic in names.intents else said).append(place)
    for places in (said, intents):
        if outcome.failures:
            return
        sent = 0
        try:
            for letter in letters_at(cluster, names, places):
                _send(producer, letter, replayed[letter.place], now_ms())
                sent += 1
            outcome.gone += len(places) - sent
        finally:
            _await(producer)
            outcome.failures += ["no answer"] * len(producer)


def _await(producer: Producer) -> None:
    """Until everything is acknowledged or given up. In short steps, between which a second Ctrl-C is heard."""
    until = time.monotonic() + ACKNOWLEDGE_SECONDS + 5
    while producer.flush(_STEP_SECONDS) and time.monotonic() < until:
        pass


def _send(producer: Producer, letter: DeadLetter, assessed: Assessed, now_ms: int) -> None:
    times = 1 if letter.replayed is None else letter.replayed.times + 1
    headers = with_replay(letter.headers, Replayed(times, letter.reason, *letter.place, now_ms))
    # Without a time of its own it gets the present one, as from any producer.
    timestamp_ms = letter.said_ms if letter.said_ms > 0 else now_ms
    while True:
        try:
            producer.produce(
                assessed.topic,
                key=letter.key,
                value=letter.value,
                headers=headers,
                partition=assessed.partition,
                timestamp=timestamp_ms,
            )
        except BufferError:
            producer.poll(0.1)
        else:
            break
    producer.poll(0)
