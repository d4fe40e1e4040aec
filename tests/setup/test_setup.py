"""Set-up from nothing, with this Python and the oldest pip that fits it; `make setup-matrix` does it with all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.setup.environments import (
    DEMO,
    OLDEST_PIP,
    THIS,
    StepFailedError,
    balanced,
    fresh_copy,
    installed,
    locked,
    make_environment,
    run,
    without,
)

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(900)
"""What is installed is fetched first, which the network decides."""

PIP = OLDEST_PIP[THIS.series]
RUNTIME_STAMP = ".venv/.installed"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git holds, with an environment that knows nothing but pip."""
    tree = fresh_copy(tmp_path_factory.mktemp("setup") / "tree")
    make_environment(THIS, PIP, tree / ".venv")
    return tree


def held(tree: Path) -> dict[str, str]:
    """What is in its environment, but for what was there and for ourselves."""
    found = installed(tree / ".venv" / "bin" / "python")
    assert found.pop("pip") == PIP
    assert "mesura" in found
    del found["mesura"]
    return found


def test_a_newcomers_demo_installs_the_runtime_lock_and_decides(tree: Path) -> None:
    said = run(["make", "demo", f"ARGS={' '.join(DEMO)}"], tree)
    assert balanced(said), said
    assert held(tree) == locked("runtime", THIS.version)


def test_set_up_adds_the_dev_lock_and_nothing_else(tree: Path) -> None:
    run(["make", "setup"], tree)
    assert held(tree) == locked("dev", THIS.version)
    assert run(["make", "setup"], tree, LC_ALL="C") == "make: Nothing to be done for 'setup'.\n"


def test_a_lock_that_lacks_something_is_noticed(tree: Path) -> None:
    lock = tree / "requirements" / "runtime.lock"
    lock.write_text(without("yarl", lock.read_text()))
    run([tree / ".venv/bin/python", "-m", "pip", "uninstall", "--quiet", "--yes", "yarl"], tree)
    with pytest.raises(StepFailedError) as failed:
        run(["make", RUNTIME_STAMP], tree)
    assert "requires yarl, which is not installed." in str(failed.value)
    assert "rm -rf .venv" in str(failed.value)


def test_a_python_that_is_too_old_is_refused_by_name(tmp_path: Path) -> None:
    tree = fresh_copy(tmp_path / "tree")
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    with pytest.raises(StepFailedError, match=r"python-old is not Python 3\.11 or later"):
        run(["make", "setup", f"PYTHON={old}"], tree)
    assert not (tree / ".venv").exists()
