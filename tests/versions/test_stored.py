"""What earlier versions have stored is read by this one, and means what it meant.

The pins stand in plain JSON beside the bytes (`stored/*.json`). They come from a reader that shares no code
with the codec (`stored.meaning`), and the last test goes on deciding where a worker of an earlier version
stopped.
"""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import astuple

from streams.audit.ledgers import read_ledger
from streams.audit.log import Record
from streams.audit.timeline import read_batches
from streams.contracts.control import POLICY_FORMAT, decode_policy, encode_policy
from streams.decision.ledger.codec import LedgerUnreadable, decode_ledger, encode_ledger
from streams.exactly_once.changelog import decode_meta, encode_meta
from streams.exactly_once.control import CONTROL_FORMAT, FORMAT_KEY, read_format
from streams.exit_codes import ExitCode
from streams.testing.embedded_broker import EmbeddedBroker
from streams.testing.records import OutgoingRecord
from tests.system.harness import World, running, value_of
from tests.versions.keys import decision_id
from tests.versions.stored import DAY, NOW, POLICY, STORED, meaning, steps

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.testing.broker import Broker

WORKERS_READ = ("topics-a630154", "topics-4bf1c47", "topics-c048049", "topics-3fb9d50", "topics")
"""What workers of earlier versions have left behind, the oldest first. `topics` is of a later one."""
WORKERS_REFUSED = ("topics-5a0b76c",)
"""From before the first release: the format of its ledgers is not read."""
READ = ("format-2-whole", "format-2-without-source", "format-2")
REFUSED = ("format-1",)
AS_WRITTEN_NOW = ("format-2",)


def ledgers(name: str) -> Iterator[tuple[bytes, bytes, dict[str, Any]]]:
    """Key, value and meaning of everything in a file."""
    for each in json.loads((STORED / f"{name}.json").read_text("utf-8"))["ledgers"]:
        yield base64.b64decode(each["key"]), base64.b64decode(each["value"]), each["meaning"]


def topic(name: str, of: str = "topics") -> list[tuple[bytes | None, bytes | None]]:
    """Keys and values that a worker left on a topic."""
    held = json.loads((STORED / f"{of}.json").read_text("utf-8"))["topics"].get(name, [])
    return [
        (None if key is None else base64.b64decode(key), None if value is None else base64.b64decode(value))
        for key, value in held
    ]


def as_read(value: bytes) -> dict[str, Any]:
    """What the present code makes of a stored ledger, in the shape of the pins."""
    ledger = decode_ledger(value)
    about = [list(astuple(each)) for each in ledger.label_sets]
    rows = [astuple(each) for each in ledger.contacts]
    return {
        "format": ledger.format,
        "contacts": [[row[0].hex(), row[1], row[2], about[row[3]], row[4]] for row in rows],
        "identities": {identity.hex(): created for identity, created in ledger.identities.items()},
        "preferences": [list(astuple(each)) for each in ledger.preferences],
        "profile": None
        if ledger.profile is None
        else {
            name: None if held is None else list(astuple(held))
            for name in ("timezone", "country", "region", "minor")
            for held in [getattr(ledger.profile, name)]
        },
        "erased_ms": ledger.erased_ms,
        "archived": [[about[number], count] for number, count in ledger.archived.items()],
        "preference_refused": ledger.preference_refused,
        "forgotten_ms": ledger.forgotten_ms,
    }


def test_every_file_is_looked_at() -> None:
    assert {path.stem for path in STORED.glob("*.json")} == {*READ, *REFUSED, *WORKERS_READ, *WORKERS_REFUSED}


@pytest.mark.parametrize("name", READ)
def test_a_stored_ledger_means_what_it_meant(name: str) -> None:
    found = list(ledgers(name))
    assert len(found) == 3
    for key, value, pinned in found:
        assert as_read(value) == pinned, key
        assert meaning(value) == pinned, key


@pytest.mark.parametrize("name", READ)
def test_the_audit_reads_it_too(name: str) -> None:
    for key, value, _ in ledgers(name):
        assert read_ledger(value) is not None, key


