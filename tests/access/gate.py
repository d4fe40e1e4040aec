"""Workers of a gate that connects as the user `gate`, and records for every path of it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from streams.access.roles import permissions_of
from streams.policy.packs import pack_path
from streams.settings import SETTINGS_VARIABLE, WorkerSettings
from streams.testing.broker import create_plan
from streams.testing.kafka_io import publish, read_topic
from streams.testing.records import intent, preference
from streams.topics import TopicNames, TopicPlan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.access.permission import Permission
    from tests.access.authorized_kafka import AuthorizedKafka

ERASURE_KEY: Final = secrets.token_hex(32)
ANSWERS: Final = 4
"""To what `publish` sends: an approval, a suppression, a dead letter, and an approval of what was forwarded."""

_numbers = count()


@dataclass
class Gate:
    """The topics of one gate, and workers for it."""

    kafka: AuthorizedKafka
    names: TopicNames
    application_id: str

    @classmethod
    def new(cls, kafka: AuthorizedKafka, *, creates_topics: bool = True) -> Gate:
        prefix = f"acl{next(_numbers)}-"
        names = TopicNames().with_prefix(prefix)
        if creates_topics:
            create_plan(kafka.kafka, TopicPlan(names, 2, 1))
        return cls(kafka, names, f"{prefix}gate")

    @property
    def permissions(self) -> tuple[Permission, ...]:
        return permissions_of("gate", self.names, self.application_id)

    @property
    def _log(self) -> Path:
        return self.kafka.directory / f"{self.prefix}worker.log"

    @property
    def prefix(self) -> str:
        return self.names.control.removesuffix(TopicNames().control)

    def settings(self) -> WorkerSettings:
        return WorkerSettings(
            bootstrap_servers=self.kafka.address,
            command_config=str(self.kafka.properties("gate")),
            policy_path=str(pack_path("small")),
            application_id=self.application_id,
            topics=self.names,
            ops_port=0,
            erasure_key=ERASURE_KEY,
        )

    def publish(self) -> None:
        """Records for every path of the gate: an approval, a suppression, a forwarding, a dead letter."""
        now = int(time.time() * 1000)
        misrouted = intent("c-3", f"i{now}-3", created_at=now, purpose="otp", channel="email", country="CO")
        records = [
            intent("c-1", f"i{now}-1", created_at=now, purpose="otp", channel="email", country="CO"),
            intent("c-2", f"i{now}-2", created_at=now, purpose="no-such-purpose"),
            misrouted._replace(key=b"somebody-else"),
            misrouted._replace(value=b"unreadable"),
            preference("c-4", f"e{now}", at=now),
        ]
        publish(self.kafka.kafka.bootstrap_servers, (each._replace(topic=self.prefix + each.topic) for each in records))

    @contextlib.contextmanager
    def worker(self, *, checked: bool) -> Iterator[subprocess.Popen[bytes]]:
        """One worker process."""
        module = "streams.worker" if checked else "tests.access.unchecked_worker"
        environment = {**os.environ, SETTINGS_VARIABLE: self.settings().to_environment()}
        with self._log.open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", module], env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            process.wait()

    def last_sentence(self) -> str:
        """By what the worker says that it was ended."""
        lines = [json.loads(line) for line in self._log.read_bytes().splitlines() if line.startswith(b"{")]
        return next((str(line["ended"]["sentence"]) for line in reversed(lines) if "ended" in line), "")

    def answers(self) -> int:
        """How many records the topics have that the gate answers on."""
        address = self.kafka.kafka.bootstrap_servers
        return sum(
            len(read_topic(address, name))
            for name in (self.names.approved, self.names.suppressed, self.names.dead_letter)
        )
