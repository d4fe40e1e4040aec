"""Keeps worker processes running: restarts each that ends, stops all when asked, and never leaves one behind.

Rules of this module
1. A worker that ended as asked is not started again. One that was refused (`streams.worker_end` says which ends are
   refusals) or failed is, under the same slot, so that it takes over its own unfinished transaction.
2. Restarts are spaced. The longer a worker fails, the longer the pause, up to a limit, with jitter. After a healthy
   time the pauses begin anew. Each worker has pauses of its own. A refusal, and a failure that comes back at the same
   place (`streams.telemetry.recurrence`), have the longest pause from then on, because only a repair from outside ends
   them.
3. A refusal of one worker does not stop the others. When every worker that has not ended is refused, all end.
4. SIGTERM, SIGINT and SIGHUP are passed on as SIGTERM; after `STOP_SECONDS`, or at a second signal, workers are
   killed by their own process ids. `streams.cli.parent_watch` ends them also when this process is killed.
5. Workers are started in the main thread, because the kernel ends a watched process with the *thread* that started it.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from streams.cli import parent_watch
from streams.cli.worker_run import WorkerRun, in_words
from streams.exit_codes import ExitCode
from streams.telemetry.recurrence import End

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streams.telemetry.recurrence import Recurrence

STOP_SECONDS: Final = 5.0
"""A worker finishes or abandons its batch well within this time. If it were longer, whatever supervises us would kill
us first."""

PAUSE_FIRST_SECONDS: Final = 0.5
"""After a single failure the gate should be back before anybody notices: decisions are promised within seconds."""

PAUSE_MAX_SECONDS: Final = 30.0
"""A broker that was down for an hour must not wait long for us, and a worker that fails at once must not
fill the log.
"""

HEALTHY_SECONDS: Final = 60.0
"""A worker that ran this long has restored and joined the group, so its next failure is unrelated."""

log = structlog.get_logger(__name__)


class OpsGateway(Protocol):
    """What stands before the workers: hears where each listens and how it ended, and answers for all of them."""

    async def start(self) -> None:
        """Called before the first worker is started."""
        ...

    async def stop(self) -> None:
        """Called after the last one has ended."""
        ...

    def descriptor(self, number: int) -> int:
        """What this worker inherits from us, beside its environment."""
        ...

    def committed(self, number: int) -> float:
        """How many batches this worker has committed, over all its starts."""
        ...

    def was_settled(self, number: int) -> bool:
        """Whether the present or latest run of this worker was seen to decide for a while."""
        ...

    def listens(self, number: int, address: str) -> None:
        """The worker's endpoint is there."""
        ...

    def wrote(self, number: int, line: bytes) -> None:
        """The worker said something else on its standard output, as a line of JSON."""
        ...

    def ended(self, number: int, why: str, *, restarts: int, is_refused: bool) -> None:
        """The worker does not run any more; it has been, or will be, started again that often."""
        ...


