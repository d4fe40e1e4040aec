"""The teams' programs and the examples: fetched and built once from their own locked files, then kept in the cache.

    .cache/clients/java-<digest>     classes and jars, by Maven from tests/clients/java/pom.xml (needs a JDK)
    .cache/clients/node-<digest>     the sources and what package-lock.json names, by npm (needs Node.js 20)
    .cache/clients/go-<digest>       one binary, by Go from go.mod and go.sum
    .cache/clients/example-…         the same of examples/, built as their README says

The digest is of what they are made from, so a change makes a new one. `MESURA_CACHE` names another cache. No package
registry is named: each tool asks the one that it is set to.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import confluent_kafka

from streams.testing.kafka_installation import install_kafka, locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SOURCES: Final = Path(__file__).resolve().parent
ROOT: Final = SOURCES.parents[1]
EXAMPLES: Final = ROOT / "examples"

BUILD_SECONDS: Final = 600
"""A minute each on a slow line; beyond this nobody is answering."""

NEEDED_BY_EXAMPLES: Final[dict[str, dict[str, str]]] = {
    "python": {},
    "java": {"mvn": "Maven", "javac": "a Java compiler (a JDK of version 17 or later)"},
    "go": {"go": "Go, as new as examples/go/go.mod says"},
    "node": {"node": "Node.js 20 or later", "npm": "npm"},
}
"""By language of `examples/`: programs, and what brings them."""

BUILT: Final = {"target", "node_modules", "bin"}
"""Folders of whoever has built an example where it is."""

COMPLETE: Final = "complete"
"""A file written last: a folder without it was left by a build that was interrupted."""


class NotInstalledError(RuntimeError):
    """A program cannot be built here. The message says what is missing."""


def command_of(client: str) -> list[str]:
    """What to call with the file of a task, built first if it is not there.

    Raises:
        NotInstalledError: it could not be built.
    """
    return {"java": _java, "node": _node, "go": _go, "python": _python}[client]()


class Program(NamedTuple):
    """How an example is started."""

    command: list[str]
    folder: Path


def example(language: str, program: str) -> Program:
    """One of `examples/LANGUAGE`, `producer` or `gateway`, built and started as its README says.

    Raises:
        NotInstalledError: it could not be built.
    """
    source = EXAMPLES / language
    for needed, what in NEEDED_BY_EXAMPLES[language].items():
        _needed(needed, what)
    folder = source if language == "python" else _built(f"example-{language}", source, partial(_build_example, source))
    [line] = [line for line in commands_in(source, "Run").splitlines() if program in line.lower()]
    words = shlex.split(line.rpartition("|")[2])
    command = list(itertools.dropwhile(lambda word: "=" in word, words))
    return Program([sys.executable, *command[1:]] if command[0] == "python" else command, folder)


def commands_in(folder: Path, section: str) -> str:
    """The commands of a section of a README."""
    text = (folder / "README.md").read_text("utf-8")
    found = re.search(rf"(?ms)^## {section}$.*?^```sh\n(.+?)^```$", text)
    assert found is not None, f"{folder.name}/README.md has no commands under {section}"
    return found[1]


def _build_example(source: Path, folder: Path) -> None:
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*BUILT))
    _run(["bash", "-euc", commands_in(source, "Build")], folder)


def versions_of(client: str) -> dict[str, str]:
    """What the lock files pin of what matters, and the language that runs it."""
    if client == "java":
        pom = (SOURCES / "java" / "pom.xml").read_text("utf-8")
        found = dict(re.findall(r"<(\w+)\.version>([^<]+)</", pom))
        return {
            "Java": _said(["java", "-version"], r'"([^"]+)"'),
            "kafka-clients": found["kafka"],
            "cloudevents-kafka": found["cloudevents"],
            "jackson": found["jackson"],
        }
    if client == "node":
        pinned = json.loads((SOURCES / "node" / "package.json").read_text("utf-8"))["dependencies"]
        return {"Node.js": _said(["node", "--version"], r"v([\d.]+)"), **pinned}
    if client == "go":
        found = dict(re.findall(r"(?m)^\t(\S+) v(\S+)$", (SOURCES / "go" / "go.mod").read_text("utf-8")))
        return {
            "Go": _said(["go", "version"], r"go(\d[\d.]+)"),
            **{name.split("/", 1)[1]: at for name, at in found.items()},
        }
    return {
        "Python": sys.version.split()[0],
        "confluent-kafka": version("confluent-kafka"),
        "librdkafka": confluent_kafka.libversion()[0],
    }


def _java() -> list[str]:
    java = str(install_kafka().java)
    _needed("mvn", "Maven")
    _needed("javac", "a Java compiler (a JDK of version 17 or later)")

    def build(folder: Path) -> None:
        goals = ["compiler:compile", "dependency:copy-dependencies"]
        places = [f"-Dclients.build={folder}", f"-DoutputDirectory={folder / 'libraries'}"]
        where = ["-f", str(SOURCES / "java" / "pom.xml"), "-DincludeScope=runtime"]
        _run(["mvn", "-B", "-q", "-ntp", *where, *goals, *places], folder)

    folder = _built("java", SOURCES / "java", build)
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    return [java, "-Xmx256m", quiet, "-cp", f"{folder / 'classes'}:{folder / 'libraries'}/*", "mesura.clients.Main"]


def _node() -> list[str]:
    _needed("node", "Node.js 20 or later")
    _needed("npm", "npm")

    def build(folder: Path) -> None:
        for source in _files(SOURCES / "node"):
            shutil.copy(source, folder / source.name)
        _run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel", "error"], folder)

    return ["node", str(_built("node", SOURCES / "node", build) / "main.mjs")]


def _go() -> list[str]:
    _needed("go", "Go, as new as tests/clients/go/go.mod says")

    def build(folder: Path) -> None:
        _run(["go", "build", "-trimpath", "-mod=readonly", "-o", str(folder / "clients"), "."], SOURCES / "go")

    return [str(_built("go", SOURCES / "go", build) / "clients")]


def _python() -> list[str]:
    return [sys.executable, "-m", "tests.clients.librdkafka"]


def _built(name: str, sources: Path, build: Callable[[Path], None]) -> Path:
    found = hashlib.sha256()
    for source in _files(sources):
        found.update(str(source.relative_to(sources)).encode() + b"\0" + source.read_bytes())
    cache = Path(os.environ.get("MESURA_CACHE") or ROOT / ".cache") / "clients"
    folder = cache / f"{name}-{found.hexdigest()[:8]}"
    if not (folder / COMPLETE).is_file():
        with _building(cache):
            if not (folder / COMPLETE).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                build(folder)
                (folder / COMPLETE).touch()
    return folder


def _files(folder: Path) -> list[Path]:
    names = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path for path in names if not BUILT & {*path.relative_to(folder).parts})


@contextlib.contextmanager
def _building(cache: Path) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "build.lock"):
        yield


def _needed(program: str, what: str) -> None:
    if shutil.which(program) is None:
        raise NotInstalledError(f"{program} was not found: install {what}, or leave this client out with --clients")


def _said(command: Sequence[str], pattern: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = re.search(pattern, done.stdout + done.stderr)
    assert found is not None, f"{command[0]} does not say its version"
    return found.group(1)


def _run(command: Sequence[str], directory: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=BUILD_SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstalledError(f"{command[0]} was not done within {BUILD_SECONDS} s") from error
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        first = next((line for line in lines if "err" in line.lower()), lines[0] if lines else "no message")
        raise NotInstalledError(f"{command[0]} failed: {first}")
