"""The operations endpoint over real HTTP, on a port the system chooses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from streams.telemetry.health import Health
from streams.telemetry.metrics import Telemetry
from streams.telemetry.observer import TelemetryObserver
from streams.web.ops import OpsServer, WorkerSubject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Worker:
    """A server with what stands behind it, and a client."""

    def __init__(self) -> None:
        self.telemetry = Telemetry(version="0.1.0")
        self.health = Health()
        self.observer = TelemetryObserver(self.telemetry, self.health)

        async def explain(_request: web.Request) -> web.Response:
            return web.Response(text="because")

        self.server = OpsServer(
            WorkerSubject(self.telemetry, self.health), port=0, routes=[web.get("/explain", explain)]
        )
        self.port = 0


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    mine = Worker()
    mine.port = await mine.server.start()
    yield mine
    await mine.server.stop()


@pytest.fixture
async def client(worker: Worker) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://127.0.0.1:{worker.port}") as session:
        yield session


async def test_metrics_in_the_plain_format(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        names = {family.name for family in read_text(await answer.text())}
    assert {"mesura_decisions", "mesura_ready", "process_start_time_seconds"} <= names


async def test_metrics_in_the_format_asked_for(client: aiohttp.ClientSession) -> None:
    async with client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "mesura_decisions" in {family.name for family in read_openmetrics(await answer.text())}  # type: ignore[no-untyped-call]


async def test_readiness_over_http(worker: Worker, client: aiohttp.ClientSession) -> None:
    async def ready() -> tuple[int, str]:
        async with client.get("/ready") as answer:
            assert answer.headers["Cache-Control"] == "no-store"
            body = await answer.json()
            assert body["ready"] is (answer.status == 200)
            return answer.status, body["why"]

    assert await ready() == (503, "no policy is loaded yet")
    worker.observer.policy_loaded("centre", "1", "aaaa", at_ms=1000)
    worker.observer.restore_progress(0, 5, 0)
    worker.observer.assigned(frozenset({0}))
    worker.observer.ready(True, "deciding")
    assert await ready() == (200, "deciding for 1 partitions")
    worker.observer.ready(False, "not assigned")
    assert await ready() == (503, "not assigned")
    assert worker.telemetry.registry.get_sample_value("mesura_ready") == 0


async def test_liveness_over_http(client: aiohttp.ClientSession) -> None:
    async with client.get("/live") as answer:
        assert answer.status == 200
        assert (await answer.json())["live"] is True


async def test_the_index_names_every_route(client: aiohttp.ClientSession) -> None:
    async with client.get("/") as answer:
        assert (await answer.text()).split() == ["mesura", "/metrics", "/live", "/ready", "/explain"]
    async with client.get("/explain") as answer:
        assert await answer.text() == "because"


async def test_a_port_in_use_is_an_error_and_leaves_nothing_open(worker: Worker) -> None:
    second = OpsServer(WorkerSubject(worker.telemetry, worker.health), port=worker.port)
    with pytest.raises(OSError, match=r"(?i)address already in use"):
        await second.start()
    await second.stop()
