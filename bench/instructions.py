"""Processor instructions per intent of a whole batch, of several source trees: within a per cent the same on every run.

    python -m bench.instructions . ../before

Times of two versions that differ by a few per cent are lost in what else a machine does; instructions are not. Each
tree runs the workload of its own `bench.decision` under `valgrind --tool=cachegrind`, once with few batches and once
with more, so that imports and the making of the workload are no part of the figure. Instructions are not time: what
waits for memory is not seen. What still differs from run to run is where objects lie, by which some are looked up.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

FEW, MORE = 1, 6
INTENTS: Final = 400
"""In a batch; valgrind takes fifty times as long as the processor."""

PROGRAM: Final = """
import gc, sys
sys.path.insert(0, sys.argv[1])
import bench.decision as decision
from streams.decision.policy import compile_policy
from streams.policy.loader import load_policy
decision.INTENTS = int(sys.argv[3])
work = decision.Workload(compile_policy(load_policy(decision.STARTER).specification))
work.whole()
gc.collect()
gc.disable()
for _ in range(int(sys.argv[2])):
    work.whole()
"""


def instructions(tree: Path, batches: int) -> int:
    """All instructions of the program in this tree.

    Raises:
        RuntimeError: it failed; with its last words.
    """
    command = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    command += [sys.executable, "-c", PROGRAM, str(tree), str(batches), str(INTENTS)]
    # Sets of words are walked in the order of their hashes.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    counted = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode != 0 or counted is None:
        raise RuntimeError(f"{tree}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    return int(counted[1].replace(",", ""))


def main() -> None:
    """Count, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trees", nargs="+", type=Path, metavar="TREE")
    trees = [tree.resolve() for tree in parser.parse_args().trees]
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is not installed: install it with the system's package manager.")
    first = 0.0
    for tree in trees:
        each = (instructions(tree, MORE) - instructions(tree, FEW)) / ((MORE - FEW) * INTENTS)
        first = first or each
        print(f"{tree.name}: {each:,.0f} instructions an intent, {each / first:.4f} of the first", flush=True)


if __name__ == "__main__":
    main()
