"""The examples with a real gate: producer, gate, gateway, outcomes; judged from the topics and by the provider.

Rules of this module
1. The producer is run twice with the same customers, as after an accident: nothing more may be approved by that.
2. Every gateway is killed in the middle of a send and started again. That message is not sent again.
3. All gateways are of one group, one language after the other: each goes on where the last has stopped.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from streams.testing.kafka_io import read_topic
from streams.testing.records import preference
from streams.testing.waiting import wait_until
from tests.clients.examples import ENVELOPES, Examples
from tests.clients.provider import Provider
from tests.system.conftest import now_ms
from tests.system.harness import origin, value_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streams.testing.records import OutgoingRecord
    from tests.system.harness import Account, World

CUSTOMERS: Final = 40
SERVE_SECONDS: Final = 240.0
LOOK_SECONDS: Final = 0.5

SPOKEN: Final = {
    "none": lambda headers: not headers,
    "structured": lambda headers: headers["content-type"].startswith(b"application/cloudevents+json"),
    "binary": lambda headers: headers["ce_specversion"] == b"1.0",
}
"""How a record shows that it is of an envelope."""


class Published(Struct, kw_only=True):
    """What became of the intents of one producer in one envelope."""

    language: str
    envelope: str
    customers: int = CUSTOMERS
    said_no: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    again: Counter[str] = field(default_factory=Counter)
    """When the producer was run a second time."""
    wrong: list[str] = field(default_factory=list)


class Served(Struct, kw_only=True):
    """What one gateway made of its customers' approvals."""

    language: str
    approved: int = 0
    sent: int = 0
    reported: dict[str, int] = field(default_factory=dict)
    killed: int = 0
    """Sends in whose middle it was killed."""
    wrong: list[str] = field(default_factory=list)


class ExampleRuns:
    """Every example of a campaign, on its topics."""

    def __init__(self, world: World, directory: Path, published: list[Published], served: list[Served]) -> None:
        self._world = world
        self._directory = directory
        self._published = published
        self._served = served

    def publish(self, language: str, until_all_decided: Callable[[], None]) -> None:
        """Some say no; then everybody is asked for, twice."""
        examples = self._examples(language)
        for envelope in ENVELOPES:
            customers = _customers(language, envelope)
            self._world.publish(_no(customer) for customer in customers[::4])
            for _ in range(2):
                said = examples.publish(f"{envelope}-campaign", customers, envelope)
                assert f"{len(customers)} of {len(customers)} intents acknowledged" in said
                until_all_decided()

    def serve(self, language: str) -> None:
        """Be the gateway for everything that was approved of this language's customers so far."""
        approved = {str(each["decision_id"]) for each in self._approved(language)}
        found = Served(language=language, approved=len(approved))
        examples = self._examples(language)
        with Provider() as provider:
            provider.hold()
            with examples.gateway(provider.url) as gateway:
                killed = {provider.until_held()}
                gateway.kill()
            provider.release()
            with examples.gateway(provider.url) as gateway:
                wait_until(
                    lambda: gateway.is_running() and approved - killed <= self._reported().keys(),
                    SERVE_SECONDS,
                    f"an outcome of every approval, by the gateway in {language}",
                    poll_seconds=LOOK_SECONDS,
                )
        outcomes = {decision: kinds for decision, kinds in self._reported().items() if decision in approved}
        found.killed = len(killed)
        found.sent = len(provider.sent.keys() & approved)
        found.reported = dict(Counter(kind for kinds in outcomes.values() for kind in kinds))
        reported_sent = {decision for decision, kinds in outcomes.items() if kinds == ["sent"]}
        wrong = {
            "messages sent more than once": sum(count > 1 for count in provider.sent.values()),
            "messages of others sent": len(provider.sent.keys() - approved),
            "approvals reported more than once": sum(len(kinds) > 1 for kinds in outcomes.values()),
            "messages sent and not reported as sent": len(provider.sent.keys() - reported_sent - killed),
            "messages reported as sent that were not": len(reported_sent - provider.sent.keys()),
            "messages reported, though nobody knows of them": len(killed & outcomes.keys()),
            "messages sent under another key": len(provider.unlike),
        }
        found.wrong = [f"{number} {what}" for what, number in wrong.items() if number]
        self._served.append(found)

    def judge(self, languages: list[str], account: Account) -> None:
        """What became of what the producers published."""
        customers = {place: (record.key or b"").decode() for place, record in account.inputs.items()}
        answers: dict[str, list[str]] = {}
        for _, record in sorted(account.decisions.items()):
            value = value_of(record)
            answers.setdefault(customers[origin(record)], []).append(
                f"{value['type']} {value.get('reason', '')}".strip()
            )
        forwarded = Counter(customers[place] for place in account.forwarded)
        headers = {
            customers[place]: dict(record.headers)
            for place, record in account.inputs.items()
            if place.topic in self._world.names.intents
        }
        for language in languages:
            for envelope in ENVELOPES:
                found = Published(language=language, envelope=envelope)
                for number, customer in enumerate(_customers(language, envelope)):
                    said_no = number % 4 == 0
                    first, *more = answers.get(customer, ["none"])
                    found.said_no += said_no
                    found.answers[first] += 1
                    found.again.update(more)
                    if first != ("suppressed opt_out" if said_no else "approved") or len(more) != 1:
                        found.wrong.append(f"{customer}: {[first, *more]}")
                    if forwarded[customer] or not SPOKEN[envelope](headers[customer]):
                        found.wrong.append(f"{customer}: on another partition, or in another envelope")
                if found.again["approved"]:
                    found.wrong.append(f"{found.again['approved']} approved a second time")
                self._published.append(found)

    def _examples(self, language: str) -> Examples:
        return Examples(language, self._world.address, self._world.prefix, self._directory)

    def _approved(self, language: str) -> list[dict[str, object]]:
        values = [
            value_of(record)
            for record in self._world.read(self._world.names.approved)
            if (record.key or b"").startswith(f"{language}-".encode())
        ]
        return [value for value in values if value["type"] == "approved"]

    def _reported(self) -> dict[str, list[str]]:
        """Kinds of outcomes by decision; what customers wrote is of none."""
        found: dict[str, list[str]] = {}
        for record in read_topic(self._world.address, self._world.names.outcomes):
            value = record.value or b""
            if b'"decision_id"' in value:
                outcome = json.loads(value)
                found.setdefault(outcome["decision_id"], []).append(outcome["type"])
        return found


def _customers(language: str, envelope: str) -> list[str]:
    return [f"{language}-example-{envelope}-{number}" for number in range(CUSTOMERS)]


def _no(customer: str) -> OutgoingRecord:
    return preference(customer, f"no-{customer}", at=now_ms(), effective_at=now_ms())
