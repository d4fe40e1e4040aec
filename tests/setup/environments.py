"""Set-up from nothing: a copy of what git holds, an empty environment, the Makefile's own verbs.

Rules of this module
1. An environment begins with a pip and nothing else. Whatever is in it later, a verb of the Makefile put there.
2. Nothing is fetched that has no hash in `requirements/`.
3. What a developer's shell has set about Python, make and pytest reaches none of what is started here.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.markers import Marker, default_environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
REQUIREMENTS: Final = ROOT / "requirements"
PIPS: Final = REQUIREMENTS / "pips.txt"

OLDEST_PIP: Final = {"3.11": "22.3", "3.12": "23.2.1", "3.13": "24.2", "3.14": "25.2"}
"""Of each Python that is supported, the pip that its first release came with. An older one only has who went back on
purpose, and under a later Python it may not even start: pip 22.3 does not under 3.12."""

DEMO: Final = ("--intents", "300", "--rate", "600")
"""Half a second of input: everything is started, decided and accounted for, and nobody waits."""

STEP_SECONDS: Final = 600
"""The longest step, all packages on a slow line, takes two minutes; beyond this nobody is answering."""

INHERITED_NOT: Final = re.compile(r"PYTHON|PYTEST|MAKE|MFLAGS|VIRTUAL_ENV|ARGS$|BROKER$|VENV$|MESURA_|COVERAGE")


class StepFailedError(AssertionError):
    """A command that must succeed did not. The message is what it said last."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python that is installed on this machine."""

    path: Path
    version: str

    @property
    def series(self) -> str:
        """`3.11` of `3.11.7`."""
        return ".".join(self.version.split(".")[:2])


THIS: Final = Interpreter(Path(sys.executable), ".".join(map(str, sys.version_info[:3])))


def newest_pip() -> str:
    """The last of the list."""
    return list(_pinned_pips())[-1]


def interpreter(path: Path) -> Interpreter | None:
    """The Python at this path; none if it does not start."""
    question = "import platform; print(platform.python_version())"
    try:
        said = subprocess.run([path, "-c", question], capture_output=True, text=True, check=False, env=environment())
    except OSError:
        return None
    return Interpreter(path, said.stdout.strip()) if said.returncode == 0 else None


def find_interpreter(series: str) -> Interpreter | None:
    """A Python of this series: on the path, or among those of pyenv; none if there is none."""
    on_path = shutil.which(f"python{series}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    candidates = [Path(on_path)] if on_path else []
    candidates += sorted(pyenv.glob(f"{series}.*/bin/python"), reverse=True)
    found = (interpreter(path) for path in candidates)
    return next((python for python in found if python is not None and python.series == series), None)


def environment(**more: str) -> dict[str, str]:
    """This process's environment without what would change what a verb does; pip's settings are the machine's."""
    return {name: value for name, value in os.environ.items() if not INHERITED_NOT.match(name)} | more


def run(command: Sequence[str | Path], folder: Path, **more: str) -> str:
    """What the command printed.

    Raises:
        StepFailedError: it ended with another exit code than 0.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=STEP_SECONDS,
    )
    if done.returncode != 0:
        raise StepFailedError(f"exit code {done.returncode} of {' '.join(map(str, command))}\n{done.stdout[-4000:]}")
    return done.stdout


def held_by_git() -> list[str]:
    """Every file that git holds, or would hold if all were added now. What is ignored is left out."""
    command = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = run(command, ROOT).split("\0")
    return sorted(name for name in names if name and (ROOT / name).is_file())


def fresh_copy(target: Path) -> Path:
    """What a clone of the tree as it stands would be."""
    for name in held_by_git():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def make_environment(python: Interpreter, pip: str, target: Path) -> Path:
    """An environment that holds this release of pip and nothing else; its interpreter."""
    run([python.path, "-m", "venv", "--without-pip", target], target.parent)
    wheels = target / "pip-wheel"
    wheels.mkdir()
    (wheels / "pip.txt").write_text(_pinned_pips()[pip] + "\n")
    fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    run([*fetch, "--dest", wheels, "-r", wheels / "pip.txt"], wheels)
    (wheel,) = wheels.glob("*.whl")
    own = target / "bin" / "python"
    run([own, wheel / "pip", "install", "--quiet", "--no-index", "--no-deps", wheel], wheels)
    shutil.rmtree(wheels)
    return own


def installed(python: Path) -> dict[str, str]:
    """Name and version of everything that this environment holds."""
    question = (
        "import json; from importlib.metadata import distributions; "
        "print(json.dumps([[d.metadata['Name'], d.version] for d in distributions()]))"
    )
    found: list[tuple[str, str]] = json.loads(run([python, "-I", "-c", question], python.parent))
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def locked(lock: str, python_version: str) -> dict[str, str]:
    """Name and version of everything that this lock file installs under such a Python, on this machine."""
    markers = marker_environment(python_version)
    found = re.findall(r"(?m)^([a-z0-9.-]+)==([^\s;\\]+)(?: ; ([^\\]+))?", (REQUIREMENTS / f"{lock}.lock").read_text())
    return {name: version for name, version, marker in found if not marker or Marker(marker).evaluate(markers)}


def without(name: str, lock_text: str) -> str:
    """The text of a lock file that forgot this package."""
    found = re.sub(rf"(?m)^{re.escape(name)}==.*\n(?:[ \t]+.*\n)*", "", lock_text)
    assert found != lock_text, f"{name} is not in the lock"
    return found


def balanced(said: str) -> bool:
    """Whether this is the output of a demo whose books balance."""
    return "✓ one answer to every intent record:" in said and "✗" not in said


def marker_environment(python_version: str) -> dict[str, str]:
    """What a marker of a requirement is asked of, under such a CPython on this machine."""
    own: Mapping[str, str] = {name: str(value) for name, value in default_environment().items()}
    series = ".".join(python_version.split(".")[:2])
    versions = {"python_version": series, "python_full_version": python_version}
    return {**own, **versions, "implementation_version": python_version}


def _pinned_pips() -> dict[str, str]:
    lines = [line for line in PIPS.read_text().splitlines() if line.startswith("pip==")]
    return {line.split()[0].removeprefix("pip=="): line for line in lines}
