"""Two versions of the gate over the same random histories, byte for byte; the report goes to bench/results/versions.md.

    make versions ARGS="--before COMMIT --histories 1000000 --processes 2"
    python -m tests.versions.campaign --before COMMIT --after DIRECTORY --histories 20000 --from 0
    python -m tests.versions.campaign --before . --mistake changed-byte       one side errs: it must be found

A version is a commit or a directory with a source tree; without `--after` it is this tree. Each version runs
in processes of its own, whose `streams` is that tree's. They are sent the same worlds (see `histories.py`).
Compared are every output (topic, partition, key, value, headers), every change of the ledger topic, what was
counted, which ledgers are due, and explanations. A difference is shown down to the first batch and the first
thing that differ, and the exit code is 1. So it is if something that must come to pass never did (see
`coverage.py`).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import zip_longest
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Self, cast

from tests.versions.coverage import EXPECTED, missing
from tests.versions.histories import HISTORIES, RECORDS_MIN, WORLDS_PER_POLICY, World, world_of
from tests.versions.mistakes import MISTAKES
from tests.versions.side import read_frame, write_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = REPOSITORY / "bench" / "results"
COVERED_FROM: Final = 200_000
"""With fewer histories than these, something rare may never come to pass by chance."""
SAID_EVERY_SECONDS: Final = 30.0
SHOWN_MAX: Final = 3
SHOWN_BYTES: Final = 2_000


class Other:
    """A version in a process of its own."""

    def __init__(self, tree: Path, mistake: str = "") -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.versions.side", str(tree), *([mistake] if mistake else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=REPOSITORY,
            env=environment,
        )
        self._in, self._out = cast("BinaryIO", self._process.stdin), cast("BinaryIO", self._process.stdout)
        try:
            self._read()
        except RuntimeError:
            self.close()
            raise

    def send(self, world: World, until: int | None = None) -> None:
        """Ask for a world."""
        plain = tuple(world._replace(batches=[tuple(batch) for batch in world.batches]))  # type: ignore[misc]
        write_frame(self._in, (plain, until))

    def receive(self) -> tuple[list[bytes], dict[str, int], list[Any]]:
        """The answer to the world sent longest ago."""
        answer: tuple[list[bytes], dict[str, int], list[Any]] = self._read()
        return answer

    def close(self) -> None:
        """End it, if it has not ended."""
        self._in.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._out.close()

    def _read(self) -> Any:  # noqa: ANN401 - a plain value
        answer = read_frame(self._out)
        if answer is None:
            raise RuntimeError(f"a version's process ended with {self._process.wait()}; what it said is above")
        return answer


class Pair:
    """Both versions."""

    def __init__(self, before: Path, after: Path, mistake: str = "") -> None:
        with ExitStack() as stack:
            self.before = stack.enter_context(closing(Other(before)))
            self.after = stack.enter_context(closing(Other(after, mistake)))
            self._stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *arguments: object) -> None:
        self._stack.close()

    def answers(self, numbers: range) -> Iterator[tuple[World, Any, Any]]:
        """Every world with both answers. One world is always under way, so that nobody waits for the generator."""
        waiting: list[World] = []
        for number in numbers:
            world = world_of(number)
            self.before.send(world)
            self.after.send(world)
            waiting.append(world)
            if len(waiting) > 1:
                yield waiting.pop(0), self.before.receive(), self.after.receive()
        for world in waiting:
            yield world, self.before.receive(), self.after.receive()

    def difference(self, number: int) -> str:
        """Where this world's answers differ first, in words; empty if they do not."""
        world = world_of(number)
        self.before.send(world)
        self.after.send(world)
        before, after = self.before.receive()[0], self.after.receive()[0]
        place = next(
            (place for place, (one, other) in enumerate(zip(before, after, strict=True)) if one != other), None
        )
        if place is None:
            return ""
        self.before.send(world, place)
        self.after.send(world, place)
        return _told(world, place, self.before.receive()[2], self.after.receive()[2])


