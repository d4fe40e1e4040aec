"""Upstream systems at their worst: the load of the fault scenarios, more skewed, and bursts of what goes wrong there.

    python -m tests.chaos.upstream '{"address": "127.0.0.1:…", "prefix": "…", "rate": 1700, "partitions": 16, …}'

Says `{"primed": n}` once everybody's consent is acknowledged. Then it takes commands, a line of JSON each:
`{"do": "begin"}` and `{"do": "pause"}` for the steady load, `{"do": "burst", "kind": "records late", "count": 300}`.
At the end of its input it waits for every acknowledgement, writes to a file when each no was acknowledged, and says
what it did.

Invariants
1. Idempotent, acknowledged by all, in no transaction: a broker killed meanwhile neither loses nor doubles a record.
2. When a no was acknowledged is only said of those that stand where they belong: a misrouted one counts from its
   arrival on the right lane.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import orjson

from streams.testing.records import murmur2_partition
from tests.chaos.plan import DUPLICATED, LATE, MISROUTED, OPT_OUTS
from tests.faults import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message

SKEW: Final = 2.0
"""Of 100 000 customers the most wanted one is asked for by 3 of a thousand intents, the upper half by 3 of ten."""

SAID_REMEMBERED: Final = 2_000
"""Latest preferences and outcomes, of which bursts repeat some."""

STANDARD_INPUT: Final = 0
READ_BYTES: Final = 65_536

HOUR_MS: Final = 3_600_000
LATE_HOURS_MAX: Final = 24 * 6
"""Within the seven days for which the starter policy remembers identities."""
TOO_LATE_HOURS: Final = 24 * 8
TOO_LATE: Final = 0.1
LATE_NO: Final = 0.2
LATE_OUTCOME: Final = 0.2
MISROUTED_NO: Final = 0.2
UNDER_ANOTHER_KEY: Final = 0.3
FROM_EVERYTHING: Final = 0.2

NOES: Final = (b'"type":"opt_out"', b'"type":"reply"')
"""As they stand in a value: what the acknowledgement of is kept."""


class Order(load.Order, kw_only=True):
    """What to publish, and where."""

    partitions: int
    acknowledged_path: str


class Outgoing(NamedTuple):
    """One record, where it is not simply published under its customer now."""

    topic: str
    customer: str
    event: dict[str, object]
    timestamp_ms: int = 0
    """0: now."""
    key: str = ""
    """Empty: the customer."""
    partition: int = -1
    """Negative: where the key belongs."""


class Upstream(load.Upstream):
    """Makes records and bursts."""

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self._partitions = order.partitions
        self._said: deque[load.Record] = deque(maxlen=SAID_REMEMBERED)
        self._bursts = {
            DUPLICATED.name: self._duplicates,
            LATE.name: self._late,
            MISROUTED.name: self._misrouted,
            OPT_OUTS.name: self._opt_outs,
        }

    def intents(self, count: int) -> Iterator[load.Record]:
        """As they are, remembering what customers and gateways said."""
        for record in super().intents(count):
            if record[0] != "outbound-intent":
                self._said.append(record)
            yield record

    def burst(self, kind: str, count: int) -> Iterator[Outgoing]:
        """So many records of what goes wrong upstream."""
        return self._bursts[kind](count)

    def _intent(self, now: int) -> tuple[str, dict[str, object]]:
        _, intent = super()._intent(now)
        customer = load._customer(int(self._order.customers * self._random.random() ** SKEW))
        return customer, {**intent, "customer_id": customer}

    def _duplicates(self, count: int) -> Iterator[Outgoing]:
        """What was published before, byte for byte: intents, and what was said."""
        source = self._random
        for _ in range(count):
            if self._said and source.random() < 0.2:
                yield Outgoing(*source.choice(self._said))
            elif self._latest:
                yield Outgoing("outbound-intent", *source.choice(self._latest))

    def _late(self, count: int) -> Iterator[Outgoing]:
        """What should have come days ago: by its own account and by its record's timestamp."""
        source, now = self._random, load._now_ms()
        for number in range(count):
            hours = TOO_LATE_HOURS if source.random() < TOO_LATE else source.uniform(1, LATE_HOURS_MAX)
            at, drawn = now - int(hours * HOUR_MS), source.random()
            customer, intent = self._intent(at)
            if drawn < LATE_NO:
                event = self._no(f"late-{number}", customer, intent)
                yield Outgoing("opt-out", customer, {**event, "effective_at": at}, at)
            elif drawn < LATE_NO + LATE_OUTCOME and self._latest:
                customer, intent = source.choice(self._latest)
                identity = load.decision_id(customer, str(intent["intent_id"]))
                event = {"customer_id": customer, "type": "sent", "occurred_at": at, "decision_id": identity}
                yield Outgoing("contact-outcome", customer, event, at)
            else:
                yield Outgoing("outbound-intent", customer, intent, at)

    def _misrouted(self, count: int) -> Iterator[Outgoing]:
        """What stands on another partition than its customer's, or under another key."""
        source, now = self._random, load._now_ms()
        for number in range(count):
            customer, intent = self._intent(now)
            topic, event = "outbound-intent", intent
            if source.random() < MISROUTED_NO:
                topic, event = "opt-out", self._no(f"misrouted-{number}", customer, intent)
            if source.random() < UNDER_ANOTHER_KEY:
                yield Outgoing(topic, customer, event, key=f"other-{number}")
            else:
                home = murmur2_partition(customer.encode(), self._partitions)
                elsewhere = (home + source.randrange(1, self._partitions)) % self._partitions
                yield Outgoing(topic, customer, event, partition=elsewhere)

    def _opt_outs(self, count: int) -> Iterator[Outgoing]:
        """Noes of those who were just to be contacted, as after a campaign that went wrong."""
        for number in range(count if self._latest else 0):
            customer, intent = self._random.choice(self._latest)
            yield Outgoing("opt-out", customer, self._no(f"burst-{number}", customer, intent))

    def _no(self, name: str, customer: str, intent: dict[str, object]) -> dict[str, object]:
        event = {"event_id": f"{name}-{self._number}", "customer_id": customer, "type": "opt_out"}
        return event if self._random.random() < FROM_EVERYTHING else {**event, "channel": intent["channel"]}


