"""The load: what upstream systems publish, at a steady rate, in a process of its own.

    python -m tests.faults.load '{"address": "127.0.0.1:…", "prefix": "…", "rate": 5500, …}'

Says `{"primed": n}` once everybody's consent is acknowledged. Each `1` it is told begins a spell of publishing at
the rate, `0` ends it; at the end of its input it says what it did. Idempotent and acknowledged by all, so that a broker
killed meanwhile loses nothing.

Of a hundred intents one repeats an earlier one; for each hundred a few outcomes are reported (some of decisions that
approved nothing), and now and then somebody says no, or yes again. Some customers are asked for far more than others.
"""

from __future__ import annotations

import json
import os
import random
import select
import sys
import time
from collections import deque
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec
import orjson
from confluent_kafka import Producer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message

TICK_SECONDS: Final = 0.02
"""Between two bursts: the rate is kept on average over each."""

FLUSH_SECONDS: Final = 180.0
REMEMBERED: Final = 4_000
"""Latest intents, of which some are repeated or reported on."""

STANDARD_INPUT: Final = 0
POLL_RECORDS: Final = 500

SKEW: Final = 1.5
COUNTRIES: Final = (
    ("CO", "co", "America/Bogota"),
    ("ES", "es", "Europe/Madrid"),
    ("US", "us", "America/New_York"),
    ("MX", "mx", "America/Mexico_City"),
)
CHANNELS: Final = ("sms", "email", "whatsapp", "voice")
PURPOSES: Final = ("marketing",) * 8 + ("service",) * 6 + ("collections",) * 5 + ("transactional",)
OUTCOMES: Final = ("sent", "delivered", "delivered", "undeliverable", "expired")
"""One of them is a type the contract does not know: dead letters under load, too."""

REPEATED: Final = 0.01
REPORTED: Final = 0.05
SAYS_NO: Final = 0.004
SAYS_YES: Final = 0.002
SAYS_STOP: Final = 0.001

Record = tuple[str, str, dict[str, object]]


class Order(msgspec.Struct, kw_only=True):
    """What to publish, and where."""

    address: str
    prefix: str
    rate: int
    customers: int
    seed: int
    client: dict[str, str] = {}
    """What a producer needs beside the address: how to encrypt, how to log in."""


class Upstream:
    """Makes records, the same ones for the same seed but for their times."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._random = random.Random(order.seed)
        self._number = 0
        self._latest: deque[tuple[str, dict[str, object]]] = deque(maxlen=REMEMBERED)

    def consents(self) -> Iterator[Record]:
        """Most customers' consent to marketing."""
        at = _now_ms() - 86_400_000
        for number in range(self._order.customers):
            if number % 7:
                yield (
                    "opt-out",
                    _customer(number),
                    {
                        "event_id": f"yes-{number}",
                        "customer_id": _customer(number),
                        "type": "consent_granted",
                        "purpose": "marketing",
                        "evidence_ref": "form-1",
                        "effective_at": at,
                    },
                )

    def intents(self, count: int) -> Iterator[Record]:
        """So many intents, and what else happens meanwhile."""
        now = _now_ms()
        for _ in range(count):
            drawn = self._random.random()
            if self._latest and drawn < REPEATED:
                customer, intent = self._random.choice(self._latest)
            else:
                customer, intent = self._intent(now)
                self._latest.append((customer, intent))
            yield "outbound-intent", customer, intent
            yield from self._besides(drawn, now)

    def _intent(self, now: int) -> tuple[str, dict[str, object]]:
        source = self._random
        self._number += 1
        customer = _customer(int(self._order.customers * source.random() ** SKEW))
        country, suffix, zone = source.choice(COUNTRIES)
        channel = source.choice(CHANNELS)
        return customer, {
            "intent_id": f"{self._order.seed}-{self._number:010d}",
            "customer_id": customer,
            "channel": channel,
            "purpose": source.choice(PURPOSES),
            "created_at": now,
            "campaign_id": f"campaign-{self._number % 40}",
            "brand": "north",
            "country": country,
            "timezone": zone,
            "sender_id": "email-service" if channel == "email" else f"{channel}-{suffix}",
            "attributes": {"template": f"t{self._number % 17}"},
        }

    def _besides(self, drawn: float, now: int) -> Iterator[Record]:
        source = self._random
        if drawn > 1 - REPORTED and len(self._latest) == REMEMBERED:
            customer, intent = self._latest[source.randrange(REMEMBERED)]
            event = {"customer_id": customer, "type": source.choice(OUTCOMES), "occurred_at": now}
            yield "contact-outcome", customer, {**event, "decision_id": decision_id(customer, str(intent["intent_id"]))}
        elif REPEATED < drawn < REPEATED + SAYS_NO + SAYS_YES + SAYS_STOP:
            customer, intent = source.choice(self._latest)
            if drawn < REPEATED + SAYS_STOP:
                yield (
                    "contact-outcome",
                    customer,
                    {
                        "customer_id": customer,
                        "type": "reply",
                        "detail": "STOP",
                        "occurred_at": now,
                        "decision_id": decision_id(customer, str(intent["intent_id"])),
                    },
                )
                return
            kind = "opt_out" if drawn < REPEATED + SAYS_STOP + SAYS_NO else "opt_in"
            event = {"event_id": f"{kind}-{self._number}", "customer_id": customer, "type": kind}
            yield "opt-out", customer, {**event, "channel": intent["channel"]}


