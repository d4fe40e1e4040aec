"""`mesura customer` on Apache Kafka, with a gate that has met a customer everywhere it can."""

from __future__ import annotations

import base64
import json
import stat
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from streams.access_log.writer import AccessLog
from streams.cli.main import mesura
from streams.exit_codes import ExitCode
from streams.policy.packs import pack_path
from streams.testing.records import OutgoingRecord, intent, murmur2_partition, outcome, preference
from tests.contracts.schema_files import raw_schema
from tests.system.conftest import new_prefix
from tests.system.harness import ERASURE_KEY, World, running, until_all_decided

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.testing.broker import Broker
    from tests.system.harness import Gate

CUSTOMER = "planted-customer-1"
NEIGHBOUR = "planted-customer-10"
OTHER = "somebody-else"
KEY = bytes.fromhex(ERASURE_KEY)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class Planted(NamedTuple):
    world: World
    gate: Gate


def misrouted(record: OutgoingRecord) -> OutgoingRecord:
    return record._replace(key=OTHER.encode())


def otp(customer_id: str, intent_id: str, **more: object) -> OutgoingRecord:
    fields: dict[str, object] = {"purpose": "otp", "channel": "email", "country": "CO", "created_at": now_ms()}
    return intent(customer_id, intent_id, **(fields | more))  # type: ignore[arg-type]


def plant(world: World, gate: Gate) -> None:
    """Records of the customer on every topic, and of others who must not be found."""
    now = now_ms()
    envelope = {"specversion": "1.0", "data_base64": base64.b64encode(otp(CUSTOMER, "i-4").value or b"").decode()}
    unread = json.dumps({"customer_id": CUSTOMER}).encode()[:-1]
    world.publish(
        [
            preference(CUSTOMER, "e-1", at=now, channel="sms", purpose="marketing"),
            preference(CUSTOMER, "e-2", "consent_granted", at=now, purpose="marketing", evidence_ref="evidence-1"),
            preference(CUSTOMER, "e-3", "profile", at=now, timezone="Europe/Madrid", country="ES"),
            preference(NEIGHBOUR, "e-4", at=now),
            otp(NEIGHBOUR, "i-n", attributes={"referred_by": CUSTOMER}),
            otp(CUSTOMER, "i-1"),
            intent(CUSTOMER, "i-2", created_at=now, purpose="marketing", channel="sms", country="ES"),
            misrouted(otp(CUSTOMER, "i-3")),
            otp(CUSTOMER, "i-4")._replace(
                value=json.dumps(envelope).encode(),
                headers=[("content-type", b"application/cloudevents+json")],
                key=OTHER.encode(),
            ),
            OutgoingRecord("outbound-intent", CUSTOMER.encode(), b"unreadable", now),
            OutgoingRecord("outbound-intent", OTHER.encode(), unread, now),
            otp(CUSTOMER, "i-5", channel=7)._replace(key=None, partition=0),
        ]
    )
    until_all_decided(gate, world)
    approved = [json.loads(record.value or b"") for record in world.read(world.names.approved)]
    decision = next(each["decision_id"] for each in approved if each.get("intent_id") == "i-1")
    world.publish([outcome(CUSTOMER, decision, occurred_at=now_ms())])
    until_all_decided(gate, world)


