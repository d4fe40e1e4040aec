"""`mesura demo` as a visitor runs it: it balances, ends by itself, and leaves nothing behind however it ends."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from streams.cli.main import mesura
from streams.testing.real_kafka import open_kafka
from streams.testing.waiting import wait_until
from tests.cli.supervised import is_alive, started

if TYPE_CHECKING:
    import subprocess

SCRIPT = "from streams.cli.main import main\nmain()"
SMALL = ["--intents", "300", "--rate", "600"]
RUN_SECONDS = 120.0
GONE_SECONDS = 20.0


def descendants(process_id: int) -> set[int]:
    """Every process below this one."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found = {process_id}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process_id}


def read_until(process: subprocess.Popen[bytes], text: bytes) -> bytes:
    """What it says, up to a line with this text in it."""
    assert process.stdout is not None
    said = b""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    raise AssertionError(said.decode() + (process.stderr.read().decode() if process.stderr else ""))


def test_a_live_run_balances() -> None:
    with started(SCRIPT, "demo", *SMALL) as process:
        output, errors = process.communicate(timeout=RUN_SECONDS)
    text = output.decode()
    assert process.returncode == 0, text + errors.decode()
    assert "✗" not in text
    assert "✓ one answer to every intent record:" in text
    assert "latency, from publishing to a readable answer: p50 " in text
    assert errors == b""


def test_a_recorded_run_is_the_same_every_time() -> None:
    def told() -> list[str]:
        with started(SCRIPT, "demo", "--clock", "record", "--intents", "400") as process:
            output, errors = process.communicate(timeout=RUN_SECONDS)
        assert process.returncode == 0, output.decode() + errors.decode()
        lines = output.decode().splitlines()
        return [line.partition(" in ")[0] for line in lines[lines.index("") :]]

    assert told() == told()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_behind(number: signal.Signals) -> None:
    with started(SCRIPT, "demo", "--intents", "60", "--rate", "600", "--keep") as process:
        said = read_until(process, b"Ctrl-C ends it.")
        assert b"mesura watch --bootstrap 127.0.0.1:" in said
        below = descendants(process.pid)
        assert len(below) >= 3  # the broker, `mesura run`, its worker
        process.send_signal(number)
        assert process.wait(GONE_SECONDS) == (-number if number == signal.SIGKILL else 0)
        wait_until(lambda: not any(map(is_alive, below)), GONE_SECONDS, "the end of every process")


@pytest.mark.kafka
def test_on_somebody_elses_cluster() -> None:
    with open_kafka() as kafka, started(SCRIPT, "demo", "--bootstrap", kafka.bootstrap_servers, *SMALL) as process:
        output, errors = process.communicate(timeout=RUN_SECONDS)
    assert process.returncode == 0, output.decode() + errors.decode()


def test_interrupted_in_the_middle_it_leaves_nothing_behind() -> None:
    with started(SCRIPT, "demo", "--intents", "5000", "--rate", "10") as process:
        read_until(process, b"decided")
        below = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(GONE_SECONDS) == 130
        wait_until(lambda: not any(map(is_alive, below)), GONE_SECONDS, "the end of every process")


def test_a_run_that_takes_too_long_says_so() -> None:
    with started(SCRIPT, "demo", "--intents", "5000", "--rate", "10", "--seconds-limit", "5") as process:
        output, _ = process.communicate(timeout=RUN_SECONDS)
    assert process.returncode == 1
    assert "✗ the run reached its end: the time limit of 5 s was reached" in output.decode()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--policy", "/nowhere"], "The policy /nowhere cannot be read"),
        (["--keep", "--clock", "record"], "--keep needs the wall clock"),
        (["feed", "--bootstrap", "127.0.0.1:1"], "No Kafka broker answers"),
    ],
)
def test_what_cannot_be_run_is_said(arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.demo.feed.CONNECT_SECONDS", 0.2)
    result = CliRunner().invoke(mesura, ["demo", *arguments])
    assert result.exit_code == 2
    assert says in result.stderr
    assert "Traceback" not in result.output
