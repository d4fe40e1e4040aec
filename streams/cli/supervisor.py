"""Keep one worker process running: start it again when it ends, stop it when asked, never leave it behind.

Rules of this module
1. Exit code 0 is an end, 2 is a refusal that starting again cannot help; anything else, a killing signal among it, is a
   failure: the worker is started again, under the same slot, so that it takes over its own unfinished transaction.
2. Starts are spaced: the longer it fails, the longer the pause, up to a limit, with jitter; after a
   healthy time they begin anew.
3. SIGTERM, SIGINT and SIGHUP are passed on as SIGTERM; after `STOP_SECONDS`, or at a second signal, the worker is
   killed by its own process id. It is on a `leash`, so that it ends also when this process is killed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from streams.cli import leash
from streams.settings import RESTARTS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

EXIT_ENDED: Final = 0
EXIT_REFUSED: Final = 2
EXIT_RESTART: Final = 3

STOP_SECONDS: Final = 5.0
"""A worker finishes or abandons its batch well within this. Longer, and those who supervise us would kill us first."""

PAUSE_FIRST_SECONDS: Final = 0.5
"""After a single failure the gate should be back before anybody notices: decisions are promised within seconds."""

PAUSE_MAX_SECONDS: Final = 30.0
"""A broker that was down for an hour must not wait long for us; a worker that fails at once must not fill the log."""

HEALTHY_SECONDS: Final = 60.0
"""Running this long means that restoring and joining the group went well: the next failure is a new story."""


class Supervisor:
    """One worker process, kept running.

    Args:
        module: is run as `python -m module`.
        environment: of the worker, complete.
        say: told in one sentence what happened.
        restarts_max: give up after so many restarts; None: never.
    """

    def __init__(
        self,
        module: str,
        environment: Mapping[str, str],
        *,
        arguments: Sequence[str] = (),
        say: Callable[[str], None],
        restarts_max: int | None = None,
        pause_first_seconds: float = PAUSE_FIRST_SECONDS,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self.restarts = 0
        self._command = [sys.executable, "-m", leash.MODULE, str(os.getpid()), module, *arguments]
        self._environment = environment
        self._say = say
        self._restarts_max = restarts_max
        self._pause_first_seconds = pause_first_seconds
        self._stop_seconds = stop_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._kill_timer: threading.Timer | None = None
        self._stop_asked = threading.Event()

    def run(self) -> int:
        """Run the worker until it ends for good, and return the exit code to end with. Call it in the main thread."""
        previous = {number: signal.signal(number, self._on_signal) for number in _stop_signals()}
        try:
            return self._run()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _run(self) -> int:
        pause_seconds = self._pause_first_seconds
        while True:
            started = time.monotonic()
            code = self._run_once()
            if self._stop_asked.is_set():
                # Asked to stop and stopped, by itself or not: what the worker left unfinished is decided again later.
                return EXIT_ENDED
            if code in {EXIT_ENDED, EXIT_REFUSED}:
                return code
            if time.monotonic() - started >= HEALTHY_SECONDS:
                pause_seconds = self._pause_first_seconds
            if self._restarts_max is not None and self.restarts >= self._restarts_max:
                self._say(f"The worker ended {_in_words(code)}, after {self.restarts} restarts. Giving up.")
                return EXIT_RESTART
            self.restarts += 1
            # Half of it at least, so that pauses grow; the rest at random, so that those who fell together rise apart.
            wait_seconds = pause_seconds * random.uniform(0.5, 1.0)  # noqa: S311  # not a secret
            self._say(f"The worker ended {_in_words(code)}. Restart {self.restarts} in {wait_seconds:.1f} s.")
            if self._stop_asked.wait(wait_seconds):
                return EXIT_ENDED
            pause_seconds = min(pause_seconds * 2, PAUSE_MAX_SECONDS)

    def _run_once(self) -> int:
        environment = {**self._environment, RESTARTS_VARIABLE: str(self.restarts)}
        # A session of its own: Ctrl-C in a terminal reaches us alone, and we pass it on in our own way.
        process = subprocess.Popen(  # noqa: S603  # our own module
            self._command, stdin=subprocess.PIPE, env=environment, start_new_session=True
        )
        self._process = process
        if self._stop_asked.is_set():  # the signal came between two workers
            self._stop(process)
        try:
            return process.wait()
        finally:
            self._process = None
            assert process.stdin is not None
            process.stdin.close()
            if self._kill_timer is not None:
                self._kill_timer.cancel()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        is_second = self._stop_asked.is_set()
        self._stop_asked.set()
        process = self._process
        if process is None:
            return
        if is_second:
            process.kill()
        else:
            self._stop(process)

    def _stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        timer = threading.Timer(self._stop_seconds, process.kill)
        timer.daemon = True
        self._kill_timer = timer
        timer.start()


def _stop_signals() -> list[signal.Signals]:
    """What asks us to stop. SIGHUP not if whoever started us (nohup) had it ignored."""
    asked = [signal.SIGTERM, signal.SIGINT]
    return asked if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [*asked, signal.SIGHUP]


def _in_words(code: int) -> str:
    if code >= 0:
        return f"with exit code {code}"
    try:
        return f"by {signal.Signals(-code).name}"
    except ValueError:
        return f"by signal {-code}"
