"""Races over whichever way in: a customer says no, the brokers acknowledge it, and an intent follows at once.

An intent that was handed to the producer after the acknowledgement of its customer's no must never be approved. One
customer in five says nothing: their intents are approved, or the races could not be lost.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final, Self

import orjson
from confluent_kafka import Producer

if TYPE_CHECKING:
    from confluent_kafka import Message

    from tests.system.harness import World

PREFIX: Final = "race-"
SILENT_EVERY: Final = 5
PAUSE_SECONDS: Final = 0.05
"""Between two races: some twenty a second, beside a load that is the gate's real work."""

FLUSH_SECONDS: Final = 180.0


class Races:
    """Races as long as it is told to; a thread of its own."""

    def __init__(self, world: World, client: dict[str, Any]) -> None:
        self._world = world
        self.sent: set[str] = set()
        """Customers whose intent followed an acknowledged no."""
        self.silent: set[str] = set()
        """Customers who said nothing."""
        self.intents = 0
        self._refused = 0
        settings = {
            "bootstrap.servers": world.address,
            "partitioner": "murmur2_random",
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0,
            "delivery.timeout.ms": int(FLUSH_SECONDS * 1000),
            "log_level": 0,
            **client,
        }
        self._customers, self._system = Producer(settings), Producer(settings)
        self._is_racing, self._is_over = threading.Event(), threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._race, name="races")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def begin(self) -> None:
        """Race from now on."""
        self._is_racing.set()

    def pause(self) -> None:
        """Start no more races until `begin`. What was started goes on."""
        self._is_racing.clear()

    def flush(self) -> None:
        """Wait until every no and every intent is acknowledged."""
        # A no that is acknowledged here sends an intent.
        assert not self._customers.flush(FLUSH_SECONDS), "a no was not acknowledged"
        assert not self._system.flush(FLUSH_SECONDS), "an intent was not acknowledged"
        assert not self._refused, f"{self._refused} records were refused"

    def _race(self) -> None:
        number = 0
        try:
            while not self._is_over.is_set():
                self._customers.poll(PAUSE_SECONDS)
                self._system.poll(0)
                if self._is_racing.is_set():
                    self._one(f"{PREFIX}{number}", is_silent=number % SILENT_EVERY == 0)
                    number += 1
        except BaseException as failure:  # noqa: BLE001 - told when the races are over
            self._failure = failure

    def _one(self, customer: str, *, is_silent: bool) -> None:
        if is_silent:
            self.silent.add(customer)
            self._send_intent(customer)
            return

        def acknowledged(error: object, _: Message) -> None:
            if error is not None:
                self._refused += 1
                return
            self.sent.add(customer)
            self._send_intent(customer)

        event = {"event_id": f"no-{customer}", "customer_id": customer, "type": "opt_out", "channel": "sms"}
        self._customers.produce(
            self._world.names.preferences, orjson.dumps(event), customer.encode(), on_delivery=acknowledged
        )

    def _send_intent(self, customer: str) -> None:
        intent = {
            "intent_id": f"after-{customer}",
            "customer_id": customer,
            "channel": "sms",
            "purpose": "service",
            "created_at": time.time_ns() // 1_000_000,
            "campaign_id": "races",
            "brand": "north",
            "country": "CO",
            "timezone": "America/Bogota",
            "sender_id": "sms-co",
        }
        self.intents += 1
        self._system.produce(
            self._world.names.intents[0], orjson.dumps(intent), customer.encode(), on_delivery=self._told
        )

    def _told(self, error: object, _: Message) -> None:
        self._refused += error is not None
