#!/usr/bin/env python3
"""A messaging gateway's side of the contract with mesura, small enough to copy. See docs/gateway.md.

    PROVIDER_URL=https://provider.example.com/messages python gateway.py

Rules of this file
1. A decision is acted on once: its id is claimed, on disk, right before the message is sent. If the process dies in
   between, the message is not sent. That is the safe side: it had been counted.
2. What is withdrawn is not sent, also if the withdrawal was read together with the approval.
3. Nothing is sent after `valid_until`; the clock is asked right before each send.
4. Outcomes are reported without a transaction and acknowledged before the position is committed.
5. What may or may not have been sent is not reported: until a report comes, mesura counts it as sent.

Several processes for one channel must share one memory: on one machine this file, on several a database server. After a
rebalance one of them reads again what another has acted on.
"""

from __future__ import annotations

import json
import logging
import signal
import sqlite3
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from connection import connection, from_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    # Made from schemas/readers/approved and schemas/writers/outcome; needed by type checkers only (docs/clients.md).
    from events.approved import Approval, ApprovalOrWithdrawal
    from events.outcome import Outcome, OutcomeType

logger = logging.getLogger("gateway")

# How long a decision is remembered after its approval has ended. Approvals read again later than that are ignored, and
# nothing is reported about them: whether they were sent is not known any more. Longer than a topic is ever replayed
# by accident, short enough that the file stays small.
MEMORY_MS = 7 * 24 * 3_600_000
# So few that even if the provider lets every one of them wait, the group does not take the process for dead
# (`max.poll.interval.ms`, five minutes by default).
BATCH_MAX = 20
PROVIDER_SECONDS = 5.0
FLUSH_SECONDS = 130.0
# The ids of the policy's obligations that `send` fulfils. A message with any other is not sent.
FULFILLED = frozenset({"include-opt-out"})


class UnknownFateError(Exception):
    """Nobody can say whether the message was sent."""


class RefusedError(Exception):
    """The provider did not take the message. The text is a code."""


class Memory(Protocol):
    """Remembers which decisions were acted on."""

    def claim(self, decision_id: str, until_ms: int) -> bool:
        """Remember it until then, durably, before this returns; whether nobody had claimed it."""
        ...


class DiskMemory:
    """Remembers in a file, for every process of this machine."""

    def __init__(self, path: str) -> None:
        # Without a transaction around several: each statement is on disk when it returns.
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute("CREATE TABLE IF NOT EXISTS claimed (decision_id TEXT PRIMARY KEY, until_ms INTEGER)")
        self._db.execute("CREATE INDEX IF NOT EXISTS until ON claimed (until_ms)")

    def claim(self, decision_id: str, until_ms: int) -> bool:
        """Remember it until then; whether nobody had claimed it."""
        row = (decision_id, until_ms)
        return self._db.execute("INSERT INTO claimed VALUES (?, ?) ON CONFLICT DO NOTHING", row).rowcount == 1

    def forget(self, now_ms: int) -> None:
        """Forget what has had its time."""
        self._db.execute("DELETE FROM claimed WHERE until_ms < ?", (now_ms,))

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()


class Gateway:
    """Decides for each event what to do, does it, and says what is to be reported."""

    def __init__(
        self, channel: str, memory: Memory, send: Callable[[Approval], None], clock_ms: Callable[[], int]
    ) -> None:
        self._channel = channel
        self._memory = memory
        self._send = send
        self._clock_ms = clock_ms

    def outcome_of(self, event: ApprovalOrWithdrawal, withdrawn: Collection[str]) -> Outcome | None:
        """Act on an event; what is known of its decision now.

        `withdrawn`: the decisions that are withdrawn in the same batch. They are not sent, and what is to be reported
        of them is said when their withdrawal's turn comes.
        """
        now_ms = self._clock_ms()
        if event["channel"] != self._channel or event["valid_until"] + MEMORY_MS < now_ms:
            return None
        if event["type"] == "withdrawn" and self._claims(event):
            return _outcome(event, "expired", now_ms)  # it has not been sent and never will be
        if event["type"] == "approved" and event["decision_id"] not in withdrawn and self._claims(event):
            return self._act(event)
        return None

    def _act(self, approval: Approval) -> Outcome | None:
        now_ms = self._clock_ms()  # again: to claim it may have taken long
        if now_ms > approval["valid_until"]:
            return _outcome(approval, "expired", now_ms)
        if not FULFILLED.issuperset(approval["obligations"]):
            logger.error("not sent: an obligation of %s that we do not fulfil", approval["obligations"])
            return _outcome(approval, "failed", now_ms, "unfulfilled_obligation")
        try:
            self._send(approval)
        except RefusedError as refusal:
            return _outcome(approval, "failed", now_ms, str(refusal))
        except UnknownFateError as error:
            logger.warning("decision %s may or may not have been sent: %s", approval["decision_id"], error)
            return None
        return _outcome(approval, "sent", now_ms)

    def _claims(self, event: ApprovalOrWithdrawal) -> bool:
        return self._memory.claim(event["decision_id"], event["valid_until"] + MEMORY_MS)


