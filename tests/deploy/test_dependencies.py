"""What the package imports it declares, and what it declares is locked."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DECLARED = {Requirement(text).name: Requirement(text) for text in PROJECT["project"]["dependencies"]}


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


@pytest.mark.parametrize("lock", ["runtime", "dev"])
def test_what_is_declared_is_locked_within_its_range(lock: str) -> None:
    text = (ROOT / f"requirements/{lock}.lock").read_text()
    locked = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))
    for name, requirement in DECLARED.items():
        assert locked[name] in requirement.specifier
