"""Apache Kafka itself (KRaft, one node, loopback) for tests, the demo and benches.

    with RealKafka() as kafka:
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
        kafka.kill()       # kill -9
        kafka.start()      # again, on what it had stored, at the same address

`open_kafka()` is the same, except that it uses the cluster named by `KAFKA_BOOTSTRAP` where that is set. In the
foreground: `python -m streams.testing.real_kafka`.

The broker's data is in a temporary directory, removed with it. It never outlives this process (see `foreign_program`).

What one node on loopback cannot show: replication, leader elections, network latency. `acks=all` is one disk write, not
even flushed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.testing import foreign_program
from streams.testing.broker import KafkaAdmin
from streams.testing.errors import BrokerNotAvailableError
from streams.testing.held_process import HeldProcess
from streams.testing.kafka_directory import prepare_directory
from streams.testing.kafka_installation import KafkaInstallation, install_kafka
from streams.testing.parent_watch import write_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

START_SECONDS: Final = 60.0
"""How long a start may take: 3–4 s on an idle machine, several times that on a busy one, longer after kill -9."""

STOP_SECONDS: Final = 15.0
"""How long SIGTERM may take before SIGKILL; usually under a second. Longer only delays the end of a broken run."""

BOOTSTRAP_VARIABLE: Final = "KAFKA_BOOTSTRAP"

SHORT_LIVED: Final = ("-XX:TieredStopAtLevel=1",)
"""Java options of a broker that lives for minutes and is not measured: every method is compiled once and quickly. What
Java does beyond that pays after some minutes under load, and until then takes as much processor time as the broker."""

_BIND_ATTEMPTS: Final = 3
_LOG_LINES_SHOWN: Final = 15


class ExternalKafka(KafkaAdmin):
    """A cluster somebody else runs, named by `KAFKA_BOOTSTRAP`."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap_servers = bootstrap_servers

    @property
    def bootstrap_servers(self) -> str:
        """The `host:port` list to give to clients."""
        return self._bootstrap_servers


class RealKafka(KafkaAdmin):
    """One Kafka node on loopback; may be killed, frozen and started again on the same data and address.

    Args:
        heap_megabytes: Java's largest heap. 512 carries the test suite and benches of a million records.
        properties: broker settings that replace or add to ours.
        java_options: appended to ours; see `SHORT_LIVED`.

    Raises:
        KafkaNotInstalledError: at `start`, if Java or Kafka is missing.
        BrokerNotAvailableError: at `start`, if the broker ends or does not answer in time; says its last log lines.
    """

    def __init__(
        self,
        *,
        heap_megabytes: int = 512,
        properties: Mapping[str, str] | None = None,
        java_options: Sequence[str] = (),
    ) -> None:
        self._heap_megabytes = heap_megabytes
        self._properties = dict(properties or {})
        self._java_options = list(java_options)
        self._directory: Path | None = None
        self._process: HeldProcess | None = None
        self._port = 0
        self._broker_process_id = 0

    @property
    def bootstrap_servers(self) -> str:
        """The `host:port` to give to clients; stays the same while the broker is down."""
        if self._directory is None:
            raise BrokerNotAvailableError("Apache Kafka was not started: use it as a context manager")
        return f"127.0.0.1:{self._port}"

    @property
    def pid(self) -> int:
        """The process id of the broker itself (Java)."""
        return self._broker_process_id

    @property
    def data_directory(self) -> Path:
        """Where the broker keeps its data, settings and log (`server.log`)."""
        assert self._directory is not None
        return self._directory

    def start(self) -> None:
        """Start the broker and wait until it answers. After `kill` or `shut_down`: again, with what it had stored."""
        assert self._process is None, "already started"
        installation = install_kafka()
        is_first_start = self._directory is None
        for attempt in range(1, _BIND_ATTEMPTS + 1):
            if is_first_start:
                self._directory, self._port = prepare_directory(installation, self._properties)
            assert self._directory is not None
            self._process = HeldProcess(
                foreign_program.MODULE,
                *program_arguments(installation, self._directory, self._heap_megabytes, self._java_options),
            )
            try:
                self._broker_process_id = int(self._process.read()["pid"])
                wait_until_it_answers(self.bootstrap_servers, lambda: bool(self._process and self._process.is_running))
            except BrokerNotAvailableError as error:
                log = _last_lines(self._directory)
                if is_first_start:
                    self.stop()
                else:
                    self._process.stop()
                    self._process = None
                if is_first_start and "Address already in use" in log and attempt < _BIND_ATTEMPTS:
                    continue  # somebody took the port between our look and Java's
                raise BrokerNotAvailableError(f"{error}; the broker's last words:\n{log}") from error
            return

    def kill(self) -> None:
        """kill -9 the broker. Its data stays for the next `start`."""
        self._end({"do": "signal", "number": int(signal.SIGKILL)})

    def shut_down(self) -> None:
        """End the broker in good order. Its data stays for the next `start`."""
        self._end({"do": "stop", "grace_seconds": STOP_SECONDS})

    def freeze(self) -> None:
        """SIGSTOP: connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT after `freeze`."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the broker and remove its data. Idempotent."""
        with contextlib.suppress(BrokerNotAvailableError):
            if self._process is not None and self._process.is_running:
                self.shut_down()
        process, self._process = self._process, None
        if process is not None:
            process.stop()
        directory, self._directory = self._directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def __enter__(self) -> RealKafka:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "not running"
        self._process.ask({"do": "signal", "number": int(number)})

    def _end(self, command: dict[str, object]) -> None:
        assert self._process is not None, "not running"
        self._process.ask(command, deadline_seconds=STOP_SECONDS * 2)
        # Only after that process has said so may we let go of it: before, letting go means "remove everything".
        self._process.read()
        self._process.stop()
        self._process = None