def _outcome(event: ApprovalOrWithdrawal, kind: OutcomeType, occurred_at: int, detail: str = "") -> Outcome:
    outcome: Outcome = {
        "customer_id": event["customer_id"],
        "type": kind,
        "occurred_at": occurred_at,
        "decision_id": event["decision_id"],
    }
    if detail:
        outcome["detail"] = detail
    return outcome


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would be followed with GET, which sends nothing."""

    def redirect_request(self, *_: object) -> None:
        return None


def send_to(url: str) -> Callable[[Approval], None]:
    """Hand messages to a provider that takes JSON; put your own provider's client here.

    Most providers know a repetition by a key. With such a one, try again until `valid_until` if the fate is unknown.
    """

    opener = urllib.request.build_opener(_NoRedirect)

    def send(approval: Approval) -> None:
        body = {name: approval[name] for name in ("decision_id", "customer_id", "valid_until", "obligations")}
        headers = {"content-type": "application/json", "idempotency-key": approval["decision_id"]}
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - the operator's own URL
        try:
            with opener.open(request, timeout=PROVIDER_SECONDS):
                return
        except urllib.error.HTTPError as error:
            if 400 <= error.code < 500:
                raise RefusedError(str(error.code)) from error
            raise UnknownFateError(f"the provider answered {error.code}") from error
        except OSError as error:
            raise UnknownFateError(str(error)) from error

    return send


class Reporter:
    """Publishes outcomes. Without a transaction: mesura's lanes would wait for it."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._refused: KafkaError | None = None
        self._producer = Producer(
            {
                **connection(),
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",  # librdkafka's own default puts customers elsewhere
            }
        )

    def report(self, outcome: Outcome) -> None:
        """Queue one."""
        value = json.dumps(outcome)
        self._producer.produce(self._topic, key=outcome["customer_id"], value=value, on_delivery=self._delivered)

    def acknowledged(self) -> None:
        """Wait until every one is acknowledged.

        Raises:
            KafkaException: one was not.
        """
        if self._producer.flush(FLUSH_SECONDS) > 0:
            raise KafkaException(KafkaError(KafkaError._MSG_TIMED_OUT))  # noqa: SLF001 - its name in librdkafka
        if self._refused is not None:
            raise KafkaException(self._refused)

    def _delivered(self, error: KafkaError | None, _: Message) -> None:
        self._refused = self._refused or error


def run(gateway: Gateway, memory: DiskMemory, reporter: Reporter, consumer: Consumer) -> None:
    """Read, send, report, until told to stop by SIGTERM or SIGINT."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    while not stopping.is_set():
        messages = _read(consumer)
        if not messages:
            continue
        memory.forget(_clock_ms())
        events: list[ApprovalOrWithdrawal] = [json.loads(message.value() or b"") for message in messages]
        withdrawn = {event["decision_id"] for event in events if event["type"] == "withdrawn"}
        acted = 0
        for event in events:
            if stopping.is_set():
                break  # what is left is read again; what was claimed is not sent again
            if (outcome := gateway.outcome_of(event, withdrawn)) is not None:
                reporter.report(outcome)
            acted += 1
        reporter.acknowledged()
        if acted == len(events):
            _commit(consumer, messages)


def _read(consumer: Consumer) -> list[Message]:
    messages = consumer.consume(BATCH_MAX, timeout=0.5)
    for message in messages:
        error = message.error()
        if error is not None:
            if error.fatal() or not error.retriable():
                raise KafkaException(error)
            logger.warning("%s", error.str())  # librdkafka tries again
    return [message for message in messages if message.error() is None]


def _commit(consumer: Consumer, messages: list[Message]) -> None:
    try:
        consumer.commit(message=None, asynchronous=False)
    except KafkaException as error:
        # Somebody else has the partition now and reads these again; the memory knows them.
        logger.warning("%d read, and not committed: %s", len(messages), error)


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


def main() -> int:
    """Be a gateway until told to stop."""
    logging.basicConfig(level=logging.INFO)
    channel = from_environment("CHANNEL", "sms")
    memory = DiskMemory(from_environment("MEMORY", "gateway.sqlite"))
    gateway = Gateway(channel, memory, send_to(from_environment("PROVIDER_URL")), _clock_ms)
    consumer = Consumer(
        {
            **connection(),
            "group.id": from_environment("GROUP", f"gateway-{channel}"),
            # How soon another process takes over from one that died without leaving the group.
            "session.timeout.ms": from_environment("SESSION_TIMEOUT_MS", "45000"),
            "isolation.level": "read_committed",  # or approvals would be read that never came to be
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([from_environment("APPROVED_TOPIC", "approved-send")])
    try:
        run(gateway, memory, Reporter(from_environment("OUTCOME_TOPIC", "contact-outcome")), consumer)
    except KafkaException as error:
        logger.error("%s; nothing more is committed, and what was sent is not sent again", error)
        return 1
    finally:
        consumer.close()
        memory.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