@pytest.mark.parametrize("name", READ)
def test_written_again_it_means_the_same(name: str) -> None:
    for key, value, pinned in ledgers(name):
        again = encode_ledger(decode_ledger(value))
        assert meaning(again) == pinned, key
        assert (again == value) or name not in AS_WRITTEN_NOW, key


@pytest.mark.parametrize("name", REFUSED)
def test_a_format_that_is_not_read_is_refused_by_name(name: str) -> None:
    """Never read as something else: the worker ends, and nothing is forgotten."""
    for _, value, pinned in ledgers(name):
        assert meaning(value) == pinned
        with pytest.raises(LedgerUnreadable, match=r"Run|written by another version"):
            decode_ledger(value)


def test_the_pins_say_everything_that_a_ledger_can_hold() -> None:
    """But for a preference that was refused, which takes 256 others."""
    pinned = [each for *_, each in ledgers("format-2")]
    for field in pinned[0].keys() - {"preference_refused"}:
        assert any(each[field] for each in pinned), field
    for flag in (1, 4, 8, 16):  # confirmed, uncounted, exempt from opt-out, under a consent
        assert any(contact[4] & flag for each in pinned for contact in each["contacts"])


def test_a_meta_record_is_read_and_written_as_it_was() -> None:
    ((_, value),) = [each for each in topic("mesura-ledger") if each[0] == b"m"]
    assert value is not None
    meta = decode_meta(value)
    assert (meta.positions, meta.latest_ms, meta.version) == (
        {"stored-opt-out": 17, "stored-contact-outcome": 2, "stored-outbound-intent": 14},
        NOW - 100,
        1,
    )
    assert encode_meta(meta) == value


@pytest.mark.parametrize("version", [*WORKERS_READ, *WORKERS_REFUSED])
def test_the_control_topic_of_every_version_is_read(version: str) -> None:
    """Without a format they are of the first one, which is what is written now but for the line that says so."""
    found = dict(topic("mesura-control", version))
    assert FORMAT_KEY not in found
    assert read_format("mesura-control", None).format == CONTROL_FORMAT == 1
    in_force = found[b"policy"]
    assert in_force is not None
    value = found[b"policy:" + in_force]
    assert value is not None
    policy = decode_policy(value)
    assert policy.text == POLICY
    assert policy.hash.encode() == in_force
    assert [each.id for each in policy.rules][6:] == ["opt-out", "consent", "for-life", "daily"]
    assert policy.format == POLICY_FORMAT == 1
    again = json.loads(encode_policy(policy))
    assert again.pop("format") == 1
    assert again == json.loads(value)


@pytest.mark.parametrize("version", WORKERS_READ)
def test_the_ledgers_and_batches_of_every_version_are_read(version: str) -> None:
    held = dict(topic("mesura-ledger", version))
    assert decode_meta(held.pop(b"m") or b"").latest_ms >= NOW - 2_000
    assert len(held) == 3
    for value in held.values():
        assert as_read(value or b"") == meaning(value or b"")
    records = [Record(number, NOW, *pair) for number, pair in enumerate(topic("mesura-batches", version))]
    assert read_batches(records)[1] == []


def test_a_batch_record_says_what_it_said() -> None:
    ((_, value),) = topic("mesura-batches")
    assert value is not None
    assert json.loads(value) == {
        "served": {"stored-opt-out": [0, 17], "stored-contact-outcome": [0, 2], "stored-outbound-intent": [0, 14]},
        "latest_ms": NOW - 100,
        "version": 1,
    }


def stored_world(broker: Broker, version: str) -> World:
    """A gate's own topics as a worker of the version has left them, and what it had read."""
    world = World(broker, "stored-", partitions=1)
    for name in ("mesura-ledger", "mesura-batches", "mesura-control"):
        world.publish(OutgoingRecord(name, key, value, NOW) for key, value in topic(name, version))
    world.publish(
        OutgoingRecord(where, event["customer_id"].encode(), json.dumps(event).encode(), at)
        for at, where, event in steps()
    )
    return world


