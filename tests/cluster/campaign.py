"""The promises on three brokers, without encryption and over SASL_SSL side by side; writes bench/results/clusters.md.

    make clusters
    python -m tests.cluster.campaign --rate 150 --only "worker killed" "network cut around a broker"

Two gates of two worker processes on the same brokers, each under the same load, with races beside it; every strike hits
both at once. After each, everything is decided and `mesura audit` is run, over SASL_SSL as the auditor; at the end all
answers are counted from the topics besides. Ends with 0 if nothing was found.
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
import traceback
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from streams.testing.network import Network
from streams.testing.real_kafka import SHORT_LIVED
from tests.cluster.counts import Counts, count
from tests.cluster.entrance import Secured, secured_cluster
from tests.cluster.races import Races
from tests.cluster.report import as_markdown
from tests.cluster.strikes import STRIKES, Side, Stage
from tests.faults.scene import Scene
from tests.system.harness import ERASURE_KEY, REPOSITORY, ends_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.testing.kafka_cluster import KafkaCluster

RATE: Final = 150
"""Intents a second of each gate: what two of them and three brokers take on two cores while they are restored."""

CUSTOMERS: Final = 2_000
SEED: Final = 20_261_201
CLEAR: Final = "plaintext"
SECURED: Final = "SASL_SSL"
AUDIT_SECONDS: Final = 240.0

COMPACTION: Final = {"log.cleaner.min.compaction.lag.ms": str(24 * 3_600_000)}
"""The outside check looks at the moment of every commit: no meta record may be compacted away meanwhile."""


@dataclass
class Struck:
    """One strike, and what became of each gate."""

    name: str
    seen: str = ""
    decides_after_seconds: dict[str, float] = field(default_factory=dict)
    """From the end of the strike until every partition had committed again."""
    audits: dict[str, str] = field(default_factory=dict)
    audited: dict[str, int] = field(default_factory=dict)
    """Decisions that the audit replayed."""


@dataclass
class Findings:
    """Everything the report is made of."""

    rate: int
    machine: str
    seconds: float = 0.0
    struck: list[Struck] = field(default_factory=list)
    counts: dict[str, Counts] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)
    """Intents that the brokers acknowledged."""
    failures: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether it came to its end and found nothing."""
        return not self.failures and bool(self.counts) and all(each.are_clean for each in self.counts.values())


def carry_out(directory: Path, names: Sequence[str], *, rate: int = RATE) -> Findings:
    """These strikes from end to end; what goes wrong is among the findings."""
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}; brokers, loads and gates on one machine"
    findings, began = Findings(rate, machine), time.monotonic()
    with ExitStack() as stack:
        cluster, entrance = stack.enter_context(
            secured_cluster(
                directory / "entrance",
                network=stack.enter_context(Network()),
                java_options=SHORT_LIVED,
                properties=COMPACTION,
            )
        )
        stage = Stage(cluster, tuple(_sides(stack, cluster, entrance, directory, rate)))
        try:
            for side in stage.sides:
                side.start()
                side.until_ready()
            for name in names:
                _strike(stage, name, findings)
            for side in stage.sides:
                _count(side, findings)
        except Exception:  # noqa: BLE001 - told in the report, and by the exit code
            findings.failures.append(traceback.format_exc())
            findings.failures += [f"{side.name}: {side.last_words()}" for side in stage.sides]
    findings.seconds = time.monotonic() - began
    return findings


def _sides(stack: ExitStack, cluster: KafkaCluster, entrance: Secured, directory: Path, rate: int) -> list[Side]:
    sides = []
    for name, way in ((CLEAR, None), (SECURED, entrance)):
        prefix = f"cluster-{name.lower().replace('_', '-')}-{os.getpid()}-"
        scene = stack.enter_context(
            Scene(cluster, prefix, directory / name, rate=rate, customers=CUSTOMERS, seed=SEED, entrance=way)
        )
        client: dict[str, Any] = {}
        if way is not None:
            client = {"bootstrap.servers": way.address, **way.client_settings("upstream")}
        sides.append(Side(name, scene, stack.enter_context(Races(scene.world, client))))
    return sides


