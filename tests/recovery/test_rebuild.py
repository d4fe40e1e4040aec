"""A gate that has lost its ledgers on Apache Kafka, and goes on as if nothing had happened.

One run is decided once, with a backup taken while the gate ran. Every test leaves the ledger topic as it found it.
"""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Consumer

from streams.recovery.backup import read_backup
from streams.testing.kafka_io import publish
from streams.testing.records import OutgoingRecord, intent
from streams.testing.waiting import wait_until
from tests.recovery.scenes import CUSTOMERS, PARTITIONS, Scene, name_of, now_ms, positions, said_no
from tests.system.harness import World, value_of

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def scene(real_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """Three rounds are decided; after each there is a backup, taken while the gate runs."""
    directory = tmp_path_factory.mktemp("recovery")
    scene = Scene(World(real_kafka, f"test-{uuid.uuid4().hex[:12]}-", partitions=PARTITIONS), directory)
    scene.decide(rounds=3, after_each=scene.back_up)
    return scene


def test_what_is_not_lost_is_found_the_same(scene: Scene) -> None:
    before = scene.ledgers()
    assert sum(len(each.store) for each in before.values()) > CUSTOMERS / 2
    compared = scene.recover("rebuild", "--json")
    assert compared.return_value == 0, compared.output
    report = json.loads(compared.stdout)
    assert set(report["compared"]) == {"identical"}
    assert not report["replayed"]["answered_otherwise"]
    assert scene.recover("rebuild", "--execute").stdout.endswith("There is nothing to write.\n")
    assert scene.ledgers() == before


def test_a_backup_is_readable_by_its_owner_alone_and_never_replaced(scene: Scene) -> None:
    first = scene.backups[0]
    assert first.stat().st_mode & 0o777 == 0o600
    again = scene.recover("ledger", "backup", str(first))
    assert isinstance(again.exception, Exception)
    assert "exists already" in str(again.exception)
    assert not list(first.parent.glob("*.partial"))
    latest = scene.backups[-1]
    assert read_backup(latest)[1] == scene.ledgers()
    assert read_backup(first)[1] != scene.ledgers()


def test_an_old_backup_is_led_on_to_where_the_decisions_end(scene: Scene) -> None:
    before = scene.ledgers()
    scene.lose(scene.world.names.ledger)
    outputs = len(scene.world.read_outputs())
    compared = scene.recover("ledger", "restore", str(scene.backups[0]))
    assert compared.return_value == 1, compared.output
    assert not any(each.store for each in scene.ledgers().values()), "without --execute nothing is written"
    written = scene.recover("ledger", "restore", str(scene.backups[0]), "--execute")
    assert written.return_value == 0, written.output
    assert scene.ledgers() == before
    assert len(scene.world.read_outputs()) == outputs, "nothing is answered"


def test_while_the_gate_runs_nothing_is_rebuilt(scene: Scene) -> None:
    consumer = Consumer(
        {"bootstrap.servers": scene.world.address, "group.id": scene.application_id, "session.timeout.ms": 6_000}
    )
    try:
        consumer.subscribe([scene.world.names.preferences])
        wait_until(lambda: consumer.poll(0.05) is not None or bool(consumer.assignment()), 60, "a member of the group")
        refused = scene.recover("rebuild", "--execute")
    finally:
        consumer.close()
    assert "The gate runs" in str(refused.exception)


def test_a_damaged_ledger_is_replaced(scene: Scene) -> None:
    """A value that is no ledger, a ledger that nobody has, and one that has lost what its customer said."""
    before = scene.ledgers()
    partition, of_partition = next((number, each) for number, each in before.items() if len(each.store) > 2)
    damaged, stale = list(of_partition.store)[:2]
    topic = scene.world.names.ledger
    records = [
        (damaged, b"\xff"),
        (stale, of_partition.store[list(of_partition.store)[2]]),
        (b"cnobody", b"\x92\x02\xc0"),
    ]
    # No meta record follows, as none follows what another program writes. A gate would read them all the same.
    publish(scene.world.address, [OutgoingRecord(topic, key, value, now_ms(), (), partition) for key, value in records])
    compared = scene.recover("rebuild", "--json")
    assert compared.return_value == 1
    assert json.loads(compared.stdout)["compared"]["unreadable"] >= 1
    assert scene.recover("rebuild", "--execute").return_value == 0
    assert scene.ledgers() == before


def test_lost_ledgers_are_rebuilt_to_the_byte_and_the_gate_goes_on(scene: Scene) -> None:
    before = scene.ledgers()
    scene.lose(scene.world.names.ledger)
    written = scene.recover("rebuild", "--execute")
    assert written.return_value == 0, written.output
    assert scene.ledgers() == before

    outputs = len(scene.world.read_outputs())
    scene.world.publish(
        intent(name_of(each), "afterwards", channel="email", created_at=now_ms() - 1_000) for each in range(CUSTOMERS)
    )
    scene.decide(rounds=1)
    answers = [each for each in map(value_of, scene.world.read_outputs()) if each.get("intent_id") == "afterwards"]
    assert len(answers) == CUSTOMERS
    assert len(scene.world.read_outputs()) > outputs
    for each in answers:
        if said_no(int(each["customer_id"][-3:])):
            assert each["reason"] in {"opt_out", "expired"}, each["customer_id"]
    assert any(each["type"] == "approved" for each in answers)
    report = scene.audit()
    assert report["is_clean"], report["found"]


def test_what_was_cut_short_or_altered_is_refused(scene: Scene, tmp_path: Path) -> None:
    whole = scene.backups[0].read_bytes()
    for number, damaged in enumerate((whole[:-1], whole[:100], whole[:60] + b"x" + whole[61:], b"", whole + b"x")):
        file = tmp_path / f"{number}"
        file.write_bytes(damaged)
        refused = scene.recover("ledger", "restore", str(file), "--execute")
        assert "cut short or altered" in str(refused.exception) or "is no backup" in str(refused.exception), number
    other = World(scene.world.broker, "other-", create=False)
    assert "is a backup of" in str(scene.run("ledger", "restore", str(scene.backups[0]), world=other).exception)
    newer = tmp_path / "newer"
    newer.write_bytes(whole.replace(b"backup 1\n", b"backup 2\n", 1))
    assert "format 2" in str(scene.recover("ledger", "restore", str(newer)).exception)


def test_where_records_are_deleted_only_a_backup_or_somebodys_word_leads_on(scene: Scene) -> None:
    """The last test, because it deletes what customers said."""
    scene.back_up()
    before = scene.ledgers()
    scene.delete_records(scene.world.names.preferences)
    refused = str(scene.recover("rebuild").exception)
    assert "a customer's no may have been among them" in refused
    assert "--accept-missing-records" in refused
    assert scene.recover("ledger", "restore", str(scene.backups[-1])).return_value == 0
    kept = str(scene.recover("rebuild", "--execute", "--accept-missing-records").exception)
    assert "They are not replaced by what is left of the records" in kept
    assert scene.ledgers() == before
    scene.lose(scene.world.names.ledger)
    accepted = scene.recover("rebuild", "--execute", "--accept-missing-records")
    assert accepted.return_value == 0, accepted.output
    assert f"records of {scene.world.names.preferences} are deleted" in accepted.stdout
    assert scene.ledgers() != before
    assert positions(scene.ledgers()) == positions(before), "what was decided is not decided again all the same"
