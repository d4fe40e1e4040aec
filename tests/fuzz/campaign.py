"""Fuzzes targets; what is found becomes a case, and what was reached a report.

    make fuzz-bytes
    python -m tests.fuzz.campaign --target ledger policy --executions 2000000 --seed 7

Each target runs under atheris in a process of its own. The corpus stays in `.cache/fuzz` and grows from run to run; the
executions of runs over it are added up in the report (`--fresh` begins anew). A target ends at its first finding: the
input is cut down to `tests/fuzz/cases/TARGET/`, where every test run replays it from then on. At the end the corpus is
replayed under `coverage`, and bench/results/fuzz.md and fuzz.json are written. Exit status 1 if anything was found.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tests.fuzz import report
from tests.fuzz.minimise import minimised, sign_of
from tests.fuzz.replay import CASES, ROOT, Unit
from tests.fuzz.targets import TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.fuzz.targets import Target

CACHE: Final = ROOT / ".cache" / "fuzz"
RESULTS: Final = ROOT / "bench" / "results"
EXECUTIONS: Final = 2_000_000
INPUT_SECONDS_MAX: Final = 20
"""Longer for one input is a finding. The slowest that is none takes a tenth of a second, on a busy machine a few."""

MEMORY_MEGABYTES_MAX: Final = 2_048
_PYTHON_FOUND: Final = "Uncaught Python exception"
_DONE: Final = re.compile(r"^Done (\d+) ", re.MULTILINE)
_COUNTS: Final = (re.compile(r"^stat::number_of_executed_units: (\d+)", re.MULTILINE), _DONE)


@dataclass
class Run:
    """One run of the fuzzer over the corpus."""

    seed: int
    executions: int
    seconds: float


@dataclass
class Found:
    """An input that raised, was too slow or ended the process. `case` is its file below `tests/fuzz/cases`, if it can
    be replayed.
    """

    error: str
    case: str | None


@dataclass
class Result:
    """What is known of one target."""

    runs: list[Run] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)
    corpus: int = 0
    units: list[Unit] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    """Of the replay: an input that fails here and not in the fuzzer depends on something else than its bytes."""

    @property
    def executions(self) -> int:
        return sum(run.executions for run in self.runs)


Results = dict[str, Result]


class Fuzzed:
    """One target, its folders and its fuzzer."""

    def __init__(self, name: str, cache: Path, cases: Path) -> None:
        self.name = name
        self.target: Target = TARGETS[name]
        self.corpus, self._found = cache / name / "corpus", cache / name / "found"
        self._log, self._cases = cache / name / "log", cases / name

    def prepare(self, *, fresh: bool) -> None:
        """Seeds and cases are in the corpus; what an earlier run found is not."""
        if fresh:
            shutil.rmtree(self.corpus, ignore_errors=True)
        shutil.rmtree(self._found, ignore_errors=True)
        for folder in (self.corpus, self._found):
            folder.mkdir(parents=True, exist_ok=True)
        cases = (path.read_bytes() for path in self._cases.glob("*")) if self._cases.is_dir() else ()
        for data in (*self.target.seeds(), *cases):
            (self.corpus / _name(data)).write_bytes(data)

    def run(self, executions: int, seed: int, seconds: int = 0) -> tuple[Run, Found | None]:
        """Fuzz until so many executions, so many seconds (0: however long it takes), or the first finding."""
        counted = sorted({name.partition(":")[0] for name in self.target.counted})
        command = [
            *(sys.executable, "-m", "tests.fuzz.worker", self.name),
            *(f"-atheris_runs={executions}", f"-seed={seed}", f"-max_len={self.target.bytes_max}"),
            *(f"-timeout={INPUT_SECONDS_MAX}", f"-rss_limit_mb={MEMORY_MEGABYTES_MAX}"),
            *(f"-artifact_prefix={self._found}/", "-print_final_stats=1", f"-max_total_time={seconds}"),
            str(self.corpus),
        ]
        began = time.monotonic()
        with self._log.open("wb") as log:
            process = subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, "FUZZ_COUNTED": ",".join(counted)}, stdout=log, stderr=log
            )
            try:
                status = process.wait()
            finally:
                process.terminate()
                process.wait()
        said = self._log.read_text("utf-8", errors="replace")
        counts = [int(found) for pattern in _COUNTS for found in pattern.findall(said)]
        if not counts:
            raise RuntimeError(f"the fuzzer of {self.name} did not run, exit status {status}:\n{said[-2_000:]}")
        run = Run(seed, max(counts), round(time.monotonic() - began, 1))
        artifact = next(iter(sorted(self._found.iterdir())), None)
        if artifact is not None:
            return run, self._kept(artifact, is_python=_PYTHON_FOUND in said)
        if status and not _DONE.search(said):  # done, it may still be ended by its own timer
            return run, Found(f"ended with status {status}: {said[-500:]}", None)
        return run, None

    def _kept(self, artifact: Path, *, is_python: bool) -> Found:
        """The finding as a case."""
        if not is_python:  # too slow, or the process died: not to be run in here
            return Found(artifact.name, None)
        small = minimised(self.target.passes, artifact.read_bytes())
        sign = sign_of(self.target.passes, small)
        if sign is None:
            return Found(f"{artifact.name}, which raises nothing when it is run again", None)
        self._cases.mkdir(parents=True, exist_ok=True)
        case = self._cases / _name(small)
        case.write_bytes(small)
        return Found(f"{sign[0]} at {Path(sign[1]).name}:{sign[2]}", case.name)

    def replayed(self, result: Result) -> None:
        """What the corpus reaches, counted in a process of its own."""
        file = self._log.with_suffix(".replay.json")
        command = [sys.executable, "-m", "tests.fuzz.replay", self.name, str(file), str(self.corpus)]
        subprocess.run(command, cwd=ROOT, check=True)
        document = json.loads(file.read_text("utf-8"))
        result.corpus = document["inputs"]
        result.units = [Unit(**unit) for unit in document["units"]]
        result.failures = document["failures"]


def _name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def campaign(names: Sequence[str], executions: int, seed: int, seconds: int, *, fresh: bool, results: Path) -> int:
    """Fuzz these targets one after the other; the exit status."""
    found: Results = earlier(results)
    for name in names:
        fuzzed = Fuzzed(name, CACHE, CASES)
        fuzzed.prepare(fresh=fresh)
        result = found.setdefault(name, Result())
        if fresh:
            result.runs.clear()
        result.found.clear()
        run, finding = fuzzed.run(executions, seed, seconds)
        result.runs.append(run)
        result.found += [finding] if finding else []
        fuzzed.replayed(result)
        write(found, results)
        print(report.line(name, result), flush=True)
    return 1 if any(found[name].found or found[name].failures for name in names) else 0


def earlier(results: Path) -> Results:
    """What earlier runs found, of targets that still exist."""
    path = results / "fuzz.json"
    if not path.exists():
        return {}
    known = msgspec.json.decode(path.read_bytes(), type=Results)
    return {name: result for name, result in known.items() if name in TARGETS}


def write(found: Results, results: Path) -> None:
    """The report so far: a campaign is long, and what was found is kept even if it is cut short."""
    results.mkdir(parents=True, exist_ok=True)
    ordered = {name: found[name] for name in TARGETS if name in found}
    document = {name: asdict(result) for name, result in ordered.items()}
    (results / "fuzz.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (results / "fuzz.md").write_text(report.as_markdown(ordered), encoding="utf-8")


def main() -> int:
    """Run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--executions", type=int, default=EXECUTIONS, help="of each target")
    parser.add_argument("--seconds", type=int, default=0, help="of each target at most; 0: as long as it takes")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 100_000)
    parser.add_argument("--fresh", action="store_true", help="forget the corpus and what was counted over it")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    return campaign(given.target, given.executions, given.seed, given.seconds, fresh=given.fresh, results=given.results)


if __name__ == "__main__":
    sys.exit(main())
