"""The rules of docs/gateway.md, asked of a gateway's program: approvals of every kind, and what it made of each.

The records are made here, so that some are aborted, too late, withdrawn or of a later version. A real gate's approvals
are the campaign's affair.
"""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Producer

from streams.contracts.decode import decode_outcome
from streams.contracts.encode import encode_approval, encode_withdrawal, policy_fragment
from streams.testing.kafka_io import read_topic
from streams.testing.records import murmur2_partition
from streams.testing.waiting import wait_until
from tests.clients.examples import Examples
from tests.clients.provider import Provider

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import Broker

PARTITIONS: Final = 3
ACT_SECONDS: Final = 60.0
WEEK_MS: Final = 7 * 24 * 3_600_000
LASTS_MS: Final = 300_000

SENT: Final = {"plain", "twice", "of a later version", "with an obligation", "last"}
"""Who is to be sent a message, once each."""

LAST: Final = frozenset(f"last-{number}" for number in range(20))
"""Too late as well, on every partition: once all are reported, everything before them has been read again."""

TRIED: Final = {"refused by the provider", "of unknown fate", "sent elsewhere"}
"""Whose message reaches the provider, which does not take it."""

OUTCOMES: Final[dict[str, tuple[str, str | None]]] = {
    **dict.fromkeys(SENT, ("sent", None)),
    "too late": ("expired", None),
    "withdrawn": ("expired", None),
    "with a strange obligation": ("failed", "unfulfilled_obligation"),
    "refused by the provider": ("failed", "422"),
}
"""What is to be reported. Of nobody else anything is known, or it is none of the gateway's business."""


def decision_of(name: str) -> str:
    """24 hexadecimal digits."""
    return hashlib.sha256(name.encode()).hexdigest()[:24]


def _approval(name: str, *, late_ms: int = 0, channel: str = "sms", obligations: tuple[str, ...] = ()) -> bytes:
    now_ms = time.time_ns() // 1_000_000
    return encode_approval(
        decision_id=decision_of(name),
        intent_id=name,
        customer_id=name,
        channel=channel,
        decided_at=now_ms - late_ms - LASTS_MS,
        valid_until=now_ms - late_ms + (0 if late_ms else LASTS_MS),
        policy=policy_fragment("contact-centre", "2026.11", "00"),
        remaining={"weekly": 2},
        obligations=obligations,
        attributes=None,
        zone=None,
        rules=((0, 0),),
    )


def _withdrawal(name: str) -> bytes:
    return encode_withdrawal(
        decision_id=decision_of(name),
        customer_id=name,
        channel="sms",
        reason="opt_out",
        decided_at=time.time_ns() // 1_000_000,
        policy=policy_fragment("contact-centre", "2026.11", "00"),
    )


