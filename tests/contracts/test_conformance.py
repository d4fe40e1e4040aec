"""The conformance files say what the gate's decoder, the audit's own reader and Kafka's own client do."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from msgspec.structs import asdict

from streams.audit.documents import BadRecord
from streams.audit.events import read_event
from streams.audit.murmur import home
from streams.cli.main import mesura
from streams.contracts.decode import PreferenceReading
from streams.contracts.errors import REFUSALS, RecordRefused
from streams.contracts.routing import expected_partition
from streams.testing.kafka_installation import install_kafka
from tests.contracts.conformance import CLOCK, DIRECTORY, FILES, TOPICS, text_of
from tests.contracts.decoders import reading

if TYPE_CHECKING:
    from pathlib import Path

KINDS = {topic: kind for kind, topic in TOPICS.items()}
JAVA = """
import java.util.Base64;
import java.util.Scanner;
import org.apache.kafka.common.utils.Utils;

public class Murmur2 {
  public static void main(String[] arguments) {
    Scanner lines = new Scanner(System.in);
    while (lines.hasNextLine()) {
      byte[] key = Base64.getDecoder().decode(lines.nextLine());
      System.out.print(Utils.murmur2(key));
      for (String partitions : arguments) {
        System.out.print(" " + Utils.toPositive(Utils.murmur2(key)) % Integer.parseInt(partitions));
      }
      System.out.println();
    }
  }
}
"""


def lines_of(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DIRECTORY / name).read_text().splitlines()]


def content(line: dict[str, Any], name: str) -> bytes | None:
    if f"{name}_base64" in line:
        return base64.b64decode(line[f"{name}_base64"])
    return None if line[name] is None else str(line[name]).encode()


def record(line: dict[str, Any]) -> tuple[bytes | None, bytes | None, tuple[tuple[str, Any], ...]]:
    headers = tuple((header["name"], content(header, "value")) for header in line["headers"])
    return content(line, "key"), content(line, "value"), headers


RECORDS = lines_of("records.jsonl")
VECTORS = lines_of("murmur2.jsonl")


@pytest.mark.parametrize("name", FILES)
def test_the_files_are_what_is_written_here(name: str) -> None:
    assert (DIRECTORY / name).read_text() == text_of(FILES[name]()), "write it: python -m tests.contracts.conformance"


def test_they_have_every_reason_and_every_topic() -> None:
    assert {line["topic"] for line in RECORDS} == set(KINDS)
    assert {line["becomes"] for line in RECORDS} == {"read", "forwarded", "dead_letter"}
    decided_elsewhere = CLOCK | {"misrouted", "misrouted_again", "unknown_word", "too_large"}
    assert {line["reason"] for line in RECORDS if "reason" in line} == set(REFUSALS) - decided_elsewhere
    assert len({line["name"] for line in RECORDS}) == len(RECORDS)
    for line in (*RECORDS, *VECTORS):
        for name in ("key", "value"):
            if f"{name}_base64" in line:
                with pytest.raises(UnicodeDecodeError):
                    base64.b64decode(line[f"{name}_base64"]).decode()


def test_the_gate_does_what_each_line_says() -> None:
    assert [line["name"] for line in RECORDS if not _is_read_by_the_gate(line)] == []


def _is_read_by_the_gate(line: dict[str, Any]) -> bool:
    key, value, headers = record(line)
    kind = KINDS[line["topic"]].replace("preference", "preference-event")
    try:
        found: Any = reading(kind, value, headers, key)
        refusal = found.refusal if isinstance(found, PreferenceReading) else None
        event = found.event
    except RecordRefused as refused:
        refusal, event = refused, None
    if line["becomes"] == "dead_letter":
        closed = event and event.customer_id
        return refusal is not None and (refusal.reason, closed) == (line["reason"], line.get("closes_customer"))
    return (
        refusal is None
        and asdict(event).items() >= line["event"].items()
        and len(found.not_understood) == line["left_out"]
        and (key == event.customer_id.encode()) == (line["becomes"] == "read")
    )


def test_the_audit_reads_what_each_line_says() -> None:
    assert [line["name"] for line in RECORDS if not _is_read_by_the_audit(line)] == []


def _is_read_by_the_audit(line: dict[str, Any]) -> bool:
    key, value, headers = record(line)
    kind = KINDS[line["topic"]]
    try:
        event = read_event(kind, value, headers, key)
    except BadRecord as bad:
        closed = bad.unread and bad.unread["customer_id"]
        return line["becomes"] == "dead_letter" and (bad.reason, closed) == (
            line["reason"],
            line.get("closes_customer"),
        )
    known = line["event"].keys() & event.keys() - {"detail"}  # of a STOP the code as it stood
    return "customer_id" in known and all(event[name] == line["event"][name] for name in known)


def test_a_key_lives_where_its_line_says() -> None:
    for line in VECTORS:
        key = content(line, "key") or b""
        for partitions, expected in line["partition"].items():
            assert expected_partition(key, int(partitions)) == home(key, int(partitions)) == expected


@pytest.mark.kafka
def test_kafkas_own_client_says_the_same_of_the_keys(tmp_path: Path) -> None:
    installation = install_kafka()
    libraries = [*installation.libraries.glob("kafka-clients-*.jar"), *installation.libraries.glob("slf4j-api-*.jar")]
    assert len(libraries) == 2
    source = tmp_path / "Murmur2.java"
    source.write_text(JAVA)
    keys = "".join(base64.b64encode(content(line, "key") or b"").decode() + "\n" for line in VECTORS)
    partitions = list(VECTORS[0]["partition"])
    done = subprocess.run(
        [str(installation.java), "-cp", os.pathsep.join(map(str, libraries)), str(source), *partitions],
        input=keys,
        capture_output=True,
        text=True,
        check=True,
    )
    expected = [
        " ".join(map(str, [line["murmur2"], *(line["partition"][count] for count in partitions)])) for line in VECTORS
    ]
    assert done.stdout.splitlines() == expected


def test_what_the_readme_says_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (DIRECTORY / "README.md").read_text()
    script = text.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=DIRECTORY.parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{len(VECTORS)} keys live where Kafka's own clients put them\n"
    *making, command = re.findall("^    (.+)$", text.partition("```python")[0], re.MULTILINE)
    assert command == "mesura publish --check values.jsonl"
    monkeypatch.chdir(tmp_path)
    subprocess.run("\n".join(making), shell=True, check=True)
    result = CliRunner().invoke(mesura, command.split()[1:])
    assert result.exit_code == 1
    assert result.stderr + result.stdout == text.partition("\n```\n")[2].partition("```")[0]
