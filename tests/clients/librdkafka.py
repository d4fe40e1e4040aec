"""The Python team: confluent-kafka, which is librdkafka as C++, .NET and many others have it.

    python -m tests.clients.librdkafka TASK

Publishes the runs of a task; what it did goes to the task's results.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec
from confluent_kafka import Producer

from tests.clients.plan import Task, is_special

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.clients.plan import Run

FLUSH_SECONDS: Final = 60.0
SAYINGS: Final = ("opt_out", "opt_out", "stop", None)
BOGOTA: Final = timezone(timedelta(hours=-5))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


TIMES: Final[dict[str, Callable[[], object]]] = {
    "millis": _now_ms,
    "datetime.isoformat": lambda: datetime.now(BOGOTA).isoformat(),
    "datetime.isoformat, whole second": lambda: datetime.now(UTC).replace(microsecond=0).isoformat(),
    "datetime.isoformat without zone": lambda: datetime.now().isoformat(),  # noqa: DTZ005 - the mistake itself
    "datetime in str": lambda: str(datetime.now(UTC)),
    "strftime with %z": lambda: datetime.now(BOGOTA).strftime("%Y-%m-%dT%H:%M:%S.%f%z"),
    "time.time": time.time,
}
HEADERS: Final = [("trace", None), ("trace", b"\x00\xff\n"), ("", b"nameless"), ("kafka_correlationId", b"")]


def main() -> None:
    """Do what the task says."""
    task = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Task)
    with Path(task.results).open("w", encoding="utf-8") as results:
        for run in task.runs:
            Publisher(task, run, results).publish()


class Publisher:
    """One run, wave by wave: the noes of a wave, then, once all are acknowledged, an intent of every customer."""

    def __init__(self, task: Task, run: Run, results: IO[str]) -> None:
        self._task = task
        self._run = run
        self._results = results
        self._failures: list[str] = []
        self._noes = self._open(run.noes_partitioner)
        self._intents = self._open(run.partitioner, is_transactional=run.is_transactional)

    def publish(self) -> None:
        """Everything."""
        if self._run.is_transactional:
            self._intents.init_transactions()
        for first in range(0, self._run.customers, self._run.wave):
            self._wave(first, min(first + self._run.wave, self._run.customers))

    def _wave(self, first: int, end: int) -> None:
        for number in range(first, end):
            if SAYINGS[number % 4] is not None:
                self._send(self._noes, *self._no(number), number)
        self._acknowledged(self._noes)
        acknowledged_ms = _now_ms()
        fate = "sent"
        if self._run.is_transactional:
            self._intents.begin_transaction()
        for number in range(first, end):
            self._send(self._intents, *self._intent(number), number)
        self._acknowledged(self._intents)
        if self._run.is_transactional and first // self._run.wave % 3 == 2:
            fate = "aborted"
            self._intents.abort_transaction()
        elif self._run.is_transactional:
            fate = "committed"
            self._intents.commit_transaction()
        for number in range(first, end):
            said = SAYINGS[number % 4]
            line = {
                "run": self._run.name,
                "number": number,
                "customer": self._customer(number),
                "said": said,
                "acknowledged_ms": None if said is None else acknowledged_ms,
                "intent": fate,
            }
            self._results.write(json.dumps(line) + "\n")

    def _no(self, number: int) -> tuple[str, bytes]:
        at = self._time(number)
        if SAYINGS[number % 4] == "stop":
            reply = {"customer_id": self._customer(number), "type": "reply", "detail": "stop", "channel": "sms"}
            return self._task.topics.outcomes, json.dumps(reply | {"occurred_at": at}).encode()
        event = {"event_id": str(uuid.uuid4()), "customer_id": self._customer(number), "type": "opt_out"}
        return self._task.topics.preferences, json.dumps(event | {"effective_at": at}).encode()

    def _intent(self, number: int) -> tuple[str, bytes]:
        fields = {
            "intent_id": str(uuid.uuid4()),
            "customer_id": self._customer(number),
            "channel": "sms",
            "purpose": "service",
            "created_at": self._time(number),
        }
        value = json.dumps(fields).encode()
        return self._task.topics.intents, value[:-1] if self._run.form == "headers" and is_special(number) else value

    def _customer(self, number: int) -> str:
        return f"{self._run.customer_prefix}{number}"

    def _time(self, number: int) -> object:
        return TIMES[self._run.time if is_special(number) else "millis"]()

    def _open(self, partitioner: str, *, is_transactional: bool = False) -> Producer:
        chosen = {} if partitioner == "default" else {"partitioner": partitioner}
        transactions = {"transactional.id": f"{self._run.customer_prefix}transactions"} if is_transactional else {}
        return Producer(
            {
                "bootstrap.servers": self._task.bootstrap_servers,
                "acks": "all",
                "enable.idempotence": True,
                "compression.type": self._run.codec,
                "linger.ms": 2,
                "on_delivery": self._delivered,
                **chosen,
                **transactions,
            }
        )

    def _delivered(self, error: Any, _message: object) -> None:  # noqa: ANN401 - a C type
        if error is not None:
            self._failures.append(error.str())

    def _send(self, producer: Producer, topic: str, value: bytes, number: int) -> None:
        headers = HEADERS if self._run.form == "headers" else None
        producer.produce(topic, value, self._customer(number).encode(), headers=headers)

    def _acknowledged(self, producer: Producer) -> None:
        unsent = producer.flush(FLUSH_SECONDS)
        if unsent or self._failures:
            raise RuntimeError(f"{unsent + len(self._failures)} records were not taken: {self._failures[:1]}")


if __name__ == "__main__":
    main()
