"""One run of a worker process: its start, what it writes until it ends, and how it ended.

Rules of this module
1. What a worker reported as the cause of its end counts, even if it hangs afterwards and has to be killed.
2. Nothing that it writes is passed on unchecked (`streams.cli.child_output`), except to a person at a terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Final

import structlog

from streams.cli import child_output
from streams.exit_codes import ExitCode
from streams.settings import KEY_VARIABLE
from streams.telemetry.recurrence import End
from streams.worker_end import is_refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LINE_BYTES_MAX: Final = 256 * 1024
"""Of one line that a worker writes. A log line has some thousand characters at most, even with a list of partitions."""

log = structlog.get_logger(__name__)


class WorkerRun:
    """One process, from its start to its end.

    Args:
        descriptor: what it inherits, beside its environment.
        listens: told where its endpoint is.
        wrote: told whatever else it says on standard output, as a line of JSON.
        linger_seconds: how long it may take to be gone after it said what it was ended by.
    """

    def __init__(
        self,
        number: int,
        *,
        descriptor: int,
        listens: Callable[[int, str], None],
        wrote: Callable[[int, bytes], None],
        linger_seconds: float,
    ) -> None:
        self._number = number
        self._descriptor = descriptor
        self._listens = listens
        self._passed_on = wrote
        self._linger_seconds = linger_seconds
        self._process: asyncio.subprocess.Process | None = None
        self._ended_by: child_output.Ended | None = None
        self._unlogged = child_output.UnloggedLines()

    async def start(self, command: Sequence[str], environment: Mapping[str, str], key: str) -> None:
        """Start it. The key goes through a pipe, because an environment can be read as long as a process lives."""
        reading, writing = os.pipe()
        try:
            os.write(writing, key.encode())  # far less than a pipe takes
            os.close(writing)
            await self._start(command, {**environment, KEY_VARIABLE: str(reading)}, (self._descriptor, reading))
        finally:
            os.close(reading)

    async def _start(
        self, command: Sequence[str], environment: Mapping[str, str], descriptors: tuple[int, ...]
    ) -> None:
        # It has a session of its own, so that Ctrl-C in a terminal reaches only us. We pass it on ourselves.
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=None if sys.stderr.isatty() else asyncio.subprocess.PIPE,
            # If the interpreter itself crashes, nothing else could report it.
            env={"PYTHONFAULTHANDLER": "1", **environment},
            start_new_session=True,
            pass_fds=descriptors,
            limit=LINE_BYTES_MAX,
        )

    async def end(self) -> End:
        """Read its output until it has ended."""
        process = self._process
        assert process is not None, "not started"
        try:
            await asyncio.gather(self._read_standard_output(process), self._read_standard_error(process))
            return self._how(await process.wait())
        finally:
            assert process.stdin is not None
            process.stdin.close()

    def terminate(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _read_standard_output(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in child_output.lines(process.stdout):
            message = child_output.worker_message(line)
            if message is None:
                self._no_log(line)
            elif message.ops is not None:
                self._listens(self._number, message.ops)
            elif message.ended is not None:
                self._ended_by = message.ended
                # If it cannot end now, it must not keep its partitions.
                asyncio.get_running_loop().call_later(self._linger_seconds, self.kill)
            else:
                self._passed_on(self._number, line)

    async def _read_standard_error(self, process: asyncio.subprocess.Process) -> None:
        if process.stderr is None:
            return
        async for line in child_output.lines(process.stderr):
            if child_output.is_log_line(line):
                with contextlib.suppress(OSError):  # nobody reads our log any more, which is no reason to stop deciding
                    sys.stderr.write(line.decode(errors="replace"))
                    sys.stderr.flush()
            elif line.strip():
                self._no_log(line)

    def _no_log(self, line: bytes) -> None:
        log.warning("A worker wrote a line that is not a log line.", process=self._number, **self._unlogged.add(line))

    def _how(self, code: int) -> End:
        ended = self._ended_by
        if ended is None:
            died_of = self._unlogged.in_words()
            sentence = f"It ended {in_words(code)}" + (f" ({died_of})." if died_of else " without reporting a cause.")
            return End(sentence, in_words(code), code)
        if code != ExitCode.DONE and is_refusal(ended.kind):
            code = ExitCode.REFUSED
        return End(ended.sentence, ended.kind, code, ended.topic, ended.partition, ended.offset)


def in_words(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