def _with(value: bytes, **more: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps(json.loads(value) | more).encode()


def records() -> list[tuple[str, bytes]]:
    """Customers and values, in order."""
    return [
        ("plain", _approval("plain")),
        ("twice", _approval("twice")),
        ("twice", _approval("twice")),
        ("too late", _approval("too late", late_ms=60_000)),
        ("long ago", _approval("long ago", late_ms=WEEK_MS + 60_000)),
        ("elsewhere", _approval("elsewhere", channel="email")),
        ("withdrawn", _approval("withdrawn")),
        ("withdrawn", _withdrawal("withdrawn")),
        ("with an obligation", _approval("with an obligation", obligations=("include-opt-out",))),
        ("with a strange obligation", _approval("with a strange obligation", obligations=("sing",))),
        ("refused by the provider", _approval("refused by the provider")),
        ("of unknown fate", _approval("of unknown fate")),
        ("sent elsewhere", _approval("sent elsewhere")),
        ("of a later version", _with(_approval("of a later version"), shade={"of": ["blue"]})),
        ("of another type", _with(_approval("of another type"), type="approved-perhaps")),
    ]


class Rules:
    """One gateway, asked."""

    def __init__(self, broker: Broker, language: str, prefix: str, directory: Path) -> None:
        self._examples = Examples(language, broker.bootstrap_servers, prefix, directory)
        self._address = broker.bootstrap_servers
        self._approved, self._outcomes = f"{prefix}approved-send", f"{prefix}contact-outcome"
        broker.create_topics([self._approved, self._outcomes], partitions=PARTITIONS)

    def wrong(self) -> list[str]:
        """What the gateway made of the records otherwise than it should have; empty if nothing."""
        statuses = {"refused by the provider": 422, "of unknown fate": 503, "sent elsewhere": 302}
        self._publish([("aborted", _approval("aborted"))], is_aborted=True)
        self._publish(records())
        with Provider() as provider:
            provider.answer = lambda customer: statuses.get(customer, 202)
            with self._examples.gateway(provider.url) as gateway:
                self._until_reported(OUTCOMES.keys() - {"last"}, gateway.is_running)
            # As after an accident with the group's offsets: everything is read again.
            with self._examples.gateway(provider.url, "another-group") as gateway:
                self._publish([("last", _approval("last")), *((name, _approval(name, late_ms=1)) for name in LAST)])
                self._until_reported(OUTCOMES.keys() | LAST, gateway.is_running)
        found = [
            f"{name}: sent {count} times"
            for name, count in self._sent(provider).items()
            if count != (1 if name in SENT | TRIED else 0)
        ]
        found += [f"{name}: never sent" for name in SENT | TRIED if not provider.sent[decision_of(name)]]
        found += [f"{name}: reported {said}" for name, said in self._strange(self._reported())]
        if provider.bodies[decision_of("with an obligation")]["obligations"] != ["include-opt-out"]:
            found.append("the provider was not told of the obligation")
        return found + [f"{decision_id}: another key of repetition" for decision_id in provider.unlike]

    def _sent(self, provider: Provider) -> dict[str, int]:
        names = {decision_of(name): name for name, _ in [*records(), ("last", b""), ("aborted", b"")]}
        return {names.get(decision_id, decision_id): count for decision_id, count in provider.sent.items()}

    def _strange(self, reported: dict[str, list[tuple[str, str | None]]]) -> list[tuple[str, object]]:
        expected: dict[str, tuple[str, str | None]] = {**OUTCOMES, **dict.fromkeys(LAST, ("expired", None))}
        return [
            (name, reported.get(name, []))
            for name in expected.keys() | reported.keys()
            if reported.get(name, []) != ([expected[name]] if name in expected else [])
        ]

    def _until_reported(self, names: set[str], is_running: Any) -> None:  # noqa: ANN401 - a method
        wait_until(lambda: is_running() and names <= self._reported().keys(), ACT_SECONDS, "outcomes", poll_seconds=0.2)

    def _reported(self) -> dict[str, list[tuple[str, str | None]]]:
        found: dict[str, list[tuple[str, str | None]]] = {}
        for record in read_topic(self._address, self._outcomes):
            reading = decode_outcome(record.value or b"")
            assert reading.unknown_fields == 0
            assert reading.event.decision_id == decision_of(reading.event.customer_id)
            assert (record.key or b"").decode() == reading.event.customer_id
            assert record.partition == murmur2_partition(record.key or b"", PARTITIONS)
            found.setdefault(reading.event.customer_id, []).append((reading.event.type, reading.event.detail))
        return found

    def _publish(self, values: list[tuple[str, bytes]], *, is_aborted: bool = False) -> None:
        """In a transaction, as the gate does."""
        producer = Producer(
            {
                "bootstrap.servers": self._address,
                "partitioner": "murmur2_random",
                "transactional.id": f"{self._approved}-{is_aborted}",
            }
        )
        producer.init_transactions()
        producer.begin_transaction()
        for key, value in values:
            producer.produce(self._approved, key=key, value=value)
        producer.flush()
        producer.abort_transaction() if is_aborted else producer.commit_transaction()
