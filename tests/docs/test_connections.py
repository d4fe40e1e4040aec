"""The examples of docs/connections.md describe connections, its table names every setting, its sentences are said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.connection.connection import Connection
from streams.connection.names import HONOURED, OTHER_NAMES
from streams.connection.source import ConnectionSource
from tests.connection.authority import Authority

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "connections.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```properties\n(.+?)```", PAGE, re.DOTALL)
(VARIABLES,) = re.findall(r"```sh\n(.+?)```", PAGE, re.DOTALL)
KEY_PASSWORD = "a-key-password"


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """What the examples find below /etc/mesura."""
    authority = Authority("docs")
    issued = authority.issue("gate")
    files = {
        "ca.crt": (authority.pem, 0o644),
        "tls.crt": (issued.certificate, 0o644),
        "tls.key": (issued.key(), 0o440),
        "gate.pem": (issued.key(KEY_PASSWORD) + issued.certificate, 0o440),
        "key-password": (f"{KEY_PASSWORD}\n", 0o440),
        "password": ("a-password\n", 0o440),
        "client-secret": ("a-secret\n", 0o440),
    }
    for name, (text, mode) in files.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
    return tmp_path


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_every_example_is_a_connection(mounted: Path, number: int) -> None:
    file = mounted / "client.properties"
    # They refer to secrets and hold none: whoever may read this file learns nothing.
    file.write_text(EXAMPLES[number].replace("/etc/mesura", str(mounted)))
    file.chmod(0o644)
    source = ConnectionSource(file)
    assert source.read().is_encrypted
    assert not source.passed_over()


def test_the_variables_say_the_same_as_the_file(mounted: Path) -> None:
    lines = (line.partition("=") for line in VARIABLES.replace("/etc/mesura", str(mounted)).split())
    by_variables = ConnectionSource(None, {name: value for name, _, value in lines}).read()
    (example,) = (each for each in EXAMPLES if "ScramLoginModule" in each)
    (mounted / "client.properties").write_text(example.replace("/etc/mesura", str(mounted)))
    assert by_variables == ConnectionSource(mounted / "client.properties").read()
    assert by_variables != Connection()


def test_there_is_an_example_for_each_way() -> None:
    wanted = {"SSL", "SASL_SSL", "SCRAM-SHA-512", "PLAIN", "OAUTHBEARER"}
    assert wanted == set(
        re.findall(r"^(?:security\.protocol|sasl\.mechanism)=(.+)$", "\n".join(EXAMPLES), re.MULTILINE)
    )


def test_every_setting_is_in_the_table() -> None:
    section = PAGE.split("\n## Every setting\n")[1].split("\n## ")[0]
    named = {name.replace("….", "sasl.oauthbearer.client.credentials.") for name in re.findall(r"`([\w.…]+)`", section)}
    missing = (HONOURED | OTHER_NAMES.keys()) - named
    assert not missing


def test_every_sentence_of_the_page_is_one_of_the_gates() -> None:
    section = PAGE.split("\n## What is said\n")[1]
    rows = re.findall(r"^\| [^|]+ \| `([^`]+)`", section, re.MULTILINE)
    rows += re.findall(r"^\| `(The gate can[^`]+)`", PAGE, re.MULTILINE)
    assert len(rows) > 15
    source = "".join(path.read_text() for path in (ROOT / "streams").rglob("*.py"))
    # As they stand in the source: what is put in has braces, and long sentences are in pieces.
    source = re.sub(r'"\s+f?"', "", source)
    for row in rows:
        pieces = [piece.strip(" ,()") for piece in row.split("…") if piece.strip(" ,().")]
        assert all(piece in source for piece in pieces), row
