#!/usr/bin/env python3
"""Asks mesura whether customers may be contacted: one intent for each customer id that is read from standard input.

    CAMPAIGN=spring-sale python producer.py < customers.txt

Rules of this file
1. `intent_id` is made from the campaign and the customer, so it is the same whenever the program is run again. What had
   arrived already is then suppressed as `duplicate`, and nobody is contacted twice.
2. The key is the customer's id and the partitioner murmur2, or the gate has to forward the record.
3. The program succeeds only if every intent was acknowledged by all replicas in sync.
"""

from __future__ import annotations

import json
import signal
import sys
import time
import uuid
from typing import TYPE_CHECKING

from cloudevents.core.bindings.kafka import to_binary_event, to_structured_event
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from connection import connection, from_environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    # Made from schemas/writers/intent; needed by type checkers only (docs/clients.md).
    from events.intent import Intent

INTENTS = uuid.UUID("5b0f8d9e-3f5c-4f0e-9d43-0c1f6d2f7a11")
"""The namespace of our intents' ids (RFC 9562, version 5). Make one of your own."""

FULL_QUEUE_SECONDS = 1.0
FLUSH_SECONDS = 130.0
"""Longer than `delivery.timeout.ms` (120 s by default), after which each record has succeeded or failed."""


def intent_for(campaign: str, customer_id: str, channel: str) -> Intent:
    """What we would like to send."""
    return {
        "intent_id": str(uuid.uuid5(INTENTS, f"{campaign}/{customer_id}")),
        "customer_id": customer_id,
        "channel": channel,
        "purpose": "service",
        "campaign_id": campaign,
        "created_at": time.time_ns() // 1_000_000,
    }


def record_of(intent: Intent, mode: str) -> tuple[bytes, dict[str, bytes]]:
    """Value and headers: plain JSON, or a CloudEvent in one of its two modes."""
    if mode == "none":
        return json.dumps(intent).encode(), {}
    event = CloudEvent(
        {
            "id": intent["intent_id"],
            "source": "/examples/python",
            "type": "mesura.intent",
            "subject": intent["customer_id"],
            "datacontenttype": "application/json",
        },
        dict(intent),
    )
    message = to_structured_event(event) if mode == "structured" else to_binary_event(event)
    return message.value, message.headers


class Publisher:
    """Publishes intents and counts what became of them."""

    def __init__(self, topic: str, mode: str) -> None:
        self._topic = topic
        self._mode = mode
        self.acknowledged = 0
        self.refused: KafkaError | None = None
        self._producer = Producer(
            {
                **connection(),
                "acks": "all",
                "enable.idempotence": True,  # a record that is sent again is stored once, and order is kept
                "partitioner": "murmur2_random",  # librdkafka's own default puts customers elsewhere
                "linger.ms": 5,
            }
        )

    def publish(self, intents: Iterable[Intent]) -> int:
        """Publish all of them; how many there were. Returns when each is acknowledged or has failed."""
        count = 0
        for intent in intents:
            value, headers = record_of(intent, self._mode)
            while True:
                try:
                    self._producer.produce(
                        self._topic,
                        key=intent["customer_id"],
                        value=value,
                        headers=headers,
                        on_delivery=self._delivered,
                    )
                    break
                except BufferError:  # the queue is full: wait for acknowledgements
                    self._producer.poll(FULL_QUEUE_SECONDS)
            count += 1
            self._producer.poll(0)
        self._producer.flush(FLUSH_SECONDS)
        return count

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self.acknowledged += 1
        else:
            self.refused = error


def main() -> int:
    """Publish; 0 if everything was acknowledged."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    mode = from_environment("CLOUDEVENTS", "none")
    if mode not in {"none", "structured", "binary"}:
        raise SystemExit(f"CLOUDEVENTS is {mode!r}; it can be none, structured or binary")
    campaign, channel = from_environment("CAMPAIGN"), from_environment("CHANNEL", "sms")
    publisher = Publisher(from_environment("INTENT_TOPIC", "outbound-intent"), mode)
    customers = (line.strip() for line in sys.stdin)
    try:
        count = publisher.publish(intent_for(campaign, customer, channel) for customer in customers if customer)
    except KafkaException as error:
        print(f"nothing can be published: {error}; run it again, the ids will be the same", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; run it again, the ids will be the same", file=sys.stderr)
        return 130
    print(f"{publisher.acknowledged} of {count} intents acknowledged")
    if publisher.acknowledged < count:
        print(f"last error: {publisher.refused}; run it again, the ids will be the same", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
