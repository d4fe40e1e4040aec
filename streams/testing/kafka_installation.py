"""Apache Kafka's jars on this machine: fetched once by Maven from `deploy/kafka/pom.xml`, then kept in a cache.

The cache is `.cache/kafka/<version>-<digest of the pom>` beside the `streams` package (ignored by git), or below the
directory named by `MESURA_CACHE`. Maven is needed only until the cache is filled.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.testing.errors import KafkaNotInstalledError

if TYPE_CHECKING:
    from collections.abc import Iterator

JAVA_VERSION_NEEDED: Final = 17
"""Kafka 4 brokers need Java 17."""

FETCH_SECONDS: Final = 600
"""54 MB. A minute on a slow line; beyond this the repository is not answering."""

_REPOSITORY: Final = Path(__file__).resolve().parents[2]
POM: Final = _REPOSITORY / "deploy" / "kafka" / "pom.xml"


@dataclass(frozen=True, slots=True)
class KafkaInstallation:
    """A Java that can run Kafka, and the jars to run."""

    java: Path
    libraries: Path
    version: str
    java_version: str

    @property
    def class_path(self) -> str:
        """What to give to `java -cp`."""
        return str(self.libraries / "*")

    @property
    def class_archive(self) -> Path:
        """Where this Java keeps Kafka's classes as it has them in memory: see `kafka_classes`."""
        return self.libraries.with_name(f"{self.libraries.name}-java-{self.java_version}.jsa")

    @property
    def class_options(self) -> list[str]:
        """What to give to `java` so that it uses the archive, where there is one."""
        return [f"-XX:SharedArchiveFile={self.class_archive}"] if self.class_archive.is_file() else []


def install_kafka() -> KafkaInstallation:
    """Find Java, and Kafka's jars in the cache; fetch them first if they are not there.

    Safe when several processes call it at once: one fetches, the others wait.

    Raises:
        KafkaNotInstalledError: says what is missing and how to get it.
    """
    java, java_version = _find_java()
    if not POM.is_file():
        raise KafkaNotInstalledError(
            "Apache Kafka can be started from a checkout of the repository only: deploy/kafka/pom.xml is not there. "
            "Set KAFKA_BOOTSTRAP to use a cluster that runs already."
        )
    text = POM.read_text(encoding="utf-8")
    found = re.search(r"<kafka\.version>([^<]+)</kafka\.version>", text)
    if found is None:
        raise KafkaNotInstalledError("deploy/kafka/pom.xml does not say its kafka.version")
    version = found.group(1)
    cache = Path(os.environ.get("MESURA_CACHE") or _REPOSITORY / ".cache") / "kafka"
    libraries = cache / f"{version}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    if not libraries.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / "fetch.lock"):
            if not libraries.is_dir():
                _fetch(libraries)
    return KafkaInstallation(java, libraries, version, java_version)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock among processes; the system gives it back when its holder dies."""
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _find_java() -> tuple[Path, str]:
    """Java and its version, in full."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=str(Path(home) / "bin")) if home else shutil.which("java")
    if java is None:
        raise KafkaNotInstalledError(
            f"Apache Kafka needs Java {JAVA_VERSION_NEEDED} or later, and no java was found: install a JRE, or set "
            "KAFKA_BOOTSTRAP to use a cluster that runs already."
        )
    output = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)  # noqa: S603  # found above
    found = re.search(r'version "((\d+)[\w.+-]*)"', output.stderr)
    if found is None or int(found.group(2)) < JAVA_VERSION_NEEDED:
        raise KafkaNotInstalledError(
            f"Apache Kafka needs Java {JAVA_VERSION_NEEDED} or later; the one found says: {output.stderr.strip()[:200]}"
        )
    return Path(java), found.group(1)


def _fetch(libraries: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaNotInstalledError(
            "Apache Kafka is fetched by Maven, and no mvn was found: install Maven, or set KAFKA_BOOTSTRAP to use a "
            "cluster that runs already."
        )
    partial = Path(tempfile.mkdtemp(prefix="fetching-", dir=libraries.parent))
    try:
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={partial}"]
        command = [maven, "-B", "-q", "-ntp", "-f", str(POM), *goal]
        try:
            result = subprocess.run(  # noqa: S603  # found above
                command, capture_output=True, text=True, check=False, timeout=FETCH_SECONDS, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired as error:
            raise KafkaNotInstalledError(f"Maven did not fetch Apache Kafka within {FETCH_SECONDS} s") from error
        if result.returncode != 0:
            first_error = next((line for line in result.stdout.splitlines() if "[ERROR]" in line), "no message")
            raise KafkaNotInstalledError(f"Maven could not fetch Apache Kafka: {first_error}")
        partial.rename(libraries)  # complete or absent, never half
    finally:
        shutil.rmtree(partial, ignore_errors=True)
