"""Records nobody can read, and worse, among sound ones: nobody else is hurt, nothing is lost, nothing given away."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from streams.contracts.header_names import (
    ERROR_DETAIL,
    ERROR_REASON,
    ERROR_VALUE_BYTES,
    ERROR_VALUE_SHA256,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TIMESTAMP,
    ORIGIN_TOPIC,
)
from streams.testing.records import (
    INTENT_TOPIC,
    OUTCOME_TOPIC,
    PREFERENCE_TOPIC,
    OutgoingRecord,
    intent,
    murmur2_partition,
    preference,
)
from tests.contracts.hostile import HostileRecord, hostile_records
from tests.system.conftest import new_prefix, now_ms
from tests.system.harness import PARTITIONS, Account, Place, World, account_for, header, running, until_all_decided

if TYPE_CHECKING:
    from streams.testing.broker import Broker
    from streams.testing.kafka_io import StoredRecord

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

SOUND = 10_000
MEGABYTE = 1_000_000
LARGEST = 12 * MEGABYTE
# In every payload and key that is not sound, so that a single scan tells whether any of it was repeated.
MARKS = ("hostile-", "gigantic-", "forged-", "sound-", "somebody-else", "café", "jndi", "DROP TABLE")
TOPICS = {"intent": INTENT_TOPIC, "preference": PREFERENCE_TOPIC, "outcome": OUTCOME_TOPIC}


@dataclass
class Run:
    world: World
    account: Account
    hostile: dict[tuple[str, int], HostileRecord]
    forged: dict[int, str]
    said: str
    exposition: str
    began_ms: int


def sound_records(began_ms: int) -> list[OutgoingRecord]:
    records = []
    for number in range(SOUND):
        customer = f"sound-{number % 2_500:05d}"
        more = {"country": "CO", "purpose": "otp" if number % 3 else "marketing"}
        records.append(intent(customer, f"sound-intent-{number}", created_at=began_ms, **more))
        if number % 20 == 0:
            records.append(preference(customer, f"sound-event-{number}", at=began_ms, channel="voice"))
    return records


def gigantic_records(began_ms: int) -> list[OutgoingRecord]:
    """Values and headers far beyond what any topic should take."""
    found = []
    for number, size in enumerate((10 * MEGABYTE, 3 * MEGABYTE, 10 * MEGABYTE, 7 * MEGABYTE)):
        key = b"gigantic-%d" % number
        for topic in (INTENT_TOPIC, PREFERENCE_TOPIC):
            value = b'{"customer_id":"' + key + b'","zz":"' + b"x" * size + b'"}'
            found.append(OutgoingRecord(topic, key, value, began_ms))
    long_header = (("long", b"gigantic-" * 300_000),)
    found.append(OutgoingRecord(INTENT_TOPIC, b"gigantic-header", b"{}", began_ms, long_header))
    return found


def forged_records(world: World, began_ms: int) -> dict[str, OutgoingRecord]:
    """What somebody writes to the rerouting topic who is not the gate."""
    made = intent("forged-customer", "forged-intent", created_at=began_ms, purpose="otp", country="CO")
    place = (
        (ORIGIN_TOPIC, world.names.intents[0].encode()),
        (ORIGIN_PARTITION, b"0"),
        (ORIGIN_OFFSET, b"999999999"),
        (ORIGIN_TIMESTAMP, b"%d" % began_ms),
    )
    home = murmur2_partition(b"forged-customer", PARTITIONS)
    base = made._replace(topic="mesura-rerouted", partition=home)
    return {
        "without the headers": base,
        "from a topic that is no input": base._replace(headers=((ORIGIN_TOPIC, b"strange"), *place[1:])),
        "with words for numbers": base._replace(headers=(*place[:2], (ORIGIN_OFFSET, b"two"), place[3])),
        "under another key": base._replace(headers=place, key=b"forged-other"),
        "without a key": base._replace(headers=place, key=None),
        "on another partition": base._replace(headers=place, partition=(home + 1) % PARTITIONS),
    }


@pytest.fixture(scope="module")
def run(real_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Run:
    world = World(real_kafka, new_prefix(), input_bytes=LARGEST)
    began_ms = now_ms()
    rng = random.Random(1)
    records = sound_records(began_ms)
    records += gigantic_records(began_ms)
    hostile: dict[tuple[str, int], HostileRecord] = {}
    # A null key may go anywhere. Each has a timestamp of its own to be known by.
    for number, bad in enumerate(hostile_records(began_ms)):
        timestamp_ms = began_ms - 100_000 + number
        hostile[TOPICS[bad.topic_kind], timestamp_ms] = bad
        partition = rng.randrange(PARTITIONS) if bad.key is None else None
        records.append(OutgoingRecord(TOPICS[bad.topic_kind], bad.key, bad.value, timestamp_ms, bad.headers, partition))
    rng.shuffle(records)
    forged = forged_records(world, began_ms)
    forged_at = {began_ms - 50_000 + number: name for number, name in enumerate(forged)}
    records += [
        record._replace(timestamp_ms=moment)
        for moment, record in zip(forged_at, forged.values(), strict=True)
    ]  # fmt: skip
    with running(world, tmp_path_factory.mktemp("bad-input")) as gate:
        world.publish(records, message_max_bytes=LARGEST)
        until_all_decided(gate, world)
        assert gate.exit_code is None, "the process that began is the one that ended it"
        exposition = gate.get("/metrics")[1]
    return Run(world, account_for(world), hostile, forged_at, gate.said, exposition, began_ms)


def test_the_log_names_the_places_of_dead_letters_and_nothing_else_of_them(run: Run) -> None:
    lines = [json.loads(line) for line in run.said.splitlines() if "is in the dead-letter topic" in line]
    assert len(lines) >= 10
    named = {Place(line["topic"], line["partition"], line["offset"]): line["reason"] for line in lines}
    letters = run.account.dead_letters
    assert named == {place: header(letters[place], ERROR_REASON) for place in named}
    assert len(named) == len(lines) <= sum(line["times"] for line in lines) <= len(letters)


def fate(run: Run, place: Place) -> tuple[str, str | None]:
    """What became of the record."""
    account = run.account
    if place in account.dead_letters:
        return "dead_letter", header(account.dead_letters[place], ERROR_REASON)
    return ("rerouted" if place in account.forwarded else "decided"), None


def test_every_record_left_exactly_one_trace(run: Run) -> None:
    """What `account_for` has judged already; here only that there was enough to judge."""
    assert len(run.hostile) >= 200
    assert len(run.account.inputs) >= SOUND + len(run.hostile)
    assert len(run.account.dead_letters) >= 200


def test_every_hostile_record_met_its_fate(run: Run) -> None:
    expected = {}
    found = {}
    for place, record in run.account.inputs.items():
        bad = run.hostile.get((place.topic.removeprefix(run.world.prefix), record.timestamp_ms))
        if bad is None:
            continue
        expected[bad.name] = (bad.expected, bad.reason)
        found[bad.name] = fate(run, place)
    assert len(found) == len(run.hostile)
    differing = {name: (expected[name], found[name]) for name in found if expected[name] != found[name]}
    assert not differing


def test_the_sound_ones_beside_them_are_all_answered(run: Run) -> None:
    sound = [place for place, record in run.account.inputs.items() if (record.key or b"").startswith(b"sound-")]
    assert len(sound) == SOUND + SOUND // 20
    assert {fate(run, place)[0] for place in sound} == {"decided"}


def test_dead_letters_keep_key_value_and_headers_byte_for_byte(run: Run) -> None:
    too_large = 0
    for place, record in run.account.dead_letters.items():
        source = run.account.inputs.get(place) or run.account.rerouted[place]
        assert record.key == source.key
        assert record.headers[: len(source.headers)] == source.headers
        if header(record, ERROR_VALUE_BYTES) is None:
            assert record.value == source.value
            continue
        too_large += 1
        assert record.value is None
        value = source.value or b""
        assert header(record, ERROR_VALUE_BYTES) == str(len(value))
        assert header(record, ERROR_VALUE_SHA256) == hashlib.sha256(value).hexdigest()
        assert len(value) > 8 * MEGABYTE
    assert too_large == 4


def test_what_a_dead_letter_says_gives_nothing_away(run: Run) -> None:
    for record in run.account.dead_letters.values():
        said = header(record, ERROR_DETAIL) or ""
        assert not [mark for mark in MARKS if mark in said]


def test_what_was_misplaced_is_decided_at_home(run: Run) -> None:
    names = {bad.name for bad in run.hostile.values() if bad.expected == "rerouted"}
    assert len(run.account.forwarded) == len(names)
    for place in run.account.forwarded.values():
        traces = place in run.account.decisions, place in run.account.applied
        assert any(traces), f"forwarded, then neither decided nor applied: {place}"


def test_what_is_wrong_on_the_rerouting_topic_is_never_forwarded_again(run: Run) -> None:
    found = {}
    for place in run.account.strangers:
        record: StoredRecord = run.account.rerouted[place]
        found[run.forged[record.timestamp_ms]] = fate(run, place)
    assert found == dict.fromkeys(run.forged.values(), ("dead_letter", "misrouted_again"))


def test_nothing_of_it_stands_in_logs_or_metrics(run: Run) -> None:
    for shown in (run.said, run.exposition):
        assert not [mark for mark in MARKS if mark in shown]
        assert "Traceback" not in shown
