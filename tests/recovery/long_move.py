"""A gate that goes on with more partitions, on Apache Kafka: nobody's no is forgotten, and nobody's contacts."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from streams.connection.cluster import Cluster
from streams.exactly_once.changelog import CUSTOMER_PREFIX, ERASED_PREFIX
from streams.oracle.model import decision_id
from streams.recovery.control_records import read_control, write_control
from streams.testing.records import intent, murmur2_partition
from tests.recovery.scenes import CUSTOMERS, PARTITIONS, Scene, is_erased, name_of, now_ms, said_no
from tests.system.harness import World, running, until_all_decided, value_of

if TYPE_CHECKING:
    from streams.testing.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

MORE = 5


@pytest.fixture(scope="module")
def scenes(real_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, Scene]:
    """The old gate, stopped and with all decided, and the topics of a new one."""
    directory = tmp_path_factory.mktemp("move")
    prefix = f"test-{uuid.uuid4().hex[:12]}-"
    old = Scene(World(real_kafka, prefix, partitions=PARTITIONS), directory)
    old.decide(rounds=3)
    return old, Scene(World(real_kafka, f"{prefix}new-", partitions=MORE), directory)


def moved(scenes: tuple[Scene, Scene], *more: str) -> str:
    """What the command says; or why it refuses."""
    old, new = scenes
    to = ("--to-prefix", new.world.prefix, "--to-application-id", new.application_id)
    result = old.recover("ledger", "move", *to, *more)
    return result.stdout if result.return_value == 0 else str(result.exception)


def test_a_gate_goes_on_with_more_partitions(scenes: tuple[Scene, Scene]) -> None:
    old, new = scenes
    before = old.ledgers()
    assert "With --execute" in moved(scenes)
    assert not any(each.store for each in new.ledgers().values())
    cluster = Cluster(new.world.address)

    # It breaks off after the first record. The new gate does not start on that.
    write_control(cluster, new.world.names.control, {b"partitions": b"0"})
    assert "the move broke off" in new.refused()

    assert "Written: " in moved(scenes, "--execute")
    assert "Everything is there already" in moved(scenes, "--execute")
    new.back_up()
    assert old.ledgers() == before, "the old topics stay as they are"
    assert read_control(cluster, new.world.names.control)[b"partitions"] == b"%d" % MORE
    held = {key: value for each in before.values() for key, value in each.store.items()}
    for partition, each in new.ledgers().items():
        for key, value in each.store.items():
            assert held[key] == value
            assert key[:1] == ERASED_PREFIX or murmur2_partition(key.removeprefix(CUSTOMER_PREFIX), MORE) == partition
    assert set(held) == {key for each in new.ledgers().values() for key in each.store}

    new.world.publish(
        [
            *(intent(name_of(each), "new", channel="email", created_at=now_ms() - 1_000) for each in range(CUSTOMERS)),
            intent(name_of(1), "r2-0", created_at=now_ms() - 1_000),  # answered by the old gate
            *(
                intent(name_of(each), "long-ago", channel="email", created_at=now_ms() - 100_000_000)
                for each in range(CUSTOMERS)
                if is_erased(each)
            ),
        ]
    )
    with running(new.world, new.directory, policy=new.policy) as gate:
        until_all_decided(gate, new.world)
        assert gate.terminate() == 0
    answers = {(each["customer_id"], each["intent_id"]): each for each in map(value_of, new.world.read_outputs())}
    for each in range(CUSTOMERS):
        answer = answers[name_of(each), "new"]
        if said_no(each):
            assert answer["reason"] == "opt_out", name_of(each)
        if is_erased(each):
            assert answers[name_of(each), "long-ago"]["reason"] == "expired", "from before the erasure"
    assert answers[name_of(1), "r2-0"]["duplicate_of"] == decision_id(name_of(1), "r2-0")
    assert any(each["reason"] == "cap_reached" for each in answers.values() if each["type"] == "suppressed")
    after = new.ledgers()
    new.lose(new.world.names.ledger)
    assert new.recover("ledger", "restore", str(new.backups[0]), "--execute").return_value == 0
    assert new.ledgers() == after, "a backup of after the move is led on as any other"
    report = new.audit()
    assert report["is_clean"], report["found"]

    assert "is in use" in moved(scenes, "--execute")
    assert "Begin with a backup that was taken after the move" in str(new.recover("rebuild").exception)


def test_what_is_undecided_is_not_left_behind(scenes: tuple[Scene, Scene]) -> None:
    old, _ = scenes
    old.world.publish([intent(name_of(1), "late", created_at=now_ms())])
    assert "holds records that are not decided" in moved(scenes, "--execute")


def test_it_needs_other_topics(scenes: tuple[Scene, Scene]) -> None:
    old, _ = scenes
    result = old.recover("ledger", "move", "--to-prefix", old.world.prefix, "--to-application-id", "other")
    assert "needs other topics" in str(result.exception)