@pytest.fixture(scope="module")
def planted(real_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    world = World(real_kafka, new_prefix(), partitions=4, recorded_times=False)
    with running(world, tmp_path_factory.mktemp("gate"), policy=pack_path("small")) as gate:
        plant(world, gate)
        yield Planted(world, gate)


def run(world: World, *arguments: str, customer: str = CUSTOMER, key: str = ERASURE_KEY) -> Result:
    options = ["--bootstrap", world.address, "--prefix", world.prefix]
    return CliRunner().invoke(
        mesura, ["customer", *arguments, *options], input=f"{customer}\n", env={"MESURA_ERASURE_KEY": key}
    )


def export(world: World, directory: Path, customer: str = CUSTOMER) -> dict[str, Any]:
    file = directory / f"{len(list(directory.iterdir()))}.json"
    done = run(world, "export", str(file), customer=customer)
    assert done.exit_code == ExitCode.DONE, done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    document: dict[str, Any] = json.loads(file.read_bytes())
    Draft202012Validator(raw_schema("customer-export")).validate(document)
    return document


def counted(document: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for record in document["records"]:
        found[record["what"]] = found.get(record["what"], 0) + 1
    return found


def test_everything_that_was_planted_is_exported(planted: Planted, tmp_path: Path) -> None:
    document = export(planted.world, tmp_path)
    assert counted(document) == {
        "preference": 3,
        "intent": 6,
        "forwarded": 2,
        "approval": 3,
        "suppression": 1,
        "outcome": 1,
        "dead letter": 2,
    }
    assert sum(record["named_by"] == "content" for record in document["records"]) == 4
    assert not any(record["is_pending"] for record in document["records"])
    assert {each["what"] for each in document["possible"]} == {"intent", "dead letter", "suppression"}
    ledger = document["ledger"]
    assert len(ledger["contacts"]) == 3
    assert sum(each["is_confirmed"] for each in ledger["contacts"]) == 1
    assert {each["type"] for each in ledger["preferences"]} == {"opt_out", "consent_granted"}
    assert ledger["profile"]["timezone"]["value"] == "Europe/Madrid"
    assert NEIGHBOUR not in json.dumps(document)


def test_who_is_unknown_is_not_found(planted: Planted, tmp_path: Path) -> None:
    document = export(planted.world, tmp_path, "nobody-of-that-name")
    assert document["ledger"] is None
    assert document["records"] == document["possible"] == document["ledger_records"] == []
    assert sum(each["records"] for each in document["searched"]) > 20
    assert "Nothing is held of this customer." in run(planted.world, "show", customer="nobody-of-that-name").output


def test_show_names_the_place_of_every_record(planted: Planted, tmp_path: Path) -> None:
    document, shown = export(planted.world, tmp_path), run(planted.world, "show").stdout
    for record in (*document["records"], *document["possible"], *document["ledger_records"]):
        assert f"{record['topic']}-{record['partition']}-{record['offset']}\n" in shown.replace("  ", "\n")
    assert "Europe/Madrid" in shown


def test_the_look_up_is_recorded_before_anything_is_read(planted: Planted, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    assert run(planted.world, "show", "--access-log", str(log)).exit_code == ExitCode.DONE
    (line,) = log.read_text().splitlines()
    record = json.loads(line)
    assert record["what"] == "customer show"
    assert record["customer_hash"] == AccessLog(KEY).hash_of(CUSTOMER)
    assert CUSTOMER not in line
    refused = run(planted.world, "show", "--access-log", str(tmp_path / "no" / "such.log"))
    assert refused.exit_code == ExitCode.REFUSED
    assert "cannot be recorded" in refused.output
    assert "Ledger" not in refused.output


def test_another_key_is_refused(planted: Planted) -> None:
    refused = run(planted.world, "show", key="a7" * 32)
    assert refused.exit_code == ExitCode.REFUSED
    assert "This is not the erasure key of the gate" in refused.output
    assert CUSTOMER not in refused.output


def test_an_export_overwrites_nothing(planted: Planted, tmp_path: Path) -> None:
    file = tmp_path / "there.json"
    file.write_text("mine")
    refused = run(planted.world, "export", str(file))
    assert refused.exit_code == ExitCode.REFUSED
    assert file.read_text() == "mine"


def test_a_correction_is_shown_then_applied(planted: Planted, tmp_path: Path) -> None:
    world = planted.world
    events = tmp_path / "events.jsonl"
    events.write_text(json.dumps({"type": "opt_out", "channel": "whatsapp"}) + "\n\n")
    arguments = ["correct", "--timezone", "Europe/Lisbon", "--event-file", str(events)]
    preview = run(world, *arguments)
    assert preview.exit_code == ExitCode.DONE, preview.output
    assert "- profile timezone Europe/Madrid\n+ profile timezone Europe/Lisbon" in preview.output
    assert "+ opt_out: channel whatsapp" in preview.output
    assert "Nothing was published" in preview.output
    assert export(world, tmp_path)["ledger"]["profile"]["timezone"]["value"] == "Europe/Madrid"
    done = run(world, *arguments, "--confirm")
    assert done.exit_code == ExitCode.DONE, done.output
    assert "Applied" in done.output
    ledger = export(world, tmp_path)["ledger"]
    assert ledger["profile"]["timezone"]["value"] == "Europe/Lisbon"
    assert {"channel": "whatsapp"} in [each["scope"] for each in ledger["preferences"]]
    assert len(ledger["contacts"]) == 3


@pytest.mark.parametrize(
    ("event", "why"),
    [
        ('{"type": "erasure"}', "Use `mesura customer forget`"),
        ('{"type": "opt_out", "customer_id": "another"}', "names another customer"),
        ('{"type": "opt_in", "channel": "no-such-channel"}', "unknown_word"),
        ('{"type": "opt_out", "chanel": "sms"}', "does not understand"),
        ('{"type": "nonsense"}', "type"),
        ("[]", "not a JSON object"),
        ("{", "not JSON"),
        ("", "Say what is to be corrected"),
    ],
)
def test_what_the_gate_would_not_take_whole_is_no_correction(
    planted: Planted, tmp_path: Path, event: str, why: str
) -> None:
    events = tmp_path / "events.jsonl"
    events.write_text(event)
    refused = run(planted.world, "correct", "--event-file", str(events), "--confirm")
    assert refused.exit_code == ExitCode.REFUSED
    assert why in refused.output
    assert "another" not in refused.output.replace("another customer", "")


def test_an_erasure_that_no_gate_has_applied_in_time_says_so(planted: Planted) -> None:
    stranger = "stranger-of-whom-nothing-is-held"
    preview = run(planted.world, "forget", customer=stranger)
    assert "Nothing is held of this customer." in preview.output
    done = run(planted.world, "forget", "--confirm", "--wait-seconds", "0", customer=stranger)
    assert done.exit_code == ExitCode.ANSWER_IS_NO
    assert "Not applied" in done.stdout
    assert stranger not in done.output


def test_forget(planted: Planted, tmp_path: Path) -> None:
    """Last of this file: the other tests need the customer."""
    world = planted.world
    preview = run(world, "forget")
    assert "Nothing was published" in preview.output
    assert "3 contacts" in preview.output
    assert len(export(world, tmp_path)["ledger"]["contacts"]) == 3, "a preview changes nothing"
    done = run(world, "forget", "--confirm", "--json")
    assert done.exit_code == ExitCode.DONE, done.output
    receipt = json.loads(done.stdout)
    assert receipt["is_applied"]
    assert {each["type"] for each in receipt["kept"]} == {"opt_out"}
    assert {each["until"] is not None for each in receipt["stays"]} == {True}
    assert CUSTOMER not in done.output
    document = export(world, tmp_path)
    assert document["ledger"] is None
    left = document["left_by_erasure"]
    assert left["contacts"] == left["remembered_intents"] == []
    assert left["profile"] == {}
    assert left["erased_at"] == receipt["erased_at"]
    assert document["ledger_records"][-1]["is_deletion"] or document["ledger_records"][-2]["is_deletion"]
    assert CUSTOMER not in planted.gate.said


def test_an_id_is_needed(planted: Planted) -> None:
    for nothing in ("", "x" * 129):
        refused = run(planted.world, "show", customer=nothing)
        assert refused.exit_code == ExitCode.REFUSED
        assert "one line with 1 to 128 characters" in refused.output


def test_the_home_of_the_customer_is_not_that_of_the_other() -> None:
    """Or nothing would be misrouted here."""
    assert murmur2_partition(CUSTOMER.encode(), 4) != murmur2_partition(OTHER.encode(), 4)
