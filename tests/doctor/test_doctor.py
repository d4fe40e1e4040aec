"""Every check of `mesura doctor`, as the gate's own user on Apache Kafka with its authorizer, made to fail once."""

from __future__ import annotations

import secrets
import struct
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.access.permission import Permission
from streams.contracts.routing import expected_partition
from streams.doctor.clocks import look_at_clocks
from streams.doctor.finding import State
from streams.doctor.subject import Subject
from streams.erasure_key import ERASURE_KEY_KEY, fingerprint_of
from streams.exactly_once.control import FORMAT_KEY, PARTITIONS_KEY, POLICY_KEY
from streams.policy.packs import pack_path
from streams.testing.kafka_io import publish
from streams.testing.raw_log import overwrite
from streams.testing.records import OutgoingRecord, intent, outcome, preference
from streams.testing.waiting import wait_until
from tests.doctor.conftest import PARTITIONS, Gate, examined

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.kafka

POLICY = str(pack_path("starter"))
CUSTOMERS = [f"customer-{number}" for number in range(60)]
CRC32 = {"partitioner": "consistent_random"}

# Of Kafka's record batch, format 2.
CHECKSUM_AT, ATTRIBUTES_AT, TIMES_AT_DELTA, TIMES_AT = 17, 21, 23, 27
CODEC_MASK = 0x07
UNKNOWN_CODEC = 6


def no(gate: Gate, customer: str) -> OutgoingRecord:
    return preference(customer, f"no-{customer}", to=gate.names.preferences)


def in_control(gate: Gate, key: bytes, value: bytes) -> None:
    publish(gate.everything, [OutgoingRecord(gate.names.control, key, value, 1, partition=0)])


def end_with_an_aborted_transaction(gate: Gate) -> None:
    """Behind which nothing is but markers: a reader that waits for a last record would wait for ever."""
    producer = Producer(
        {"bootstrap.servers": gate.everything, "transactional.id": f"{gate.prefix}other", "log_level": 0}
    )
    producer.init_transactions()
    producer.begin_transaction()
    for number in range(PARTITIONS):
        producer.produce(gate.names.preferences, b"{}", CUSTOMERS[0].encode(), partition=number)
    producer.flush()
    producer.abort_transaction()


def with_codec(stored: bytes, codec: int) -> bytes:
    attributes = int.from_bytes(stored[ATTRIBUTES_AT:TIMES_AT_DELTA], "big") & ~CODEC_MASK | codec
    return with_checksum(stored[:ATTRIBUTES_AT] + attributes.to_bytes(2, "big") + stored[TIMES_AT_DELTA:])


def later_by(stored: bytes, milliseconds: int) -> bytes:
    """As a broker writes whose clock is ahead by so much."""
    times = struct.unpack_from(">qq", stored, TIMES_AT)
    moved = struct.pack(">qq", *(at_ms + milliseconds for at_ms in times))
    return with_checksum(stored[:TIMES_AT] + moved + stored[TIMES_AT + len(moved) :])


def with_checksum(batch: bytes) -> bytes:
    checksum = calc_crc32c(batch[ATTRIBUTES_AT:])
    return batch[:CHECKSUM_AT] + checksum.to_bytes(4, "big") + batch[ATTRIBUTES_AT:]


def everything_stored(gate: Gate) -> tuple[set[str], dict[tuple[str, int], int], set[str]]:
    """Topics, ends, groups."""
    admin = AdminClient({"bootstrap.servers": gate.everything, "log_level": 0})
    topics = admin.list_topics().topics
    places = {
        TopicPartition(name, number): OffsetSpec.latest() for name in topics for number in topics[name].partitions
    }
    ends = {(place.topic, place.partition): each.result().offset for place, each in admin.list_offsets(places).items()}
    # Kafka's own topics are Kafka's: it makes the one of the groups when a client first asks for a coordinator.
    ours = {name for name in topics if not name.startswith("__")}
    return (
        ours,
        {place: end for place, end in ends.items() if place[0] in ours},
        {group.group_id for group in admin.list_consumer_groups().result().valid},
    )


def test_where_nothing_is_wrong_it_says_so_and_changes_nothing(gate: Gate) -> None:
    key = secrets.token_hex(32)
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        publish(gate.everything, [no(gate, customer) for customer in CUSTOMERS], options={"compression.type": codec})
    end_with_an_aborted_transaction(gate)
    in_control(gate, ERASURE_KEY_KEY, fingerprint_of(bytes.fromhex(key)))
    in_control(gate, PARTITIONS_KEY, b"%d" % PARTITIONS)
    before = everything_stored(gate)
    found = gate.examined("--policy", POLICY, MESURA_ERASURE_KEY=key)
    assert found.result.exit_code == 0, found.findings
    for check in (
        "connection",
        "permissions",
        "topics",
        "partitions",
        "replicas",
        "partitioner",
        "batches",
        "erasure key",
        "versions",
    ):
        assert found.states(check) == {"ok"}, (check, found.findings)
    assert "ok" in found.states("policy")
    assert everything_stored(gate) == before
    assert not any(customer in found.result.output for customer in CUSTOMERS)
    assert key not in found.result.output


