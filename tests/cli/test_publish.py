"""`mesura publish`: sound lines arrive where they belong, the others are named and not sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from streams.cli.main import mesura
from streams.cli.publish import NotToBeTold, kind_of
from streams.demo.records import home
from streams.testing.kafka_io import read_topic
from tests.cli.conftest import PARTITIONS

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.embedded_broker import EmbeddedBroker

INTENT = {"intent_id": "i1", "customer_id": "customer-000001", "channel": "sms", "created_at": "2026-11-25T15:00:00Z"}
OPT_OUT = {"event_id": "e1", "customer_id": "customer-000002", "type": "opt_out", "effective_at": 1_700_000_000_000}
REPLY = {"customer_id": "customer-000003", "type": "reply", "channel": "sms", "occurred_at": 1_700_000_000_001}


def published(broker: EmbeddedBroker, prefix: str, text: str, *options: str) -> Result:
    arguments = ["publish", "-", "--bootstrap", broker.bootstrap_servers, "--prefix", prefix, *options]
    return CliRunner().invoke(mesura, arguments, input=text)


def lines(*events: dict[str, Any] | str) -> str:
    return "\n".join(event if isinstance(event, str) else json.dumps(event) for event in events) + "\n"


def test_every_kind_goes_where_it_belongs(broker: EmbeddedBroker, prefix: str) -> None:
    result = published(broker, prefix, lines(INTENT, "", OPT_OUT, REPLY))
    assert result.exit_code == 0, result.output
    assert result.stdout == "intents: 1 published\noutcomes: 1 published\npreferences: 1 published\n"
    for topic, event in (("outbound-intent", INTENT), ("opt-out", OPT_OUT), ("contact-outcome", REPLY)):
        [record] = read_topic(broker.bootstrap_servers, prefix + topic)
        key = str(event["customer_id"]).encode()
        assert json.loads(record.value or b"") == event
        assert (record.key, record.partition) == (key, home(key, PARTITIONS))


def test_timestamps_are_now_or_the_events_own(broker: EmbeddedBroker, prefix: str) -> None:
    published(broker, prefix, lines(OPT_OUT))
    published(broker, prefix, lines(OPT_OUT), "--timestamps", "created")
    now, own = (record.timestamp_ms for record in read_topic(broker.bootstrap_servers, prefix + "opt-out"))
    assert own == OPT_OUT["effective_at"]
    assert now > own


def test_what_the_gate_could_not_read_is_not_sent(broker: EmbeddedBroker, prefix: str, tmp_path: Path) -> None:
    secret = "customer-000009"
    broken = json.dumps(INTENT)[:-9]
    late = {**INTENT, "customer_id": secret, "created_at": "yesterday"}
    rejects = tmp_path / "rejects.jsonl"
    text = lines(INTENT, broken, late, {"customer_id": secret}, {**OPT_OUT, "type": "shout"})
    result = published(broker, prefix, text, "--reject-file", str(rejects))
    assert result.exit_code == 1
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == ["line 2", "line 3", "line 4", "line 5"]
    assert "bad_time" in result.stderr
    assert secret not in result.stderr
    assert rejects.read_text().splitlines() == text.splitlines()[1:]
    assert len(read_topic(broker.bootstrap_servers, prefix + "outbound-intent")) == 1


def test_a_kind_may_be_named(broker: EmbeddedBroker, prefix: str) -> None:
    result = published(broker, prefix, lines(OPT_OUT), "--to", "intents")
    assert result.exit_code == 1
    assert "missing_field" in result.stderr


def test_many_rejections_are_counted(broker: EmbeddedBroker, prefix: str) -> None:
    result = published(broker, prefix, "x\n" * 30)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "… and 10 more lines were rejected."


def test_topics_are_not_made_by_writing_to_them(broker: EmbeddedBroker) -> None:
    result = published(broker, "nowhere-", lines(INTENT))
    assert result.exit_code == 2
    assert "mesura topics create" in result.stderr


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.cli.publish.CONNECT_SECONDS", 0.2)
    result = CliRunner().invoke(mesura, ["publish", "-", "--bootstrap", "127.0.0.1:1"], input="")
    assert result.exit_code == 2
    assert "No Kafka broker answers at 127.0.0.1:1" in result.stderr


@pytest.mark.parametrize(
    "line", [b"", b"[]", b"7", b"{}", b'{"type":7}', b'{"type":"shout"}', b"\xff", b'{"a":' * 9999]
)
def test_what_cannot_be_told(line: bytes) -> None:
    with pytest.raises(NotToBeTold):
        kind_of(line)