class Supervisor:
    """Worker processes, kept running.

    Args:
        module: is run as `python -m module`.
        environments: of the workers, complete; as many workers as environments.
        key: handed to each worker apart from its environment.
        gateway: hears of the workers.
        recurrence: is told how they fail.
        restarts_max: give up after so many restarts of a worker; None: never.
    """

    def __init__(
        self,
        module: str,
        environments: Sequence[Mapping[str, str]],
        *,
        key: str = "",
        arguments: Sequence[str] = (),
        gateway: OpsGateway,
        recurrence: Recurrence,
        restarts_max: int | None = None,
        pause_first_seconds: float = PAUSE_FIRST_SECONDS,
        pause_max_seconds: float = PAUSE_MAX_SECONDS,
        stop_seconds: float = STOP_SECONDS,
    ) -> None:
        self._gateway = gateway
        self._stop_seconds = stop_seconds
        self._stop_asked = asyncio.Event()
        self._all_refused = False
        self._workers = [
            _Worker(
                number,
                [sys.executable, "-m", parent_watch.MODULE, str(os.getpid()), module, *arguments],
                environment,
                key,
                name="The worker" if len(environments) == 1 else f"Process {number}",
                gateway=gateway,
                recurrence=recurrence,
                stop_asked=self._stop_asked,
                is_end_of_all=self._is_end_of_all,
                restarts_max=restarts_max,
                pauses=(pause_first_seconds, pause_max_seconds),
                stop_seconds=stop_seconds,
            )
            for number, environment in enumerate(environments)
        ]

    def run(self) -> int:
        """Run the workers until they end for good, and return the exit code to end with. Call it in the main thread.

        Raises:
            OSError: the gateway could not be started; no worker was.
        """
        return asyncio.run(self._run())

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in _stop_signals():
            loop.add_signal_handler(number, self._on_signal)
        await self._gateway.start()
        try:
            return await self._keep_all()
        finally:
            await self._gateway.stop()

    async def _keep_all(self) -> int:
        kept = {asyncio.create_task(worker.keep()) for worker in self._workers}
        codes: set[int] = set()
        try:
            while kept:
                done, kept = await asyncio.wait(kept, return_when=asyncio.FIRST_COMPLETED)
                codes |= {task.result() for task in done}
                if codes != {ExitCode.DONE}:
                    self._stop()
                self._is_end_of_all()
        finally:
            for worker in self._workers:
                worker.kill()
        if self._all_refused:
            return ExitCode.REFUSED
        return ExitCode.START_AGAIN if ExitCode.START_AGAIN in codes else ExitCode.DONE

    def _is_end_of_all(self) -> bool:
        """Whether all that remain are refused. If so, they are stopped."""
        remain = [worker for worker in self._workers if not worker.is_over]
        if remain and all(worker.is_refused for worker in remain) and not self._stop_asked.is_set():
            self._all_refused = True
            self._stop()
        return self._all_refused

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
        key: str,
        *,
        name: str,
        gateway: OpsGateway,
        recurrence: Recurrence,
        stop_asked: asyncio.Event,
        is_end_of_all: Callable[[], bool],
        restarts_max: int | None,
        pauses: tuple[float, float],
        stop_seconds: float,
    ) -> None:
        self.is_refused = False
        """It is down because it was refused."""
        self.is_over = False
        """It is not restarted any more."""
        self._number = number
        self._command = command
        self._environment = environment
        self._key = key
        self._name = name
        self._gateway = gateway
        self._recurrence = recurrence
        self._stop_asked = stop_asked
        self._is_end_of_all = is_end_of_all
        self._restarts = 0
        self._restarts_max = restarts_max
        self._pause_first_seconds, self._pause_max_seconds = pauses
        self._stop_seconds = stop_seconds
        self._process: WorkerRun | None = None

    async def keep(self) -> int:
        """Run it until it ends for good; what that means for everybody is the exit code."""
        pause_seconds = self._pause_first_seconds
        while True:
            started = time.monotonic()
            end = await self._run_once()
            ran_seconds = time.monotonic() - started
            if self._stop_asked.is_set():
                # Asked to stop and stopped, by itself or not: what it left unfinished is decided again later.
                return self._over("was stopped", ExitCode.DONE)
            if end.exit_code == ExitCode.DONE:
                return self._over("has ended", ExitCode.DONE)
            if ran_seconds >= HEALTHY_SECONDS:
                pause_seconds = self._pause_first_seconds
            if end.exit_code == ExitCode.REFUSED:
                self.is_refused, pause_seconds = True, self._pause_max_seconds
                log.error(f"{self._name} was refused.", **_fields(end))
                if self._is_end_of_all():
                    return self._over(f"was refused: {end.sentence}", ExitCode.DONE)
            elif self._recurs(end):
                pause_seconds = self._pause_max_seconds
            if self._restarts_max is not None and self._restarts >= self._restarts_max:
                log.error(f"{self._name} is given up.", restarts=self._restarts, **_fields(end))
                return self._over("was given up", ExitCode.START_AGAIN)
            if await self._pauses(end, pause_seconds):
                return self._over("was stopped", ExitCode.DONE)
            pause_seconds = min(pause_seconds * 2, self._pause_max_seconds)
            self.is_refused = False

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    async def _run_once(self) -> End:
        gateway = self._gateway
        process = self._process = WorkerRun(
            self._number,
            descriptor=gateway.descriptor(self._number),
            listens=gateway.listens,
            wrote=gateway.wrote,
            linger_seconds=self._stop_seconds,
        )
        try:
            await process.start(self._command, self._environment, self._key)
        except OSError as error:  # the system is out of processes, memory or descriptors, and may have some again later
            return End(f"It could not be started: {error.strerror}.", type(error).__name__, ExitCode.START_AGAIN)
        if self._stop_asked.is_set():  # the signal came while it was started
            process.terminate()
        return await process.end()

    def _recurs(self, end: End) -> bool:
        """Whether it has failed in this way before, again and again."""
        number, gateway = self._number, self._gateway
        if not self._recurrence.ended(
            number, end, committed=gateway.committed(number), was_settled=gateway.was_settled(number)
        ):
            return False
        log.error("A worker fails in the same way again and again.", why=self._recurrence.why, **_place(end))
        return True

    async def _pauses(self, end: End, pause_seconds: float) -> bool:
        """Wait for the next start. Returns whether we were asked to stop meanwhile."""
        self._restarts += 1
        # At least half of it, so that pauses grow. The rest is random, so that workers that failed together restart
        # apart.
        wait_seconds = pause_seconds * random.uniform(0.5, 1.0)  # noqa: S311  # not a secret
        what = "was refused" if self.is_refused else f"ended {in_words(end.exit_code)}"
        log.warning(f"{self._name} {what}. Restart {self._restarts} in {wait_seconds:.1f} s.", **_fields(end))
        why = "was refused, and is tried again" if self.is_refused else "is being restarted after its end"
        self._gateway.ended(self._number, f"{why}: {end.sentence}", restarts=self._restarts, is_refused=self.is_refused)
        return await _happens(self._stop_asked, wait_seconds)

    def _over(self, why: str, code: int) -> int:
        self.is_over = True
        self._gateway.ended(self._number, why, restarts=self._restarts, is_refused=self.is_refused)
        return code


def _place(end: End) -> dict[str, object]:
    place = {"topic": end.topic, "partition": end.partition, "offset": end.offset}
    return {name: value for name, value in place.items() if value is not None}


def _fields(end: End) -> dict[str, object]:
    return {"exit_code": end.exit_code, "reason": end.sentence, **_place(end)}


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    """Whether it happens within this time."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return False
    return True


def _stop_signals() -> list[signal.Signals]:
    """The signals that ask us to stop. SIGHUP is not one of them if our parent (nohup) ignored it."""
    asked = [signal.SIGTERM, signal.SIGINT]
    return asked if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN else [*asked, signal.SIGHUP]