def test_a_login_that_is_refused(gate: Gate, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.properties"
    wrong.touch(mode=0o600)
    wrong.write_text(gate.kafka.properties("gate").read_text().replace("gate-word", "another-word"))
    found = examined("--bootstrap", gate.kafka.address, "--command-config", str(wrong))
    assert found.result.exit_code == 2
    assert found.failed() == {"connection"}
    assert "another-word" not in found.result.output


def test_a_permission_that_is_missing(gate: Gate) -> None:
    taken = Permission("topic", gate.names.approved, "Write", "")
    gate.kafka.take_away("gate", [taken])
    wait_until(lambda: "permissions" in gate.examined().failed(), 10, "the broker tells that it is missing")
    found = gate.examined()
    assert found.result.exit_code == 1
    assert str(taken) in found.sentences("permissions")


def test_what_we_may_not_read_is_not_looked_at(gate: Gate) -> None:
    taken = Permission("topic", gate.names.outcomes, "Read", "")
    gate.kafka.take_away("gate", [taken])
    wait_until(lambda: "permissions" in gate.examined().failed(), 10, "the broker tells that it is missing")
    found = gate.examined()
    assert str(taken) in found.sentences("permissions")
    for check in ("replicas", "batches", "clocks", "group"):
        assert "not_possible" in found.states(check), (check, found.findings)
        assert gate.names.outcomes in found.sentences(check)
    # A topic that we may see and not read.
    publish(gate.everything, [outcome(CUSTOMERS[0], "d-1", to=gate.names.outcomes)])
    gate.kafka.grant("gate", [Permission("topic", gate.names.outcomes, "Describe", "")])
    wait_until(lambda: gate.examined().states("batches") == {"not_possible"}, 10, "the broker refuses to be read")
    assert "See permissions." in gate.examined().remedies("batches")


def test_a_topic_that_is_missing_is_not_made(gate: Gate) -> None:
    found = examined(*gate.options, "--topic", "outcomes=elsewhere")
    assert "topics" in found.failed()
    assert f"{gate.prefix}elsewhere does not exist" in found.sentences("topics")
    assert f"{gate.prefix}elsewhere" not in everything_stored(gate)[0]


def test_more_partitions_than_the_application_was_started_with(gate: Gate) -> None:
    in_control(gate, PARTITIONS_KEY, b"%d" % (PARTITIONS - 1))
    found = gate.examined()
    assert found.failed() == {"partitions"}
    assert f"have {PARTITIONS} partitions, the application was started with {PARTITIONS - 1}" in (
        found.sentences("partitions")
    )


def test_settings_that_we_may_not_read_hide_nothing_else(gate: Gate) -> None:
    taken = Permission("topic", gate.names.ledger, "DescribeConfigs", "")
    gate.kafka.take_away("gate", [taken])
    wait_until(lambda: "permissions" in gate.examined().failed(), 10, "the broker tells that it is missing")
    found = gate.examined("--topic", "outcomes=elsewhere")
    assert f"{gate.prefix}elsewhere does not exist" in found.sentences("topics")
    assert f"The brokers do not tell the settings of {gate.names.ledger}" in found.sentences("topics")
    assert "ok" in found.states("replicas")


def test_a_setting_that_would_lose_records(gate: Gate) -> None:
    gate.kafka.change_setting(gate.names.ledger, "cleanup.policy", "delete")
    found = gate.examined()
    assert found.failed() == {"topics"}
    assert f"{gate.names.ledger} has cleanup.policy=delete" in found.sentences("topics")


def test_a_setting_that_only_differs(gate: Gate) -> None:
    gate.kafka.change_setting(gate.names.preferences, "retention.ms", "60000")
    found = gate.examined()
    assert found.result.exit_code == 0
    assert found.states("topics") == {"warning"}


def test_partitions_that_take_no_records(gate: Gate) -> None:
    gate.kafka.change_setting(gate.names.preferences, "min.insync.replicas", "2")
    found = gate.examined()
    assert "replicas" in found.failed()
    assert f"{PARTITIONS} partitions take no records" in found.sentences("replicas")


def test_another_partitioner(gate: Gate) -> None:
    intents = [intent(customer, f"i-{customer}", to=gate.names.intents[0]) for customer in CUSTOMERS]
    publish(gate.everything, intents, options=CRC32)
    found = gate.examined()
    assert found.result.exit_code == 0
    assert found.states("partitioner") == {"warning"}
    publish(gate.everything, [no(gate, customer) for customer in CUSTOMERS], options=CRC32)
    found = gate.examined()
    assert found.failed() == {"partitioner"}
    assert f"latest {len(CUSTOMERS)} records of {gate.names.preferences}" in found.sentences("partitioner")
    assert not any(customer in found.result.output for customer in CUSTOMERS)


def test_a_batch_that_cannot_be_read(gate: Gate) -> None:
    publish(gate.everything, [no(gate, CUSTOMERS[0])._replace(partition=0)])
    directory = gate.kafka.kafka.data_directory / "data"
    overwrite(directory, gate.names.preferences, 0, 0, lambda stored: stored[:-1] + b"~")
    found = gate.examined()
    assert "batches" in found.failed()
    assert f"offset 0 of {gate.names.preferences}-0" in found.sentences("batches")


def test_a_codec_that_is_unknown(gate: Gate) -> None:
    publish(gate.everything, [no(gate, CUSTOMERS[0])._replace(partition=0)])
    directory = gate.kafka.kafka.data_directory / "data"
    overwrite(directory, gate.names.preferences, 0, 0, lambda stored: with_codec(stored, UNKNOWN_CODEC))
    found = gate.examined()
    assert found.failed() == {"batches"}
    assert "codec 6 is unknown" in found.sentences("batches")
    assert "Unreadable records" in found.remedies("batches")


def test_a_broker_whose_clock_is_ahead(gate: Gate) -> None:
    publish(gate.everything, [no(gate, CUSTOMERS[0])])
    partition = expected_partition(CUSTOMERS[0].encode(), PARTITIONS)
    directory = gate.kafka.kafka.data_directory / "data"
    overwrite(directory, gate.names.preferences, partition, 0, lambda stored: later_by(stored, 600_000))
    found = gate.examined()
    assert found.failed() == {"clocks"}
    assert "s ahead of ours" in found.sentences("clocks")
    assert "NTP" in found.remedies("clocks")


@pytest.mark.parametrize(
    ("off_seconds", "state"), [(-60, State.FAILURE), (0, State.OK), (60, State.NOT_POSSIBLE)], ids=str
)
def test_our_clock_beside_the_brokers(gate: Gate, off_seconds: int, state: State) -> None:
    publish(gate.everything, [no(gate, CUSTOMERS[0])])
    written_ms = time.time_ns() // 1_000_000
    subject = Subject(
        cluster=gate.kafka.cluster("gate"),
        names=gate.names,
        application_id=gate.application_id,
        now_ms=lambda: written_ms + off_seconds * 1000,
    )
    subject = replace(subject, listed=subject.admin().list_topics(timeout=10).topics)
    (finding,) = look_at_clocks(subject)
    assert finding.state is state, finding


def test_a_policy_with_errors_and_one_that_is_not_in_force(gate: Gate, tmp_path: Path) -> None:
    wrong = tmp_path / "policy.yaml"
    wrong.write_text("policy: {}\n")
    found = gate.examined("--policy", str(wrong))
    assert found.failed() == {"policy"}
    assert "is refused: line 1" in found.sentences("policy")
    assert gate.examined("--policy", str(tmp_path / "none.yaml")).failed() == {"policy"}
    in_control(gate, POLICY_KEY, b"sha256:another")
    found = gate.examined("--policy", POLICY)
    assert "warning" in found.states("policy")
    assert "sha256:another" in found.sentences("policy")


def test_another_erasure_key(gate: Gate, tmp_path: Path) -> None:
    in_control(gate, ERASURE_KEY_KEY, fingerprint_of(secrets.token_bytes(32)))
    assert gate.examined().states("erasure key") == {"not_possible"}
    key = secrets.token_hex(32)
    found = gate.examined(MESURA_ERASURE_KEY=key)
    assert found.failed() == {"erasure key"}
    assert key not in found.result.output
    assert gate.examined(MESURA_ERASURE_KEY="no key").failed() == {"erasure key"}
    open_to_all = tmp_path / "erasure.key"
    open_to_all.write_text(key)
    open_to_all.chmod(0o644)
    assert gate.examined(MESURA_ERASURE_KEY_FILE=str(open_to_all)).failed() == {"erasure key"}


def test_a_control_topic_of_a_newer_version(gate: Gate) -> None:
    in_control(gate, FORMAT_KEY, b'{"format": 1000, "newest_version": "9.0.0"}')
    found = gate.examined("--policy", POLICY, MESURA_ERASURE_KEY=secrets.token_hex(32))
    assert found.failed() == {"partitions", "policy", "erasure key"}
    assert "Run version 9.0.0" in found.sentences("policy")


def test_a_fingerprint_that_is_gone(gate: Gate) -> None:
    in_control(gate, POLICY_KEY, b"sha256:another")
    assert gate.examined(MESURA_ERASURE_KEY=secrets.token_hex(32)).failed() == {"erasure key"}


def test_a_group_that_is_behind(gate: Gate) -> None:
    assert gate.examined().states("group") == {"not_possible"}
    topic = gate.names.intents[0]
    publish(gate.everything, [intent(CUSTOMERS[0], f"i{number}", to=topic) for number in range(8_100)])
    consumer = Consumer({"bootstrap.servers": gate.everything, "group.id": gate.application_id, "log_level": 0})
    places = [TopicPartition(topic, number, 0) for number in range(PARTITIONS)]
    consumer.commit(offsets=places, asynchronous=False)
    found = gate.examined()
    assert found.states("group") == {"warning"}, found.sentences("group")
    assert "8100" in found.sentences("group")
    ends = [TopicPartition(topic, place.partition, consumer.get_watermark_offsets(place)[1]) for place in places]
    consumer.commit(offsets=ends, asynchronous=False)
    consumer.close()
    assert gate.examined().states("group") == {"ok"}
