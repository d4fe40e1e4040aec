"""What the generators are installed with and called by: pinned, from this folder's own files, into `build/generators`.

Nothing is installed beside the project, and no registry is named: npm, Maven and pip ask what they are set to.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
HERE: Final = Path(__file__).resolve().parent
WORK: Final = ROOT / "build" / "generators"
SCHEMAS: Final = ROOT / "schemas"
NEEDED: Final = ("node", "npm", "go", "javac", "mvn")

STEP_SECONDS: Final = 600
"""Installing what npm's lock names takes a minute or two on a slow line; beyond this nobody is answering."""


class StepFailedError(RuntimeError):
    """A tool could not be installed or did not do what it was called for. The message is what it said."""


def run(command: Sequence[str | Path], *, folder: Path = WORK, given: str = "") -> str:
    """What the command prints.

    Raises:
        StepFailedError: it failed.
    """
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=STEP_SECONDS,
        env={
            **os.environ,
            "PATH": os.pathsep.join([str(python().parent), str(node_tool("")), os.environ["PATH"]]),
            "GOFLAGS": "-mod=mod",
            "GOPROXY": "off",
            "NO_COLOR": "1",
        },
    )
    if done.returncode != 0:
        raise StepFailedError(f"{Path(str(command[0])).name}: {(done.stdout + done.stderr).strip()[-4000:]}")
    return done.stdout


def install() -> None:
    """Everything that is not there yet; what an earlier run made of the forms is deleted.

    Raises:
        StepFailedError: something is missing on this machine, or could not be installed.
    """
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        raise StepFailedError(f"{', '.join(missing)} not found: install Node 20 with npm, Go, a JDK 17 and Maven")
    for made in ("typescript", "java", "go", "python"):
        shutil.rmtree(WORK / made, ignore_errors=True)
    WORK.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json", "modelina.mjs", "asyncapi.mjs", "strict.mjs"):
        shutil.copy(HERE / file, WORK / file)
    complete = WORK / f"npm-{hashlib.sha256((HERE / 'package-lock.json').read_bytes()).hexdigest()[:8]}"
    if not complete.exists():
        # No script of a package is run, and none is needed.
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        complete.touch()
    if not python().exists():
        run([sys.executable, "-m", "venv", WORK / "environment"])
    lock = ROOT / "requirements" / "generators.lock"
    pip = [python(), "-m", "pip", "--disable-pip-version-check"]
    run([*pip, "install", "--quiet", "--no-deps", "--require-hashes", "-r", lock])
    run([*pip, "check"])


def python() -> Path:
    """The interpreter of the generators' own environment."""
    return WORK / "environment" / "bin" / "python"


def node_tool(name: str) -> Path:
    """A program that npm has installed."""
    return WORK / "node_modules" / ".bin" / name


def version_of(package: str) -> str:
    """Of what npm has installed."""
    manifest = json.loads((WORK / "node_modules" / package / "package.json").read_text())
    return str(manifest["version"])
