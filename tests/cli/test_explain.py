"""`mesura explain`: asked of a gate, decided on a ledger, or read from a recorded decision."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from streams.cli.main import mesura
from streams.contracts.control import PolicyRecord, encode_policy
from streams.contracts.decode import decode_intent
from streams.decision.ledger.codec import encode_ledger
from streams.decision.ledger.state import EMPTY_LEDGER, Contact, LabelSet
from streams.decision.ledger.transitions import with_contact
from streams.decision.policy import compile_policy
from streams.exactly_once.control import policy_text_key
from streams.policy.loader import load_policy
from streams.policy.packs import pack_path
from streams.service.explanation import explain
from streams.testing.kafka_io import publish
from streams.testing.records import OutgoingRecord
from tests.cli.strangers import stranger, web_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streams.testing.embedded_broker import EmbeddedBroker

AT = "2026-11-25T15:00:00Z"
AT_MS = 1_795_618_800_000
INTENT = {
    "intent_id": "i1", "customer_id": "customer-000001", "channel": "sms", "created_at": AT, "purpose": "service",
    "timezone": "America/Bogota", "sender_id": "sms-co",
}  # fmt: skip
STARTER = load_policy(pack_path("starter"))
POLICY = compile_policy(STARTER.specification)


def asked(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(mesura, ["explain", *arguments], input=text)


def answer() -> dict[str, Any]:
    intent, _ = decode_intent(json.dumps(INTENT).encode())
    found: dict[str, Any] = json.loads(json.dumps(explain(intent, None, POLICY, AT_MS).as_document()))
    return found


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    contact = Contact(b"1" * 12, AT_MS - 60_000, AT_MS - 60_000, 0)
    known = with_contact(EMPTY_LEDGER, contact, LabelSet("sms", "service"), created_ms=AT_MS - 60_000)
    path = tmp_path / "ledger"
    path.write_bytes(encode_ledger(known))
    (tmp_path / "ledger.json").write_bytes(msgspec.json.encode(known))
    return path


@pytest.mark.parametrize("suffix", ["", ".json"])
def test_decided_here_on_a_ledger(ledger: Path, suffix: str) -> None:
    path = f"{ledger}{suffix}"
    result = asked("--intent", json.dumps(INTENT), "--ledger", path, "--policy", "starter", "--at", AT)
    assert result.exit_code == 0, result.output
    assert "Suppressed by gap-any: The last contact was too short a time ago." in result.stdout
    assert "approved from Wed 25 Nov 2026 11:59 (America/Bogota) on." in result.stdout
    assert "✗ gap-any: 1 contact in the last 2 hours." in result.stdout
    assert "✓ sms-weekly: 1 of 3 in any 7 days." in result.stdout


def test_decided_here_without_a_ledger_and_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "intent.json"
    path.write_text(json.dumps(INTENT))
    for given in ([str(path)], ["-"]):
        result = asked("--intent", *given, "--policy", "starter", "--at", str(AT_MS), text=path.read_text())
        assert result.stdout.startswith("Approved. It may be sent until Wed 25 Nov 2026 10:05 (America/Bogota)")
    document = json.loads(asked("--intent", str(path), "--policy", "starter", "--at", AT, "--json").stdout)
    assert document == answer()


@pytest.fixture
def gate() -> Iterator[str]:
    """Something that answers as a gate does."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            intent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            refused = intent.get("channel") is None
            body = {"error": "missing_field: Object missing required field `channel`"} if refused else answer()
            content = json.dumps(body).encode()
            self.send_response(400 if refused else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_asked_of_the_gate(gate: str) -> None:
    result = asked("--intent", json.dumps(INTENT), "--gate", gate)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Approved.")
    assert "✓ expired:deadline: It has no deadline." in result.stdout
    assert "✓ hours-house: Open, until Wed 25 Nov 2026 20:00 (America/Bogota)." in result.stdout


def test_the_gates_refusal_is_passed_on(gate: str) -> None:
    result = asked("--intent", '{"intent_id": "i1"}', "--gate", gate)
    assert result.exit_code == 2
    assert "missing required field `channel`" in result.stderr


def test_no_gate() -> None:
    result = asked("--intent", json.dumps(INTENT), "--gate", "http://127.0.0.1:1")
    assert result.exit_code == 2
    assert "No gate answers at http://127.0.0.1:1" in result.stderr


def recorded() -> str:
    found = answer()
    found["type"] = found.pop("verdict")
    del found["rules"]
    return json.dumps(found)


def test_a_recorded_decision_with_its_policy() -> None:
    result = asked("--decision", recorded(), "--policy", "starter")
    assert "✓ sms-weekly: 0 of 3 in any 7 days." in result.stdout
    assert "Remaining after this one:" in result.stdout


HINT = "Give --bootstrap (or --policy) to see the rules by name."


def test_a_recorded_decision_alone_ends_with_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESURA_BOOTSTRAP", raising=False)
    monkeypatch.delenv("MESURA_BOOTSTRAP_SERVERS", raising=False)
    result = asked("--decision", recorded())
    assert result.exit_code == 0
    assert "✓ rule 0: " in result.stdout
    assert result.stdout.splitlines()[-1] == HINT
    assert HINT not in asked("--decision", recorded(), "--policy", "starter").stdout
    assert HINT not in asked("--decision", json.dumps(answer())).stdout
    assert HINT not in asked("--decision", recorded(), "--json").stdout


def test_a_recorded_decision_is_not_read_with_another_policy() -> None:
    result = asked("--decision", recorded(), "--policy", "small")
    assert result.exit_code == 2
    assert "was made under the policy" in result.stderr


@pytest.mark.parametrize("compiles", [True, False])
def test_a_recorded_decision_with_the_policy_of_the_control_topic(
    broker: EmbeddedBroker, prefix: str, compiles: bool
) -> None:
    specification = STARTER.specification
    record = PolicyRecord(
        name=specification.name,
        version=specification.version,
        hash=specification.content_hash,
        text=STARTER.text if compiles else "mesura: 99",
        rules=[],
        versions={},
        calendars={},
    )
    key = policy_text_key(specification.content_hash)
    noise = OutgoingRecord(f"{prefix}mesura-control", b"partitions", b"4", AT_MS)
    publish(broker.bootstrap_servers, [noise, OutgoingRecord(noise.topic, key, encode_policy(record), AT_MS)])
    result = asked("--decision", recorded(), "--bootstrap", broker.bootstrap_servers, "--prefix", prefix)
    assert result.exit_code == 0, result.output
    assert ("sms-weekly: 0 of 3 in any 7 days." in result.stdout) is compiles
    assert result.stdout.startswith("Approved.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either --intent or --decision"),
        (["--intent", "{}", "--decision", "{}"], "either --intent or --decision"),
        (["--intent", "/nowhere"], "cannot be read"),
        (["--intent", "{}", "--policy", "starter"], "The intent cannot be read: missing_field"),
        (["--intent", "{}", "--at", AT], "need --policy"),
        (["--intent", json.dumps(INTENT), "--policy", "starter", "--at", "noon"], "RFC 3339"),
        (["--intent", json.dumps(INTENT), "--policy", "/nowhere"], "The policy /nowhere cannot be read"),
        (["--intent", json.dumps(INTENT), "--policy", "starter", "--ledger", "/nowhere"], "cannot be read"),
        (["--intent", json.dumps(INTENT), "--policy", "starter", "--ledger", __file__], "is not a ledger"),
        (["--decision", "{"], "is not JSON"),
        (["--decision", "{}"], "not a decision of mesura"),
    ],
)
def test_what_cannot_be_explained_is_said(arguments: list[str], says: str) -> None:
    result = asked(*arguments)
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "gate", ["localhost:9464", "http://", "http://localhost:abc", "http://[::1", "http://a b", "ftp://a"]
)
def test_what_is_no_address_of_a_gate(gate: str) -> None:
    result = asked("--intent", json.dumps(INTENT), "--gate", gate)
    assert result.exit_code == 2
    assert (
        "--gate needs the address of a gate, such as http://127.0.0.1:9465. `mesura run --explain-port" in result.stderr
    )


