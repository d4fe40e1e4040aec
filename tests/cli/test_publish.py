"""`mesura publish`: sound lines arrive where they belong, the others are named and not sent."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from streams.cli.event_lines import KindUnknown, kind_of, one_event_a_line
from streams.cli.main import mesura
from streams.contracts.errors import RecordRefused
from streams.demo.records import home
from streams.testing.kafka_io import read_topic
from tests.cli.conftest import PARTITIONS
from tests.cli.supervised import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.embedded_broker import EmbeddedBroker

NOW_MS = int(time.time() * 1000)
INTENT = {"intent_id": "i1", "customer_id": "customer-000001", "channel": "sms", "created_at": NOW_MS}
OPT_OUT = {"event_id": "e1", "customer_id": "customer-000002", "type": "opt_out", "effective_at": 1_700_000_000_000}
REPLY = {"customer_id": "customer-000003", "type": "reply", "channel": "sms", "occurred_at": 1_700_000_000_001}


def published(broker: EmbeddedBroker, prefix: str, text: str | bytes, *options: str) -> Result:
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


def test_intents_that_no_gate_will_approve_are_counted(broker: EmbeddedBroker, prefix: str) -> None:
    minute, now = 60_000, int(time.time() * 1000)
    ages = [0, -4 * minute, -6 * minute, -7 * minute, 6 * 24 * 60 * minute, 8 * 24 * 60 * minute]
    result = published(broker, prefix, lines(*({**INTENT, "created_at": now - age} for age in ages), OPT_OUT))
    assert result.exit_code == 0
    assert [line.partition(". ")[0] for line in result.stderr.splitlines()] == [
        "Warning: intents created more than 5 minutes from now: 2",
        "Warning: intents created more than 7 days ago: 1",
    ]
    assert "customer-" not in result.output
    assert published(broker, prefix, lines(INTENT, OPT_OUT)).stderr == ""


def test_what_the_gate_could_not_read_is_not_sent(broker: EmbeddedBroker, prefix: str, tmp_path: Path) -> None:
    secret = "customer-000009"
    broken = json.dumps(INTENT)[:-9]
    late = {**INTENT, "customer_id": secret, "created_at": "yesterday"}
    rejects = tmp_path / "rejects.jsonl"
    text = lines(INTENT, broken, late, {"customer_id": secret}, {**OPT_OUT, "type": "shout"})
    result = published(broker, prefix, text, "--reject-file", str(rejects))
    assert result.exit_code == 1
    *named, remedy = result.stderr.splitlines()
    assert [line.partition(": ")[0] for line in named] == ["line 2", "line 3", "line 4", "line 5"]
    assert remedy == f"Correct these lines as schemas/ says and publish them alone; they are in {rejects}."
    assert "bad_time" in result.stderr
    assert result.stdout.splitlines()[-1].startswith("rejected: 4 (")
    assert secret not in result.stderr
    assert rejects.read_text().splitlines() == text.splitlines()[1:]
    assert len(read_topic(broker.bootstrap_servers, prefix + "outbound-intent")) == 1


def test_a_byte_order_mark_is_no_part_of_a_file(broker: EmbeddedBroker, prefix: str) -> None:
    marked = "\ufeff" + lines(INTENT) + "\ufeff" + lines(OPT_OUT)  # as after `cat a.jsonl b.jsonl`
    result = published(broker, prefix, marked)
    assert (result.exit_code, result.stderr) == (0, "")
    for topic, event in (("outbound-intent", INTENT), ("opt-out", OPT_OUT)):
        [record] = read_topic(broker.bootstrap_servers, prefix + topic)
        assert record.value == json.dumps(event).encode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_said(broker: EmbeddedBroker, prefix: str, encoding: str) -> None:
    result = published(broker, prefix, lines(INTENT).encode(encoding))
    assert result.exit_code == 2
    assert "The file is UTF-16 text. Save it as UTF-8" in result.stderr


def test_lines_in_an_envelope_go_where_what_they_hold_belongs(broker: EmbeddedBroker, prefix: str) -> None:
    envelopes: list[dict[str, Any]] = [
        {"specversion": "1.0", "type": "x", "data": INTENT},
        {"schema": None, "payload": OPT_OUT},
        {"op": "c", "before": None, "after": OPT_OUT, "source": {}},
        {"op": "c", "before": None, "after": INTENT, "source": {}},
    ]
    result = published(broker, prefix, lines(*envelopes))
    assert result.exit_code == 1
    assert result.stdout.splitlines()[:2] == ["intents: 1 published", "preferences: 2 published"]
    assert result.stderr.startswith("line 4: bad_envelope: ")
    assert "ExtractNewRecordState" in result.stderr


def test_a_no_that_is_read_generously_is_sent_and_said(broker: EmbeddedBroker, prefix: str) -> None:
    result = published(
        broker, prefix, lines(OPT_OUT, {**OPT_OUT, "effective_at": "yesterday"}, {**OPT_OUT, "type": "Unsubscribe"})
    )
    assert result.exit_code == 0
    assert result.stdout == "preferences: 3 published\n"
    assert result.stderr.startswith(
        "Warning: events that restrict and contain something that cannot be read: 1, on lines 2. The gate applies them"
    )


def test_spellings_of_what_may_be_one_customer_are_said(broker: EmbeddedBroker, prefix: str) -> None:
    ids = ["Ana", "+57 300 123-4567", "ana", "caf\u00e9", "573001234567", "cafe\u0301", "0057 3001234567", "somebody"]
    result = published(broker, prefix, lines(*({**OPT_OUT, "customer_id": name} for name in [*ids, *ids])))
    assert result.exit_code == 0
    assert "on lines 1 and 3; 2, 5 and 7; 4 and 6. Ids are compared byte for byte" in result.stderr
    assert "how a number is written: 3, on lines" in result.stderr
    for name in ids:
        assert name not in result.output


def test_a_kind_may_be_named(broker: EmbeddedBroker, prefix: str) -> None:
    result = published(broker, prefix, lines(OPT_OUT), "--to", "intents")
    assert result.exit_code == 1
    assert "missing_field" in result.stderr


def test_many_rejections_are_counted(broker: EmbeddedBroker, prefix: str) -> None:
    result = published(broker, prefix, "x\n" * 30)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-2:] == [
        "… and 10 more lines were rejected.",
        "Correct these lines as schemas/ says and publish them alone; --reject-file FILE keeps them.",
    ]


def test_topics_are_not_made_by_writing_to_them(broker: EmbeddedBroker) -> None:
    result = published(broker, "nowhere-", lines(INTENT))
    assert result.exit_code == 2
    assert "mesura topics create" in result.stderr


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.cli.publish.CONNECT_SECONDS", 0.2)
    result = CliRunner().invoke(mesura, ["publish", "-", "--bootstrap", "127.0.0.1:1"], input="")
    assert result.exit_code == 2
    assert "No Kafka broker answers at 127.0.0.1:1" in result.stderr


def test_an_unknown_type_is_told_what_is_known(broker: EmbeddedBroker, prefix: str) -> None:
    result = published(broker, prefix, lines({**OPT_OUT, "type": "shout"}))
    assert result.exit_code == 1
    said = "line 1: unknown_type: `type`: a word that the contract does not know; write one of opt_out, "
    assert result.stderr.startswith(said)
    assert "complaint" in result.stderr
    named = published(broker, prefix, lines({**OPT_OUT, "type": "shout"}), "--to", "preferences")
    assert named.stderr.startswith(said)
    assert "complaint" not in named.stderr
    assert "shout" not in result.output + named.output


def test_one_document_over_several_lines_is_one_sentence(broker: EmbeddedBroker, prefix: str) -> None:
    example = (REPOSITORY / "schemas/examples/intent.minimal.json").read_text()
    for text in (example, f"\n{example}{example}", json.dumps([INTENT, OPT_OUT], indent=2)):
        result = published(broker, prefix, text)
        assert result.exit_code == 2
        assert result.output == (
            "Error: This looks like one JSON document over several lines. Write one event per line.\n"
        )


@pytest.mark.parametrize(
    "text",
    [b"", b"\n\n", b"{}\n", b'{"a": 1\n{"a": 1}\n', b"{\n{}\n}\n", b"{\n" * 2000, b"x\n}\n", b"\xff\n{}\n"],
)
def test_lines_are_handed_on_as_they_are(text: bytes) -> None:
    given = text.splitlines(keepends=True)
    assert list(one_event_a_line(given)) == given


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"not json", "not_json"),
        (b"[1,2]", "wrong_type"),
        (b"7", "wrong_type"),
        (b"\xff", "not_utf8"),
        (b'{"type":"opt_out"', "not_json"),
        (b'{"a":' * 9999, "not_json"),
        (b'{"type":7}', "unknown_type"),
        (b'{"type":"shout"}', "unknown_type"),
    ],
)
def test_what_is_none_of_the_kinds(line: bytes, reason: str) -> None:
    with pytest.raises(RecordRefused) as refused:
        kind_of(line)
    assert refused.value.reason == reason


@pytest.mark.parametrize("line", [b"{}", b'{"type":null}', b'{"customer_id":"c"}'])
def test_what_cannot_be_told(line: bytes) -> None:
    with pytest.raises(KindUnknown):
        kind_of(line)


def checked_only(text: str | bytes, *options: str, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(mesura, ["publish", "-", "--check", *options], input=text, env=environment)


def test_a_check_says_the_same_of_the_same_lines_and_sends_nothing(broker: EmbeddedBroker, prefix: str) -> None:
    text = lines(INTENT, "not json", OPT_OUT, {**OPT_OUT, "effective_at": "noon"}, {**REPLY, "occurred_at": 1.5}, REPLY)
    said = checked_only(text, environment={"MESURA_BOOTSTRAP": broker.bootstrap_servers, "MESURA_PREFIX": prefix})
    topics = ("outbound-intent", "opt-out", "contact-outcome")
    assert [len(read_topic(broker.bootstrap_servers, prefix + topic)) for topic in topics] == [0, 0, 0]
    sent = published(broker, prefix, text)
    assert [len(read_topic(broker.bootstrap_servers, prefix + topic)) for topic in topics] == [1, 2, 1]
    assert said.exit_code == sent.exit_code == 1
    assert said.stderr == sent.stderr
    assert [line.partition(": ")[0] for line in said.stderr.splitlines()[:2]] == ["line 2", "line 5"]
    assert said.stdout == sent.stdout.replace("published", "sound")
    assert said.stdout.splitlines()[0] == "intents: 1 sound"


def test_a_check_needs_no_broker() -> None:
    sound = checked_only(lines(INTENT, OPT_OUT))
    assert (sound.exit_code, sound.stderr) == (0, "")
    assert sound.stdout == "intents: 1 sound\npreferences: 1 sound\n"


def test_without_a_check_a_broker_is_needed() -> None:
    result = CliRunner().invoke(mesura, ["publish", "-"], input=lines(INTENT))
    assert result.exit_code == 2
    assert "Missing option '--bootstrap'" in result.stderr
    assert "--check" in result.stderr
