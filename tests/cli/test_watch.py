"""`mesura watch`: committed decisions, filtered, in words or as they stand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from streams.cli.main import mesura
from streams.contracts.dead_letters import dead_letter
from streams.contracts.errors import RecordRefused
from streams.records import InputRecord
from streams.testing.kafka_io import publish
from streams.testing.records import OutgoingRecord
from streams.testing.waiting import wait_until
from tests.cli.supervised import started

if TYPE_CHECKING:
    from streams.testing.embedded_broker import EmbeddedBroker

AT = 1_795_622_400_000  # 2026-11-25T16:00:00Z
POLICY = {"name": "starter", "version": "1", "hash": "0" * 32}
COMMON = {"decision_id": "a" * 24, "intent_id": "i1", "customer_id": "customer-000001", "decided_at": AT}
APPROVED: dict[str, Any] = {
    "type": "approved", **COMMON, "channel": "sms", "valid_until": AT + 300_000, "policy": POLICY,
    "explanation": {"zone": ["America/Bogota", "intent"], "rules": []},
}  # fmt: skip
SUPPRESSED: dict[str, Any] = {
    "type": "suppressed", **COMMON, "channel": "email", "reason": "cap_reached", "rule": "email-weekly",
    "next_eligible_at": AT + 86_400_000, "policy": POLICY,
    "explanation": {"zone": ["America/Bogota", "intent"], "rules": []},
}  # fmt: skip
WITHDRAWN: dict[str, Any] = {
    "type": "withdrawn", "decision_id": "a" * 24, "customer_id": "customer-000002", "channel": "sms",
    "reason": "opt_out", "decided_at": AT, "valid_until": AT, "policy": POLICY,
}  # fmt: skip


@pytest.fixture
def decided(broker: EmbeddedBroker, prefix: str) -> str:
    topics = {"approved": "approved-send", "withdrawn": "approved-send", "suppressed": "suppressed"}
    records = [
        OutgoingRecord(prefix + topics[each["type"]], b"customer-000001", json.dumps(each).encode(), AT)
        for each in (APPROVED, SUPPRESSED, WITHDRAWN)
    ]
    publish(broker.bootstrap_servers, records)
    return prefix


def watched(broker: EmbeddedBroker, prefix: str, *options: str, text: str = "") -> Result:
    arguments = ["watch", "--bootstrap", broker.bootstrap_servers, "--prefix", prefix, "--no-follow", *options]
    return CliRunner().invoke(mesura, arguments, input=text)


def test_in_words(broker: EmbeddedBroker, decided: str) -> None:
    result = watched(broker, decided, "--from-beginning")
    assert result.exit_code == 0, result.output
    assert sorted(result.stdout.splitlines()) == [
        (
            "Wed 25 Nov 2026 16:00 (UTC)  email  customer-000001 i1  Suppressed by email-weekly: The cap has been "
            "reached. As things stand it would be approved from Thu 26 Nov 2026 11:00 (America/Bogota) on."
        ),
        (
            "Wed 25 Nov 2026 16:00 (UTC)  sms  customer-000001 i1  Approved. It may be sent until "
            "Wed 25 Nov 2026 11:05 (America/Bogota), but not later."
        ),
        (
            f"Wed 25 Nov 2026 16:00 (UTC)  sms  customer-000002 {'a' * 24}  Withdrawn. Do not send it any more. "
            "The customer opted out."
        ),
    ]


@pytest.mark.parametrize(
    ("options", "types"),
    [
        (["--channel", "sms"], {"approved", "withdrawn"}),
        (["--channel", "sms", "--channel", "email"], {"approved", "withdrawn", "suppressed"}),
        (["--verdict", "suppressed"], {"suppressed"}),
        (["--reason", "opt_out"], {"withdrawn"}),
        (["--customer-file", "-"], {"approved", "suppressed"}),
        (["--customer-file", "-", "--verdict", "withdrawn"], set()),
    ],
)
def test_filters(broker: EmbeddedBroker, decided: str, options: list[str], types: set[str]) -> None:
    result = watched(broker, decided, "--from-beginning", "--json", *options, text="customer-000001\n")
    assert {json.loads(line)["type"] for line in result.stdout.splitlines()} == types


def test_a_limit_and_a_beginning(broker: EmbeddedBroker, decided: str) -> None:
    assert len(watched(broker, decided, "--from-beginning", "--limit", "2").stdout.splitlines()) == 2
    assert watched(broker, decided).stdout == ""


def dead_letter_record(topic: str) -> OutgoingRecord:
    record = InputRecord(topic="outbound-intent", offset=17, key=b"k", value=b"secret", headers=(), timestamp_ms=AT)
    letter = dead_letter(record, 3, RecordRefused("bad_time", "RFC 3339 - at `$.created_at`"), topic=topic)
    return OutgoingRecord(topic, letter.key, letter.value, AT, letter.headers)


def test_what_could_not_be_read_is_shown_without_its_content(broker: EmbeddedBroker, decided: str) -> None:
    publish(broker.bootstrap_servers, [dead_letter_record(decided + "mesura-dead-letter")])
    lines = watched(broker, decided, "--from-beginning").stdout.splitlines()
    assert len(lines) == 4
    expected = "outbound-intent[3] 17  Not decided: bad_time. RFC 3339 - at `$.created_at`"
    assert f"Wed 25 Nov 2026 16:00 (UTC)  dead letter  {expected}" in lines
    assert "dead letter" not in watched(broker, decided, "--from-beginning", "--no-dead-letters").stdout
    assert "dead letter" not in watched(broker, decided, "--from-beginning", "--channel", "sms").stdout
    asked = watched(broker, decided, "--from-beginning", "--channel", "sms", "--dead-letters").stdout
    assert expected in asked
    assert "secret" not in asked


def test_dead_letters_as_json_are_asked_for(broker: EmbeddedBroker, decided: str) -> None:
    publish(broker.bootstrap_servers, [dead_letter_record(decided + "mesura-dead-letter")])
    assert "dead_letter" not in watched(broker, decided, "--from-beginning", "--json").stdout
    lines = watched(broker, decided, "--from-beginning", "--json", "--dead-letters").stdout.splitlines()
    [letter] = [each for each in map(json.loads, lines) if each["type"] == "dead_letter"]
    assert letter == {
        "type": "dead_letter", "topic": "outbound-intent", "partition": 3, "offset": 17, "reason": "bad_time",
        "detail": "RFC 3339 - at `$.created_at`", "set_aside_at": AT,
    }  # fmt: skip


def test_what_is_no_dead_letter_is_said_and_passed_over(broker: EmbeddedBroker, decided: str) -> None:
    topic = decided + "mesura-dead-letter"
    headers = [("mesura.error.reason", b"\xff")]
    records = [OutgoingRecord(topic, b"x", b"secret", AT, each) for each in ((), headers)]
    publish(broker.bootstrap_servers, records)
    result = watched(broker, decided, "--from-beginning")
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr.count("not a dead letter of mesura") == len(records)
    assert "secret" not in result.output


def test_what_is_no_decision_is_said_and_passed_over(broker: EmbeddedBroker, decided: str) -> None:
    values = [b"nonsense", b"7", None, b'{"type":"approved"}']
    publish(broker.bootstrap_servers, [OutgoingRecord(decided + "suppressed", b"x", value, AT) for value in values])
    result = watched(broker, decided, "--from-beginning")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 3
    assert result.stderr.count("not a decision") == len(values)


def test_decisions_are_shown_as_they_come(broker: EmbeddedBroker, prefix: str) -> None:
    script = "from streams.cli.main import main\nmain()"
    arguments = ["watch", "--bootstrap", broker.bootstrap_servers, "--prefix", prefix, "--limit", "1"]
    record = OutgoingRecord(prefix + "suppressed", b"x", json.dumps(SUPPRESSED).encode(), AT)

    def ended() -> bool:
        publish(broker.bootstrap_servers, [record])  # until it listens, at the topic's end
        return process.poll() is not None

    with started(script, *arguments) as process:
        wait_until(ended, 30, "the first decision")
        assert process.stdout is not None
        assert b"The cap has been reached" in process.stdout.read()


def test_no_topics(broker: EmbeddedBroker) -> None:
    result = watched(broker, "nowhere-")
    assert result.exit_code == 2
    assert "do not exist" in result.stderr
