"""Changes the decision core in every way mutmut knows; the golden cases and unit tests must notice.

    python -m tests.mutants.run                      all of streams/decision: a quarter of an hour on two cores
    python -m tests.mutants.run 'streams.decision.rules.cap*'

Works on a copy in a temporary directory. Prints what survived; exit status 1 if that is more than three in a hundred.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
MUTMUT = Path(sys.executable).with_name("mutmut")
MOST_ALIVE = 0.03
# Timeouts: a mutant that loops for ever is noticed, too, and should not take long. No test of the core takes a second.
CONFIGURATION = """
[tool.mutmut]
source_paths = ["streams"]
only_mutate = ["streams/decision/*"]
also_copy = ["schemas"]
pytest_add_cli_args = ["-k", "not model", "-p", "no:cacheprovider", "-p", "tests.mutants.plugin", "--timeout", "40"]
pytest_add_cli_args_test_selection = ["tests/golden", "tests/decision"]
timeout_constant = 1.5
timeout_multiplier = 4.0
"""


def main(names: list[str]) -> int:
    """Run it on the mutants of these names, or on all. Gives back the exit status."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory:
        copied(Path(directory))
        children = str(os.cpu_count() or 2)
        command = [MUTMUT, "run", "--max-children", children, *names]
        status = subprocess.run(command, cwd=directory, check=False).returncode
        results = subprocess.run(
            [MUTMUT, "results", "--all", "true"], cwd=directory, check=True, capture_output=True, text=True
        ).stdout
        found = dict(re.findall(r"^\s*(\S+): (.+)$", results, re.MULTILINE))
        tried = {name: fate for name, fate in found.items() if fate != "not checked"}
        alive = [name for name, fate in tried.items() if fate not in {"killed", "timeout", "caught by type check"}]
        for name in alive:
            shown = subprocess.run([MUTMUT, "show", name], cwd=directory, check=True, capture_output=True, text=True)
            print(f"\n{name}: {tried[name]}\n{shown.stdout}")
    if status != 0 or not tried:
        return status or 1
    print(f"{len(tried)} mutants, {len(alive)} alive: {1 - len(alive) / len(tried):.1%} noticed (see survivors.md)")
    return 0 if len(alive) <= MOST_ALIVE * len(tried) else 1


def copied(directory: Path) -> None:
    """The tree as it is, with mutmut's configuration."""
    for name in ("streams", "tests", "schemas"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    settings = (ROOT / "pyproject.toml").read_text("utf-8")
    (directory / "pyproject.toml").write_text(settings + CONFIGURATION, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
