"""The gate of the demonstration: `mesura run` as a separate process, started as a user would start it.

Rules of this module
1. It never outlives us, whatever ends us: `cli/parent_watch.py` ends it, and it ends its worker in the same way.
2. Its output is kept in a file, and shown only if something went wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Final

from streams.cli import parent_watch
from streams.cli.supervisor import STOP_SECONDS
from streams.connection.settings import VARIABLE_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

CONNECTION: Final = (VARIABLE_PREFIX, "MESURA_COMMAND_CONFIG")
"""How variables begin that say how to connect."""

_ABORTED: Final = "mesura_batches_aborted_total{"
_RESTARTS: Final = "mesura_worker_restarts_total "
_LAST_LINES: Final = 12
_LAST_BYTES: Final = 16_384
_READY_ANSWER_SECONDS: Final = 2.0
# `mesura run` kills its worker after STOP_SECONDS, and then needs a moment more to end itself.
_STOP_SECONDS: Final = STOP_SECONDS + 2.0


class GateProcess:
    """`mesura run` with these arguments."""

    def __init__(self, arguments: Sequence[str], *, erasure_key: str, is_own_broker: bool = True) -> None:
        # The file has no name, so it disappears when no process has it open any more, whatever ends us.
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self.restarts = 0
        """How often its worker had been restarted at the latest look."""
        self.aborted = 0
        """How many transactions its worker had aborted by then."""
        self.ops = self.explain = ""
        environment = {**os.environ, "MESURA_ERASURE_KEY": erasure_key}
        environment.pop("MESURA_ERASURE_KEY_FILE", None)
        if is_own_broker:  # what is said about the connection is about another cluster
            environment = {name: value for name, value in environment.items() if not name.startswith(CONNECTION)}
        self._process = subprocess.Popen(  # noqa: S603  # our own module
            [
                *(sys.executable, "-m", parent_watch.MODULE, str(os.getpid()), "streams.cli.main", "run"),
                *("--explain-port", "0", *arguments),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, name="gate-output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The process id of `mesura run`."""
        return self._process.pid

    def ended(self) -> int | None:
        """Its exit code, or None while it runs."""
        return self._process.poll()

    def is_ready(self) -> bool:
        """Whether its worker is deciding."""
        if not self.ops:
            return False
        try:
            with urllib.request.urlopen(f"{self.ops}/ready", timeout=_READY_ANSWER_SECONDS) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def look(self) -> None:
        """Read its metrics. The known values stay if it does not answer."""
        if not self.ops:
            return
        with contextlib.suppress(urllib.error.URLError, OSError, ValueError):
            with urllib.request.urlopen(f"{self.ops}/metrics", timeout=_READY_ANSWER_SECONDS) as answer:  # noqa: S310
                lines = answer.read().decode().splitlines()
            self.aborted, self.restarts = _sum(lines, _ABORTED), _sum(lines, _RESTARTS)

    def last_words(self) -> str:
        """The end of its output."""
        descriptor = self._log.fileno()
        # `read` would move the position at which the gate continues to write, because it shares the file with us.
        end = os.pread(descriptor, _LAST_BYTES, max(0, os.fstat(descriptor).st_size - _LAST_BYTES))
        return "\n".join(end.decode(errors="replace").splitlines()[-_LAST_LINES:])

    def stop(self) -> int:
        """Ask it to stop, wait, and kill it by its own id if it does not. Idempotent."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            code = self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._log.close()
        return code

    def _read(self) -> None:
        """Its address comes as one line of JSON."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            try:
                said = json.loads(line)
                self.ops, self.explain = str(said["ops"]), str(said["explain"])
            except (ValueError, KeyError, TypeError):
                continue


def _sum(lines: Sequence[str], begins: str) -> int:
    return int(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(begins)))
