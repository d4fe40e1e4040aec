# ruff: noqa: ANN401 - wraps the engine where it has no seams, so that production code needs no hooks
"""The gate's worker process, made to say when it passes a named point of a transaction, and to wait there.

    MESURA_FAULT='{"point": "after_offsets", "passing": 12, "say": 5, "go": 6}' python -m tests.faults.held_worker

At the chosen passing of the point it writes one line to the descriptor `say`, and reads from `go` before it goes on
(with `holds` false: it goes on at once). The whole event loop stands still meanwhile, as if the processor were taken
away; the consumer's thread goes on with its heartbeats. Passings count from the start, or, with `armed` false, from
SIGUSR1 on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import msgspec
from aiokafka.conn import AIOKafkaConnection
from aiokafka.producer.sender import EndTxnHandler
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import EndTxnRequest

from streams import worker
from streams.connection.source import UNSECURED, ConnectionSource
from streams.exactly_once.engine import Engine
from streams.exactly_once.fencing import FencedProducer, _FencedSender
from streams.exactly_once.transaction import TransactionWriter
from streams.telemetry.observer import TelemetryObserver

if TYPE_CHECKING:
    from streams.exactly_once.settings import EngineSettings
    from streams.settings import WorkerSettings

VARIABLE: Final = "MESURA_FAULT"

AFTER_BEGIN: Final = "after begin"
"""The broker has the partitions in the transaction; nothing has been sent to them."""
AFTER_FIRST_SEND: Final = "after the first send"
"""Records are on their way or written; their acknowledgement has not been read."""
AFTER_ACKNOWLEDGEMENTS: Final = "after the acknowledgements"
BEFORE_OFFSETS: Final = "before the offsets"
"""The age of the decisions has been checked: the next thing is the request."""
AFTER_OFFSETS: Final = "after the offsets"
"""TxnOffsetCommit accepted."""
BEFORE_END: Final = "before EndTxn"
"""Nothing is checked any more: the next thing is the request."""
END_HALF_SENT: Final = "half of EndTxn sent"
END_SENT: Final = "EndTxn sent"
END_ANSWERED: Final = "EndTxn answered"
"""The transaction is committed; memory does not know it yet."""
RESTORING: Final = "during restore"
REVOKED: Final = "partitions revoked"
STOOD_STILL: Final = "standing still for a rebalance"
TAKING_OVER: Final = "taking over after a rebalance"


class Fault(msgspec.Struct):
    """What this worker is to do, from its environment."""

    point: str = ""
    passing: int = 1
    say: int = -1
    go: int = -1
    holds: bool = True
    armed: bool = True
    heartbeat_ms: int = 700
    passed: int = 0

    def arm(self, *_: object) -> None:
        """Count passings from now on."""
        self.armed = True

    def at(self, point: str) -> None:
        """The worker passes this point."""
        if point != self.point or not self.armed:
            return
        self.passed += 1
        if self.passed == self.passing:
            os.write(self.say, json.dumps({"point": point, "passing": self.passed}).encode() + b"\n")
            if self.holds:
                os.read(self.go, 1)


class _Halved:
    """A connection's writer that passes a point in the middle of what it writes."""

    def __init__(self, writer: Any, fault: Fault) -> None:
        self._writer = writer
        self._fault = fault

    def write(self, data: bytes) -> None:
        middle = len(data) // 2
        self._writer.write(data[:middle])
        self._fault.at(END_HALF_SENT)
        self._writer.write(data[middle:])


def arm(fault: Fault) -> None:
    """Wrap what the points stand beside."""
    _arm_awaited(_FencedSender, "_do_add_partitions_to_txn", fault, after=AFTER_BEGIN)
    _arm_awaited(TransactionWriter, "_produce", fault, after=AFTER_ACKNOWLEDGEMENTS)
    _arm_awaited(FencedProducer, "send_offsets_to_transaction", fault, before=BEFORE_OFFSETS, after=AFTER_OFFSETS)
    _arm_awaited(FencedProducer, "commit_transaction", fault, before=BEFORE_END)
    _arm_awaited(Engine, "pause", fault, before=REVOKED, after=STOOD_STILL)
    _arm_awaited(Engine, "on_assigned", fault, before=TAKING_OVER)
    _arm_requests(fault)
    _arm_restore(fault)


def _arm_awaited(owner: Any, name: str, fault: Fault, *, before: str = "", after: str = "") -> None:
    original = getattr(owner, name)

    @wraps(original)
    async def wrapped(*arguments: Any, **named: Any) -> Any:
        fault.at(before or "-")
        answer = await original(*arguments, **named)
        fault.at(after or "-")
        return answer

    setattr(owner, name, wrapped)


def _arm_requests(fault: Fault) -> None:
    send, answered = AIOKafkaConnection.send, EndTxnHandler.handle_response

    @wraps(send)
    def wrapped_send(self: Any, request: Any, expect_response: bool = True) -> Any:
        if isinstance(request, ProduceRequest):
            under_way = send(self, request, expect_response)
            fault.at(AFTER_FIRST_SEND)
            return under_way
        if not (isinstance(request, EndTxnRequest) and request._transaction_result):
            return send(self, request, expect_response)
        writer = self._writer
        self._writer = _Halved(writer, fault) if writer is not None else None
        try:
            under_way = send(self, request, expect_response)
        finally:
            self._writer = writer
        fault.at(END_SENT)
        return under_way

    @wraps(answered)
    def wrapped_answered(self: Any, response: Any) -> Any:
        if self._commit_result:
            fault.at(END_ANSWERED)
        return answered(self, response)

    AIOKafkaConnection.send = wrapped_send
    EndTxnHandler.handle_response = wrapped_answered


def _arm_restore(fault: Fault) -> None:
    original = TelemetryObserver.restore_progress

    @wraps(original)
    def wrapped(self: Any, partition: int, restored_records: int, remaining_records: int) -> None:
        original(self, partition, restored_records, remaining_records)
        if restored_records:
            fault.at(RESTORING)

    TelemetryObserver.restore_progress = wrapped  # type: ignore[method-assign]


def _arm_settings(fault: Fault) -> None:
    """More heartbeats: sessions of these tests are short, so that a killed worker is missed soon."""
    original = worker.engine_settings

    def wrapped(settings: WorkerSettings, connection: ConnectionSource = UNSECURED) -> EngineSettings:
        return replace(original(settings, connection), heartbeat_interval_ms=fault.heartbeat_ms)

    worker.engine_settings = wrapped


def main() -> int:
    """Run the worker of this process's environment."""
    fault = msgspec.json.decode(os.environ[VARIABLE], type=Fault)
    signal.signal(signal.SIGUSR1, fault.arm)
    arm(fault)
    _arm_settings(fault)
    return worker.main()


if __name__ == "__main__":
    sys.exit(main())
