"""Inputs of one target again, without the fuzzer: what they raise, and which branches they take.

    python -m tests.fuzz.replay TARGET FILE.json FOLDER…      counts branches, writes what it found

Branches are counted by `coverage`, which has to be there before the code under test is imported: hence a process of its
own.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import coverage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.fuzz.targets import Target

ROOT: Final = Path(__file__).parents[2]
CASES: Final = Path(__file__).with_name("cases")


@dataclass
class Unit:
    """Branches of one module, or of one function of it."""

    name: str
    branches: int
    taken: int
    missing: list[str] = field(default_factory=list)
    """`line → line`, with the line's text."""


@dataclass
class Replayed:
    """What a replay gave."""

    inputs: int
    failures: dict[str, str]
    """Input (by file name) to what it raised."""
    units: list[Unit]

    @property
    def branches(self) -> int:
        return sum(unit.branches for unit in self.units)

    @property
    def taken(self) -> int:
        return sum(unit.taken for unit in self.units)


def inputs(folders: Iterable[Path]) -> Iterator[tuple[str, bytes]]:
    """Every file below the folders, by name."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path.name, path.read_bytes()


def run_all(target: Target, given: Iterable[tuple[str, bytes]]) -> tuple[int, dict[str, str]]:
    """How many inputs there were, and what those that failed raised."""
    count, failures = 0, {}
    for name, data in given:
        count += 1
        try:
            target.passes(data)
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to this input
            failures[name] = f"{type(error).__name__}: {error}"
    return count, failures


def main(name: str, result: Path, folders: list[Path]) -> None:
    """Replay seeds, cases and corpus under coverage; write a `Replayed` as JSON."""
    measured = coverage.Coverage(data_file=None, branch=True, config_file=False, source_pkgs=["streams"])
    measured.start()
    from tests.fuzz.targets import TARGETS

    target = TARGETS[name]
    seeds = ((f"seed-{number}", data) for number, data in enumerate(target.seeds()))
    seed_count, failures = run_all(target, seeds)
    corpus_count, more = run_all(target, inputs([CASES / name, *folders]))
    measured.stop()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        measured.json_report(outfile=file.name)
        files: dict[str, Any] = json.load(file)["files"]
    units = [_unit(counted, files) for counted in target.counted]
    document = {
        "inputs": seed_count + corpus_count,
        "failures": {**failures, **more},
        "units": [unit.__dict__ for unit in units],
    }
    result.write_text(json.dumps(document, indent=1), encoding="utf-8")


def _unit(counted: str, files: dict[str, Any]) -> Unit:
    module, _, function = counted.partition(":")
    path = f"{module.replace('.', '/')}.py"
    report = files[path]
    if function:
        report = report["functions"][function]
    summary = report["summary"]
    lines = (ROOT / path).read_text("utf-8").splitlines()
    missing = [
        f"{begin} → {'the end' if end < 0 else end}: `{lines[begin - 1].strip()}`"
        for begin, end in report["missing_branches"]
    ]
    return Unit(counted, summary["num_branches"], summary["covered_branches"], missing)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), [Path(folder) for folder in sys.argv[3:]])
