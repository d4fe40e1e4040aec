"""A formatted data directory for one Kafka node on loopback, with its settings and the reason for each."""

from __future__ import annotations

import base64
import contextlib
import random
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.testing.errors import BrokerNotAvailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.testing.kafka_installation import KafkaInstallation

PORTS: Final = range(20_000, 32_000)
"""Below the ports the system gives to outgoing connections (32768 and up on Linux): while the broker is down, a client
that keeps connecting to its port could otherwise be given that very port, and the broker could not come back."""


def prepare_directory(
    installation: KafkaInstallation, properties: Mapping[str, str], cluster_id: str = ""
) -> tuple[Path, int]:
    """A new formatted data directory, and the port its settings name (`{port}` in the value of a property).

    `cluster_id`: that of the other nodes, where there are any.
    """
    directory = Path(tempfile.mkdtemp(prefix="mesura-kafka-"))
    port, controller_port = free_ports(2)
    own = {key: value.replace("{port}", str(port)) for key, value in properties.items()}
    settings = {**_settings(directory, port, controller_port), **own}
    (directory / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
    (directory / "log4j2.properties").write_text(_LOGGING.format(directory=directory))
    command = [
        str(installation.java),
        "-Xmx128m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        *installation.class_options,
        "-cp",
        installation.class_path,
        f"-Dlog4j2.configurationFile={directory / 'log4j2.properties'}",
        "kafka.tools.StorageTool",
        "format",
        "--cluster-id",
        cluster_id or new_cluster_id(),
        "--config",
        str(directory / "server.properties"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # found by install_kafka
    if result.returncode != 0:
        shutil.rmtree(directory, ignore_errors=True)
        complaint = result.stderr.strip().splitlines() or ["no message"]
        raise BrokerNotAvailableError(f"Kafka's data directory could not be formatted: {complaint[0][:500]}")
    return directory, port


def _settings(directory: Path, port: int, controller_port: int) -> dict[str, str]:
    return {
        # One process is both broker and controller, on loopback.
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(directory / "data"),
        # A topic that was not created is a mistake in the test, not a topic with default settings.
        "auto.create.topics.enable": "false",
        # There is one node to replicate to.
        "default.replication.factor": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # 50 partitions each by default: files to open at every start, for nothing.
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.num.partitions": "1",
        # Index files are sized in advance, 10 MiB each by default, twice per partition.
        "log.index.size.max.bytes": "1048576",
        # Members join at once, and a killed one is noticed in a second or two where a test asks for it.
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        # The open transaction of a process that is gone is aborted this soon after its timeout (10 s by default).
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
        # The controller lets a broker come back only when the session of the killed one is over (9 s by default).
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "250",
        # Compaction soon enough to be waited for; a small buffer, because the heap is small.
        "log.cleaner.backoff.ms": "1000",
        "log.cleaner.dedupe.buffer.size": "16777216",
        # Few threads: tests share their cores with the broker.
        "num.network.threads": "2",
        "num.io.threads": "4",
    }


_LOGGING: Final = """\
status=error
rootLogger.level=warn
rootLogger.appenderRefs=file
rootLogger.appenderRef.file.ref=FILE
appenders=file
appender.file.type=File
appender.file.name=FILE
appender.file.fileName={directory}/server.log
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d %p %c %m%n
"""


def new_cluster_id() -> str:
    """Kafka's own format: 16 random bytes, base64 for URLs. Not with a dash first, which would read as an option."""
    while True:
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not cluster_id.startswith("-"):
            return cluster_id


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        ports: list[int] = []
        while len(ports) < count:
            candidate = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                candidate.bind(("127.0.0.1", random.choice(PORTS)))  # noqa: S311  # not a secret
                ports.append(int(candidate.getsockname()[1]))
        return ports
