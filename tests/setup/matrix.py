"""Set-up and demo from nothing under every supported Python; the report goes to bench/results/setup.md and setup.json.

    make setup-matrix
    make setup-matrix ARGS="--python /opt/python3.14/bin/python3.14"     a Python that is not found by itself

Each Python twice: with the oldest pip that it may have, and with the newest. Each time in a copy of what git holds,
with an environment that holds that pip and nothing else, and with no cache of pip's; only wheels are taken, so nothing
is compiled. Then, once for each Python, the image's environment and the demo from its wheel in an empty folder.

A Python that is not on this machine is named, here and in the report, and the exit code is 1: as if it had failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from bench.report import machine, table
from tests.setup.environments import (
    DEMO,
    OLDEST_PIP,
    ROOT,
    Interpreter,
    StepFailedError,
    balanced,
    find_interpreter,
    fresh_copy,
    installed,
    interpreter,
    locked,
    make_environment,
    newest_pip,
    run,
)
from tests.setup.image import carry_out

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RESULTS: Final = ROOT / "bench" / "results"
FROM_NOTHING: Final = {"PIP_NO_CACHE_DIR": "1", "PIP_ONLY_BINARY": ":all:"}
NEWCOMER: Final = "runtime lock (s)"
DEVELOPER: Final = "dev lock (s)"
DEMONSTRATED: Final = "demo (s)"
PEER: Final = "bench lock (s)"
COLUMNS: Final = (NEWCOMER, DEMONSTRATED, DEVELOPER, PEER)
WHEEL: Final = "from the wheel"

Result = TypeVar("Result")


@dataclass
class Cell:
    """What became of one Python with one pip."""

    python: str
    pip: str
    seconds: dict[str, float]
    packages: int = 0
    failure: str = ""


def set_up(python: Interpreter, pip: str, folder: Path, cell: Cell) -> None:
    """A newcomer's demo, then what a developer needs more, then the benches' peer.

    Raises:
        StepFailedError: one of them did not work, or the environment does not hold exactly what is locked.
    """
    tree = fresh_copy(folder / "tree")
    own = make_environment(python, pip, tree / ".venv")
    _timed(cell, NEWCOMER, lambda: run(["make", ".venv/.installed"], tree, **FROM_NOTHING))
    said = _timed(cell, DEMONSTRATED, lambda: run(["make", "demo", f"ARGS={' '.join(DEMO)}"], tree, **FROM_NOTHING))
    _require(balanced(said), f"the demo's books do not balance:\n{said[-2000:]}")
    _require_locked(own, "runtime", {"pip": pip})
    _timed(cell, DEVELOPER, lambda: run(["make", "setup"], tree, **FROM_NOTHING))
    cell.packages = _require_locked(own, "dev", {"pip": pip})
    peer = make_environment(python, pip, folder / "peer")
    install = "import sys; from pathlib import Path; from bench.peers.installation import install_lock as install; "
    install += "install(Path(sys.argv[1]))"
    _timed(cell, PEER, lambda: run([own, "-c", install, peer], tree, **FROM_NOTHING))
    _require_locked(peer, "bench", {"pip": pip})


def from_the_wheel(python: Interpreter, folder: Path, cell: Cell) -> None:
    """The image's environment, and the demo far from any sources.

    Raises:
        StepFailedError: one of them did not work.
    """
    made = _timed(cell, NEWCOMER, lambda: carry_out(fresh_copy(folder / "tree"), python, folder / "image"))
    empty = folder / "empty"
    empty.mkdir()
    said = _timed(cell, DEMONSTRATED, lambda: run([made / "bin" / "mesura", "demo", *DEMO], empty))
    _require(balanced(said), f"the demo's books do not balance:\n{said[-2000:]}")
    cell.packages = len(installed(made / "bin" / "python"))


def try_all(pythons: list[Interpreter]) -> list[Cell]:
    """Every Python with both pips, then from the wheel. One that fails does not keep the others from running."""
    return [cell for python in pythons for cell in _try_python(python)]


def _try_python(python: Interpreter) -> Iterator[Cell]:
    for pip in dict.fromkeys([OLDEST_PIP[python.series], newest_pip()]):
        yield _try(Cell(python.version, pip, {}), lambda folder, cell, pip=pip: set_up(python, pip, folder, cell))
    yield _try(Cell(python.version, WHEEL, {}), lambda folder, cell: from_the_wheel(python, folder, cell))


def _try(cell: Cell, attempt: Callable[[Path, Cell], None]) -> Cell:
    print(f"Python {cell.python}, {_pip(cell)} …", flush=True)
    with tempfile.TemporaryDirectory(prefix="mesura-setup-") as folder:
        try:
            attempt(Path(folder), cell)
        except StepFailedError as error:
            cell.failure = str(error)
    print(f"    {cell.failure or 'works'}", flush=True)
    return cell


def _timed(cell: Cell, what: str, step: Callable[[], Result]) -> Result:
    began = time.monotonic()
    result = step()
    cell.seconds[what] = time.monotonic() - began
    return result


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise StepFailedError(otherwise)


def _require_locked(python: Path, lock: str, more: dict[str, str]) -> int:
    found = installed(python)
    found.pop("mesura", None)
    version = interpreter(python)
    assert version is not None
    wanted = locked(lock, version.version) | more
    _require(found == wanted, f"{lock}.lock and the environment differ: {sorted(found.items() ^ wanted.items())}")
    return len(found)


def _pip(cell: Cell) -> str:
    return cell.pip if cell.pip == WHEEL else f"pip {cell.pip}"


def as_markdown(cells: list[Cell], missing: list[str]) -> str:
    """The report."""
    return "\n".join(_lines(cells, missing)) + "\n"


def _lines(cells: list[Cell], missing: list[str]) -> Iterator[str]:
    yield "# Set-up from nothing"
    yield ""
    yield "Written by `make setup-matrix`: `make demo`, then `make setup`, in a copy of what git holds, in an"
    yield "environment that holds one pip and nothing else, with no cache of pip's and no compiler asked. For each"
    yield "Python the pip that its first release came with, and the newest. Afterwards the environment must hold"
    yield "exactly what is locked, and `pip check` must be content; the same of the benches' peer (`bench.lock`), in"
    yield "an environment of its own. From the wheel: the steps of the image's Dockerfile, then the demo in an empty"
    yield "folder without the sources."
    yield ""
    found = machine()
    yield f"{found['cores_used']} cores, {found['system']}. Seconds hang on the line to the index and on what else the"
    yield "machine does."
    yield ""
    yield table([_row(cell) for cell in cells])
    for series in missing:
        yield ""
        yield f"**Python {series} was not tried: it is not on that machine.**"
    for cell in cells:
        if cell.failure:
            yield from ("", f"## Failed: Python {cell.python}, {_pip(cell)}", "", "```", cell.failure.rstrip(), "```")


def _row(cell: Cell) -> dict[str, object]:
    seconds = {name: round(cell.seconds[name], 1) if name in cell.seconds else "–" for name in COLUMNS}
    verdict = "**failed**" if cell.failure else "works"
    return {"Python": cell.python, "pip": cell.pip, **seconds, "packages": cell.packages or "–", "verdict": verdict}


def main() -> int:
    """Everything, and the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, action="append", default=[], help="a Python that is not found by itself")
    arguments = parser.parse_args()
    pythons = {series: find_interpreter(series) for series in OLDEST_PIP}
    for path in arguments.python:
        python = interpreter(path)
        if python is None or python.series not in OLDEST_PIP:
            parser.error(f"{path} is not a Python that is supported: {', '.join(OLDEST_PIP)}")
        pythons[python.series] = python
    missing = [series for series, python in pythons.items() if python is None]
    cells = try_all([python for python in pythons.values() if python is not None])
    document = {"machine": machine(), "not_tried": missing, "cells": [asdict(cell) for cell in cells]}
    (RESULTS / "setup.md").write_text(as_markdown(cells, missing))
    (RESULTS / "setup.json").write_text(json.dumps(document, indent=1) + "\n")
    print(as_markdown(cells, missing), flush=True)
    for series in missing:
        print(f"NOT TRIED: Python {series} is not on this machine (--python says where it is)", file=sys.stderr)
    return 1 if missing or any(cell.failure for cell in cells) else 0


if __name__ == "__main__":
    sys.exit(main())
