"""What earlier versions have stored: ledgers of every format, as their own code wrote them, and what they mean.

    python -m tests.versions.stored COMMIT NAME              write tests/versions/stored/NAME.json anew
    python -m tests.versions.stored COMMIT NAME --topics     the same with topics.json: what a whole run leaves behind
    python -m tests.versions.stored COMMIT NAME --topics-only
                                                             only that, in tests/versions/stored/topics-NAME.json

One history is played to the version of the commit. Kept are keys and values of the ledger topic, and beside
them what each value means, as plain JSON: read by `meaning`, which shares no code with any codec. With
`--topics` a worker of the version runs over the history by the record clock, and kept is everything that its
ledger, batch and control topics hold.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from tests.versions.campaign import REPOSITORY, tree_of
from tests.versions.keys import decision_id

STORED: Final = Path(__file__).parent / "stored"
HOUR, DAY = 3_600_000, 86_400_000
NOW: Final = 1_793_000_000_000
"""2026-10-26 02:53 UTC."""

POLICY: Final = """\
mesura: 1
name: stored
version: "1"
zone: America/Bogota
default_purpose: marketing
channels: {sms: {group: text}, email: {}, voice: {group: phone}}
purposes: [marketing, service, otp]
history: 35d
identities: 7d
rules:
  - {id: consent, kind: consent, applies_to: {purposes: [marketing]}}
  - {id: for-life, kind: cap, limit: 9, window: {lifetime: true}, applies_to: {channels: [voice]}}
  - {id: daily, kind: cap, limit: 4, window: {rolling: 1d}}
  - {id: codes, kind: exempt, purposes: [otp], from: [cap, opt_out], even_if_opted_out: true, still_counts: false}
"""

Step = tuple[int, str, dict[str, Any]]
"""Moment, topic, event."""


def steps() -> list[Step]:
    """The history. Its events hold everything that a ledger can remember."""
    found: list[Step] = []
    for customer in ("rich", "erased", "quiet"):

        def say(at: int, kind: str, of: str = customer, **more: Any) -> None:  # noqa: ANN401 - fields of the event
            event = {"event_id": f"e{len(found)}", "customer_id": of, "type": kind, **more}
            found.append((at, "opt-out", event))

        def ask(at: int, intent: str, of: str = customer, **more: Any) -> None:  # noqa: ANN401
            event = {"intent_id": intent, "customer_id": of, "channel": "sms", "created_at": at - 500, **more}
            found.append((at, "outbound-intent", event))

        def report(at: int, kind: str, intent: str, of: str = customer) -> None:
            identity = decision_id(of.encode(), intent.encode())
            event = {"customer_id": of, "type": kind, "occurred_at": at - 100, "decision_id": identity}
            found.append((at, "contact-outcome", event))

        say(NOW - 60 * DAY, "consent_granted", purpose="marketing", evidence_ref="form-1", expires_at=NOW + 90 * DAY)
        say(NOW - 60 * DAY, "profile", timezone="Europe/Madrid", country="ES", region="MD", minor=False)
        ask(NOW - 50 * DAY, "old-1", channel="voice", purpose="service", topic="loans", brand="north")
        ask(NOW - 49 * DAY, "old-2", channel="voice", purpose="service", topic="loans", brand="north")
        if customer == "quiet":
            continue
        ask(NOW - 20 * DAY, "middle", purpose="marketing", campaign_id="spring", sender_id="85785")
        report(NOW - 20 * DAY + 60_000, "delivered", "middle")
        say(NOW - 10 * DAY, "opt_out", channel="text", topic="Credit Cards", until=NOW + 30 * DAY)
        say(NOW - 9 * DAY, "objection", purpose="marketing", brand="south", effective_at=NOW - 9 * DAY - HOUR)
        say(NOW - 8 * DAY, "restriction", channel="email", source="Register-1")
        say(NOW - 7 * DAY, "opt_in", channel="text", topic="credit cards", source="web")
        ask(NOW - HOUR, "code", purpose="otp", channel="voice")
        ask(NOW - 2_000, "fresh", purpose="marketing", brand="north")
        say(NOW - 1_000, "pause", until=NOW + DAY)
        ask(NOW - 500, "late", purpose="service")
        if customer == "erased":
            say(NOW - 100, "erasure")
    return sorted(found, key=lambda step: step[0])


def played(tree: Path) -> list[tuple[bytes, bytes]]:
    """What the ledger topic of this version's gate holds at the end, played in this process."""
    sys.path.insert(0, str(tree))
    from tests.versions.adapter import Version, modules_of

    version = Version()
    gate = version.gate(version.policy(POLICY), ("outbound-intent",), 1, is_bounded=True, dead_letter_bytes_max=10_000)
    store: dict[bytes, bytes] = {}
    for offset, (at, topic, event) in enumerate(steps()):
        record = (topic, offset, at, event["customer_id"].encode(), json.dumps(event).encode(), ())
        outputs, changes, _ = version.apply(gate, store, 0, [record], [at], {}, [], 0, [])
        assert not [each for each in outputs if each[0] == "mesura-dead-letter"], event
        for key, value in changes:
            if value is None:
                del store[key]
            else:
                store[key] = value
    assert not modules_of(tree), "imported from elsewhere than the version's tree"
    return sorted(store.items())