def _told(world: World, place: int, before: list[Any], after: list[Any]) -> str:
    batch = world.batches[place]
    where = f"world {world.number} (histories from {world.number * HISTORIES}), batch {place} of {len(world.batches)}"
    lines = [f"{where}, {len(batch.records)} records, policy {batch.policy}:"]
    for name, one, other in zip(("output", "change", "answer", "count"), before, after, strict=True):
        for number, (was, now) in enumerate(zip_longest(one, other)):
            if was != now:
                lines += [f"  {name} {number}", f"    before: {_cut(was)}", f"    after:  {_cut(now)}"]
                key = next((each[1] if name == "output" else each[0] for each in (was, now) if each), None)
                lines += _records_of(batch.records, key) if name in ("output", "change") else []
                break
    return "\n".join(lines)


def _records_of(records: list[Any], key: bytes | None) -> list[str]:
    """The batch's records of the customer with this key, or this changelog key."""
    wanted = (key, None if key is None else key[1:])
    return [f"    record {_cut(record)}" for record in records if record[3] in wanted]


def _cut(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_BYTES else f"{text[:SHOWN_BYTES]}… ({len(text)} characters)"


@dataclass
class Compared:
    """What some worlds gave."""

    worlds: int = 0
    histories: int = 0
    records: int = 0
    least_records: int = 10**9
    batches: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    different: list[int] = field(default_factory=list)
    """Worlds."""

    def add(self, other: Compared) -> None:
        """Together."""
        self.worlds += other.worlds
        self.histories += other.histories
        self.records += other.records
        self.least_records = min(self.least_records, other.least_records)
        self.batches += other.batches
        self.counts.update(other.counts)
        self.different += other.different


@cache
def _pair(before: Path, after: Path, mistake: str) -> Pair:
    """A pool's process has its own two versions, which end with it because their input ends."""
    return Pair(before, after, mistake)


def _compare(pair: tuple[Path, Path, str], numbers: range) -> Compared:
    compared = Compared()
    for world, (before, counts, _), (after, other_counts, _) in _pair(*pair).answers(numbers):
        compared.worlds += 1
        compared.histories += sum(length >= RECORDS_MIN for length in world.lengths)
        compared.records += sum(world.lengths)
        compared.least_records = min(compared.least_records, *world.lengths)
        compared.batches += len(world.batches)
        compared.counts.update(counts)
        if before != after or counts != other_counts or len(before) != len(world.batches):
            compared.different.append(world.number)
    return compared


def compare(before: Path, after: Path, worlds: range, processes: int, mistake: str = "") -> tuple[Compared, float]:
    """Compare all, in blocks of one policy; stops early once many worlds differ."""
    compared = Compared()
    began = said_at = time.monotonic()
    blocks = [
        range(at, min(at + WORLDS_PER_POLICY, worlds.stop))
        for at in range(worlds.start, worlds.stop, WORLDS_PER_POLICY)
    ]
    with get_context("spawn").Pool(processes) as pool:
        for one in pool.imap_unordered(partial(_compare, (before, after, mistake)), blocks):
            compared.add(one)
            if len(compared.different) >= 10 * SHOWN_MAX:
                break
            if time.monotonic() - said_at > SAID_EVERY_SECONDS:
                said_at = time.monotonic()
                rate = 60 * compared.histories / (said_at - began)
                say(
                    f"{compared.histories:,} of {len(worlds) * HISTORIES:,} histories, {rate:,.0f} a minute, "
                    f"{len(compared.different)} worlds differ"
                )
    return compared, time.monotonic() - began


# ---- versions -------------------------------------------------------------------------------------------------------


def tree_of(version: str, directory: Path) -> tuple[Path, str]:
    """The source tree of a version, and its name. A commit is unpacked into a directory of its own under this one."""
    path = Path(version)
    if path.is_dir() and (path / "streams").is_dir():
        return path.resolve(), _named(path)
    commit = _git("rev-parse", "--verify", f"{version}^{{commit}}").decode().strip()
    tree = directory / commit
    if not tree.exists():
        with tarfile.open(
            fileobj=io.BytesIO(_git("archive", commit, "streams", "schemas", "pyproject.toml"))
        ) as archive:
            archive.extractall(tree, filter="data")
    return tree.resolve(), commit[:12]


def _named(path: Path) -> str:
    """The commit that this tree stands on, with a + if it has been changed since."""
    try:
        commit = _git("-C", str(path), "rev-parse", "HEAD").decode().strip()[:12]
        changed = _git("-C", str(path), "status", "--porcelain", "--", "streams", "schemas").strip()
    except subprocess.CalledProcessError:
        return "a directory"
    return f"{commit}{'+' if changed else ''}"


def _git(*arguments: str) -> bytes:
    run = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], check=True, capture_output=True)
    return run.stdout


