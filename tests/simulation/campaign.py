"""Many seeds, and every defect; the report goes to bench/results/simulation.md and simulation.json.

    make simulation                      100 000 seeds, then each defect within 10 000
    python -m tests.simulation.campaign --seeds 5000 --from 700000 --no-defects

A seed that breaks a promise is named, shrunk and shown, and the exit code is 1. What a seed does depends on nothing but
the code: `python -m tests.simulation.replay SEED` shows it again.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from tests.simulation.defects import DEFECTS, planted
from tests.simulation.history import run
from tests.simulation.plan import DISTURBANCES, as_text, plan_of
from tests.simulation.quiet import quiet
from tests.simulation.shrink import shrunk
from tests.simulation.verdict import broken

RESULTS: Final = Path(__file__).resolve().parents[2] / "bench" / "results"
SEEDS: Final = 100_000
DEFECT_SEEDS: Final = 10_000
CHUNK: Final = 50
SAID_EVERY_SECONDS: Final = 30.0
BROKEN_SHOWN_MAX: Final = 5


@dataclass
class Seen:
    """What some seeds did."""

    seeds: int = 0
    disturbed: int = 0
    """With a crash, a freeze or a rebalance that came to pass."""
    records: int = 0
    least_records: int = 10**9
    least_workers: int = 10**9
    simulated_seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    worker_ends: Counter[str] = field(default_factory=Counter)
    generations: int = 0
    broken: dict[int, dict[str, int]] = field(default_factory=dict)
    processor_seconds: float = 0.0

    def add(self, other: Seen) -> None:
        """Together."""
        self.seeds += other.seeds
        self.disturbed += other.disturbed
        self.records += other.records
        self.least_records = min(self.least_records, other.least_records)
        self.least_workers = min(self.least_workers, other.least_workers)
        self.simulated_seconds += other.simulated_seconds
        self.faults += other.faults
        self.worker_ends += other.worker_ends
        self.generations += other.generations
        self.broken |= other.broken
        self.processor_seconds += other.processor_seconds


@dataclass
class Found:
    """When a defect was found."""

    first_seed: int | None
    seeds: int
    kinds: dict[str, int]
    seconds: float


def look(seeds: Iterable[int]) -> Seen:
    """Run these seeds."""
    seen = Seen()
    began = time.process_time()
    for seed in seeds:
        plan = plan_of(seed)
        history = run(plan)
        seen.seeds += 1
        seen.disturbed += any(fault.kind in DISTURBANCES for fault in history.struck)
        seen.records += len(plan.published)
        seen.least_records = min(seen.least_records, len(plan.published))
        seen.least_workers = min(seen.least_workers, plan.workers)
        seen.simulated_seconds += history.seconds
        seen.faults.update(_name(fault.kind, fault.point, fault.moment) for fault in history.struck)
        seen.worker_ends.update(type(end).__name__ for end in history.ends)
        seen.generations += history.generations
        found = broken(history)
        if found:
            seen.broken[seed] = dict(found)
    seen.processor_seconds = time.process_time() - began
    return seen


def _name(kind: str, point: str, moment: str) -> str:
    return f"{kind} ({point} {moment})" if point else kind


def find(name: str, seeds: int) -> Found:
    """Run seeds with a defect planted until it is found."""
    quiet()
    began = time.monotonic()
    with planted(name):
        for seed in range(seeds):
            found = broken(run(plan_of(seed)))
            if found:
                return Found(seed, seed + 1, dict(found), time.monotonic() - began)
    return Found(None, seeds, {}, time.monotonic() - began)


def _chunks(first: int, count: int) -> Iterator[range]:
    for start in range(first, first + count, CHUNK):
        yield range(start, min(start + CHUNK, first + count))


def _begin() -> None:
    """Of a process: what is loaded stays, and need not be looked through for garbage (a tenth of a history's time)."""
    quiet()
    gc.collect()
    gc.freeze()


def _look_at_all(first: int, count: int, processes: int) -> tuple[Seen, float]:
    seen = Seen()
    began = said_at = time.monotonic()
    with get_context("spawn").Pool(processes, initializer=_begin) as pool:
        for one in pool.imap_unordered(look, _chunks(first, count)):
            seen.add(one)
            if time.monotonic() - said_at > SAID_EVERY_SECONDS:
                said_at = time.monotonic()
                rate = 60 * seen.seeds / (said_at - began)
                _say(f"{seen.seeds} of {count} seeds, {rate:,.0f} a minute, {len(seen.broken)} broken")
    return seen, time.monotonic() - began


def _report(seen: Seen | None, seconds: float, first: int, defects: dict[str, Found]) -> str:
    lines = ["# Simulation", "", f"{os.cpu_count()} cores, Python {platform.python_version()}.", ""]
    if seen is not None:
        lines += [_summary(seen, seconds, first), ""]
        lines += _table("fault that came to pass", seen.faults)
        lines += _table("worker ended by", seen.worker_ends)
    if defects:
        lines += ["| planted defect | found by seed | what was broken |", "|---|---|---|"]
        for name, found in defects.items():
            where = "not found" if found.first_seed is None else f"{found.first_seed}"
            lines.append(f"| {name.replace('_', ' ')} | {where} | {', '.join(sorted(found.kinds))} |")
        lines.append("")
    return "\n".join(lines)


def _summary(seen: Seen, seconds: float, first: int) -> str:
    rate, each_ms = 60 * seen.seeds / seconds, 1000 * seen.processor_seconds / seen.seeds
    return " ".join(
        [
            f"Seeds {first} to {first + seen.seeds - 1}: **{seen.seeds:,} histories, {len(seen.broken)} with a",
            f"broken promise**, in {seconds / 60:.1f} minutes ({rate:,.0f} a minute, {each_ms:.1f} ms CPU each).",
            f"{seen.records:,} records published, at least {seen.least_records} in each, and at least",
            f"{seen.least_workers} workers; {100 * seen.disturbed / seen.seeds:.1f} % with a crash, a freeze, a stop",
            f"or a rebalance that came to pass; {seen.generations:,} generations;",
            f"{seen.simulated_seconds / 3600:,.0f} simulated hours.",
        ]
    )


def _table(title: str, counts: Counter[str]) -> list[str]:
    return [f"| {title} | times |", "|---|---|", *(f"| {name} | {n:,} |" for name, n in sorted(counts.items())), ""]


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}", flush=True)


def main() -> int:
    """Run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--defects", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    quiet()
    defects: dict[str, Found] = {}
    if arguments.defects:
        for name in DEFECTS:
            defects[name] = find(name, DEFECT_SEEDS)
            _say(f"{name}: {defects[name]}")
    seen, seconds = (None, 0.0)
    if arguments.seeds:
        seen, seconds = _look_at_all(arguments.first, arguments.seeds, arguments.processes)
    text = _report(seen, seconds, arguments.first, defects)
    print(text)
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "simulation.md").write_text(text, encoding="utf-8")
    document = {
        "first_seed": arguments.first,
        "seconds": seconds,
        "seen": None if seen is None else vars(seen),
        "defects": {name: vars(found) for name, found in defects.items()},
    }
    (arguments.results / "simulation.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    for seed in sorted(seen.broken if seen else ())[:BROKEN_SHOWN_MAX]:
        print(f"\nseed {seed} breaks {seen.broken[seed] if seen else {}}; shrunk:\n{as_text(shrunk(plan_of(seed)))}")
    is_whole = all(found.first_seed is not None for found in defects.values())
    return 0 if is_whole and not (seen and seen.broken) else 1


if __name__ == "__main__":
    sys.exit(main())
