"""`mesura audit`: clean, not clean, and not possible, each with its exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from streams.cli.main import mesura
from streams.testing.kafka_io import publish
from streams.testing.records import intent

if TYPE_CHECKING:
    from streams.testing.embedded_broker import EmbeddedBroker


def audited(broker: EmbeddedBroker, prefix: str, *options: str) -> Result:
    arguments = ["audit", "--bootstrap", broker.bootstrap_servers, "--prefix", prefix, "--processes", "1", *options]
    return CliRunner().invoke(mesura, arguments, standalone_mode=False)


def test_nothing_decided_is_nothing_broken(broker: EmbeddedBroker, prefix: str) -> None:
    result = audited(broker, prefix, "--policy", "starter")
    assert result.return_value == 0, result.output
    assert result.stdout.startswith("Clean: every promise was kept.")


def test_what_nobody_answered_is_lost_unless_it_is_still_awaited(broker: EmbeddedBroker, prefix: str) -> None:
    sent = intent("customer-000001", "i1")
    publish(broker.bootstrap_servers, [sent._replace(topic=prefix + sent.topic)])
    result = audited(broker, prefix, "--policy", "starter", "--json")
    assert result.return_value == 1
    report = json.loads(result.stdout)
    assert report["found"] == {"lost": 1}
    assert report["findings"][0]["places"][0]["topic"] == prefix + "outbound-intent"
    assert "customer-000001" not in result.stdout
    result = audited(broker, prefix, "--policy", "starter", "--allow-undecided", "--json")
    assert result.return_value == 0
    assert json.loads(result.stdout)["counts"]["pending"] == 1


def test_without_topics_nothing_can_be_said(broker: EmbeddedBroker) -> None:
    result = CliRunner().invoke(mesura, ["audit", "--bootstrap", broker.bootstrap_servers, "--prefix", "nowhere-"])
    assert result.exit_code == 2
    assert "These topics do not exist" in result.output


def test_without_any_policy_nothing_can_be_said(broker: EmbeddedBroker, prefix: str) -> None:
    result = CliRunner().invoke(mesura, ["audit", "--bootstrap", broker.bootstrap_servers, "--prefix", prefix])
    assert result.exit_code == 2
    assert "--policy FILE" in result.output


def test_a_key_that_is_none_is_refused(broker: EmbeddedBroker, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESURA_ERASURE_KEY", "secret")
    result = CliRunner().invoke(mesura, ["audit", "--bootstrap", broker.bootstrap_servers, "--prefix", prefix])
    assert result.exit_code == 2
    assert "not hexadecimal" in result.output
    assert "secret" not in result.output