# ---- the report -----------------------------------------------------------------------------------------------------


def report(compared: Compared, seconds: float, before: str, after: str, first: int) -> str:
    """For people."""
    rate = 60 * compared.histories / seconds
    outputs, changes = compared.counts["said: outputs"], compared.counts["said: changes"]
    lines = [
        "# Two versions, byte for byte",
        "",
        f"Before: `{before}`, after: `{after}`. {os.cpu_count()} cores, Python {platform.python_version()}.",
        "",
        f"**{compared.histories:,} histories, {len(compared.different)} worlds of {HISTORIES} with a difference**",
        f"(worlds {first} to {first + compared.worlds - 1}), in {seconds / 60:.1f} minutes: {rate:,.0f} a minute.",
        f"{compared.records:,} records in {compared.batches:,} batches; no history has fewer than",
        f"{compared.least_records}. Compared were {outputs:,} outputs and {changes:,} changes of ledgers.",
        "",
        "Kinds of rule are counted in one of four worlds, everything else in all.",
        "",
        "| what came to pass | times |",
        "|---|---|",
        *(f"| {name} | {count:,} |" for name, count in sorted(compared.counts.items()) if not name.startswith("said")),
        "",
    ]
    never = missing(compared.counts)
    if never:
        lines += [f"**Never came to pass: {', '.join(never)}.**", ""]
    return "\n".join(lines)


def say(text: str) -> None:
    """Now."""
    print(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}", flush=True)


def main() -> int:
    """Compare, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="a commit, or a directory with its source tree")
    parser.add_argument("--after", default=str(REPOSITORY), help="the same; by default this tree")
    parser.add_argument("--histories", type=int, default=100_000)
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first history")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--mistake", choices=sorted(MISTAKES), default="", help="plant a difference in the one after")
    parser.add_argument(
        "--results", type=Path, default=None, help="where the report goes; by default nowhere below a million"
    )
    arguments = parser.parse_args()
    for ending in (signal.SIGTERM, signal.SIGINT):  # whatever ends us, our processes end with us
        signal.signal(ending, signal.default_int_handler)
    first = arguments.first // HISTORIES
    worlds = range(first, first + -(-arguments.histories // HISTORIES))
    with tempfile.TemporaryDirectory(prefix="mesura-versions-") as directory:
        before, before_name = tree_of(arguments.before, Path(directory))
        after, after_name = tree_of(arguments.after, Path(directory))
        size = f"{len(worlds) * HISTORIES:,} histories, {arguments.processes} processes"
        say(f"before {before_name}, after {after_name}: {size}")
        compared, seconds = compare(before, after, worlds, arguments.processes, arguments.mistake)
        text = report(compared, seconds, before_name, after_name, first)
        print(text)
        with Pair(before, after, arguments.mistake) as pair:
            for number in sorted(compared.different)[:SHOWN_MAX]:
                print(pair.difference(number), flush=True)
    results = arguments.results or (RESULTS if compared.histories >= 1_000_000 and not arguments.mistake else None)
    if results is not None:
        results.mkdir(parents=True, exist_ok=True)
        (results / "versions.md").write_text(text, encoding="utf-8")
        document = {"before": before_name, "after": after_name, "seconds": seconds, "compared": vars(compared)}
        (results / "versions.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    is_covered = not missing(compared.counts) or compared.histories < COVERED_FROM
    return 0 if not compared.different and is_covered else 1


if __name__ == "__main__":
    assert EXPECTED
    sys.exit(main())
