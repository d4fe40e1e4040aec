"""Apache Kafka's classes as Java has them in memory, stored once: a broker then needs a third of the time to start.

Java reads and checks some 7 000 classes whenever a broker starts, which takes most of the four seconds of processor
time that a start needs. Java can store them (class data sharing) when a process ends, and every later process that has
the same jars maps the file instead. The archive is beside the jars in the cache. Whoever starts brokers again and again
calls `archive_classes` first; a broker starts without it as well, and Java ignores one that does not fit.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.testing import foreign_program
from streams.testing.held_process import HeldProcess
from streams.testing.kafka_directory import prepare_directory
from streams.testing.kafka_installation import locked
from streams.testing.real_kafka import program_arguments, wait_until_it_answers

if TYPE_CHECKING:
    from streams.testing.kafka_installation import KafkaInstallation

STORE_SECONDS: Final = 60.0
"""Storing 50 MB takes two seconds on an idle machine. A process that takes longer than this is killed."""

_ENDED_BY_SIGTERM: Final = 128 + 15
"""How Java ends when it was asked to and has done all that it does at its end."""


def archive_classes(installation: KafkaInstallation) -> None:
    """Make the archive if there is none yet: a broker is started, answers, and ends.

    Safe when several processes call it at once: one makes it, the others wait.

    Raises:
        BrokerNotAvailableError: the broker did not start.
    """
    archive = installation.class_archive
    if archive.is_file():
        return
    with locked(archive.with_suffix(".lock")):
        if not archive.is_file():
            _archive(installation, archive)


def _archive(installation: KafkaInstallation, archive: Path) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="archiving-", dir=archive.parent))
    partial = scratch / archive.name
    directory, port = prepare_directory(installation, {})
    broker = HeldProcess(
        foreign_program.MODULE,
        *program_arguments(installation, directory, 512, [f"-XX:ArchiveClassesAtExit={partial}"]),
    )
    try:
        broker.read()
        wait_until_it_answers(f"127.0.0.1:{port}", lambda: broker.is_running)
        broker.ask({"do": "stop", "grace_seconds": STORE_SECONDS}, deadline_seconds=STORE_SECONDS * 2)
        if broker.read()["ended"] == _ENDED_BY_SIGTERM:
            partial.rename(archive)  # complete or absent, never half
    finally:
        broker.stop()
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(directory, ignore_errors=True)
