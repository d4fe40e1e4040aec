"""Apache Kafka as a helper: keeps its data through kills, names an existing cluster, says plainly what is missing."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient

from streams.testing import kafka_installation
from streams.testing.errors import BrokerNotAvailableError, KafkaNotInstalledError, RefusedError
from streams.testing.kafka_classes import archive_classes
from streams.testing.kafka_io import publish, read_topic
from streams.testing.real_kafka import BOOTSTRAP_VARIABLE, SHORT_LIVED, RealKafka, open_kafka
from streams.testing.records import OutgoingRecord
from streams.testing.shared_kafka import share_kafka

if TYPE_CHECKING:
    from streams.testing.broker import KafkaAdmin


@pytest.mark.kafka
def test_data_and_address_survive_kill_and_shut_down(real_kafka: KafkaAdmin) -> None:
    installation = kafka_installation.install_kafka()
    archive_classes(installation)
    with RealKafka(java_options=SHORT_LIVED) as kafka:
        assert str(installation.class_archive) in Path(f"/proc/{kafka.pid}/maps").read_text(), "see `kafka_classes`"
        address = kafka.bootstrap_servers
        kafka.create_topics(["kept"], partitions=1)
        for number, end in enumerate([kafka.kill, kafka.shut_down]):
            publish(address, [OutgoingRecord("kept", None, b"%d" % number, 0)])
            before = kafka.pid
            end()
            kafka.start()
            assert (kafka.bootstrap_servers, kafka.pid != before) == (address, True)
        assert [record.value for record in read_topic(address, "kept", refuse_gaps=True)] == [b"0", b"1"]
        kafka.freeze()
        kafka.thaw()
        publish(address, [OutgoingRecord("kept", None, b"2", 0)])
        directory = kafka.data_directory
    assert not directory.exists()
    with pytest.raises(BrokerNotAvailableError):
        _ = kafka.bootstrap_servers


@pytest.mark.kafka
def test_what_kafka_says_when_it_cannot_start(real_kafka: KafkaAdmin) -> None:
    for kafka, complaint in (
        (RealKafka(properties={"log.retention.ms": "not a number"}), "not a number"),
        (RealKafka(java_options=["-XX:+NoSuchOption"]), "Unrecognized VM option 'NoSuchOption'"),
    ):
        with pytest.raises(BrokerNotAvailableError, match=complaint):
            kafka.start()
        assert kafka._directory is None


@pytest.mark.parametrize("use", [open_kafka, None])
def test_an_existing_cluster_is_used_as_it_is(use: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(BOOTSTRAP_VARIABLE, "kafka.invalid:9092")
    with open_kafka() if use else share_kafka(tmp_path) as kafka:
        assert kafka.bootstrap_servers == "kafka.invalid:9092"
    assert list(tmp_path.iterdir()) == []


def test_missing_java_is_said_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KafkaNotInstalledError, match=r"needs Java 17 .* no java was found.*KAFKA_BOOTSTRAP"):
        kafka_installation.install_kafka()


def _program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_an_old_java_is_said_plainly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _program(tmp_path / "bin" / "java", "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(KafkaNotInstalledError, match=r"needs Java 17 or later; .*11\.0\.2"):
        kafka_installation.install_kafka()


@pytest.fixture
def only_java(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with Java, an empty cache and no Maven; its directory of programs."""
    _program(tmp_path / "java" / "bin" / "java", "echo 'openjdk version \"17\"' >&2")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "java"))
    monkeypatch.setenv("MESURA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/bin")
    monkeypatch.setattr("streams.testing.kafka_installation.shutil.which", _which_in(tmp_path))
    return tmp_path / "bin"


def _which_in(root: Path) -> object:
    def which(name: str, path: str | None = None) -> str | None:
        found = root / ("java/bin" if name == "java" else "bin") / name
        return str(found) if found.exists() else None

    return which


@pytest.mark.usefixtures("only_java")
def test_missing_maven_is_said_plainly() -> None:
    with pytest.raises(KafkaNotInstalledError, match=r"no mvn was found.*KAFKA_BOOTSTRAP"):
        kafka_installation.install_kafka()


def test_what_maven_says_is_handed_on_and_nothing_is_half_there(only_java: Path, tmp_path: Path) -> None:
    _program(only_java / "mvn", "echo '[ERROR] no route to the repository'; exit 1")
    with pytest.raises(KafkaNotInstalledError, match="no route to the repository"):
        kafka_installation.install_kafka()
    assert [path.name for path in (tmp_path / "cache" / "kafka").iterdir()] == ["fetch.lock"]


def test_jars_are_fetched_once(only_java: Path) -> None:
    _program(only_java / "mvn", 'for a; do case $a in -DoutputDirectory=*) echo > "${a#*=}/some.jar";; esac; done')
    first = kafka_installation.install_kafka()
    (only_java / "mvn").unlink()
    assert kafka_installation.install_kafka() == first
    assert [path.name for path in first.libraries.iterdir()] == ["some.jar"]
    assert first.class_path.endswith("*")
    assert first.class_options == []
    first.class_archive.touch()
    assert first.class_options == [f"-XX:SharedArchiveFile={first.class_archive}"]


def test_the_pom_names_no_repository() -> None:
    text = kafka_installation.POM.read_text(encoding="utf-8")
    assert "<repositor" not in text
    assert "<pluginRepositor" not in text


@pytest.mark.kafka
def test_creating_a_topic_with_a_wrong_setting_is_refused(real_kafka: KafkaAdmin, topic_prefix: str) -> None:
    with pytest.raises(RefusedError, match="retention"):
        real_kafka.create_topics([topic_prefix + "wrong"], config={"retention.ms": "soon"})
    client = AdminClient({"bootstrap.servers": real_kafka.bootstrap_servers})
    assert topic_prefix + "wrong" not in client.list_topics(timeout=10).topics
