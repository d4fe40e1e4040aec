"""What a worker's end means to its supervisor: the exit code, and one line that says what it was and where."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from streams.exactly_once.changelog import META_KEY, META_VERSION, Meta, encode_meta
from streams.exactly_once.errors import (
    BatchUnreadableError,
    LaneError,
    RecordsMissingError,
    StartupRefusedError,
    StateUnreadableError,
)
from streams.exit_codes import ExitCode
from streams.policy.findings import Finding, PolicyRefused
from streams.settings import SETTINGS_VARIABLE, SettingsRefused
from streams.testing.kafka_io import publish
from streams.testing.records import OutgoingRecord, intent, murmur2_partition, preference
from streams.worker_end import ENDED, WorkerEnd
from tests.cli.supervised import REPOSITORY
from tests.system.conftest import now_ms
from tests.system.harness import START_SECONDS, Gate, running, until_all_decided

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.system.harness import World


def announced(end: WorkerEnd) -> dict[str, Any] | None:
    out = io.StringIO()
    end.announce(out)
    if not out.getvalue():
        return None
    [line] = out.getvalue().splitlines()
    [(name, told)] = json.loads(line).items()
    assert name == "ended"
    assert list(told) == ["sentence", "kind", "topic", "partition", "offset"]
    return dict(told)


@pytest.mark.parametrize(
    "error",
    [
        StartupRefusedError("no"),
        RecordsMissingError("t", 0, 1, 1),
        StateUnreadableError("t", 0, None, "It is damaged."),
        PolicyRefused([Finding(1, None, "no", "")]),
        SettingsRefused("no"),
    ],
)
def test_what_starting_again_cannot_help_is_a_refusal(error: Exception) -> None:
    assert WorkerEnd.by(error).exit_code == ExitCode.REFUSED
    assert WorkerEnd.by(error).reason == str(error)


@pytest.mark.parametrize("error", [BatchUnreadableError("t", 0, 1, "its checksum is wrong"), LaneError("no")])
def test_what_may_pass_is_started_again(error: Exception) -> None:
    assert WorkerEnd.by(error).exit_code == ExitCode.START_AGAIN
    assert WorkerEnd.by(error).reason == str(error)


def test_the_line_names_kind_and_place() -> None:
    told = announced(WorkerEnd.by(BatchUnreadableError("opt-out", 3, 7, "its checksum is wrong")))
    assert told is not None
    assert "offset 7 of opt-out-3" in told.pop("sentence")
    assert told == {"kind": "BatchUnreadableError", "topic": "opt-out", "partition": 3, "offset": 7}
    unplaced = announced(WorkerEnd.by(StartupRefusedError("no")))
    assert unplaced == {
        "sentence": "no", "kind": "StartupRefusedError", "topic": None, "partition": None, "offset": None
    }  # fmt: skip


def test_an_end_that_was_asked_for_needs_no_line() -> None:
    assert ENDED.exit_code == ExitCode.DONE
    assert announced(ENDED) is None


def test_foreign_texts_are_not_repeated() -> None:
    def quotes() -> None:
        raise ValueError("c-1 at +57 300 0000000")

    with pytest.raises(ValueError, match="c-1") as raised:
        quotes()
    told = announced(WorkerEnd.by(raised.value))
    assert told is not None
    assert "c-1" not in told["sentence"]
    assert told["sentence"].startswith("The worker was ended by builtins.ValueError in ")
    assert told["sentence"].endswith(f"test_worker_ends.py:{quotes.__code__.co_firstlineno + 1}.")
    assert told["kind"] == "ValueError"


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESURA_")}
    return subprocess.run(
        [sys.executable, *(arguments or ("-c", script))],
        check=False,
        timeout=60,
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env=environment,
    )


def the_line(out: str) -> dict[str, Any]:
    [found] = [json.loads(line)["ended"] for line in out.splitlines() if line.startswith('{"ended"')]
    return dict(found)


def test_a_worker_without_settings_says_so() -> None:
    ended = run("", "-m", "streams.worker")
    assert ended.returncode == ExitCode.REFUSED
    assert the_line(ended.stdout)["kind"] == "SettingsRefused"
    assert SETTINGS_VARIABLE in the_line(ended.stdout)["sentence"]
    assert all(json.loads(line) for line in ended.stderr.splitlines())


ENDING = """
import os, signal, sys
from streams import worker
from streams.worker_end import WorkerEnd
from streams.exactly_once.errors import {error}

