"""What `mesura doctor` is without a cluster: no check stops another, and what was not looked at is not in order."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from click.testing import CliRunner

from streams.cli.main import mesura
from streams.connection.cluster import Cluster
from streams.doctor import versions
from streams.doctor.examine import CHECKS, Check, examine
from streams.doctor.finding import Finding, State
from streams.doctor.subject import Subject
from streams.testing.broker import create_plan
from streams.topics import TopicNames, TopicPlan
from tests.doctor.conftest import examined

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from streams.testing.embedded_broker import EmbeddedBroker

NOBODY = "127.0.0.1:1"


def subject(bootstrap_servers: str = NOBODY) -> Subject:
    return Subject(cluster=Cluster(bootstrap_servers), names=TopicNames(), application_id="mesura")


def test_no_check_stops_another() -> None:
    goes_on = threading.Event()

    def breaks(_: Subject) -> Iterator[Finding]:
        yield Finding("breaks", State.OK, "So far so good.")
        raise RuntimeError("customer-4711")

    def hangs(_: Subject) -> Iterator[Finding]:
        goes_on.wait()
        yield Finding("hangs", State.OK, "Too late.")

    def works(_: Subject) -> Iterator[Finding]:
        yield Finding("works", State.WARNING, "A word.")

    checks = [Check(("breaks",), breaks), Check(("hangs", "waits"), hangs), Check(("works",), works)]
    _, *found = examine(subject(), checks, limit_seconds=0.2)
    goes_on.set()
    assert [(each.check, each.state) for each in found] == [
        ("breaks", State.OK),
        ("breaks", State.NOT_POSSIBLE),
        ("hangs", State.NOT_POSSIBLE),
        ("waits", State.NOT_POSSIBLE),
        ("works", State.WARNING),
    ]
    assert "RuntimeError" in found[1].sentence
    assert not any("4711" in each.sentence for each in found)


def test_without_a_broker_it_could_not_be_run_and_says_what_it_can() -> None:
    found = examined("--bootstrap", NOBODY)
    assert found.result.exit_code == 2
    assert found.failed() == {"connection"}
    assert NOBODY in found.sentences("connection")
    assert found.states("versions") == {"ok"}
    for check in ("permissions", "topics", "replicas", "partitioner", "batches", "clocks", "group"):
        assert found.states(check) == {"not_possible"}, check


def test_wrong_usage_is_told() -> None:
    assert CliRunner().invoke(mesura, ["doctor"]).exit_code == 2


def test_what_a_broker_does_not_tell_is_not_in_order(embedded_broker: EmbeddedBroker, topic_prefix: str) -> None:
    create_plan(embedded_broker, TopicPlan(TopicNames().with_prefix(topic_prefix), 2, 1))
    found = examined("--bootstrap", embedded_broker.bootstrap_servers, "--prefix", topic_prefix)
    assert found.result.exit_code == 0
    assert found.states("permissions") == {"not_possible"}
    assert found.states("topics") == {"not_possible"}
    assert "not_possible" in found.states("replicas")


def test_a_person_reads_a_table(embedded_broker: EmbeddedBroker, topic_prefix: str) -> None:
    create_plan(embedded_broker, TopicPlan(TopicNames().with_prefix(topic_prefix), 2, 1))
    words = ["doctor", "--bootstrap", embedded_broker.bootstrap_servers, "--prefix", topic_prefix]
    lines = CliRunner().invoke(mesura, words).stdout.splitlines()
    assert lines[0].split() == ["check", "state", "what", "was", "found", "what", "to", "do"]
    for name in {"connection", *(name for check in CHECKS for name in check.names)}:
        assert any(line.startswith(f"{name} ") for line in lines), name


def test_another_version_than_the_pinned_one_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = versions.version
    monkeypatch.setattr(versions, "version", lambda name: "0.13.0" if name == "aiokafka" else installed(name))
    first, _ = versions.look_at_versions(subject())
    assert first.state is State.FAILURE
    assert "aiokafka 0.13.0, not 0.14.0" in first.sentence
