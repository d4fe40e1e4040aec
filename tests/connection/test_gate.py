"""The gate and its commands over secured connections; what changes under a gate that runs; where secrets are not."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from streams.cli.errors import Unreachable
from streams.cli.watch import follow
from streams.connection.cluster import Cluster
from streams.demo.gate_process import GateProcess
from streams.policy.packs import pack_path
from streams.testing.kafka_io import publish
from streams.testing.records import OutgoingRecord
from tests.connection.conftest import TOKEN_SECRET
from tests.connection.secured_kafka import KEY_PASSWORD, PASSWORD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.connection.conftest import Properties
    from tests.connection.secured_kafka import SecuredKafka
    from tests.connection.token_server import TokenServer

pytestmark = pytest.mark.kafka

WAIT_SECONDS: Final = 30.0
SECOND_PASSWORD: Final = "planted-second-password"
ERASURE_KEY: Final = secrets.token_hex(32)

_numbers = count()


class Operator:
    """Somebody at a terminal, with one file of client properties."""

    def __init__(self, secured: SecuredKafka, listener: str, properties: Properties, directory: Path) -> None:
        self.prefix = f"gate{next(_numbers)}-"
        self.where = ["--bootstrap", secured.addresses[listener], "--command-config", str(properties.path)]
        self.where += ["--prefix", self.prefix]
        self._directory = directory

    def mesura(self, *arguments: str) -> str:
        """What a command prints. It has to end with 0."""
        command = [sys.executable, "-m", "streams.cli.main", *arguments, *self.where]
        environment = {**os.environ, "MESURA_ERASURE_KEY": ERASURE_KEY}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=WAIT_SECONDS, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert not planted_in(done.stdout + done.stderr)
        return done.stdout

    def create_topics(self) -> None:
        self.mesura("topics", "create", "--partitions", "2", "--replication-factor", "1")

    def publish(self, *intents: str) -> None:
        now = int(time.time() * 1000)
        file = self._directory / "events.jsonl"
        common = {"channel": "email", "created_at": now, "purpose": "otp"}
        events = [{"intent_id": each, "customer_id": f"c-{each}", **common} for each in intents]
        file.write_text("".join(f"{json.dumps(event)}\n" for event in events))
        assert f"intents: {len(intents)} published" in self.mesura("publish", str(file))

    def answered(self, number: int) -> set[str]:
        """The intents that were answered, once there are so many."""
        lines = self.mesura("watch", "--json", "--from-beginning", "--limit", str(number)).splitlines()
        return {json.loads(line)["intent_id"] for line in lines}

    def audit(self) -> None:
        report = self.mesura("audit", "--application-id", f"{self.prefix}gate")
        assert "Clean: every promise was kept." in report

    @contextmanager
    def gate(self, *arguments: str) -> Iterator[GateProcess]:
        """`mesura run`, deciding."""
        options = ["--policy", str(pack_path("starter")), *self.where, "--ops-port", "0"]
        options += ["--application-id", f"{self.prefix}gate"]
        gate = GateProcess([*options, *arguments], erasure_key=ERASURE_KEY, is_own_broker=False)
        try:
            wait_for(gate.is_ready, gate)
            yield gate
        finally:
            gate.stop()


def wait_for(condition: Callable[[], bool], gate: GateProcess) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert gate.ended() is None, gate.last_words()
        assert time.monotonic() < until, gate.last_words()
        time.sleep(0.05)


def log_of(gate: GateProcess) -> str:
    descriptor = gate._log.fileno()
    return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode()


def planted_in(text: str) -> list[str]:
    """The secrets of this test run that stand in a text, in whatever form it would repeat them."""
    planted = [PASSWORD, SECOND_PASSWORD, KEY_PASSWORD, TOKEN_SECRET, "PRIVATE KEY"]
    forms = [
        form for each in planted for form in (each, json.dumps(each)[1:-1], repr(each)[1:-1], each.replace('"', '\\"'))
    ]
    return [form for form in forms if form in text]


def processes_of(gate: GateProcess) -> list[int]:
    """The gate's process and those below it."""
    found = [gate.pid]
    for pid in found:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += [int(each) for each in (thread / "children").read_text().split()]
    return found


