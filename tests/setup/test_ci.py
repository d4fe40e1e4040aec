"""`.ci/run` starts from nothing: with stand-ins for make and the tools, which say what they found."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.setup.environments import environment, fresh_copy

LEFT_BY_AN_EARLIER_RUN = (
    ".venv/bin/python",
    ".cache/kafka/any/broker.jar",
    "build/compiled/streams/gate.so",
    "dist/any.whl",
    ".hypothesis/examples/any",
    ".pytest_cache/any",
    "streams/__pycache__/gate.pyc",
)

MAKE = """#!/bin/sh
echo "make $* caches=$(find "$XDG_CACHE_HOME" 2>/dev/null | wc -l) CI=$CI MESURA_CACHE=$MESURA_CACHE $MAVEN_OPTS"
mkdir -p "$XDG_CACHE_HOME/pip"
echo "work=$(dirname "$XDG_CACHE_HOME")"
exit "$(cat exit-code-of-$1 2>/dev/null || echo 0)"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone in which somebody has worked; the tools are replaced."""
    checkout = fresh_copy(tmp_path / "checkout")
    subprocess.run(["git", "init", "--quiet", checkout], check=True, env=environment())
    for name in LEFT_BY_AN_EARLIER_RUN:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()
    for stand_in, script in ((checkout / "deploy/install-test-tools.sh", "#!/bin/sh\n"), (tmp_path / "bin/make", MAKE)):
        stand_in.parent.mkdir(exist_ok=True)
        stand_in.write_text(script)
        stand_in.chmod(0o755)
    return checkout


def ci_run(checkout: Path) -> subprocess.CompletedProcess[str]:
    path = f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    more = {"PATH": path, "MESURA_CACHE": "/elsewhere", "PIP_CACHE_DIR": "/elsewhere", "MAVEN_OPTS": "-Xmx1g"}
    command = ["bash", checkout / ".ci" / "run"]
    return subprocess.run(command, env=environment(**more), capture_output=True, text=True, check=False)


def test_nothing_of_an_earlier_run_is_there_and_nothing_is_left(checkout: Path) -> None:
    done = ci_run(checkout)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not [name for name in LEFT_BY_AN_EARLIER_RUN if (checkout / name).exists()]
    assert (checkout / "Makefile").is_file()
    called = [line for line in done.stdout.splitlines() if line.startswith("make ")]
    (work,) = set(re.findall(r"(?m)^work=(.+)$", done.stdout))
    shared = f"CI=true MESURA_CACHE= -Xmx1g -Dmaven.repo.local={work}/maven"
    verbs = ("setup", "check", "test")
    assert called == [f"make {verb} caches={0 if verb == 'setup' else 2} {shared}" for verb in verbs]
    assert not Path(work).exists()


@pytest.mark.parametrize("verb", ["setup", "check", "test"])
def test_it_fails_when_a_verb_fails(checkout: Path, verb: str) -> None:
    (checkout / f"exit-code-of-{verb}").write_text("7")
    done = ci_run(checkout)
    assert done.returncode == 7
    assert done.stdout.splitlines()[-1].startswith("work=")
    last = [line for line in done.stdout.splitlines() if line.startswith("make ")][-1]
    assert last.startswith(f"make {verb} ")
