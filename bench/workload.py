"""The one workload of every measurement: who is contacted, what they said before, and which messages are asked for.

Rules of this module
1. A workload is its parameters: the same ones give the same records, byte for byte, but for the moment of creation.
2. Customers are uneven, as they are: the busiest tenth gets about twice what the median one gets.
3. With the starter policy a customer's contacts are mostly codes, which rest no hours and leave no gap; everything else
   is told to wait two hours. So a backlog decided in seconds still leaves ledgers as they are after weeks of service:
   a median of five contacts, and 40 to 80 % of the intents approved.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from streams.testing.records import OutgoingRecord

DAY_MS: Final = 86_400_000
COUNTRIES: Final = (
    ("CO", "co", "America/Bogota"),
    ("ES", "es", "Europe/Madrid"),
    ("US", "us", "America/New_York"),
    ("MX", "mx", "America/Mexico_City"),
)
CHANNELS: Final = ("sms", "email", "whatsapp", "voice")
PURPOSES: Final = ("otp", "marketing", "service", "collections")
PURPOSE_WEIGHTS: Final = (0.52, 0.16, 0.16, 0.16)
SEED: Final = 7
OPT_OUT_EVERY: Final = 20
"""One customer in so many has said no to one channel."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A number of intents over a number of customers."""

    intents: int
    customers: int
    created_ms: int
    seed: int = SEED

    @classmethod
    def now(cls, intents: int, customers: int, seed: int = SEED) -> Workload:
        """Created at this moment, so that nothing is stale or from the future."""
        return cls(intents, customers, int(time.time() * 1000), seed)

    def consents(self, topic: str) -> Iterator[OutgoingRecord]:
        """Everybody agreed to marketing, a day ago."""
        for number in range(self.customers):
            event = {
                "event_id": f"c-{number}",
                "customer_id": customer_id(number),
                "type": "consent_granted",
                "purpose": "marketing",
                "effective_at": self.created_ms - DAY_MS,
                "evidence_ref": "form-1",
            }
            yield _record(topic, customer_id(number), event, self.created_ms)

    def opt_outs(self, topic: str) -> Iterator[OutgoingRecord]:
        """Some said no to a channel."""
        source = random.Random(self.seed)
        for number in range(0, self.customers, OPT_OUT_EVERY):
            event = {
                "event_id": f"o-{number}",
                "customer_id": customer_id(number),
                "type": "opt_out",
                "channel": source.choice(CHANNELS),
            }
            yield _record(topic, customer_id(number), event, self.created_ms)

    def intent_records(self, topic: str) -> Iterator[OutgoingRecord]:
        """The intents, about 330 bytes each."""
        source = random.Random(self.seed)
        for number in range(self.intents):
            customer = customer_id(int(self.customers * source.random() ** 1.5))
            yield _record(topic, customer, self.intent(number, customer, source), self.created_ms)

    def intent(self, number: int, customer: str, source: random.Random) -> dict[str, Any]:
        """One intent of a customer."""
        country, suffix, zone = COUNTRIES[int(source.random() * len(COUNTRIES))]
        channel = CHANNELS[int(source.random() * len(CHANNELS))]
        return {
            "intent_id": f"intent-{number:012d}",
            "customer_id": customer,
            "channel": channel,
            "purpose": source.choices(PURPOSES, PURPOSE_WEIGHTS)[0],
            "created_at": self.created_ms,
            "campaign_id": f"campaign-{number % 40}",
            "brand": "north",
            "country": country,
            "timezone": zone,
            "sender_id": "email-service" if channel == "email" else f"{channel}-{suffix}",
            "attributes": {"template": f"t{number % 17}"},
        }


def customer_id(number: int) -> str:
    """The name of a customer."""
    return f"customer-{number:07d}"


def _record(topic: str, customer: str, document: dict[str, Any], timestamp_ms: int) -> OutgoingRecord:
    return OutgoingRecord(topic, customer.encode(), orjson.dumps(document), timestamp_ms)
