"""The operations endpoint in the supervisor, for all worker processes of a machine.

Rules of this module
1. The endpoint exists before the first worker starts and after any of them ends, so that probes and scrapes learn why a
   worker is down.
2. Workers listen on the loopback address, on free ports. Only the supervisor knows these ports.
3. What a worker counts is in memory that this process holds, so that it outlives the worker.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from aiohttp import web

from streams.telemetry.shared_counters import shared_memory
from streams.web.merged_ops import MachineSubject, WorkerProcess
from streams.web.ops import OpsServer
from streams.web.questions import EXPLAIN_PATH, QUESTION_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.telemetry.recurrence import Recurrence

WORKER_HOST: Final = "127.0.0.1"


class MachineOpsGateway:
    """Serves for `processes` workers. Implements `streams.cli.supervisor.OpsGateway`.

    Args:
        host, port: where to listen; 0: any free port.
        explain: whether questions about customers are answered.
        recurrence: knows whether a failure recurs.
        announce: gets its address, as one line of JSON.
    """

    def __init__(
        self,
        processes: int,
        *,
        host: str,
        port: int,
        explain: bool,
        recurrence: Recurrence,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self._descriptors = [shared_memory(f"mesura-{number}") for number in range(processes)]
        self._processes = [WorkerProcess(number, descriptor) for number, descriptor in enumerate(self._descriptors)]
        self._machine = MachineSubject(self._processes, version=version("mesura"), recurrence=recurrence)
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

    def committed(self, number: int) -> float:
        return self._processes[number].committed()

    def was_settled(self, number: int) -> bool:
        return self._processes[number].was_settled

    def listens(self, number: int, address: str) -> None:
        self._processes[number].listens(address)

    def wrote(self, number: int, line: bytes) -> None:  # noqa: ARG002 - whoever it is, it is passed on
        self._announce(line.decode(errors="replace").rstrip("\n"))

    def ended(self, number: int, why: str, *, restarts: int, is_refused: bool) -> None:
        self._processes[number].ended(why, restarts=restarts, is_refused=is_refused)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
