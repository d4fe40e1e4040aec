"""The parent's side of `parent_watch`: a child process spoken to in lines of JSON, ended with us and by its own id."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from streams.testing.errors import BrokerNotAvailableError, RefusedError

if TYPE_CHECKING:
    from streams.testing.parent_watch import Answer, Command

ANSWER_SECONDS = 10.0
"""How long a command may take. Every one is a function call in the child; beyond this it hangs."""

_PACKAGE_PARENT = Path(__file__).resolve().parents[2]


class HeldProcess:
    """`python -m <module> --holder <our pid> …`, alive as long as this process is and `stop` was not called.

    Safe to use from several threads. Not inherited by forks: a forked child must not use it.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(
            [str(_PACKAGE_PARENT), *filter(None, [environment.get("PYTHONPATH")])]
        )
        self._module = module
        self._lock = threading.Lock()
        self._unread = b""
        self._process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-m", module, "--holder", str(os.getpid()), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            bufsize=0,
        )

    @property
    def pid(self) -> int:
        """The process id of the child."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the child has not ended yet."""
        return self._process.poll() is None

    def read(self, deadline_seconds: float = ANSWER_SECONDS) -> Answer:
        """The next line the child says.

        Raises:
            BrokerNotAvailableError: it ended, or said nothing in time.
        """
        assert self._process.stdout is not None
        until = time.monotonic() + deadline_seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(max(0.0, until - time.monotonic())):
                    raise BrokerNotAvailableError(f"{self._module} said nothing for {deadline_seconds} s")
                data = os.read(self._process.stdout.fileno(), 65_536)
                if not data:
                    raise BrokerNotAvailableError(f"{self._module} ended with code {self._process.wait()}")
                self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        answer: Answer = json.loads(line)
        return answer

    def ask(self, command: Command, deadline_seconds: float = ANSWER_SECONDS) -> Answer:
        """Send a command and return its answer.

        Raises:
            BrokerNotAvailableError: the child has ended, or did not answer in time.
            RefusedError: it answered with an error.
        """
        assert self._process.stdin is not None
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(command).encode() + b"\n")
            except (BrokenPipeError, ValueError) as error:
                raise BrokerNotAvailableError(f"{self._module} has ended") from error
            answer = self.read(deadline_seconds)
        if "error" in answer:
            raise RefusedError(str(answer["error"]))
        return answer

    def stop(self, deadline_seconds: float = ANSWER_SECONDS) -> int:
        """Let go of the child, wait until it has ended, and return its exit code. Idempotent."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            code = self._process.wait(deadline_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._process.stdout.close()
        return code
