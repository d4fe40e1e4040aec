"""Whoever is measured, as processes: our workers, a yardstick named on the command line, the Faust peer.

Rules of this module
1. Every contender gets the same number of processes, and is ended by the ids of the processes it was started as.
2. What a contender says goes to a file; its last lines are shown when it ends before it is asked to.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from msgspec import structs

from streams.settings import SETTINGS_VARIABLE, WorkerSettings

STOP_SECONDS: Final = 20.0
LINES_SHOWN: Final = 20
ROOT: Final = Path(__file__).parent.parent
ERASURE_KEY: Final = "00" * 32


@dataclass(frozen=True, slots=True)
class Connected:
    """How workers connect."""

    address: str = ""
    """Of a listener; empty: the broker's own, in the clear."""
    properties: str = ""
    """The file of client properties."""
    mark: str = ""
    """Tells its topics and groups from those of others."""


IN_THE_CLEAR: Final = Connected()


@dataclass(frozen=True, slots=True)
class Contender:
    """Running processes."""

    processes: Sequence[subprocess.Popen[bytes]]
    logs: Sequence[Path]

    @property
    def pids(self) -> list[int]:
        """Their ids."""
        return [process.pid for process in self.processes]

    def still_running(self) -> None:
        """Raise RuntimeError, with its last words, if one of them has ended."""
        for process, log in zip(self.processes, self.logs, strict=True):
            if process.poll() is not None:
                last = "\n".join(log.read_text(errors="replace").splitlines()[-LINES_SHOWN:])
                raise RuntimeError(f"a process ended with {process.returncode}; its last words:\n{last}")

    def end(self, number: int = signal.SIGTERM) -> None:
        """Ask them to end; who does not is killed."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def started(
    command: Sequence[str] | str,
    environments: Sequence[Mapping[str, str]],
    directory: Path,
    *,
    ends_with: int = signal.SIGTERM,
) -> Iterator[Contender]:
    """One process per environment; a command that is a text is given to the shell, which becomes the process."""
    processes: list[subprocess.Popen[bytes]] = []
    logs: list[Path] = []
    contender = Contender(processes, logs)
    words = ["/bin/sh", "-c", f"exec {command}"] if isinstance(command, str) else list(command)
    try:
        for number, environment in enumerate(environments):
            log = directory / f"{environment.get('GID', 'worker')}-{number}.log"
            with log.open("wb") as output:
                processes.append(
                    subprocess.Popen(
                        words,
                        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
                        cwd=directory,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                    )
                )
            logs.append(log)
        yield contender
    finally:
        contender.end(ends_with)


def workers(
    settings: WorkerSettings,
    processes: int,
    directory: Path,
    tree: Path = ROOT,
    module: str = "streams.worker",
) -> contextlib.AbstractContextManager[Contender]:
    """Our worker processes, each in a slot of its own, run from the sources in `tree`: the product's own module, or one
    that looks at it.
    """
    environments = [
        {
            SETTINGS_VARIABLE: structs.replace(settings, slot=str(number)).to_environment(),
            "MESURA_LOG_LEVEL": "INFO",
            "GID": settings.application_id,
            "PYTHONPATH": str(tree),
        }
        for number in range(processes)
    ]
    return started([sys.executable, "-m", module], environments, directory)


def yardstick(
    command: str, environment: Mapping[str, str], processes: int, directory: Path
) -> contextlib.AbstractContextManager[Contender]:
    """The program of `--yardstick`: IDX counts its processes, PORT is free for each. It is killed at the end."""
    environments = [{**environment, "IDX": str(number), "PORT": str(free_port())} for number in range(processes)]
    return started(command, environments, directory, ends_with=signal.SIGKILL)


def faust_peer(
    environment: Mapping[str, str], processes: int, directory: Path
) -> contextlib.AbstractContextManager[Contender]:
    """The Faust agent with a Table."""
    environments = [
        {**environment, "PORT": str(free_port()), "DATADIR": str(directory / f"faust-{number}")}
        for number in range(processes)
    ]
    command = f'{sys.executable} -m bench.peers.faust_table worker -l warn --web-port "$PORT"'
    return started(command, environments, directory)


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as candidate:
        candidate.bind(("127.0.0.1", 0))
        return int(candidate.getsockname()[1])


def ops_address(log: Path) -> str | None:
    """Where a worker's operations endpoint listens, once it has said so."""
    for line in log.read_text().splitlines():
        if line.startswith('{"ops"'):
            return str(json.loads(line)["ops"])
    return None


def get(address: str) -> tuple[int, str]:
    """Status and text; status 0 while nobody answers."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
    except OSError:
        return 0, ""