def _strike(stage: Stage, name: str, findings: Findings) -> None:
    _say(f"{name} …")
    struck = Struck(name)
    findings.struck.append(struck)
    for side in stage.sides:
        side.scene.load.begin()
        side.races.begin()
    stage.until_all_decide("load is decided")
    struck.seen = STRIKES[name](stage)
    ended = time.monotonic()
    before = [side.batches() for side in stage.sides]
    for side, known in zip(stage.sides, before, strict=True):
        side.until(lambda side=side, known=known: side.is_beyond(known), f"decides again after: {name}")  # type: ignore[misc]
        struck.decides_after_seconds[side.name] = time.monotonic() - ended
    for side in stage.sides:
        side.scene.load.pause()
        side.races.pause()
    stage.cluster.wait_in_sync()
    for side in stage.sides:
        side.races.flush()
        side.scene.until_all_decided(side.gate)
        struck.audits[side.name], struck.audited[side.name] = audited(side.scene)
    _say(f"{name}: {struck}")
    wrong = {side: said for side, said in struck.audits.items() if said != "clean"}
    assert not wrong, f"{name}: {wrong}"


def audited(scene: Scene, acknowledged_within_seconds: float = 600.0) -> tuple[str, int]:
    """What `mesura audit` finds, over the gate's own way in; and how many decisions it looked at.

    Until the load has ended nobody knows how long an acknowledgement took, so opt-outs are left to the races meanwhile.
    """
    where = ["--bootstrap", scene.world.address]
    if scene.entrance is not None:
        where = ["--bootstrap", scene.entrance.address, "--command-config", str(scene.entrance.properties("auditor"))]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "streams.cli.main", "audit", "--json", *where),
            *("--prefix", scene.world.prefix, "--policy", str(scene.policy)),
            *("--application-id", scene.settings().application_id),
            *("--acknowledged-within", str(acknowledged_within_seconds)),
        ],
        capture_output=True,
        text=True,
        timeout=AUDIT_SECONDS,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "MESURA_ERASURE_KEY": ERASURE_KEY},
        check=False,
    )
    if not done.stdout.startswith("{"):
        return (done.stderr or done.stdout)[-2000:], 0
    report = json.loads(done.stdout)
    said = "clean" if done.returncode == 0 and report["is_clean"] else json.dumps(report["findings"][:5])
    return said, int(report["counts"].get("decisions", 0))


def _count(side: Side, findings: Findings) -> None:
    """The last look: with the load's own figure of how long an acknowledgement took, and answer by answer."""
    load = side.scene.load.end()
    said, _ = audited(side.scene, load["acknowledged_within_ms"] / 1000)
    assert said == "clean", said
    published = int(load["intents"]) + side.races.intents
    stored = sum(ends_of(side.scene.world, *side.scene.world.names.intents).values())
    found = findings.counts[side.name] = count(side.scene.world, side.races)
    findings.published[side.name] = published
    assert stored == published == found.intents, f"{published} acknowledged, {stored} stored, {found.intents} read"


def _say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S', time.gmtime())} {text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=RATE, help="intents a second offered to each gate")
    parser.add_argument("--only", nargs="+", choices=list(STRIKES), default=list(STRIKES), metavar="STRIKE")
    parser.add_argument("--results", type=Path, default=REPOSITORY / "bench" / "results")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # whatever ends us, our processes end with us
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="mesura-clusters-") as directory:
        findings = carry_out(Path(directory), arguments.only, rate=arguments.rate)
    text = as_markdown(findings)
    arguments.results.mkdir(parents=True, exist_ok=True)
    (arguments.results / "clusters.md").write_text(text, encoding="utf-8")
    _say(text)
    return 0 if findings.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