@pytest.mark.parametrize("way", ["tokens", "mutual"])
def test_the_whole_gate(
    secured: SecuredKafka, properties: Properties, tokens: TokenServer, tmp_path: Path, way: str
) -> None:
    if way == "tokens":
        tokens.lifetime_seconds = 5.0
        properties.login("SASL_SSL", "OAUTHBEARER")
    else:
        store = secured.clients.issue("gate").store(tmp_path / "gate.pem", KEY_PASSWORD, secured.clients.pem)
        properties.tls(ssl__keystore__location=str(store), ssl__key__password=KEY_PASSWORD)
    operator = Operator(secured, "SHORT" if way == "tokens" else "MUTUAL", properties, tmp_path)
    operator.create_topics()
    with operator.gate() as gate:
        operator.publish("one", "two", "three")
        assert operator.answered(3) == {"one", "two", "three"}
        pids = processes_of(gate)
        assert len(pids) >= 2
        for pid in pids:
            for name in ("environ", "cmdline"):
                assert not planted_in(Path(f"/proc/{pid}/{name}").read_bytes().decode()), name
        with urllib.request.urlopen(f"{gate.ops}/metrics") as answer:
            assert not planted_in(answer.read().decode())
        log = log_of(gate)
        assert gate.stop() == 0
    assert "The policy is in force." in log
    assert not planted_in(log)
    if way == "tokens":
        operator.mesura("topics", "check", "--partitions", "2", "--replication-factor", "1")
        operator.audit()


def test_what_changes_under_a_gate(secured: SecuredKafka, properties: Properties, tmp_path: Path) -> None:
    """The broker ends every login after two seconds, so that the gate logs in again and again."""
    properties.login("SASL_SSL", "SCRAM-SHA-512")
    operator = Operator(secured, "SHORT", properties, tmp_path)
    operator.create_topics()
    try:
        with operator.gate() as gate:
            operator.publish("before")
            assert operator.answered(1) == {"before"}
            secured.set_password(SECOND_PASSWORD)
            wait_for(lambda: "The gate cannot connect to the brokers." in log_of(gate), gate)
            assert "refuses the user `gate` by SCRAM-SHA-512: correct user or password" in log_of(gate)
            properties.login("SASL_SSL", "SCRAM-SHA-512", SECOND_PASSWORD)
            operator.publish("after")
            assert operator.answered(2) == {"before", "after"}
            # An authority that is withdrawn, and trusted again.
            properties.trusted.write_text(secured.other_authority.pem)
            wait_for(lambda: "trusted.pem vouches for" in log_of(gate), gate)
            properties.trusted.write_text(secured.authority.pem)
            operator.publish("trusted")
            assert operator.answered(3) == {"before", "after", "trusted"}
            assert not planted_in(log_of(gate))
        operator.audit()
    finally:
        secured.set_password(PASSWORD)


def test_a_password_that_changes_while_somebody_watches(
    secured: SecuredKafka, properties: Properties, tmp_path: Path
) -> None:
    source = properties.login("SASL_SSL", "SCRAM-SHA-512")
    topic = f"watched{next(_numbers)}"
    secured.kafka.create_topics([topic], partitions=1)
    seen = follow(Cluster(secured.addresses["SHORT"], source), (topic,), from_beginning=True, to_the_end=False)
    try:
        publish(secured.kafka.bootstrap_servers, [OutgoingRecord(topic, b"k", b"before", 1)])
        assert next(seen).value() == b"before"
        secured.set_password(SECOND_PASSWORD)
        properties.login("SASL_SSL", "SCRAM-SHA-512", SECOND_PASSWORD)
        # In time the login ends, the old password is refused, and the new one is read.
        publish(secured.kafka.bootstrap_servers, [OutgoingRecord(topic, b"k", b"after", 1)])
        assert next(seen).value() == b"after"
        secured.set_password("planted-third-password")
        with pytest.raises(Unreachable, match="refuses the user `gate` by SCRAM-SHA-512"):
            next(seen)
    finally:
        seen.close()
        secured.set_password(PASSWORD)