@contextlib.contextmanager
def open_kafka() -> Iterator[KafkaAdmin]:
    """The cluster named by `KAFKA_BOOTSTRAP`, else a `RealKafka` for as long as the block runs."""
    external = os.environ.get(BOOTSTRAP_VARIABLE)
    if external:
        yield ExternalKafka(external)
        return
    with RealKafka() as kafka:
        yield kafka


def program_arguments(
    installation: KafkaInstallation, directory: Path, heap_megabytes: int, java_options: Sequence[str]
) -> list[str]:
    return [
        "--scratch",
        str(directory),
        "--log",
        str(directory / "output.log"),
        "--",
        str(installation.java),
        "-Xms128m",
        f"-Xmx{heap_megabytes}m",
        "-XX:+UseG1GC",
        "-XX:MaxGCPauseMillis=20",
        *installation.class_options,
        *java_options,
        "-cp",
        installation.class_path,
        f"-Dlog4j2.configurationFile={directory / 'log4j2.properties'}",
        "kafka.Kafka",
        str(directory / "server.properties"),
    ]


def wait_until_it_answers(bootstrap_servers: str, is_running: Callable[[], bool] = lambda: True) -> None:
    """Wait until the broker lists itself in its metadata, which it does once it serves clients."""
    host, port = bootstrap_servers.rsplit(":", 1)
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if not is_running():
            raise BrokerNotAvailableError("Apache Kafka ended while starting")
        try:
            # Before librdkafka, which prints every refused connection.
            socket.create_connection((host, int(port)), timeout=1).close()
            client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
            if client.list_topics(timeout=5).brokers:
                return
        except (OSError, KafkaException):
            time.sleep(0.05)
    raise BrokerNotAvailableError(f"Apache Kafka did not answer within {START_SECONDS} s")


def _last_lines(directory: Path) -> str:
    lines = [
        line
        for name in ("server.log", "output.log")
        if (directory / name).exists()
        for line in (directory / name).read_text(errors="replace").splitlines()[-_LOG_LINES_SHOWN:]
    ]
    return "\n".join(lines) or "(none)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run Apache Kafka in the foreground until interrupted; prints its address as one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m streams.testing.real_kafka", description=main.__doc__)
    parser.add_argument("--heap", type=int, default=512, help="megabytes of Java heap (512)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), RealKafka(heap_megabytes=options.heap) as kafka:
        write_line({"bootstrap_servers": kafka.bootstrap_servers, "pid": kafka.pid})
        threading.Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
