#!/usr/bin/env python3
"""A messaging gateway's side of the contract with mesura, small enough to copy. See docs/gateway.md.

    python examples/gateway.py --brokers localhost:9092 --channel sms

Rules of this file
1. A decision is acted on once: (`decision_id`, `type`) is remembered, on disk, before anything is sent. If the process
   dies in between, the message is not sent. That is the safe side: it had been counted.
2. What is withdrawn is not sent, also if the withdrawal was read together with the approval.
3. Nothing is sent after `valid_until`; the clock is asked right before each send.
4. Outcomes are reported without a transaction and acknowledged before the position is committed.

Several processes for one channel must share one memory (a database instead of the file): after a rebalance one of them
reads again what another has acted on.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Literal, Protocol

from confluent_kafka import Consumer, Producer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    # Made from schemas/readers/approved and schemas/writers/outcome; needed by type checkers only (docs/contracts.md).
    from events.approved import Approval, ApprovalOrWithdrawal
    from events.outcome import Outcome

logger = logging.getLogger("gateway")

# How long a decision is remembered after its approval has ended. Approvals read again later than that are ignored, and
# nothing is reported about them: whether they were sent is not known any more. Longer than a topic is ever replayed
# by accident, short enough that the file stays small.
MEMORY_MS = 7 * 24 * 3_600_000
BATCH_MAX = 500

Sent = Literal["sent", "failed"]


class Memory(Protocol):
    """Remembers what has been seen."""

    def is_new(self, decision_id: str, kind: str, until_ms: int) -> bool:
        """Remember it until then; whether it had not been seen before."""
        ...


class DiskMemory:
    """Remembers in a file. What was remembered is on disk once `save` has returned."""

    def __init__(self, path: str) -> None:
        self._db = sqlite3.connect(path)
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS seen (id TEXT, kind TEXT, until_ms INTEGER, PRIMARY KEY (id, kind))"
        )

    def is_new(self, decision_id: str, kind: str, until_ms: int) -> bool:
        """Remember it until then; whether it had not been seen before."""
        row = (decision_id, kind, until_ms)
        return self._db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", row).rowcount == 1

    def save(self, now_ms: int) -> None:
        """Forget what has had its time, and put the rest on disk."""
        self._db.execute("DELETE FROM seen WHERE until_ms < ?", (now_ms,))
        self._db.commit()

    def close(self) -> None:
        """Let go of the file; what was not saved is forgotten."""
        self._db.close()


def approvals_to_send(
    events: Iterable[ApprovalOrWithdrawal], channel: str, memory: Memory, now_ms: int
) -> list[Approval]:
    """The approvals of this batch to act on, in order: ours, new, and not withdrawn."""
    found: dict[str, Approval] = {}
    for event in events:
        decision_id, until_ms = event["decision_id"], event["valid_until"] + MEMORY_MS
        if event["channel"] != channel or until_ms < now_ms:
            continue
        if event["type"] == "withdrawn":
            memory.is_new(decision_id, event["type"], until_ms)
            found.pop(decision_id, None)
        elif event["type"] == "approved" and memory.is_new(decision_id, event["type"], until_ms):
            found[decision_id] = event
    return list(found.values())


def act(approval: Approval, send: Callable[[Approval], Sent], clock_ms: Callable[[], int]) -> Outcome:
    """Send it, if there is still time, and say what became of it.

    `send` hands the message to the provider, with `decision_id` as the key by which the provider knows a repetition,
    and returns the type of the outcome: `sent` or `failed`.
    """
    now_ms = clock_ms()
    kind = send(approval) if now_ms <= approval["valid_until"] else "expired"
    return {
        "customer_id": approval["customer_id"],
        "type": kind,
        "occurred_at": now_ms,
        "decision_id": approval["decision_id"],
    }


def run(brokers: str, channel: str, memory_path: str, send: Callable[[Approval], Sent]) -> None:
    """Read, send, report, until told to stop by SIGTERM or SIGINT."""
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"gateway-{channel}",
            "isolation.level": "read_committed",  # or approvals would be read that never came to be
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    # No `transactional.id`: mesura waits for what is acknowledged here, and an open transaction would hold it back.
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # librdkafka's own default puts customers elsewhere
        }
    )
    memory = DiskMemory(memory_path)
    consumer.subscribe(["approved-send"])
    try:
        while running:
            messages = [message for message in consumer.consume(BATCH_MAX, timeout=0.5) if message.error() is None]
            if not messages:
                continue
            now_ms = _clock_ms()
            approvals = approvals_to_send(
                (json.loads(message.value()) for message in messages), channel, memory, now_ms
            )
            memory.save(now_ms)
            for approval in approvals:
                outcome = act(approval, send, _clock_ms)
                producer.produce("contact-outcome", key=outcome["customer_id"], value=json.dumps(outcome))
            if producer.flush(30) > 0:
                raise RuntimeError("outcomes were not acknowledged within 30 s; nothing is committed")
            consumer.commit(message=None, asynchronous=False)
            logger.info("read %d, acted on %d", len(messages), len(approvals))
    finally:
        consumer.close()
        memory.close()


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


def _pretend_to_send(_: Approval) -> Sent:
    """Put your provider's client here."""
    return "sent"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A gateway that pretends to send.")
    parser.add_argument("--brokers", default="localhost:9092")
    parser.add_argument("--channel", default="sms")
    parser.add_argument("--memory", default="gateway.sqlite", help="file that remembers what has been acted on")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    run(arguments.brokers, arguments.channel, arguments.memory, _pretend_to_send)


if __name__ == "__main__":
    main()
