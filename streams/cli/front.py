"""One operations endpoint in the supervisor, for all worker processes of a machine.

Rules of this module
1. Workers listen on the loopback address, on ports nobody chose; where, only the supervisor is told.
2. What a worker counts stands in memory that this process holds, so that it outlives the worker.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web

from streams.telemetry.cells import shared_memory
from streams.web.machine import EXPLAIN_PATH, Machine, WorkerProcess
from streams.web.ops import QUESTION_BYTES_MAX, OpsServer

if TYPE_CHECKING:
    from collections.abc import Callable

WORKER_HOST: Final = "127.0.0.1"


class MachineFront:
    """Serves for `processes` workers. Implements `streams.cli.supervisor.Front`.

    Args:
        host, port: where to listen; 0: any free port.
        explain: whether questions about customers are answered.
        announce: told, as one line of JSON, where it listens.
    """

    def __init__(
        self, processes: int, *, host: str, port: int, explain: bool, announce: Callable[[str], None] | None = None
    ) -> None:
        self._descriptors = [shared_memory(f"mesura-{number}") for number in range(processes)]
        self._processes = [WorkerProcess(number, descriptor) for number, descriptor in enumerate(self._descriptors)]
        self._machine = Machine(self._processes, version=version("mesura"))
        self._host = host
        self._announce = announce or _print
        self._ops = OpsServer(
            self._machine,
            host=host,
            port=port,
            body_bytes_max=QUESTION_BYTES_MAX,
            routes=[web.post(EXPLAIN_PATH, self._machine.explain)] if explain else [],
        )

    async def start(self) -> None:
        """Listen, and say where.

        Raises:
            OSError: the address cannot be bound.
        """
        port = await self._ops.start()
        await self._machine.start()
        self._announce(json.dumps({"ops": f"http://{self._host}:{port}"}))

    async def stop(self) -> None:
        await self._ops.stop()
        await self._machine.stop()

    def descriptor(self, number: int) -> int:
        return self._descriptors[number]

    def said(self, number: int, line: bytes) -> None:
        """Where the worker listens; anything else it says is passed on."""
        try:
            address = orjson.loads(line)["ops"]
        except (ValueError, KeyError, TypeError):
            self._announce(line.decode(errors="replace").rstrip("\n"))
            return
        self._processes[number].listens(address)

    def ended(self, number: int, why: str, restarts: int) -> None:
        self._processes[number].ended(why)
        self._processes[number].restarts = restarts


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
