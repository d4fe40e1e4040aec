"""One Apache Kafka shared by several processes: the workers of one test run start it once, whoever comes first."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from streams.testing import foreign_program
from streams.testing.errors import BrokerNotAvailableError
from streams.testing.kafka_classes import archive_classes
from streams.testing.kafka_directory import prepare_directory
from streams.testing.kafka_installation import install_kafka, locked
from streams.testing.real_kafka import (
    BOOTSTRAP_VARIABLE,
    SHORT_LIVED,
    START_SECONDS,
    STOP_SECONDS,
    ExternalKafka,
    program_arguments,
    wait_until_it_answers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.testing.broker import KafkaAdmin


@contextlib.contextmanager
def share_kafka(directory: Path) -> Iterator[KafkaAdmin]:
    """One Apache Kafka for all processes that name the same directory at the same time.

    The first starts it, the last one to leave ends it; it does not matter which is which, or how they leave.
    """
    external = os.environ.get(BOOTSTRAP_VARIABLE)
    if external:
        yield ExternalKafka(external)
        return
    directory.mkdir(parents=True, exist_ok=True)
    note = directory / "shared-kafka.json"
    with contextlib.ExitStack() as stack:
        with locked(directory / "shared-kafka.lock"):
            connection, bootstrap_servers = _join(note) or _start_shared(note)
            stack.enter_context(connection)
            wait_until_it_answers(bootstrap_servers)
        yield ExternalKafka(bootstrap_servers)


def _join(note: Path) -> tuple[socket.socket, str] | None:
    """Become a holder of the broker that the note tells of, if it still takes holders."""
    if not note.exists():
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(STOP_SECONDS)
    try:
        connection.connect(json.loads(note.read_text(encoding="utf-8"))["socket"])
        with connection.makefile("rb") as lines:
            greeting = lines.readline()
    except OSError:
        greeting = b""
    if not greeting:  # it is ending, or has ended
        connection.close()
        return None
    return connection, str(json.loads(greeting)["bootstrap_servers"])


def _start_shared(note: Path) -> tuple[socket.socket, str]:
    installation = install_kafka()
    with contextlib.suppress(BrokerNotAvailableError):  # if no broker starts here, the next lines say so
        archive_classes(installation)
    directory, port = prepare_directory(installation, {})
    path = directory / "holders.sock"
    greeting = json.dumps({"bootstrap_servers": f"127.0.0.1:{port}"})
    options = ["--socket", str(path), "--greeting", greeting]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    broker = program_arguments(installation, directory, 512, SHORT_LIVED)
    command = [sys.executable, "-m", foreign_program.MODULE, *options, *broker]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603  # our own module
    note.write_text(json.dumps({"socket": str(path)}), encoding="utf-8")
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        joined = _join(note) if path.exists() else None
        if joined is not None:
            return joined
        time.sleep(0.02)
    raise BrokerNotAvailableError(f"the process that holds a shared Kafka did not start within {START_SECONDS} s")
