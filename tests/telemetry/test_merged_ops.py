"""The operations endpoint of a machine over real HTTP, in front of workers that answer over real HTTP too."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import aiohttp
import msgspec
import pytest
from aiohttp import web

from streams.access_log.writer import AccessLog
from streams.contracts.routing import expected_partition
from streams.telemetry.health import STALL_SECONDS, Health
from streams.telemetry.metrics import Telemetry
from streams.telemetry.observer import TelemetryObserver
from streams.telemetry.recurrence import SAME_TIMES, SETTLED_SECONDS, End, Recurrence
from streams.telemetry.report import report
from streams.telemetry.shared_counters import SharedCounters, shared_memory
from streams.web.customer_questions import CustomerQuestions
from streams.web.http import problem
from streams.web.merged_ops import REPORT_PATH, MachineSubject, WorkerProcess
from streams.web.ops import OpsServer, PortServer, WorkerSubject
from streams.web.questions import EXPLAIN_PATH, QUESTION_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PARTITIONS = 3
# Long enough for any answer of these workers, however busy the machine; waited for once, by a process that is frozen.
ANSWER_SECONDS = 3.0


class Worker:
    """What one process serves."""

    def __init__(self, number: int, descriptor: int) -> None:
        self.number = number
        self.telemetry = Telemetry(version="0.1.0", process_metrics=False, storage=SharedCounters(descriptor))
        self.clock = 0.0
        self.health = Health(monotonic=lambda: self.clock)
        self.observer = TelemetryObserver(self.telemetry, self.health)
        self.asked: list[bytes] = []
        self.answer = (503, "This worker does not own partition 5 now. Ask another, or ask again.")
        self.server = OpsServer(
            WorkerSubject(self.telemetry, self.health),
            port=0,
            body_bytes_max=QUESTION_BYTES_MAX,
            routes=[web.get(REPORT_PATH, self._report), web.post(EXPLAIN_PATH, self._explain)],
        )

    def is_ready(self) -> None:
        self.observer.policy_loaded("centre", "1", "aaaa", at_ms=1000)
        self.observer.assigned(frozenset(range(self.number * PARTITIONS, (self.number + 1) * PARTITIONS)))
        self.observer.ready(True, "deciding")

    async def _report(self, _request: web.Request) -> web.Response:
        return web.Response(
            body=msgspec.json.encode(report(self.telemetry, self.health, partition_count=2 * PARTITIONS))
        )

    async def _explain(self, request: web.Request) -> web.Response:
        self.asked.append(await request.read())
        status, text = self.answer
        return problem(status, text) if status != 200 else web.json_response({"verdict": text})


class Setting:
    """Two workers, what the supervisor knows of them, and a client of its endpoint."""

    def __init__(self, tmp_path: Path) -> None:
        self.descriptors = [shared_memory("test") for _ in range(2)]
        self.workers = [Worker(*each) for each in enumerate(self.descriptors)]
        self.clock = 0.0
        self.processes = [
            WorkerProcess(number, descriptor, monotonic=lambda: self.clock)
            for number, descriptor in enumerate(self.descriptors)
        ]
        self.recurrence = Recurrence(monotonic=lambda: self.clock)
        self.machine = MachineSubject(
            self.processes,
            version="0.1.0",
            recurrence=self.recurrence,
            answer_seconds=ANSWER_SECONDS,
            report_seconds=0.0,
        )
        self.server = OpsServer(self.machine, port=0)
        self.access_log = tmp_path / "access.log"
        questions = CustomerQuestions(self.machine, AccessLog(b"k" * 32, self.access_log))
        self.questions = PortServer(questions.routes(), questions.needs(), port=0, body_bytes_max=QUESTION_BYTES_MAX)
        self.client: aiohttp.ClientSession
        self.explain_port = 0

    async def listens(self, number: int) -> None:
        self.processes[number].listens(f"http://127.0.0.1:{await self.workers[number].server.start()}")

    async def ask(self, path: str, question: bytes | None = None) -> tuple[int, dict[str, Any]]:
        address = f"http://127.0.0.1:{self.explain_port}{path}" if path == EXPLAIN_PATH else path
        async with self.client.request("GET" if question is None else "POST", address, data=question) as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, await answer.json()


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    mine = Setting(tmp_path)
    port = await mine.server.start()
    mine.explain_port = await mine.questions.start()
    await mine.machine.start()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as mine.client:
        yield mine
    await mine.server.stop()
    await mine.questions.stop()
    await mine.machine.stop()
    for worker in mine.workers:
        await worker.server.stop()
    for descriptor in mine.descriptors:
        os.close(descriptor)


async def test_ready_only_if_every_process_is(setting: Setting) -> None:
    first, second = setting.workers
    assert await setting.ask("/ready") == (
        503,
        {"ready": False, "why": "process 0 is being started; process 1 is being started"},
    )
    await setting.listens(0)
    await setting.listens(1)
    first.is_ready()
    assert await setting.ask("/ready") == (503, {"ready": False, "why": "process 1: no policy is loaded yet"})
    second.is_ready()
    assert await setting.ask("/ready") == (200, {"ready": True, "why": "deciding for 6 partitions in 2 processes"})
    setting.processes[0].ended("is being started again")
    assert await setting.ask("/ready") == (503, {"ready": False, "why": "process 0 is being started again"})
    await second.server.stop()
    assert (await setting.ask("/ready"))[1]["why"].endswith("process 1 does not answer")


async def test_a_failure_that_comes_back_is_said_until_all_have_decided_for_a_while(setting: Setting) -> None:
    for number in range(2):
        await setting.listens(number)
        setting.workers[number].is_ready()
    end = End("The record batch cannot be read.", "BatchUnreadableError", 3, "opt-out", 3, 17)
    for _ in range(SAME_TIMES):
        setting.recurrence.ended(0, end, committed=0, was_settled=False)
    status, answer = await setting.ask("/ready")
    assert status == 503, "well for a moment, as after every start"
    assert "offset 17 of opt-out-3" in answer["why"]
    assert (await setting.ask("/live"))[0] == 200
    async with setting.client.get("/metrics") as metrics:
        lines = (await metrics.text()).splitlines()
    assert "mesura_recurring_failure 1.0" in lines
    assert "mesura_ready 0.0" in lines
    assert 'mesura_process_ready{process="0"} 1.0' in lines
    setting.clock += SETTLED_SECONDS
    assert (await setting.ask("/ready"))[0] == 200
    async with setting.client.get("/metrics") as metrics:
        assert "mesura_recurring_failure 0.0" in (await metrics.text()).splitlines()


async def test_a_process_has_settled_when_it_was_seen_ready_for_a_while(setting: Setting) -> None:
    process, worker = setting.processes[0], setting.workers[0]
    await setting.listens(0)
    worker.is_ready()
    await setting.ask("/ready")
    setting.clock += SETTLED_SECONDS
    worker.observer.ready(False, "restoring")
    await setting.ask("/ready")
    worker.observer.ready(True, "deciding")
    await setting.ask("/ready")
    assert not process.was_settled
    setting.clock += SETTLED_SECONDS
    await setting.ask("/ready")
    process.ended("is being started again")
    assert process.was_settled, "of the run that has ended"
    await worker.server.stop()
    await setting.listens(0)
    assert not process.was_settled


async def test_live_unless_a_process_is_stuck_or_silent(setting: Setting) -> None:
    assert (await setting.ask("/live"))[0] == 200
    await setting.listens(0)
    await setting.listens(1)
    worker = setting.workers[1]
    worker.is_ready()
    worker.observer.lag("outbound-intent", PARTITIONS, 10, 1.0)
    worker.clock += STALL_SECONDS + 1
    status, answer = await setting.ask("/live")
    assert (status, answer["live"]) == (503, False)
    assert answer["why"].startswith("process 1: there is work")
    worker.observer.committed(PARTITIONS, None, decided_at_ms=0, committed_at_ms=0)
    assert (await setting.ask("/live"))[0] == 200

    setting.clock = 3600.0
    await worker.server.stop()
    assert (await setting.ask("/live"))[0] == 200, "one question without an answer says nothing yet"
    setting.clock += STALL_SECONDS + 1
    assert await setting.ask("/live") == (503, {"live": False, "why": "process 1 has not answered for 121 s"})
    setting.processes[1].ended("is being started again")
    assert (await setting.ask("/live"))[0] == 200, "the supervisor is starting it again already"


def question_about(process: int) -> bytes:
    """A question about a customer of this process."""
    customer = next(
        f"c-{number}"
        for number in range(1_000)
        if expected_partition(b"c-%d" % number, 2 * PARTITIONS) // PARTITIONS == process
    )
    return msgspec.json.encode(
        {"intent_id": "i", "customer_id": customer, "channel": "sms", "created_at": 1_795_618_800_000}
    )


async def test_a_question_goes_to_the_process_that_decides_for_the_customer_and_to_no_other(setting: Setting) -> None:
    for number in range(2):
        await setting.listens(number)
        setting.workers[number].is_ready()
    setting.workers[1].answer = (200, "approved")
    assert await setting.ask(EXPLAIN_PATH, question_about(1)) == (200, {"verdict": "approved"})
    assert [worker.asked for worker in setting.workers] == [[], [question_about(1)]]
    assert await setting.ask(EXPLAIN_PATH, question_about(0)) == (
        503,
        {"error": "process 0: This worker does not own partition 5 now. Ask another, or ask again."},
    )
    setting.workers[0].answer = (400, "It is no intent.")
    assert await setting.ask(EXPLAIN_PATH, question_about(0)) == (400, {"error": "It is no intent."})


async def test_every_question_is_recorded_without_naming_the_customer(setting: Setting) -> None:
    await setting.ask(EXPLAIN_PATH, question_about(0))
    await setting.ask(EXPLAIN_PATH, question_about(1))
    await setting.ask(EXPLAIN_PATH, b"{}")
    written = setting.access_log.read_text()
    first, second = (msgspec.json.decode(line) for line in written.splitlines())
    assert (first["who"], first["role"], first["what"]) == ("loopback", "compliance", "explain")
    assert first["customer_hash"] != second["customer_hash"]
    assert '"c-' not in written


async def test_what_cannot_be_recorded_is_not_answered(setting: Setting) -> None:
    await setting.listens(0)
    setting.workers[0].is_ready()
    setting.workers[0].answer = (200, "approved")
    setting.access_log.mkdir()
    status, answer = await setting.ask(EXPLAIN_PATH, question_about(0))
    assert status == 503
    assert "cannot be recorded" in answer["error"]
    assert setting.workers[0].asked == []


async def test_where_nobody_answers_it_says_why(setting: Setting) -> None:
    status, answer = await setting.ask(EXPLAIN_PATH, question_about(0))
    assert status == 503
    assert answer["error"] == ("No process can answer yet: process 0 is being started; process 1 is being started")
    await setting.listens(0)
    setting.workers[0].is_ready()
    status, answer = await setting.ask(EXPLAIN_PATH, question_about(1))
    assert status == 503
    assert "No process of this machine decides for partition" in answer["error"]


async def test_more_than_a_question_is_not_passed_on(setting: Setting) -> None:
    await setting.listens(0)
    assert (await setting.ask(EXPLAIN_PATH, b"x" * (QUESTION_BYTES_MAX + 1)))[0] == 413
    assert setting.workers[0].asked == []


async def test_metrics_of_all_processes(setting: Setting) -> None:
    await setting.listens(0)
    await setting.listens(1)
    for worker in setting.workers:
        worker.is_ready()
        worker.observer.barrier_waited(0.001)
    async with setting.client.get("/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        lines = (await answer.text()).splitlines()
    assert "mesura_barrier_wait_seconds_count 2.0" in lines
    assert "mesura_partitions_assigned 6.0" in lines
    assert 'mesura_process_ready{process="1"} 1.0' in lines


async def test_a_frozen_process_does_not_keep_the_others_from_answering(setting: Setting) -> None:
    await setting.listens(0)
    setting.workers[0].is_ready()
    setting.workers[0].answer = (200, "approved")
    thawed = asyncio.Event()

    async def frozen(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await thawed.wait()
        finally:
            writer.close()

    server = await asyncio.start_server(frozen, "127.0.0.1", 0)
    setting.processes[1].listens(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert (await setting.ask("/ready"))[1] == {"ready": False, "why": "process 1 does not answer"}
    assert await setting.ask(EXPLAIN_PATH, question_about(0)) == (200, {"verdict": "approved"})
    thawed.set()
    server.close()
    await server.wait_closed()


async def test_what_is_no_report_is_no_answer(setting: Setting) -> None:
    async def nonsense(_request: web.Request) -> web.Response:
        return web.Response(text="[]")

    worker = setting.workers[0]
    other = OpsServer(WorkerSubject(worker.telemetry, worker.health), port=0, routes=[web.get(REPORT_PATH, nonsense)])
    setting.processes[0].listens(f"http://127.0.0.1:{await other.start()}")
    assert (await setting.ask("/ready"))[1]["why"].startswith("process 0 does not answer")
    await other.stop()
