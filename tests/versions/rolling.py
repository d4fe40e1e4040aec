"""From another version to this one and back, worker by worker, under load on Apache Kafka; then both versions' audits.

    make versions-rolling ARGS="--before COMMIT"
    python -m tests.versions.rolling --before COMMIT --rate 400 --spell 10

Two workers of the version before decide. Then each is ended by SIGTERM and started again in its slot from this
tree, one is taken back to the version before, and brought forward again; between the steps both versions decide
side by side. The load never pauses. When all is decided, the audit of each version looks at everything, and
finds nothing. The report goes to bench/results/versions-rolling.md and .json.

Every process says from which tree its modules are (see `program.py`); another one than it was started from ends
the run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from streams.exit_codes import ExitCode
from streams.settings import SETTINGS_VARIABLE
from streams.testing.policies import open_all_hours
from streams.testing.real_kafka import open_kafka
from tests.faults.scene import Load
from tests.system.harness import (
    DECIDE_SECONDS,
    ERASURE_KEY,
    START_SECONDS,
    Gate,
    Progress,
    World,
    ends_of,
)
from tests.versions.campaign import REPOSITORY, RESULTS, say, tree_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.settings import WorkerSettings
    from streams.testing.broker import Broker

RATE: Final = 400
SPELL_SECONDS: Final = 10.0
CUSTOMERS: Final = 5_000
SEED: Final = 13
AUDIT_SECONDS: Final = 540.0
BEFORE, AFTER = "before", "after"
STEPS: Final = ((0, AFTER), (1, AFTER), (0, BEFORE), (0, AFTER))
"""Slot, and the version it goes on with. The third goes back."""


class VersionedGate(Gate):
    """A worker of one version's tree."""

    def __init__(self, settings: WorkerSettings, directory: Path, tree: Path) -> None:
        self.settings = settings
        self.tree = tree
        self._number = len(list(directory.glob("gate-*.out")))
        self._out = directory / f"gate-{self._number}.out"
        self._err = directory / f"gate-{self._number}.err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                program(tree, "worker"),
                stdout=out,
                stderr=err,
                stdin=subprocess.DEVNULL,
                cwd=REPOSITORY,
                env=environment({SETTINGS_VARIABLE: settings.to_environment()}),
            )

    def until_deciding(self) -> Self:
        """Wait until it has answered intents of its own."""
        self.until_ready()
        assert_own_modules(self.said, self.tree, times=1)
        self.until(lambda: self.counted("decisions_total") > 0, DECIDE_SECONDS, "a decision")
        return self

    def end(self) -> None:
        """SIGTERM; it must end in good order, and have run nothing but its own tree."""
        code = self.terminate()
        assert code == ExitCode.DONE, f"exit code {code}:\n{self.said[-4000:]}"
        assert_own_modules(self.said, self.tree, times=2)


def program(tree: Path, *arguments: str) -> list[str]:
    """The command that runs a program of this tree."""
    return [sys.executable, "-m", "tests.versions.program", str(tree), *arguments]


def environment(more: Mapping[str, str]) -> dict[str, str]:
    """Ours without what belongs to a gate or to Python's paths."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("MESURA_") and name != "PYTHONPATH"
    }
    return kept | dict(more)


def assert_own_modules(said: str, tree: Path, *, times: int) -> None:
    """The program has said so many times that its modules are this tree's."""
    told = [json.loads(line) for line in said.splitlines() if line.startswith('{"tree"')]
    assert len(told) >= times, f"it has said {len(told)} times from which tree it is, not {times}:\n{said[-3000:]}"
    for each in told:
        assert each["tree"] == str(tree), f"started from {tree}, and its modules are from {each['tree']}"
        assert not each["strangers"], f"started from {tree}, and these are from elsewhere: {each['strangers']}"
        assert each["modules"] > 1


@dataclass
class Step:
    """One worker that went on as another version."""

    slot: int
    version: str
    ended_seconds: float
    """From SIGTERM to its end."""
    deciding_seconds: float
    """From there to the first decision of the next one."""


