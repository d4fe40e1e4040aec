"""What the package imports it declares, what it declares is locked, and a lock is complete.

A lock is installed without resolving anything, so whatever it lacks would be missing. `pip check` says so where it is
installed; here it is asked, of the metadata of what is installed now, for every Python that is supported.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bench.peers import installation
from tests.setup.environments import OLDEST_PIP, environment, locked, marker_environment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
DECLARED = {
    Requirement(text).name: Requirement(text)
    for text in (*PROJECT["project"]["dependencies"], *(text for extra in EXTRAS.values() for text in extra))
}


def imported() -> set[str]:
    """The top-level modules that are not ours and not Python's."""
    found = set()
    for path in sorted((ROOT / "streams").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add((node.module or "").partition(".")[0])
    return found - sys.stdlib_module_names - {"streams"}


def test_what_is_imported_is_declared() -> None:
    distributions = packages_distributions()
    undeclared = {
        module
        for module in imported()
        if not {name.lower().replace("_", "-") for name in distributions.get(module, [])} & DECLARED.keys()
    }
    # Part of faust-streaming, which is pinned exactly.
    assert undeclared <= {"mode"}


GROUPS_OF = {
    "runtime": ("build",),
    "dev": ("build", "dev"),
    "bench": ("peers",),
    "generators": ("generators",),
    "hostile": ("hostile",),
    "sbom": ("sbom",),
    "lock": ("lock",),
}
LOCKS = sorted(path.stem for path in (ROOT / "requirements").glob("*.lock"))


def declared(lock: str) -> list[Requirement]:
    """What the lock was made from."""
    own = [] if lock in {"bench", "generators", "hostile", "lock", "sbom"} else PROJECT["project"]["dependencies"]
    groups = [text for group in GROUPS_OF.get(lock, ()) for text in PROJECT["dependency-groups"][group]]
    groups += EXTRAS.get(lock, [])
    return [Requirement(text) for text in own + groups]


def missing(roots: list[Requirement], lock: str, python_version: str) -> Iterator[str]:
    """What the roots need under this Python, down to the last dependency, and the lock does not hold."""
    held, markers = locked(lock, python_version), marker_environment(python_version)
    waiting, seen = list(roots), set()
    while waiting:
        wanted = waiting.pop()
        name = canonicalize_name(wanted.name)
        if name not in held or held[name] not in wanted.specifier:
            yield f"{wanted} under Python {python_version}"
            continue
        for extra in {"", *wanted.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            waiting += needs(name, {**markers, "extra": extra})


def needs(name: str, markers: dict[str, str]) -> list[Requirement]:
    """What a package asks for; nothing for one that only another Python needs."""
    try:
        asked = distribution(name).requires or []
    except PackageNotFoundError:
        assert name not in locked("dev", ".".join(map(str, sys.version_info[:3]))), f"{name}: make setup"
        return []
    requirements = map(Requirement, asked)
    return [wanted for wanted in requirements if wanted.marker is None or wanted.marker.evaluate(markers)]


@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_declared_is_locked_within_its_range(lock: str) -> None:
    found = locked(lock, "3.11.0")
    assert declared(lock)
    for requirement in declared(lock):
        assert found[requirement.name] in requirement.specifier


@pytest.mark.parametrize("series", OLDEST_PIP)
@pytest.mark.parametrize("lock", ["runtime", "dev"])
def test_a_lock_is_complete_under_every_python(lock: str, series: str) -> None:
    markers = marker_environment(f"{series}.5")
    roots = [wanted for wanted in declared(lock) if wanted.marker is None or wanted.marker.evaluate(markers)]
    assert list(missing(roots, lock, f"{series}.5")) == []


def test_what_a_lock_lacks_is_found() -> None:
    """The closure above is not empty-handed: the runtime lock has no pytest, and pytest needs more than itself."""
    assert list(missing([Requirement("pytest")], "runtime", "3.11.5")) == ["pytest under Python 3.11.5"]
    assert list(missing([Requirement("faust-streaming[rocksdb]")], "dev", "3.11.5"))


def test_tests_run_on_what_is_shipped() -> None:
    assert locked("runtime", "3.11.5").items() <= locked("dev", "3.11.5").items()


@pytest.mark.parametrize("file", [*(f"{lock}.lock" for lock in LOCKS), "pips.txt"])
def test_everything_has_a_hash_and_no_index_is_named(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text().replace("\\\n", " ")
    pins = [line for line in text.splitlines() if line and not line.lstrip().startswith("#")]
    assert pins
    assert all(re.match(r"[a-z0-9.-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", line) for line in pins)
    assert "//" not in text


def test_no_verb_lets_pip_choose() -> None:
    """What make would call to set up and to lock, in a tree where nothing is there yet."""
    command = ["make", "--dry-run", "--always-make", "VENV=none", "setup", "lock"]
    said = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True).stdout
    installs = [line for line in said.splitlines() if re.search(r"\bpip\b.* install ", line)]
    assert len(installs) == 4
    for line in installs:
        assert "--no-deps" in line
        assert "--require-hashes -r requirements/" in line or "--no-index" in line
    assert said.count("none/bin/python -m pip --disable-pip-version-check check || ") == 2


def test_the_peer_is_installed_from_its_lock_and_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Sequence[str]] = []
    monkeypatch.setattr(installation, "_run", called.append)
    installation.install_lock(Path("python"))
    install, check = called
    assert {"--no-deps", "--require-hashes", str(ROOT / "requirements" / "bench.lock")} <= set(install)
    assert check[-1] == "check"


def test_what_the_everyday_verb_leaves_out_exists() -> None:
    """Or a test that was renamed would quietly become an everyday one."""
    command = ["make", "--dry-run", "VENV=none", "quick"]
    said = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True).stdout
    left_out = re.findall(r"--ignore=(\S+)", said)
    assert left_out
    assert [name for name in left_out if not (ROOT / name).exists()] == []
    assert all(name in said.rpartition("echo ")[2] for name in left_out)