def not_found(_: bytes) -> bytes:
    return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def greeting(_: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (
            not_found,
            "does not explain. It is the port of /metrics, or something else: `mesura run --explain-port 9465`",
        ),
        (greeting, "is not a gate. `mesura run --explain-port 9465` answers there"),
        (lambda _: b"SSH-2.0-something\r\n\r\n", "is not a web server. `mesura run --explain-port 9465` answers there"),
        (web_server, "answered with status 400. `mesura run --explain-port 9465` answers there"),
        (lambda _: None, "`mesura run --explain-port 9465` answers there"),
    ],
)
def test_what_is_no_gate(answer: Callable[[bytes], bytes | None], says: str) -> None:
    with stranger(answer) as address:
        result = asked("--intent", json.dumps(INTENT), "--gate", f"http://{address}")
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("text", ['[{"customer_id": "somebody"}]', '"somebody"', '\ufeff{"customer_id": "somebody"}'])
def test_what_looks_like_json_is_not_repeated_as_a_files_name(text: str) -> None:
    for option in ("--intent", "--decision"):
        result = asked(option, text, "--policy", "starter")
        assert result.exit_code == 2
        assert "somebody" not in result.output


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "intent.json"
    file.write_text("\ufeff" + json.dumps(INTENT), encoding="utf-8")
    assert asked("--intent", str(file), "--policy", "starter", "--at", AT).exit_code == 0
    file.write_text("\ufeff" + recorded(), encoding="utf-8")
    assert asked("--decision", str(file)).exit_code == 0
    file.write_text(json.dumps(INTENT), encoding="utf-16")
    result = asked("--intent", str(file), "--policy", "starter")
    assert result.exit_code == 2
    assert "is not UTF-8 text. Save it as UTF-8." in result.stderr
