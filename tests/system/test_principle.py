"""What is not understood, on the running gate: a garbled no closes at least what the same no closes, a doubtful yes
opens nothing.

Customers come in pairs that are told the same, one of them in a record with one thing wrong with it. Both are asked
about every message; afterwards the outside check replays the whole run.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from streams.audit import AuditSettings, audit
from streams.testing.kafka_io import read_topic
from streams.testing.records import OutgoingRecord, intent
from tests.property import principle
from tests.property.strategies import BRANDS, CHANNELS, PURPOSES, SENDERS, TOPICS, Step
from tests.system.conftest import now_ms
from tests.system.harness import ERASURE_KEY, World, running, until_all_decided, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from streams.testing.broker import Broker

pytestmark = pytest.mark.timeout(300)

PAIRS = 80
HOUR_MS = 3_600_000
POLICY = {
    "mesura": 1,
    "name": "principle",
    "version": "1",
    "zone": "UTC",
    "channels": CHANNELS,
    "default_purpose": "service",
    "purposes": list(PURPOSES),
    "other_names": {"channels": {"sms": ["texto"], "text": ["mensajes"]}},
    "rules": [
        {
            "id": "consent",
            "kind": "consent",
            "because": "Marketing needs consent.",
            "source": {"text": "House rule", "confidence": "house"},
            "applies_to": {"purposes": ["marketing"]},
        }
    ],
}
SCOPES: dict[str, tuple[str, ...]] = {
    "channel": (*CHANNELS, "text", " SMS", "mensajes"),
    "purpose": PURPOSES,
    "topic": TOPICS,
    "brand": BRANDS,
    "sender_id": SENDERS,
}
MESSAGES: list[dict[str, str]] = [
    {"channel": channel, "purpose": purpose, **more}
    for channel, purpose, more in product(CHANNELS, PURPOSES, ({}, {"topic": "loans", "brand": "north"}))
]


class Pair(NamedTuple):
    """What two customers are told, one after the other, and what was wrong with the one record."""

    sound: str
    doubtful: str
    told: list[dict[str, list[tuple[bytes | None, tuple[tuple[str, bytes], ...]]]]]
    what: str


def scope(chance: random.Random) -> dict[str, str]:
    return {name: chance.choice(words) for name, words in SCOPES.items() if chance.random() < 0.35}


def told(event: dict[str, Any], customer: str) -> tuple[bytes, tuple[tuple[str, bytes], ...]]:
    return json.dumps({**event, "customer_id": customer}).encode(), ()


def pair_with_garbled_no(number: int, now: int) -> Pair:
    """Consent, an older no now and then, the no, and yeses that answer it."""
    chance = random.Random(f"gate-no-{number}")
    sound, doubtful = f"sound-no-{number}", f"garbled-no-{number}"
    kind, about = chance.choice(list(principle.YES)), scope(chance)
    source = {"source": "register"} if kind == "restriction" and chance.random() < 0.6 else {}
    no: dict[str, Any] = {"event_id": "e-no", "type": kind, **about, **source}
    if chance.random() < 0.4:
        no["until"] = now + chance.choice((HOUR_MS, 2 * HOUR_MS))
    if chance.random() < 0.4:
        no["effective_at"] = now - chance.choice((1, HOUR_MS))
    step = Step("preference", {**no, "customer_id": doubtful}, now, now)
    garbled, what = principle._garbled(chance, step)
    narrower = {name: word for name, word in about.items() if chance.random() < 0.6}
    yeses = [{**chance.choice((narrower, scope(chance), about)), **(source if chance.random() < 0.7 else {})}]
    return Pair(
        sound,
        doubtful,
        [
            both({"event_id": "e-consent", "type": "consent_granted", "evidence_ref": "doc"}, sound, doubtful),
            {sound: [told(no, sound)], doubtful: [(garbled.raw.value, garbled.raw.headers)]},
            *(
                both({"event_id": "e-yes", "type": principle.YES[kind], "evidence_ref": "doc", **yes}, sound, doubtful)
                for yes in yeses
            ),
        ],
        f"{what}: {garbled.raw.value!r}",
    )


def pair_with_doubtful_yes(number: int, now: int) -> Pair:
    """A no, and a yes that one of them is told with a mistake in it, and the other not at all."""
    chance = random.Random(f"gate-yes-{number}")
    sound, doubtful = f"sound-yes-{number}", f"doubtful-yes-{number}"
    kind, about = chance.choice(list(principle.YES)), scope(chance)
    yes = {"event_id": "e-yes", "type": principle.YES[kind], "evidence_ref": "doc", **about}
    changed, what = principle._doubtful(chance, Step("preference", {**yes, "customer_id": doubtful}, now, now))
    first = [] if kind == "consent_withdrawn" else [{"event_id": "e-no", "type": kind}]
    return Pair(
        sound,
        doubtful,
        [
            both({"event_id": "e-consent", "type": "consent_granted", "evidence_ref": "doc"}, sound, doubtful),
            *(both(no, sound, doubtful) for no in first),
            {doubtful: [(changed.raw.value, changed.raw.headers)]},
        ],
        f"{what}: {changed.raw.value!r}",
    )


def both(event: dict[str, Any], *customers: str) -> dict[str, Any]:
    return {customer: [told(event, customer)] for customer in customers}


def as_records(topic: str, now: int, pairs: Iterable[Pair], turn: int) -> list[OutgoingRecord]:
    return [
        OutgoingRecord(topic, customer.encode(), value, now, headers)
        for pair in pairs
        if turn < len(pair.told)
        for customer, values in pair.told[turn].items()
        for value, headers in values
    ]


def approved(world: World) -> dict[str, set[str]]:
    """The intents of each customer that were approved."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for record in read_topic(world.address, world.names.approved):
        answer = value_of(record)
        if answer["type"] == "approved":
            found[answer["customer_id"]].add(answer["intent_id"])
    return found


def test_what_is_not_understood_only_makes_the_answer_stricter(
    embedded_broker: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    world = World(embedded_broker, topic_prefix, partitions=2)
    policy = tmp_path / "policy.yaml"
    policy.write_text(json.dumps(POLICY), encoding="utf-8")
    now = now_ms()
    pairs = [make(number, now) for make in (pair_with_garbled_no, pair_with_doubtful_yes) for number in range(PAIRS)]
    customers = [customer for pair in pairs for customer in (pair.sound, pair.doubtful)]
    with running(world, tmp_path, policy=policy) as gate:
        for turn in range(max(len(pair.told) for pair in pairs)):
            world.publish(as_records(world.names.preferences.removeprefix(world.prefix), now_ms(), pairs, turn))
            until_all_decided(gate, world)
        asked = now_ms()
        world.publish(
            intent(customer, " ".join(message.values()), created_at=asked, **message)
            for customer in customers
            for message in MESSAGES
        )
        until_all_decided(gate, world)
    found = approved(world)
    opened = [pair.what for pair in pairs if not found[pair.doubtful] <= found[pair.sound]]
    assert not opened
    stricter = [pair.what for pair in pairs if found[pair.doubtful] < found[pair.sound]]
    alike = [pair.what for pair in pairs if found[pair.doubtful] == found[pair.sound] != set()]
    assert len(stricter) > PAIRS // 8, "garbage was understood, which nobody can"
    assert len(alike) > PAIRS // 4, "a no was heard that nobody said"
    report = audit(
        AuditSettings(world.address, world.names, [policy], f"{world.prefix}gate", processes=1, erasure_key=ERASURE_KEY)
    )
    assert report.is_clean, report.as_text()