@dataclass
class Findings:
    """Everything the report is made of."""

    before: str
    after: str
    rate: int
    steps: list[Step] = field(default_factory=list)
    load: dict[str, float] = field(default_factory=dict)
    settled_seconds: float = 0.0
    audits: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By version: what its audit says."""

    @property
    def is_clean(self) -> bool:
        """Whether both audits found nothing, and saw everything that was published."""
        return len(self.audits) == 2 and all(audit["is_clean"] and not audit["found"] for audit in self.audits.values())


class Rolling:
    """One gate of two workers under load, whose versions change."""

    def __init__(self, broker: Broker, directory: Path, trees: Mapping[str, Path], rate: int) -> None:
        self.world = World(broker, f"rolling-{int(time.time())}-", partitions=8)
        self._directory = directory
        self._trees = trees
        self._policy = open_all_hours("starter", directory)
        self.load = Load(self.world, rate=rate, customers=CUSTOMERS, seed=SEED)
        self._stack = ExitStack()
        self._stack.callback(self.load.close)
        self._gates: dict[int, VersionedGate] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *arguments: object) -> None:
        for gate in self._gates.values():
            gate.stop()
        self._stack.close()

    def begin(self) -> None:
        """Two workers of the version before, and the load."""
        self.load.until_primed()
        self.load.begin()
        for slot in range(2):
            self._gates[slot] = self._gate(slot, BEFORE)
        for gate in self._gates.values():
            gate.until_deciding()

    def step(self, slot: int, version: str) -> Step:
        """One worker ends, and goes on as this version."""
        began = time.monotonic()
        self._gates[slot].end()
        ended = time.monotonic()
        self._gates[slot] = self._gate(slot, version)
        self._gates[slot].until_deciding()
        return Step(slot, version, ended - began, time.monotonic() - ended)

    def pass_time(self, seconds: float) -> None:
        """Let both decide for a while; neither may end."""
        until = time.monotonic() + seconds
        both = list(self._gates.values())
        both[0].until(lambda: time.monotonic() > until, seconds + START_SECONDS, "time under load")
        assert [gate.exit_code for gate in both] == [None, None]

    def settle(self) -> float:
        """No more load; wait until all is decided, and end both."""
        began = time.monotonic()
        ends = ends_of(self.world)
        with Progress(self.world) as progress:
            self._gates[0].until(lambda: progress.has_reached(ends), DECIDE_SECONDS, "everything decided")
        for gate in self._gates.values():
            gate.end()
        return time.monotonic() - began

    def audit(self, version: str) -> dict[str, Any]:
        """What this version's `mesura audit` says."""
        tree = self._trees[version]
        command = program(
            tree,
            "mesura",
            "audit",
            *("--bootstrap", self.world.address, "--prefix", self.world.prefix, "--policy", str(self._policy)),
            *("--application-id", f"{self.world.prefix}gate", "--json"),
            *("--acknowledged-within", str(self.load.result["acknowledged_within_ms"] / 1000)),
        )
        ended = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=environment({"MESURA_ERASURE_KEY": ERASURE_KEY}),
            capture_output=True,
            text=True,
            timeout=AUDIT_SECONDS,
            check=False,
        )
        assert ended.returncode in (0, 1), f"{ended.returncode}: {ended.stderr[-3000:]}"
        assert_own_modules(ended.stderr, tree, times=2)
        answer: dict[str, Any] = json.loads(ended.stdout)
        return answer

    def _gate(self, slot: int, version: str) -> VersionedGate:
        settings = self.world.settings(self._policy, slot=str(slot))
        return VersionedGate(settings, self._directory, self._trees[version])


def carry_out(broker: Broker, directory: Path, trees: Mapping[str, Path], findings: Findings, spell: float) -> None:
    """From end to end. A worker that ends otherwise than it was told, or a wrong module, ends it."""
    with Rolling(broker, directory, trees, findings.rate) as rolling:
        rolling.begin()
        say("two workers of the version before decide")
        rolling.pass_time(spell)
        for slot, version in STEPS:
            step = rolling.step(slot, version)
            findings.steps.append(step)
            say(f"{step}")
            rolling.pass_time(spell)
        findings.load = rolling.load.end()
        findings.settled_seconds = rolling.settle()
        say(f"settled: {findings.load}")
        for version in trees:
            findings.audits[version] = rolling.audit(version)
            say(f"audit of the version {version}: {findings.audits[version]}"[:1_000])
        answered = sum(ends_of(rolling.world, *rolling.world.names.intents).values())
        assert answered == findings.load["intents"], f"{findings.load['intents']} intents published, {answered} stored"


def report(findings: Findings) -> str:
    """For people."""
    steps = [
        f"| {place + 1} | {step.slot} | {step.version} | {step.ended_seconds:.1f} | {step.deciding_seconds:.1f} |"
        for place, step in enumerate(findings.steps)
    ]
    audits = [
        f"| {version} | {'clean' if audit['is_clean'] else 'not clean'} | {sum(audit['found'].values())} "
        f"| {_counts(audit)} |"
        for version, audit in findings.audits.items()
    ]
    return "\n".join(
        [
            "# A rolling restart from one version to another, and back",
            "",
            f"Before: `{findings.before}`, after: `{findings.after}`.",
            f"{os.cpu_count()} cores, Python {platform.python_version()}; broker, load and workers on one machine.",
            "",
            f"**{findings.load['intents']:,.0f} intents, {findings.load['intents_per_second']:.0f} a second without a",
            f"pause, {len(findings.steps)} restarts, {'no finding' if findings.is_clean else 'FINDINGS'}.**",
            f"All was decided and both workers had ended {findings.settled_seconds:.1f} s after the load.",
            "",
            "| step | slot | goes on as the version | ended after s | decides after s |",
            "|---|---|---|---|---|",
            *steps,
            "",
            "| audit of the version | verdict | findings | looked at |",
            "|---|---|---|---|",
            *audits,
            "",
        ]
    )


def _counts(audit: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {number:,}" for name, number in audit["counts"].items())


def main() -> int:
    """Run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, help="a commit, or a directory with its source tree")
    parser.add_argument("--after", default=str(REPOSITORY), help="the same; by default this tree")
    parser.add_argument("--rate", type=int, default=RATE, help="intents a second")
    parser.add_argument("--spell", type=float, default=SPELL_SECONDS, help="seconds of load between two steps")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for ending in (signal.SIGTERM, signal.SIGINT):  # whatever ends us, our processes end with us
        signal.signal(ending, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mesura-rolling-") as directory, open_kafka() as kafka:
        before, before_name = tree_of(arguments.before, Path(directory))
        after, after_name = tree_of(arguments.after, Path(directory))
        findings = Findings(before_name, after_name, arguments.rate)
        carry_out(kafka, Path(directory), {BEFORE: before, AFTER: after}, findings, arguments.spell)
    text = report(findings)
    print(text)
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "versions-rolling.md").write_text(text, encoding="utf-8")
    document = json.dumps(asdict(findings), indent=1)
    (arguments.results / "versions-rolling.json").write_text(document + "\n", encoding="utf-8")
    return 0 if findings.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
