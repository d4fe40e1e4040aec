"""The operations endpoint of a machine with several processes: asks them all and answers for all of them.

Rules of this module
1. Ready only if every process is. Live unless a process has work and does not move, or runs and does not answer for as
   long as that: a process that is being started again is the supervisor's business, and no reason to end the others.
2. A question about a customer goes to every process; the one that decides for the customer's partition answers.
3. A process that does not answer in time is waited for no longer than `ANSWER_SECONDS`, all of them at once.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
import orjson
from aiohttp import web

from streams.telemetry.cells import PublishedCells
from streams.telemetry.health import STALL_SECONDS, Standing
from streams.telemetry.machine import MachineTelemetry, ProcessState
from streams.telemetry.report import Report
from streams.web.ops import NO_STORE, QUESTION_BYTES_MAX, problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry

ANSWER_SECONDS: Final = 2.0
"""A process answers between two batches, in milliseconds. Whoever probes or scrapes waits for seconds, not for more."""

REPORT_PATH: Final = "/report"
EXPLAIN_PATH: Final = "/explain"


class WorkerProcess:
    """One of the processes: where it answers, and what it has published."""

    def __init__(self, number: int, descriptor: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.number = number
        self.restarts = 0
        self._published = PublishedCells(descriptor)
        self._monotonic = monotonic
        self._address: str | None = None
        self._why = "is being started"
        self._unanswered_since: float | None = None

    @property
    def address(self) -> str | None:
        return self._address

    @property
    def why_absent(self) -> str:
        return self._why if self._address is None else "does not answer"

    def listens(self, address: str) -> None:
        """It runs, and answers there."""
        self._address, self._unanswered_since = address, None

    def ended(self, why: str) -> None:
        """It does not run any more."""
        self._address, self._why, self._unanswered_since = None, why, None

    def asked(self, *, answered: bool) -> None:
        """It was asked something, and answered or not."""
        if answered:
            self._unanswered_since = None
        elif self._unanswered_since is None:
            self._unanswered_since = self._monotonic()

    def silent_seconds(self) -> float:
        """How long it has answered no question though it runs."""
        return 0.0 if self._unanswered_since is None else self._monotonic() - self._unanswered_since

    def counts(self) -> dict[str, float]:
        return self._published.read()


class Machine:
    """Answers for all processes of a machine. `start` before use, `stop` after; both on the loop that serves."""

    def __init__(
        self, processes: Sequence[WorkerProcess], *, version: str, answer_seconds: float = ANSWER_SECONDS
    ) -> None:
        self._processes = processes
        self._answer_seconds = answer_seconds
        self._telemetry = MachineTelemetry(version=version)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        # Loopback only: no proxy of the environment has a part in it.
        timeout = aiohttp.ClientTimeout(total=self._answer_seconds)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    # What the endpoint asks

    async def registry(self) -> CollectorRegistry:
        reports = await self._reports()
        self._telemetry.refresh(
            [
                ProcessState(process.counts(), process.restarts, report)
                for process, report in zip(self._processes, reports, strict=True)
            ]
        )
        return self._telemetry.registry

    async def liveness(self) -> Standing:
        reports = await self._reports()
        stuck = [
            f"process {process.number}: {report.live.why}"
            for process, report in zip(self._processes, reports, strict=True)
            if report is not None and not report.live.ok
        ]
        stuck += [
            f"process {process.number} has not answered for {process.silent_seconds():.0f} s"
            for process in self._processes
            if process.silent_seconds() > STALL_SECONDS
        ]
        return Standing(not stuck, "; ".join(stuck) or "no process is stuck")

    async def readiness(self) -> Standing:
        reports = await self._reports()
        missing = [
            f"process {process.number} {process.why_absent}"
            if report is None
            else f"process {process.number}: {report.ready.why}"
            for process, report in zip(self._processes, reports, strict=True)
            if report is None or not report.ready.ok
        ]
        partitions = sum(report.partitions for report in reports if report is not None)
        return Standing(
            not missing, "; ".join(missing) or f"deciding for {partitions} partitions in {len(reports)} processes"
        )

    async def explain(self, request: web.Request) -> web.Response:
        """The answer of the process that decides for the customer. Whoever asks learns of a customer."""
        try:
            question = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return problem(413, f"A question is one intent, of at most {QUESTION_BYTES_MAX} bytes.")
        asked = {
            asyncio.create_task(self._ask(process, EXPLAIN_PATH, question)): process for process in self._processes
        }
        try:
            for answered in asyncio.as_completed(asked):
                answer = await answered
                # 503: it does not decide for this customer, or not yet. All else is an answer, a refusal among them.
                if answer is not None and answer[0] != web.HTTPServiceUnavailable.status_code:
                    status, body = answer
                    return web.Response(status=status, body=body, content_type="application/json", headers=NO_STORE)
        finally:
            for task in asked:
                task.cancel()
        sentences = [_why_not(process, task.result()) for task, process in asked.items()]
        return problem(503, "No process of this machine can answer now: " + "; ".join(sentences))

    # Inside

    async def _reports(self) -> list[Report | None]:
        return list(await asyncio.gather(*map(self._report, self._processes)))

    async def _report(self, process: WorkerProcess) -> Report | None:
        answer = await self._ask(process, REPORT_PATH)
        if answer is None or answer[0] != web.HTTPOk.status_code:
            return None
        try:
            return msgspec.json.decode(answer[1], type=Report)
        except msgspec.MsgspecError:  # a worker of another version, replaced while this supervisor runs
            return None

    async def _ask(self, process: WorkerProcess, path: str, body: bytes | None = None) -> tuple[int, bytes] | None:
        """Status and body; None if it does not run or does not answer."""
        address = process.address
        if address is None or self._session is None:
            return None
        try:
            async with self._session.request("GET" if body is None else "POST", address + path, data=body) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            if process.address == address:  # and was not ended meanwhile
                process.asked(answered=False)
            return None
        process.asked(answered=True)
        return answer.status, content


def _why_not(process: WorkerProcess, answer: tuple[int, bytes] | None) -> str:
    if answer is None:
        return f"process {process.number} {process.why_absent}"
    try:
        sentence = str(orjson.loads(answer[1])["error"])
    except (ValueError, KeyError, TypeError):
        sentence = "no answer that can be read"
    return f"process {process.number}: {sentence}"
