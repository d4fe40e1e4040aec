"""Every setting of Kafka's own clients is honoured, passed over, or refused with a reason; none is unknown."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from streams.connection.names import (
    HONOURED,
    OTHER_NAMES,
    PROVIDERS,
    SECRETS,
    WITHOUT_KAFKAS_NAME,
    is_passed_over,
    why_refused,
)
from streams.testing.errors import KafkaNotInstalledError
from streams.testing.kafka_installation import install_kafka

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """\
public class Names {
    public static void main(String[] arguments) {
        java.util.TreeSet<String> names = new java.util.TreeSet<>();
        names.addAll(org.apache.kafka.clients.producer.ProducerConfig.configNames());
        names.addAll(org.apache.kafka.clients.consumer.ConsumerConfig.configNames());
        names.addAll(org.apache.kafka.clients.admin.AdminClientConfig.configNames());
        names.forEach(System.out::println);
    }
}
"""


@pytest.mark.kafka
def test_every_setting_of_kafkas_clients_is_known(tmp_path: Path) -> None:
    try:
        kafka = install_kafka()
    except KafkaNotInstalledError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run the tests on Apache Kafka: {missing}")
        pytest.skip(str(missing))
    program = tmp_path / "Names.java"
    program.write_text(PROGRAM)
    command = [str(kafka.java), "-XX:TieredStopAtLevel=1", "-cp", kafka.class_path, str(program)]
    names = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.split()
    assert len(names) > 100
    for name in names:
        if name in HONOURED or name == PROVIDERS or is_passed_over(name):
            continue
        assert name.startswith(("ssl.", "sasl.", "security.")), name
        assert "is not supported: " in why_refused(name), name
    # What is about security is not passed over, but for how long a login may take.
    passed = [name for name in names if is_passed_over(name) and name.startswith(("ssl.", "sasl.", "security."))]
    assert all(name.startswith("sasl.login.") for name in passed)
    assert set(names) >= HONOURED - WITHOUT_KAFKAS_NAME


def test_other_names_lead_to_settings_that_are_honoured() -> None:
    assert set(OTHER_NAMES.values()) <= HONOURED
    assert HONOURED >= SECRETS
    assert not HONOURED & OTHER_NAMES.keys()
