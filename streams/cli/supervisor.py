"""Keep worker processes running: start each again when it ends, stop all when asked, never leave one behind.

Rules of this module
1. Exit code 0 is an end, 2 is a refusal that starting again cannot help; anything else, a killing signal among it, is a
   failure: the worker is started again, under the same slot, so that it takes over its own unfinished transaction.
2. Starts are spaced: the longer it fails, the longer the pause, up to a limit, with jitter; after a
   healthy time they begin anew. Each worker has pauses of its own.
3. One refusal is everybody's: what refuses one worker refuses the others too, now or later. The others are stopped.
   An end is its worker's alone; the others go on.
4. SIGTERM, SIGINT and SIGHUP are passed on as SIGTERM; after `STOP_SECONDS`, or at a second signal, workers are
   killed by their own process ids. They are on a `leash`, so that they end also when this process is killed.
5. Workers are started in the main thread: the kernel ends a leashed process with the *thread* that started it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

from streams.cli import leash
from streams.ends import EXIT_ENDED, EXIT_REFUSED, EXIT_START_AGAIN
from streams.settings import RESTARTS_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

STOP_SECONDS: Final = 5.0
"""A worker finishes or abandons its batch well within this. Longer, and those who supervise us would kill us first."""

PAUSE_FIRST_SECONDS: Final = 0.5
"""After a single failure the gate should be back before anybody notices: decisions are promised within seconds."""

PAUSE_MAX_SECONDS: Final = 30.0
"""A broker that was down for an hour must not wait long for us; a worker that fails at once must not fill the log."""

HEALTHY_SECONDS: Final = 60.0
"""Running this long means that restoring and joining the group went well: the next failure is a new story."""


class Front(Protocol):
    """What stands before several workers: hears where each listens, and answers for all of them."""

    async def start(self) -> None:
        """Called before the first worker is started."""
        ...

    async def stop(self) -> None:
        """Called after the last one has ended."""
        ...

    def descriptor(self, number: int) -> int:
        """What this worker inherits from us, beside its environment."""
        ...

    def said(self, number: int, line: bytes) -> None:
        """The worker wrote this line on its standard output."""
        ...

    def ended(self, number: int, why: str, restarts: int) -> None:
        """The worker does not run any more; it has been, or will be, started again that often."""
        ...


class Supervisor:
    """Worker processes, kept running.

    Args:
        module: is run as `python -m module`.
        environments: of the workers, complete; as many workers as environments.
        say: told in one sentence what happened.
        front: hears the workers' standard output and what becomes of them. None: one worker, which speaks for itself.
        restarts_max: give up after so many restarts of a worker; None: never.
    """

    def __init__(
        self,
        module: str,
        environments: Sequence[Mapping[str, str]],
        *,
        arguments: Sequence[str] = (),
        say: Callable[[str], None],
        front: Front | None = None,
        restarts_max: int | None = None,
        pause_first_seconds: float = PAUSE_FIRST_SECONDS,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        command = [sys.executable, "-m", leash.MODULE, str(os.getpid()), module, *arguments]
        self._front = front
        self._stop_seconds = stop_seconds
        self._stop_asked = asyncio.Event()
        is_alone = len(environments) == 1
        self._workers = [
            _Worker(
                number,
                command,
                environment,
                name="The worker" if is_alone else f"Process {number}",
                say=say,
                front=front,
                stop_asked=self._stop_asked,
                restarts_max=restarts_max,
                pause_first_seconds=pause_first_seconds,
            )
            for number, environment in enumerate(environments)
        ]

    def run(self) -> int:
        """Run the workers until they end for good, and return the exit code to end with. Call it in the main thread.

        Raises:
            OSError: the front could not be started; no worker was.
        """
        return asyncio.run(self._run())

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in _stop_signals():
            loop.add_signal_handler(number, self._on_signal)
        if self._front is not None:
            await self._front.start()
        try:
            return await self._keep_all()
        finally:
            if self._front is not None:
                await self._front.stop()

    async def _keep_all(self) -> int:
        kept = {asyncio.create_task(worker.keep()) for worker in self._workers}
        codes: set[int] = set()
        try:
            while kept:
                done, kept = await asyncio.wait(kept, return_when=asyncio.FIRST_COMPLETED)
                codes |= {task.result() for task in done}
                if codes != {EXIT_ENDED}:
                    self._stop()
        finally:
            for worker in self._workers:
                worker.kill()
        # A refusal says more than a failure that others had meanwhile.
        return next(code for code in (EXIT_REFUSED, EXIT_START_AGAIN, EXIT_ENDED) if code in codes)

    def _on_signal(self) -> None:
        if self._stop_asked.is_set():
            for worker in self._workers:
                worker.kill()
        else:
            self._stop()

    def _stop(self) -> None:
        if self._stop_asked.is_set():
            return
        self._stop_asked.set()
        for worker in self._workers:
            worker.terminate()
            asyncio.get_running_loop().call_later(self._stop_seconds, worker.kill)


class _Worker:
    """One of the workers: started, waited for, and started again."""

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        name: str,
        say: Callable[[str], None],
        front: Front | None,
        stop_asked: asyncio.Event,
        restarts_max: int | None,
        pause_first_seconds: float,
    ) -> None:
        self._number = number
        self._command = command
        self._environment = environment
        self._name = name
        self._say = say
        self._front = front
        self._stop_asked = stop_asked
        self._restarts = 0
        self._restarts_max = restarts_max
        self._pause_first_seconds = pause_first_seconds
        self._process: asyncio.subprocess.Process | None = None

    async def keep(self) -> int:
        """Run it until it ends for good; what that means for everybody is the exit code."""
        pause_seconds = self._pause_first_seconds
        while True:
            started = time.monotonic()
            code = await self._run_once()
            if self._stop_asked.is_set():
                # Asked to stop and stopped, by itself or not: what it left unfinished is decided again later.
                return self._end("was stopped", EXIT_ENDED)
            if code in {EXIT_ENDED, EXIT_REFUSED}:
                return self._end("has ended" if code == EXIT_ENDED else "was refused", code)
            if time.monotonic() - started >= HEALTHY_SECONDS:
                pause_seconds = self._pause_first_seconds
            if self._restarts_max is not None and self._restarts >= self._restarts_max:
                self._say(f"{self._name} ended {_in_words(code)}, after {self._restarts} restarts. Giving up.")
                return self._end("was given up", EXIT_START_AGAIN)
            self._restarts += 1
            # Half of it at least, so that pauses grow; the rest at random, so that those who fell together rise apart.
            wait_seconds = pause_seconds * random.uniform(0.5, 1.0)  # noqa: S311  # not a secret
            self._say(f"{self._name} ended {_in_words(code)}. Restart {self._restarts} in {wait_seconds:.1f} s.")
            self._end("is being started again", code)
            if await _happens(self._stop_asked, wait_seconds):
                return self._end("was stopped", EXIT_ENDED)
            pause_seconds = min(pause_seconds * 2, PAUSE_MAX_SECONDS)

    def terminate(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def _run_once(self) -> int:
        front = self._front
        # A session of its own: Ctrl-C in a terminal reaches us alone, and we pass it on in our own way.
        process = self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=None if front is None else asyncio.subprocess.PIPE,
            env={**self._environment, RESTARTS_VARIABLE: str(self._restarts)},
            start_new_session=True,
            pass_fds=() if front is None else (front.descriptor(self._number),),
        )
        if self._stop_asked.is_set():  # the signal came while it was started
            process.terminate()
        try:
            if process.stdout is not None and front is not None:
                async for line in process.stdout:
                    front.said(self._number, line)
            return await process.wait()
        finally:
            assert process.stdin is not None
            process.stdin.close()

    def _end(self, why: str, code: int) -> int:
        if self._front is not None:
            self._front.ended(self._number, why, self._restarts)
        return code


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """Whether it happens within this time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


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
