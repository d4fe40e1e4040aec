"""Start what is supervised as a process of its own, and hear what it says. Ends what it started, by process id."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]

SUPERVISE = """
import os, sys
from streams.cli.ops_gateway import MachineOpsGateway
from streams.cli.supervisor import Supervisor
from streams.telemetry.logs import configure_logging
from streams.telemetry.recurrence import Recurrence
from streams.web.settings import EndpointSettings
configure_logging()
recurrence = Recurrence()
gateway = MachineOpsGateway(1, endpoint=EndpointSettings(ops_port=0), access_key=b"k" * 32, recurrence=recurrence)
supervisor = Supervisor(
    "tests.cli.fake_worker", [dict(os.environ)], gateway=gateway, recurrence=recurrence,
    restarts_max=5, pause_first_seconds=float(os.environ.get("PAUSE", "0.01")),
    pause_max_seconds=float(os.environ.get("PAUSE_MAX", "0.05")), stop_seconds=float(os.environ.get("STOP", "5")),
)
sys.exit(supervisor.run())
"""

RUN = """
import functools, os
import streams.cli.run
from streams.cli.supervisor import PAUSE_MAX_SECONDS, Supervisor
streams.cli.run.Supervisor = functools.partial(
    Supervisor, pause_max_seconds=float(os.environ.get("PAUSE_MAX", PAUSE_MAX_SECONDS))
)
streams.cli.run.WORKER_MODULE = "tests.cli.fake_worker"
from streams.cli.main import main
main()
"""


@contextlib.contextmanager
def started(script: str, *arguments: str, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process that runs the script; killed at the end if it still runs."""
    with tempfile.TemporaryDirectory() as starts:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *arguments],
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), "FAKE_WORKER_STARTS": starts, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()


def hear(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The next line of JSON on its standard output."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, process.stderr and process.stderr.read().decode()
    said: dict[str, Any] = json.loads(line)
    return said


def events(errors: bytes) -> list[dict[str, Any]]:
    """Everything on its standard error, which is nothing but log lines."""
    return [json.loads(line) for line in errors.splitlines()]


def is_alive(process_id: int) -> bool:
    """Whether a process with this id runs (one that has ended and not been waited for does not)."""
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
