"""Whoever sends what is no request hurts nobody: nothing of it is printed, and no connection stays open for good."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import warnings
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from streams.telemetry.health import Health
from streams.telemetry.metrics import Telemetry
from streams.web import listener
from streams.web.listener import CONNECTIONS_MAX
from streams.web.ops import OpsServer, WorkerSubject
from streams.web.questions import QUESTION_BYTES_MAX
from tests.telemetry.malformed import MALFORMED, PLANTED, send_on_loop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HALF = (
    b"",
    b"GET /ready HTTP/1.1\r\nHost: ",
    b"POST /explain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nslow",
)


@pytest.fixture
async def port(out: io.StringIO) -> AsyncIterator[int]:
    async def explain(request: web.Request) -> web.Response:
        return web.Response(text=str(len(await request.read())))

    server = OpsServer(
        WorkerSubject(Telemetry(version="0.1.0"), Health()),
        port=0,
        body_bytes_max=QUESTION_BYTES_MAX,
        routes=[web.post("/explain", explain)],
    )
    yield await server.start()
    await server.stop()


@pytest.mark.parametrize("kind", MALFORMED)
async def test_nothing_of_it_is_printed(port: int, out: io.StringIO, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        answer = await send_on_loop(port, MALFORMED[kind])
        assert answer == b"" or answer.startswith(b"HTTP/")
        assert (await send_on_loop(port, b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    said = out.getvalue()
    assert PLANTED not in said
    assert PLANTED.replace("-", "") not in said
    assert "Traceback" not in said
    for line in said.splitlines():
        entry = json.loads(line)
        assert entry["event"] == "A request to the operations port was malformed or aborted."
        assert entry["level"] == "warning"


def connect(port: int, sends: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(sends)
    return connection


def is_ended(connection: socket.socket) -> bool:
    """Waits until the other side has ended it."""
    try:
        return connection.recv(65_536) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sends", HALF, ids=["nothing", "half a header", "half a body"])
async def test_a_connection_that_is_silent_ends(
    port: int, out: io.StringIO, sends: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener, "CONNECTION_SECONDS", 0.2)
    with connect(port, sends) as connection:
        assert await asyncio.to_thread(is_ended, connection)
    assert "Traceback" not in out.getvalue()


async def test_one_more_than_there_may_be_takes_the_place_of_the_oldest(port: int) -> None:
    held = [connect(port, b"GET /ready HTTP/1.1\r\nHost: ") for _ in range(CONNECTIONS_MAX)]
    try:
        answer = await send_on_loop(port, b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert await asyncio.to_thread(is_ended, held[0])
        held[-1].sendall(b"localhost\r\n\r\n")
        assert (await asyncio.to_thread(held[-1].recv, 12)) == b"HTTP/1.1 503"
    finally:
        for connection in held:
            connection.close()


async def test_a_connection_serves_one_request(port: int) -> None:
    twice = b"GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2
    with connect(port, twice) as connection:

        def everything() -> bytes:
            received = b""
            while part := connection.recv(65_536):
                received += part
            return received

        answer = await asyncio.to_thread(everything)
    assert answer.count(b"HTTP/1.1 200 ") == 1
    assert b"Connection: close" in answer
