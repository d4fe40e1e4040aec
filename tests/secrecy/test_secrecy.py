"""What was planted in records, requests and faults is found nowhere but where it may be: the short version.

`make secrecy` is the whole: over TLS with a login, on Apache Kafka, with every command and every secret.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final

import pytest

from streams.policy.packs import pack_path
from tests.secrecy.evidence import ALLOWED, Evidence, Leak
from tests.secrecy.faulty_worker import FAULTS
from tests.secrecy.inputs import event, one_round, record
from tests.secrecy.markers import Markers
from tests.secrecy.scene import RunningGate, Scene, exporting_to
from tests.secrecy.search import Found, Search
from tests.system.conftest import new_prefix
from tests.system.harness import World
from tests.telemetry.collector import Collector

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from streams.testing.embedded_broker import EmbeddedBroker

GOES_ON: Final = FAULTS.keys() - {"raise", "group", "abort"}
"""Faults after which a worker decides on."""


def ask_for(faults: Iterable[str], scene: Scene, gate: RunningGate) -> None:
    """Publish records that make these faults happen, and wait until they have."""
    for fault in faults:
        kind = "preference" if fault in {"raise", "log"} else "intent"
        document = event(kind, scene.markers, customer_id=scene.markers.word(f"fault-{fault}"))
        scene.world.publish([record(kind, json.dumps(document).encode(), document["customer_id"].encode())])
    gate.until(lambda: all((scene.faults / fault).exists() for fault in faults), "the faults")


@pytest.fixture
def scene(embedded_broker: EmbeddedBroker, tmp_path: Path) -> Scene:
    world = World(embedded_broker, new_prefix(), partitions=2)
    return Scene(world, Evidence(), Markers(), tmp_path, is_apart=False)


def test_nothing_that_was_planted_is_found_where_it_may_not_be(scene: Scene) -> None:
    """But for one line of the log, which a fault makes name a customer: the search finds that."""
    markers, evidence = scene.markers, scene.evidence
    records = one_round(markers)
    with (
        Collector() as collector,
        scene.gate("--policy", str(pack_path("small")), "--no-check-crcs", **exporting_to(collector)) as gate,
    ):
        scene.world.publish(records)
        ask_for(sorted(GOES_ON), scene, gate)
        scene.until_decided(gate)
        question = json.dumps(event("intent", markers)).encode()
        evidence.add("explain by HTTP: stdout", gate.get("/explain", "compliance", "explain", question)[1])
        gate.attack()
        gate.look()
        ask_for(["abort"], scene, gate)
        gate.until(lambda: "ended by SIGABRT" in gate.said, "the end of the worker")
        gate.until(lambda: collector.metrics() and any(collector.spans()), "an export")
    scene.keep_exports(collector)
    scene.command("watch", "--from-beginning", "--no-follow", "--dead-letters")
    scene.command("dead-letters", "list")
    scene.command("dead-letters", "replay")
    scene.command("publish", str(scene.secret_file("bad.jsonl", f'{{"customer_id": "{markers.word("line")}"\n')))
    scene.command("explain", "--intent", "-", text=markers.word("question"), connects=False)
    gate.keep()
    scene.keep_files()
    scene.read_topics()
    search = Search(markers.kinds, {"secret-erasure-key": scene.key})
    assert len(markers.kinds) >= 1_000
    assert evidence.leaks(search) == [Leak("gate: stderr", Found("fault-leak", "plain"))]
    assert "decide_seconds" in evidence.content["OpenTelemetry: traces"].decode(errors="replace")
    assert "mesura_decisions" in evidence.content["OpenTelemetry: metrics"].decode(errors="replace")
    # Markers that are allowed somewhere were really there, or the search would prove nothing.
    held = evidence.held(search)
    assert {"customer", "template", "key", "header", "rubbish", "wrong-purpose"} <= held["topic input: keys"] | held[
        "topic input: values"
    ] | held["topic input: producer's headers"]
    assert {"customer", "intent-id", "message-text"} <= held["topic approved-send: values"]
    assert {"rubbish", "wrong-channel"} <= held["topic mesura-dead-letter: values"]
    assert "header" in held["topic mesura-dead-letter: producer's headers"]
    assert "customer" in held["topic mesura-ledger: keys"]


def test_every_allowance_has_a_reason_and_none_is_for_secrets() -> None:
    assert all(each.reason for each in ALLOWED)
    assert not any(re.fullmatch(each.kinds, "secret-password") for each in ALLOWED)