def topics_of(tree: Path, directory: Path) -> dict[str, list[list[str | None]]]:
    """Keys and values, in base 64, of what a worker of this version leaves on its own topics, by default name."""
    from streams.testing.embedded_broker import EmbeddedBroker
    from streams.testing.records import OutgoingRecord
    from tests.system.harness import World
    from tests.versions.rolling import VersionedGate

    policy = directory / "stored.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    with EmbeddedBroker(partitions=1) as broker:
        world = World(broker, "stored-", partitions=1)
        world.publish(
            OutgoingRecord(topic, event["customer_id"].encode(), json.dumps(event).encode(), at)
            for at, topic, event in steps()
        )
        gate = VersionedGate(world.settings(policy, clock="record"), directory, tree)
        try:
            assert gate.ended() == 0, gate.said[-3000:]
        finally:
            gate.stop()
        names = world.names
        return {
            topic.removeprefix(world.prefix): [[_text(record.key), _text(record.value)] for record in world.read(topic)]
            for topic in (names.ledger, names.batches, names.control)
        }


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()


# ---- an independent reading -----------------------------------------------------------------------------------------


def meaning(value: bytes) -> dict[str, Any]:
    """What a stored ledger says, as plain JSON."""
    row = msgspec.msgpack.decode(value, strict=False)
    return {1: _rows, 2: _columns}[row[0]](row)


def _rows(row: list[Any]) -> dict[str, Any]:
    """Format 1: contacts and identities one by one, words with every tag."""
    _, contacts, identities, tags, preferences, profile, erased, archived, refused, forgotten = row
    words = [list(tag) + [None] * (6 - len(tag)) for tag in tags]
    return _said(
        1,
        [[each[0].hex(), each[1], each[2], words[each[3]], each[4] if len(each) > 4 else 0] for each in contacts],
        {identity.hex(): created for identity, created in identities.items()},
        [[words[int(number)], count] for number, count in archived.items()],
        [preferences, profile, erased, refused, forgotten],
    )


def _columns(row: list[Any]) -> dict[str, Any]:
    """Format 2: columns relative to one moment, words once. What is left out at the end says nothing."""
    row = row + [(), None, None, {}, False, 0][len(row) - 11 :] if len(row) < 17 else row
    _, base, ids, created, _, sent, decided, numbers, flags, references, named = row[:11]
    preferences, profile, erased, archived, refused, forgotten = row[11:]
    known = [None, *named]
    words = [[known[each] for each in references[at : at + 6]] for at in range(0, len(references), 6)]
    hexes = [ids[at : at + 12].hex() for at in range(0, len(ids), 12)]
    return _said(
        2,
        [[hexes[n], base + decided[n], base + sent[n], words[numbers[n]], flags[n]] for n in range(len(sent))],
        {identity: base + moment for identity, moment in zip(hexes, created, strict=True) if moment is not None},
        [[words[int(number)], count] for number, count in archived.items()],
        [preferences, profile, erased, refused, forgotten],
    )


def _said(
    number: int, contacts: list[Any], identities: dict[str, int], archived: list[Any], others: list[Any]
) -> dict[str, Any]:
    preferences, profile, erased, refused, forgotten = others
    names = ("timezone", "country", "region", "minor")
    return {
        "format": number,
        "contacts": contacts,
        "identities": identities,
        # Type, order, effective, end, channel, purpose, topic, brand, sender, evidence, source.
        "preferences": [list(each) + [None] * (11 - len(each)) for each in preferences],
        "profile": None if profile is None else dict(zip(names, profile, strict=False)),
        "erased_ms": erased,
        "archived": archived,
        "preference_refused": refused,
        "forgotten_ms": forgotten,
    }


# ---- writing --------------------------------------------------------------------------------------------------------


def main() -> None:
    """Write what the version of a commit stores."""
    commit, name, *more = sys.argv[1:]
    if name == "--played":  # in a process of its own
        print(json.dumps([[_text(key), _text(value)] for key, value in played(Path(commit))]))
        return
    with tempfile.TemporaryDirectory(prefix="mesura-stored-") as directory:
        tree, commit = tree_of(commit, Path(directory))
        if more == ["--topics-only"]:
            topics = {"written_by": commit, "topics": topics_of(tree, Path(directory))}
            (STORED / f"topics-{name}.json").write_text(json.dumps(topics, indent=1) + "\n", encoding="utf-8")
            return
        command = [sys.executable, "-m", "tests.versions.stored", str(tree), "--played"]
        pairs = json.loads(subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE).stdout)
        if more == ["--topics"]:
            topics = {"written_by": commit, "topics": topics_of(tree, Path(directory))}
            (STORED / "topics.json").write_text(json.dumps(topics, indent=1) + "\n", encoding="utf-8")
    ledgers = [{"key": key, "value": value, "meaning": meaning(base64.b64decode(value))} for key, value in pairs]
    STORED.mkdir(exist_ok=True)
    document = {"written_by": commit, "ledgers": ledgers}
    (STORED / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"{len(ledgers)} ledgers of {commit} in {name}.json")


if __name__ == "__main__":
    main()
