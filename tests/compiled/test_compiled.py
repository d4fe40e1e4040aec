"""The compiled core answers what the interpreted one answers: the same cases, run in a compiled copy of the project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# What asks the core. The independent model is the same beside a compiled one.
SUITES = ("tests/golden", "tests/decision", "-k", "not model")
# Fewer could only have passed if a suite was not found.
CASES_MIN = 1_900


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("compiled") / "tree"
    subprocess.run([sys.executable, str(ROOT / "deploy" / "compile_core.py"), "--target", str(target)], check=True)
    return target


def run_in(tree: Path, *arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    result = subprocess.run(
        [sys.executable, *arguments], cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result.stdout


def test_the_copy_is_compiled_and_the_sources_are_not(compiled: Path) -> None:
    context = "from streams.build import is_compiled; print(is_compiled())"
    assert run_in(compiled, "-c", context).strip() == "True"
    assert run_in(ROOT, "-c", context).strip() == "False"
    assert not list((ROOT / "streams").rglob("*.so"))


def test_every_case_of_the_core_passes_when_compiled(compiled: Path) -> None:
    said = run_in(compiled, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SUITES)
    passed = re.search(r"(\d+) passed", said)
    assert passed is not None
    assert int(passed[1]) >= CASES_MIN