def decision_id(customer: str, intent: str) -> str:
    """The identity of a decision, as docs/semantics.md has it."""
    text = f"{len(customer.encode())}:{customer}{intent}"
    return blake2b(text.encode(), digest_size=12).hexdigest()


class Publisher:
    """An idempotent producer that counts."""

    def __init__(self, order: Order) -> None:
        self._prefix = order.prefix
        self.acknowledged_within_ms = 0
        """The longest time from a preference or an outcome being made to its acknowledgement."""
        self._refused = 0
        self._producer = Producer(
            {
                "bootstrap.servers": order.address,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "queue.buffering.max.messages": 1_000_000,
                "delivery.timeout.ms": int(FLUSH_SECONDS * 1000),
                "log_level": 0,
                **order.client,
            }
        )

    def publish(self, records: Iterator[Record]) -> int:
        """Publish; returns how many."""
        count = 0
        for topic, customer, event in records:
            # Intents are counted on their topic instead: a callback for each would cost more than making it.
            told = {} if topic == "outbound-intent" else {"on_delivery": self._told}
            self._producer.produce(self._prefix + topic, orjson.dumps(event), customer.encode(), **told)
            count += 1
            if not count % POLL_RECORDS:
                self._producer.poll(0)
        self._producer.poll(0)
        return count

    def flush(self) -> None:
        """Wait until everything is acknowledged."""
        unsent = self._producer.flush(FLUSH_SECONDS)
        assert not unsent, f"{unsent} records were not acknowledged"
        assert not self._refused, f"{self._refused} records were refused"

    def _told(self, error: object, message: Message) -> None:
        if error is not None:
            self._refused += 1
            return
        within_ms = _now_ms() - message.timestamp()[1] + 1
        self.acknowledged_within_ms = max(self.acknowledged_within_ms, within_ms)


def run(order: Order) -> None:
    """Prime, publish when told to, say."""
    upstream, publisher = Upstream(order), Publisher(order)
    primed = publisher.publish(upstream.consents())
    publisher.flush()
    _say({"primed": primed})
    spells, intents, records, seconds = 0, 0, 0, 0.0
    while (told := _told()) != b"":
        if told == b"0":
            continue
        spells += 1
        published, began = 0, time.monotonic()
        while not select.select([STANDARD_INPUT], [], [], TICK_SECONDS)[0]:
            due = int((time.monotonic() - began) * order.rate) - published
            records += publisher.publish(upstream.intents(due))
            published += due
        seconds += time.monotonic() - began
        intents += published
    publisher.flush()
    _say(
        {
            "spells": spells,
            "intents": intents,
            "records": records,
            "seconds": seconds,
            "intents_per_second": intents / seconds if seconds else 0.0,
            "acknowledged_within_ms": publisher.acknowledged_within_ms,
        }
    )


def _told() -> bytes:
    """The next thing we are told; nothing at the end. Unbuffered: what was read ahead nobody could wait for."""
    return os.read(STANDARD_INPUT, 1)


def _customer(number: int) -> str:
    return f"customer-{number:07d}"


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _say(what: dict[str, float]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run(msgspec.json.decode(sys.argv[1], type=Order))
