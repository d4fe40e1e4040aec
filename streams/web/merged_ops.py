"""The operations endpoint of `mesura run`, which asks its worker processes and answers for all of them.

Rules of this module
1. The machine is ready only if every process is, and no failure recurs. It is live unless a process has work and does
   not move, or runs and does not answer for as long as that. A process that is being restarted is the supervisor's
   business, and no reason to end the others. Nor is a recurring failure, because restarting everything repairs it no
   more than the supervisor's own restarts do, and would lose the count.
2. A question about a customer goes to the one process that decides for the customer's partition, and to no other.
3. All processes are asked at once for their reports, and waited for no longer than `ANSWER_SECONDS`.
4. Reports serve all who ask within `REPORT_SECONDS`, so that a flood of requests here is none on the loops on which the
   lanes run.
5. A worker answers only whoever knows the token that this machine's supervisor made.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec
import orjson
from aiohttp import web

from streams.contracts.routing import expected_partition
from streams.telemetry.health import STALL_SECONDS, Standing
from streams.telemetry.merged_metrics import MergedMetrics, ProcessState, observations
from streams.telemetry.recurrence import SETTLED_SECONDS
from streams.telemetry.registry import BATCH_RECORDS
from streams.telemetry.report import Report
from streams.telemetry.shared_counters import PublishedCounters
from streams.web.customer_questions import NobodyAnswers
from streams.web.questions import EXPLAIN_PATH

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from prometheus_client import CollectorRegistry

    from streams.telemetry.recurrence import Recurrence

ANSWER_SECONDS: Final = 2.0
"""A process answers between two batches, in milliseconds. Probes and scrapers wait only for seconds."""

REPORT_SECONDS: Final = 0.1
"""Nobody can see that a report is this old."""

REPORT_PATH: Final = "/report"


class WorkerProcess:
    """One of the processes: where it answers, and what it has published."""

    def __init__(self, number: int, descriptor: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.number = number
        self.restarts = 0
        self.is_refused = False
        self.was_settled = False
        """Its present or latest run was seen ready twice, with `SETTLED_SECONDS` between."""
        self._ready_since: float | None = None
        self._published = PublishedCounters(descriptor)
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
        """Report that it runs and answers at this address."""
        self._address, self._unanswered_since = address, None
        self.is_refused, self.was_settled, self._ready_since = False, False, None

    def ended(self, why: str, *, restarts: int = 0, is_refused: bool = False) -> None:
        """Report that it has ended. `restarts` is how often it has been, or will be, restarted."""
        self._address, self._why, self._unanswered_since = None, why, None
        self.restarts, self.is_refused = restarts, is_refused

    def seen(self, *, is_ready: bool) -> None:
        """Report whether it was found deciding."""
        if not is_ready:
            self._ready_since = None
            return
        now = self._monotonic()
        self._ready_since = now if self._ready_since is None else self._ready_since
        self.was_settled = self.was_settled or now - self._ready_since >= SETTLED_SECONDS

    def asked(self, *, answered: bool) -> None:
        """Report whether it answered a question."""
        if answered:
            self._unanswered_since = None
        elif self._unanswered_since is None:
            self._unanswered_since = self._monotonic()

    def silent_seconds(self) -> float:
        """How long it has answered no question though it runs."""
        return 0.0 if self._unanswered_since is None else self._monotonic() - self._unanswered_since

    def counts(self) -> dict[str, float]:
        return self._published.read()

    def committed(self) -> float:
        """How many batches all its starts have committed."""
        return observations(self.counts(), BATCH_RECORDS)


class MachineSubject:
    """Answers for all processes of a machine. Call `start` before use and `stop` after it, both on the serving loop."""

    def __init__(
        self,
        processes: Sequence[WorkerProcess],
        *,
        version: str,
        recurrence: Recurrence,
        token: str = "",
        answer_seconds: float = ANSWER_SECONDS,
        report_seconds: float = REPORT_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._report_seconds = report_seconds
        self._monotonic = monotonic
        self._latest: asyncio.Task[list[Report | None]] | None = None
        self._latest_since = 0.0
        self._processes = processes
        self._recurrence = recurrence
        self._answer_seconds = answer_seconds
        self._telemetry = MergedMetrics(version=version)
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        # The connection is loopback only, so proxies of the environment are ignored.
        timeout = aiohttp.ClientTimeout(total=self._answer_seconds)
        self._session = aiohttp.ClientSession(timeout=timeout, trust_env=False, headers=self._headers)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    # What the endpoint asks

    async def registry(self) -> CollectorRegistry:
        reports = await self._reports()
        self._telemetry.refresh(
            [
                ProcessState(process.counts(), process.restarts, report, is_refused=process.is_refused)
                for process, report in zip(self._processes, reports, strict=True)
            ],
            is_recurring=self._recurrence.is_recurring,
        )
        return self._telemetry.registry

    def exports_lost(self, count: int) -> None:
        """So many times a collector did not take the metrics."""
        self._telemetry.lost_exports += count

    async def liveness(self) -> Standing:
        reports = await self._reports()
        still = [
            self._of(process, f": {report.live.why}")
            for process, report in zip(self._processes, reports, strict=True)
            if report is not None and not report.live.ok
        ]
        still += [
            self._of(process, f" has not answered for {process.silent_seconds():.0f} s")
            for process in self._processes
            if process.silent_seconds() > STALL_SECONDS
        ]
        return Standing(not still, "; ".join(still) or "no process that has work is stuck")

    async def readiness(self) -> Standing:
        reports = await self._reports()
        missing = [
            self._of(process, f" {process.why_absent}" if report is None else f": {report.ready.why}")
            for process, report in zip(self._processes, reports, strict=True)
            if report is None or not report.ready.ok
        ]
        if self._recurrence.is_recurring:
            missing.insert(0, self._recurrence.why)
        partitions = sum(report.partitions for report in reports if report is not None)
        within = f" in {len(reports)} processes" if len(reports) > 1 else ""
        return Standing(not missing, "; ".join(missing) or f"deciding for {partitions} partitions{within}")

    async def ask_owner(self, customer_id: str, question: bytes) -> tuple[int, bytes]:
        """Status and body of the answer of the process that decides for the customer.

        Raises:
            NobodyAnswers: none does, or it does not answer.
        """
        reports = await self._reports()
        partitions = max((report.partition_count for report in reports if report is not None), default=0)
        if not partitions:
            why = [
                self._of(process, f" {process.why_absent}" if report is None else f": {report.ready.why}")
                for process, report in zip(self._processes, reports, strict=True)
            ]
            raise NobodyAnswers("No process can answer yet: " + "; ".join(why))
        partition = expected_partition(customer_id.encode(), partitions)
        for process, report in zip(self._processes, reports, strict=True):
            if report is None or partition not in report.owned:
                continue
            answer = await self._ask(process, EXPLAIN_PATH, question)
            if answer is None:
                raise NobodyAnswers(self._of(process, " decides for this customer, and does not answer. Ask again."))
            if answer[0] == web.HTTPServiceUnavailable.status_code:
                raise NobodyAnswers(self._of(process, f": {_sentence(answer[1])}"))
            return answer
        raise NobodyAnswers(
            f"No process of this machine decides for partition {partition} now. Ask another machine, or ask again."
        )

    # Inside

    def _of(self, process: WorkerProcess, what: str) -> str:
        return (f"process {process.number}" if len(self._processes) > 1 else "the worker") + what

    async def _reports(self) -> list[Report | None]:
        now = self._monotonic()
        if self._latest is None or (self._latest.done() and now - self._latest_since >= self._report_seconds):
            self._latest, self._latest_since = asyncio.create_task(self._fresh_reports()), now
        # Whoever waits may go away; the others still wait for it.
        return await asyncio.shield(self._latest)

    async def _fresh_reports(self) -> list[Report | None]:
        reports = list(await asyncio.gather(*map(self._report, self._processes)))
        self._recurrence.seen(all_ready=all(report is not None and report.ready.ok for report in reports))
        return reports

    async def _report(self, process: WorkerProcess) -> Report | None:
        answer = await self._ask(process, REPORT_PATH)
        if answer is None or answer[0] != web.HTTPOk.status_code:
            return None
        try:
            report = msgspec.json.decode(answer[1], type=Report)
        except msgspec.MsgspecError:  # a worker of another version, replaced while this supervisor runs
            return None
        process.seen(is_ready=report.ready.ok)
        return report

    async def _ask(self, process: WorkerProcess, path: str, body: bytes | None = None) -> tuple[int, bytes] | None:
        """Status and body; None if it does not run or does not answer."""
        address = process.address
        if address is None or self._session is None:
            return None
        try:
            async with self._session.request("GET" if body is None else "POST", address + path, data=body) as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            if process.address == address:  # and it has not ended in the meantime
                process.asked(answered=False)
            return None
        process.asked(answered=True)
        return answer.status, content


def _sentence(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return "its answer cannot be read"
