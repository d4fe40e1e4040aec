"""What the peers need that the product does not: fetched and built once, then kept in the cache.

    python -m bench.peers.installation          all of it, beforehand

    .cache/peers/quix-<digest>             a Python environment of its own, from requirements/bench.lock
    .cache/peers/kafka-streams-<digest>    classes and jars, built by Maven from bench/peers/kafka_streams (needs a JDK)

The digest is of what they are made from, so a change makes a new one. `MESURA_CACHE` names another cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streams.testing.errors import KafkaNotInstalledError
from streams.testing.kafka_installation import install_kafka, locked

ROOT: Final = Path(__file__).resolve().parents[2]
LOCK: Final = ROOT / "requirements" / "bench.lock"
JAVA_SOURCES: Final = ROOT / "bench" / "peers" / "kafka_streams"

BUILD_SECONDS: Final = 600
"""A minute on a slow line; beyond this nobody is answering."""

COMPLETE: Final = "complete"
"""A file written last: a folder without it was left by a build that was interrupted."""


class PeerNotInstalledError(RuntimeError):
    """A peer cannot be built here. The message says what is missing."""


@dataclass(frozen=True, slots=True)
class JavaPeer:
    """What `java` is called with."""

    java: Path
    folder: Path

    @property
    def class_path(self) -> str:
        """Our classes, then everything they need."""
        return f"{self.folder / 'classes'}:{self.folder / 'libraries'}/*"


def quix_folder() -> Path:
    """Where the environment of the Quix Streams peer is, or would be."""
    return _cache() / f"quix-{_digest([LOCK], platform.python_version())}"


def java_folder() -> Path:
    """Where the Kafka Streams peer is, or would be."""
    sources = [JAVA_SOURCES / "pom.xml", *sorted(JAVA_SOURCES.glob("src/**/*.java"))]
    return _cache() / f"kafka-streams-{_digest(sources)}"


def is_there(folder: Path) -> bool:
    """Whether this has been built, all of it."""
    return (folder / COMPLETE).is_file()


def quix_python() -> Path:
    """The interpreter of the Quix Streams peer, installed first if it is not there.

    Raises:
        PeerNotInstalledError: it could not be.
    """
    folder = quix_folder()
    if not is_there(folder):
        with _building(folder):
            if not is_there(folder):
                shutil.rmtree(folder, ignore_errors=True)
                _run([sys.executable, "-m", "venv", str(folder)])
                install_lock(folder / "bin" / "python")
                (folder / COMPLETE).touch()
    return folder / "bin" / "python"


def install_lock(python: Path) -> None:
    """Put what is locked into the environment of this interpreter: nothing is resolved, and all must fit together.

    Raises:
        PeerNotInstalledError: it could not be installed, or something that it needs is not locked.
    """
    pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(LOCK)])
    _run([*pip, "check"])


def java_peer() -> JavaPeer:
    """The Kafka Streams peer, built first if it is not there.

    Raises:
        PeerNotInstalledError: it could not be.
    """
    try:
        java = install_kafka().java
    except KafkaNotInstalledError as error:
        raise PeerNotInstalledError(str(error)) from error
    folder = java_folder()
    if not is_there(folder):
        maven = shutil.which("mvn")
        if maven is None or shutil.which("javac") is None:
            raise PeerNotInstalledError(
                "the Kafka Streams peer is built by Maven with a Java compiler: install Maven and a JDK of version 17 "
                "or later (a JRE cannot compile)"
            )
        with _building(folder):
            if not is_there(folder):
                shutil.rmtree(folder, ignore_errors=True)
                goals = ["compiler:compile", "dependency:copy-dependencies"]
                places = [f"-Dpeer.build={folder}", f"-DoutputDirectory={folder / 'libraries'}"]
                where = ["-f", str(JAVA_SOURCES / "pom.xml"), "-DincludeScope=runtime"]
                _run([maven, "-B", "-q", "-ntp", *where, *goals, *places])
                (folder / COMPLETE).touch()
    return JavaPeer(java, folder)


def quix_versions() -> dict[str, str]:
    """What the lock file pins of what matters."""
    found = dict(re.findall(r"(?m)^([\w.-]+)==([^ ;\\]+)", LOCK.read_text(encoding="utf-8")))
    return {name: found[name] for name in ("quixstreams", "confluent-kafka", "rocksdict")}


def kafka_streams_version() -> str:
    """What the pom pins."""
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", (JAVA_SOURCES / "pom.xml").read_text("utf-8"))
    assert found is not None
    return found.group(1)


def _cache() -> Path:
    return Path(os.environ.get("MESURA_CACHE") or ROOT / ".cache") / "peers"


def _digest(files: Sequence[Path], more: str = "") -> str:
    found = hashlib.sha256(more.encode())
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()[:8]


def _building(folder: Path) -> contextlib.AbstractContextManager[None]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    return locked(folder.parent / "build.lock")


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=BUILD_SECONDS, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired as error:
        raise PeerNotInstalledError(f"{Path(command[0]).name} was not done within {BUILD_SECONDS} s") from error
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        first = next((line for line in lines if "ERROR" in line), lines[0] if lines else "no message")
        raise PeerNotInstalledError(f"{Path(command[0]).name} failed: {first}")


def main() -> None:
    """Build everything."""
    print(quix_python())
    print(java_peer().folder)


if __name__ == "__main__":
    main()