@pytest.mark.parametrize("version", ["topics-a630154", "topics"])
def test_a_worker_goes_on_where_one_of_an_earlier_version_has_stopped(tmp_path: Path, version: str) -> None:
    policy = tmp_path / "stored.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    with EmbeddedBroker(partitions=1) as broker:
        world = stored_world(broker, version)
        asked = [
            ("rich", "fresh", "sms", "service", NOW + 1_000),  # answered by the earlier version
            ("rich", "next", "email", "otp", NOW + 1_000),
            ("erased", "before", "sms", "service", NOW - 200),
            ("quiet", "next", "voice", "service", NOW + 1_000),
            ("rich", "after", "sms", "marketing", NOW + 2 * DAY),  # the pause is over
        ]
        new = [
            OutgoingRecord(
                "outbound-intent",
                customer.encode(),
                json.dumps(
                    {
                        "intent_id": intent,
                        "customer_id": customer,
                        "channel": channel,
                        "purpose": purpose,
                        "topic": "loans",
                        "brand": "north",
                        "created_at": at,
                    }
                ).encode(),
                max(at, NOW + 1_000),
            )
            for customer, intent, channel, purpose, at in asked
        ]
        world.publish(new)
        with running(world, tmp_path, policy=policy, ready=False, clock="record") as gate:
            assert gate.ended() == 0, gate.said[-3000:]
        answers = {(each["customer_id"], each["intent_id"]): each for each in map(value_of, world.read_outputs())}
        assert not world.read(world.names.dead_letter)
    assert len(answers) == len(asked), "what the earlier version has answered is not answered again"
    assert answers["rich", "fresh"]["reason"] == "duplicate"
    assert answers["rich", "fresh"]["duplicate_of"] == decision_id(b"rich", b"fresh")
    assert answers["rich", "next"]["type"] == "approved", "exempt from opt-out, pause and restriction"
    assert answers["erased", "before"]["reason"] == "expired"
    assert answers["quiet", "next"]["remaining"]["for-life"] == 9 - 2 - 1, "contacts of long ago count for life"
    assert answers["rich", "after"]["type"] == "approved", "the consent of before holds, and no no is about it"


NEWER = {
    "ledgers of an earlier format": (
        "topics-5a0b76c",
        [],
        r"The state at .* of stored-mesura-ledger-0 cannot be read: .*format 1; this version reads format 2",
    ),
    "the ledger of a later version": (
        "topics",
        [OutgoingRecord("mesura-ledger", b"crich", b"\x92\x03\xc0", NOW)],
        r"The state at .* of stored-mesura-ledger-0 cannot be read: .*format 3; this version reads format 2",
    ),
    "the control topic of a later version": (
        "topics",
        [OutgoingRecord("mesura-control", b"format", b'{"format": 2, "newest_version": "7.2.0"}', NOW)],
        r"stored-mesura-control is of format 2, and this version reads format 1: .*Run version 7\.2\.0 or a later one",
    ),
}


@pytest.mark.parametrize("what", NEWER)
def test_what_cannot_be_read_ends_the_worker_with_a_sentence(what: str, tmp_path: Path) -> None:
    """Nothing is decided, nothing is written, and it is not started again."""
    version, more, sentence = NEWER[what]
    policy = tmp_path / "stored.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    with EmbeddedBroker(partitions=1) as broker:
        world = stored_world(broker, version)
        world.publish(more)
        intent = {"intent_id": "x", "customer_id": "rich", "channel": "sms", "purpose": "service", "created_at": NOW}
        world.publish([OutgoingRecord("outbound-intent", b"rich", json.dumps(intent).encode(), NOW + 1_000)])
        before = world.read(world.names.control)
        with running(world, tmp_path, policy=policy, ready=False, clock="record") as gate:
            assert gate.ended() == ExitCode.REFUSED, gate.said[-3000:]
        assert re.search(sentence, gate.said), gate.said[-3000:]
        assert not world.read_outputs()
        if "control" in what:
            assert world.read(world.names.control) == before
