"""What compiling the decision core with mypyc gains: the stages of a decision, and the running gate.

    make bench-mypyc
    python -m bench.mypyc --intents 0           without the running gate

Two copies of the product in a throw-away directory, one of them compiled as `make compiled` does it, are measured in
turn by the same programs: `bench.decision`, and `bench.throughput` with one worker process. Needs a C compiler.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.report import keep, table

ROOT: Final = Path(__file__).parent.parent
LINES_SHOWN: Final = 20
CUSTOMERS_PER_INTENT: Final = 0.1


def copy_pure(directory: Path) -> None:
    """The product as it is."""
    for name in ("streams", "bench", "schemas"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__", "results"))


def run(command: Sequence[str], directory: Path) -> None:
    """Run a program of the copy in this directory.

    Raises:
        RuntimeError: it failed; with its last words.
    """
    environment = {**os.environ, "PYTHONPATH": str(directory)}
    done = subprocess.run(
        [sys.executable, *command], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-LINES_SHOWN:])
        raise RuntimeError(f"{' '.join(command)} failed:\n{last}")


def figures(directory: Path, intents: int) -> dict[str, float]:
    """Microseconds per intent by stage, and of the running gate where it is asked for."""
    results = directory / "bench" / "results"
    run(["-m", "bench.decision", "--rounds", "7"], directory)
    found: dict[str, float] = json.loads((results / "decision.json").read_text())["microseconds_per_intent"]
    if intents:
        customers = str(max(1, int(intents * CUSTOMERS_PER_INTENT)))
        options = ["--processes", "1", "--rounds", "1", "--faust-intents", "0", "--no-audit"]
        run(["-m", "bench.throughput", "--intents", str(intents), "--customers", customers, *options], directory)
        for row in json.loads((results / "throughput.json").read_text())["runs"]:
            found[f"running gate, {row['who']}"] = row["CPU µs each"]
    return found


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="how often both are measured, in turn")
    parser.add_argument("--intents", type=int, default=300_000, help="for the running gate; 0: without it")
    arguments = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {"pure": [], "compiled": []}
    with tempfile.TemporaryDirectory(prefix="mesura-mypyc-") as name:
        copies = {kind: Path(name) / kind for kind in runs}
        copies["pure"].mkdir()
        copy_pure(copies["pure"])
        run([str(ROOT / "deploy" / "compile_core.py"), "--target", str(copies["compiled"])], ROOT)
        modules = len(list(copies["compiled"].glob("streams/**/*.so")))
        for _ in range(arguments.rounds):
            for kind, found in runs.items():
                found.append(figures(copies[kind], arguments.intents))
    rows: list[dict[str, Any]] = []
    for stage in runs["pure"][0]:
        pure, fast = (statistics.median(each[stage] for each in runs[kind]) for kind in ("pure", "compiled"))
        rows.append({"CPU per intent": stage, "pure µs": round(pure, 2), "compiled µs": round(fast, 2)})
        rows[-1]["pure / compiled"] = round(pure / fast, 2)
    keep("mypyc", "The core compiled with mypyc", [(f"{modules} modules compiled.", table(rows))], {"stages": rows})


if __name__ == "__main__":
    main()
