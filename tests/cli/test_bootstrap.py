"""Every command that takes `--bootstrap` says at once what is wrong with what it was given, and ends with 2."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from streams.cli.main import PARTS, mesura
from tests.cli.strangers import TLS_ALERT, stranger
from tests.cli.supervised import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path

STARTER = REPOSITORY / "streams/policy/packs/starter.yaml"

COMMANDS = {
    "run": ["run", "--policy", str(STARTER)],
    "topics create": ["topics", "create"],
    "topics check": ["topics", "check"],
    "publish": ["publish", "-"],
    "watch": ["watch", "--no-follow"],
    "explain": ["explain", "--decision", '{"decided_at": 1, "type": "approved", "valid_until": 2}'],
    "audit": ["audit"],
    "demo": ["demo"],
    "demo feed": ["demo", "feed"],
    "doctor": ["doctor"],
    "dead-letters list": ["dead-letters", "list"],
    "dead-letters show": ["dead-letters", "show", "mesura-dead-letter-0-0"],
    "dead-letters replay": ["dead-letters", "replay"],
    "customer show": ["customer", "show"],
    "rebuild": ["rebuild"],
    "ledger backup": ["ledger", "backup", os.devnull],
    "ledger move": ["ledger", "move", "--to-prefix", "a.", "--to-application-id", "a"],
}
WITHOUT_BROKER = {"policy", "erasure-key", "capacity"}
INPUT = "customer-1"  # an id, and no event
OF_THE_KEY = {"MESURA_ERASURE_KEY": "5a" * 32}
BY_THE_COMMAND_ITSELF = sorted(COMMANDS.keys() - {"run"})


def test_every_part_of_the_command_is_here() -> None:
    assert {name.partition(" ")[0] for name in COMMANDS} == PARTS.keys() - WITHOUT_BROKER


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("address", ["kafka://127.0.0.1:9092", "127.0.0.1", "::1:9092", "SSL://a:9093"])
def test_what_is_no_address(command: str, address: str) -> None:
    result = CliRunner().invoke(mesura, [*COMMANDS[command], "--bootstrap", address], input=INPUT)
    assert result.exit_code == 2
    assert result.output.startswith(f"Error: --bootstrap: `{address}` ")


@pytest.mark.parametrize("command", BY_THE_COMMAND_ITSELF)
def test_a_tls_listener(command: str) -> None:
    with stranger(lambda _: TLS_ALERT) as address:
        result = CliRunner().invoke(mesura, [*COMMANDS[command], "--bootstrap", address], input=INPUT, env=OF_THE_KEY)
    assert result.exit_code == 2
    assert f"{address} is a TLS listener" in result.output


@pytest.mark.parametrize("command", BY_THE_COMMAND_ITSELF)
def test_nothing_listens(command: str) -> None:
    result = CliRunner().invoke(mesura, [*COMMANDS[command], "--bootstrap", "127.0.0.1:1"], input=INPUT, env=OF_THE_KEY)
    assert result.exit_code == 2
    assert "No Kafka broker answers at 127.0.0.1:1: nothing listens there." in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_how_to_connect_is_read_by_every_command(command: str, tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("secrity.protocol=SSL\n")
    for options in (["--command-config", str(file)], ["--command-config", str(tmp_path / "nowhere")]):
        result = CliRunner().invoke(mesura, [*COMMANDS[command], "--bootstrap", "127.0.0.1:1", *options], input=INPUT)
        assert result.exit_code == 2
        assert "did you mean `security.protocol`?" in result.output or "cannot be read: No such file" in result.output
    variable = {"MESURA_KAFKA_SASL_MECHANISMM": "PLAIN", "MESURA_KAFKA_SASL_PASSWORD": "planted-secret"}
    result = CliRunner().invoke(mesura, [*COMMANDS[command], "--bootstrap", "127.0.0.1:1"], input=INPUT, env=variable)
    assert result.exit_code == 2
    assert "did you mean MESURA_KAFKA_SASL_MECHANISM?" in result.output
    assert "planted-secret" not in result.output


def test_what_has_no_effect_is_said(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("security.protocol=PLAINTEXT\nbootstrap.servers=kafka:9092\nacks=all\n")
    where = ["--bootstrap", "127.0.0.1:1", "--command-config", str(file)]
    result = CliRunner().invoke(mesura, [*COMMANDS["topics check"], *where])
    assert "client.properties: without effect here: bootstrap.servers, acks." in result.output


def test_blanks_between_addresses_do_not_matter(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    events.touch()
    result = CliRunner().invoke(mesura, ["publish", str(events), "--bootstrap", "127.0.0.1:1, nowhere.invalid:9092"])
    assert result.exit_code == 2
    assert "nothing listens there" in result.output
    assert "nowhere.invalid:9092: the name does not resolve" in result.output