class Failed:
    def __init__(self, settings):
        pass

    async def run(self, stop):
        return WorkerEnd.by({made})

worker.GateWorker = Failed
worker.WorkerSettings.from_environment = classmethod(lambda cls, text: cls(
    bootstrap_servers="x:1", policy_path="x", erasure_key="5e" * 32))
os.environ[worker.SETTINGS_VARIABLE] = "given"
announce = WorkerEnd.announce
def announced(end):
    os.kill(os.getpid(), signal.SIGTERM)
    announce(end)
WorkerEnd.announce = announced
sys.exit(worker.main())
"""


def test_asked_to_stop_while_it_is_ending_it_still_says_why() -> None:
    ended = run(ENDING.format(error="LaneError", made="LaneError('it went wrong')"))
    assert ended.returncode == ExitCode.START_AGAIN
    assert the_line(ended.stdout)["sentence"] == "it went wrong"


# A shut-down that hangs in a thread of computing: no timer of the event loop would end it.
HANGING = """
import asyncio, sys, threading
from streams import app
from streams.worker_end import ENDED, WorkerEnd
from streams.exactly_once.errors import {error}

app.STOP_LIMIT_SECONDS = 0.01
with app._deadline({end}):
    threading.Event().wait(50)
"""


@pytest.mark.parametrize(
    ("error", "end", "code", "kinds"),
    [
        ("StartupRefusedError", "WorkerEnd.by(StartupRefusedError('no'))", ExitCode.REFUSED, ["StartupRefusedError"]),
        ("LaneError", "WorkerEnd.by(LaneError('no'))", ExitCode.START_AGAIN, ["LaneError"]),
        ("LaneError", "ENDED", ExitCode.START_AGAIN, []),
    ],
)
def test_a_shutdown_that_hangs_does_not_change_what_the_end_was(
    error: str, end: str, code: int, kinds: Sequence[str]
) -> None:
    ended = run(HANGING.format(error=error, end=end))
    assert ended.returncode == code
    told = [json.loads(line)["ended"]["kind"] for line in ended.stdout.splitlines() if line.startswith('{"ended"')]
    assert told == list(kinds)


def test_a_damaged_ledger_is_a_refusal_that_names_its_record(world: World, tmp_path: Path) -> None:
    """Supervised: it is not started again, and the customer whose ledger it is stands nowhere."""
    customer = "somebody-4711"
    partition = murmur2_partition(customer.encode(), world.partitions)
    with running(world, tmp_path) as gate:
        world.publish([preference(customer, "no", at=now_ms())])
        until_all_decided(gate, world)
        gate.terminate()
    ledger = world.names.ledger
    [key] = [record.key for record in world.read(ledger) if (record.key or b"").startswith(b"c")]
    publish(world.address, [OutgoingRecord(ledger, key, b"\xc1 damaged", now_ms(), partition=partition)])
    offset = max(record.offset for record in world.read(ledger) if record.partition == partition)
    with running(world, tmp_path, supervised=True) as gate:
        world.publish([intent(customer, "i", created_at=now_ms())])
        assert gate.ended(START_SECONDS) == ExitCode.REFUSED, gate.said[-3000:]
        said = gate.said
    assert f"The state at offset {offset} of {ledger}-{partition} cannot be read: A stored ledger of " in said
    assert "Restart" not in said
    assert "somebody" not in said
    assert not world.read_outputs(), "nothing is decided as if nothing were known"


def test_a_ledger_of_a_newer_version_is_a_refusal_too(world: World, tmp_path: Path) -> None:
    newer = encode_meta(Meta({}, version=META_VERSION + 1))
    publish(world.address, [OutgoingRecord(world.names.ledger, META_KEY, newer, now_ms(), partition=3)])
    gate = Gate(world.settings(), tmp_path)
    try:
        assert gate.ended(START_SECONDS) == ExitCode.REFUSED, gate.said[-3000:]
    finally:
        gate.stop()
    told = the_line(gate.said)
    place = (told["topic"], told["partition"], told["offset"])
    assert (told["kind"], place) == ("StateUnreadableError", (world.names.ledger, 3, 0))
    assert "Start the newer version again" in told["sentence"]
