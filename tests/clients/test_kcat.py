"""The commands for kcat in docs/clients.md, as they stand there, on Apache Kafka."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from confluent_kafka import Producer

from streams.testing.kafka_io import read_topic
from streams.testing.records import murmur2_partition
from tests.contracts.decoders import read

if TYPE_CHECKING:
    from streams.testing.broker import Broker

PAGE: Final = (Path(__file__).parents[2] / "docs" / "clients.md").read_text("utf-8")
COMMANDS: Final = re.findall(r"(?ms)^```sh\n(.+?)^```$", PAGE.partition("\n## kcat\n")[2])
TOPICS: Final = ("opt-out", "outbound-intent", "approved-send")
PARTITIONS: Final = 64
"""So many that another partitioner is all but certain to choose another one for one of the records."""

KCAT_SECONDS: Final = 60


@pytest.fixture
def prefix(real_kafka: Broker, topic_prefix: str) -> str:
    if shutil.which("kcat") is None:
        message = "kcat was not found: deploy/install-test-tools.sh installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    real_kafka.create_topics([topic_prefix + topic for topic in TOPICS], partitions=PARTITIONS)
    return topic_prefix


def called(command: str, broker: Broker, prefix: str, directory: Path) -> str:
    """What a command of the page prints, with a file of properties and topics of the test's own."""
    (directory / "client.properties").write_text(f"bootstrap.servers={broker.bootstrap_servers}\n")
    command = re.sub(r"-t ([\w-]+)", rf"-t {prefix}\1", command)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=KCAT_SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_kcat_publishes_is_read_where_the_gate_looks_for_it(
    real_kafka: Broker, prefix: str, tmp_path: Path
) -> None:
    for command in COMMANDS[:2]:
        called(command, real_kafka, prefix, tmp_path)
    for topic, kind in (("opt-out", "preference-event"), ("outbound-intent", "intent")):
        [record] = read_topic(real_kafka.bootstrap_servers, prefix + topic)
        event, unknown_fields = read(kind, record.value, record.headers, record.key)
        assert unknown_fields == 0
        assert record.key == event.customer_id.encode()
        assert record.partition == murmur2_partition(record.key, PARTITIONS)


def test_what_was_aborted_is_not_shown(real_kafka: Broker, prefix: str, tmp_path: Path) -> None:
    for key in ("aborted", "committed"):
        producer = Producer(
            {"bootstrap.servers": real_kafka.bootstrap_servers, "transactional.id": f"{prefix}{key}", "log_level": 0}
        )
        producer.init_transactions()
        producer.begin_transaction()
        producer.produce(f"{prefix}approved-send", key=key, value="{}")
        producer.flush()  # or what is aborted is never stored
        producer.commit_transaction() if key == "committed" else producer.abort_transaction()
    [command] = COMMANDS[2:]
    assert called(command, real_kafka, prefix, tmp_path) == "committed {}\n"
