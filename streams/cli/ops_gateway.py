"""The operations endpoint in the supervisor, for all worker processes of a machine.

Rules of this module
1. The endpoint exists before the first worker starts and after any of them ends, so that probes and scrapes learn why a
   worker is down.
2. Workers listen on the loopback address, on free ports, and answer only the supervisor, which has a token.
3. What a worker counts is in memory that this process holds, so that it outlives the worker.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from streams.access_log.writer import AccessLog
from streams.telemetry.opentelemetry_export.switch import exported
from streams.telemetry.shared_counters import shared_memory
from streams.web.access import read_credentials
from streams.web.customer_questions import CustomerQuestions
from streams.web.merged_ops import MachineSubject, WorkerProcess
from streams.web.ops import OpsServer, PortServer
from streams.web.questions import QUESTION_BYTES_MAX
from streams.web.reread import Reread
from streams.web.server_tls import read_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from streams.telemetry.opentelemetry_export.machine_metrics import MachineMetrics as MetricsExport
    from streams.telemetry.recurrence import Recurrence
    from streams.web.settings import EndpointSettings

WORKER_TOKEN_BYTES: Final = 32
"""Nobody guesses it. It is made anew with each supervisor, and known to its workers alone."""


class MachineOpsGateway:
    """Serves for `processes` workers. Implements `streams.cli.supervisor.OpsGateway`.

    Args:
        endpoint: where to listen, and who may ask.
        access_key: the key of the access log.
        recurrence: knows whether a failure recurs.
        announce: gets its addresses, as one line of JSON.
    """

    def __init__(
        self,
        processes: int,
        *,
        endpoint: EndpointSettings,
        access_key: bytes,
        recurrence: Recurrence,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self.worker_token = secrets.token_hex(WORKER_TOKEN_BYTES)
        """What a worker must be shown."""
        self._descriptors = [shared_memory(f"mesura-{number}") for number in range(processes)]
        self._processes = [WorkerProcess(number, descriptor) for number, descriptor in enumerate(self._descriptors)]
        self._machine = MachineSubject(
            self._processes, version=version("mesura"), recurrence=recurrence, token=self.worker_token
        )
        self._endpoint = endpoint
        self._announce = announce or _print
        credentials = None if endpoint.access is None else Reread(endpoint.access, read_credentials).current
        tls = None if endpoint.tls is None else Reread(endpoint.tls, read_context).current
        names = frozenset(endpoint.names)
        self._ops = OpsServer(
            self._machine,
            host=endpoint.ops_host,
            port=endpoint.ops_port,
            open_metrics=endpoint.open_metrics,
            credentials=credentials,
            names=names,
            tls=tls,
        )
        self._export: MetricsExport | None = None
        self._exporting: asyncio.Task[None] | None = None
        if "metrics" in exported(os.environ):
            # Only now: without it, none of its packages need be there.
            from streams.telemetry.opentelemetry_export.machine_metrics import MachineMetrics

            self._export = MachineMetrics(self._machine.registry, self._machine.exports_lost, os.environ)
        self._questions: PortServer | None = None
        if endpoint.explain_port is not None:
            questions = CustomerQuestions(self._machine, AccessLog(access_key, endpoint.access_log))
            self._questions = PortServer(
                questions.routes(),
                questions.needs(),
                host=endpoint.explain_host,
                port=endpoint.explain_port,
                body_bytes_max=QUESTION_BYTES_MAX,
                credentials=credentials,
                names=names,
                tls=tls,
            )

    async def start(self) -> None:
        """Listen, and say where.

        Raises:
            OSError: an address cannot be bound.
        """
        endpoint, scheme = self._endpoint, "http" if self._endpoint.tls is None else "https"
        said = {"ops": f"{scheme}://{_in_address(endpoint.ops_host)}:{await self._ops.start()}"}
        if self._questions is not None:
            said["explain"] = f"{scheme}://{_in_address(endpoint.explain_host)}:{await self._questions.start()}"
        await self._machine.start()
        if self._export is not None:
            self._exporting = asyncio.create_task(self._export.run())
        self._announce(json.dumps(said))

    async def stop(self) -> None:
        await self._ops.stop()
        if self._questions is not None:
            await self._questions.stop()
        if self._export is not None and self._exporting is not None:
            self._exporting.cancel()
            await self._export.export()
            self._export.close()
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


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