class Publisher(load.Publisher):
    """As it is, remembering where and when noes were acknowledged."""

    def __init__(self, order: Order) -> None:
        super().__init__(order)
        self.acknowledged: list[tuple[str, int, int, int]] = []
        """Topic, partition, offset and moment."""

    def send(self, records: Iterator[Outgoing]) -> dict[str, int]:
        """Publish a burst; returns how many of each topic."""
        counts: dict[str, int] = {}
        for record in records:
            is_at_home = not record.key and record.partition < 0
            optional: dict[str, Any] = {"partition": record.partition} if record.partition >= 0 else {}
            if record.topic != "outbound-intent":
                optional["on_delivery"] = self._told if is_at_home else self._not_refused
            if record.timestamp_ms:
                optional["timestamp"] = record.timestamp_ms
            self._producer.produce(
                self._prefix + record.topic,
                orjson.dumps(record.event),
                (record.key or record.customer).encode(),
                **optional,
            )
            counts[record.topic] = counts.get(record.topic, 0) + 1
        self._producer.poll(0)
        return counts

    def poll(self) -> None:
        """Take in acknowledgements: later, they would seem to have come later."""
        self._producer.poll(0)

    def _told(self, error: object, message: Message) -> None:
        self._not_refused(error, message)
        if error is None and message.offset() >= 0 and any(no in message.value() for no in NOES):
            place = (message.topic(), message.partition(), message.offset())
            self.acknowledged.append((*place, load._now_ms()))

    def _not_refused(self, error: object, _: Message) -> None:
        self._refused += error is not None


class Commands:
    """Lines from standard input, without reading one too late."""

    def __init__(self) -> None:
        self._buffer = b""
        self.is_over = False

    def take(self, wait_seconds: float) -> list[dict[str, Any]]:
        """What has come; waits so long for the first."""
        if not select.select([STANDARD_INPUT], [], [], wait_seconds)[0]:
            return []
        received = os.read(STANDARD_INPUT, READ_BYTES)
        self.is_over = not received
        *lines, self._buffer = (self._buffer + received).split(b"\n")
        return [json.loads(line) for line in lines]


class Shift:
    """One run of upstream, as it is told."""

    def __init__(self, order: Order) -> None:
        self._rate = order.rate
        self._upstream, self._publisher = Upstream(order), Publisher(order)
        self._path = Path(order.acknowledged_path)
        self._counts: dict[str, int] = {}
        self._began: float | None = None
        self._of_spell = 0
        self._seconds = 0.0

    def run(self) -> None:
        """Prime, do as told, say."""
        primed = self._publisher.publish(self._upstream.consents())
        self._publisher.flush()
        load._say({"primed": primed})
        commands = Commands()
        while not commands.is_over:
            for command in commands.take(load.TICK_SECONDS):
                self._do(command)
            self._publish_due()
        self._pause()
        self._publisher.flush()
        self._path.write_bytes(orjson.dumps(self._publisher.acknowledged))
        intents = self._counts.pop("outbound-intent", 0)
        load._say({"intents": intents, "seconds": self._seconds, "primed": primed, **self._counts})

    def _do(self, command: dict[str, Any]) -> None:
        match command["do"]:
            case "begin":
                self._began, self._of_spell = time.monotonic(), 0
            case "pause":
                self._pause()
            case "burst":
                self._count(self._publisher.send(self._upstream.burst(command["kind"], command["count"])))

    def _pause(self) -> None:
        if self._began is not None:
            self._seconds += time.monotonic() - self._began
            self._began = None

    def _publish_due(self) -> None:
        if self._began is None:
            self._publisher.poll()
            return
        due = int((time.monotonic() - self._began) * self._rate) - self._of_spell
        self._of_spell += due
        records = self._publisher.publish(self._upstream.intents(due))
        self._count({"outbound-intent": due, "besides": records - due})

    def _count(self, counts: dict[str, int]) -> None:
        for topic, count in counts.items():
            self._counts[topic] = self._counts.get(topic, 0) + count


if __name__ == "__main__":
    Shift(msgspec.json.decode(sys.argv[1], type=Order)).run()
