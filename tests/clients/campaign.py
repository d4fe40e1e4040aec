"""Teams that write Java, JavaScript, Go and Python publish to a running gate on Apache Kafka, each with its own client.

    make clients                            everything; writes bench/results/clients.*
    make clients ARGS="--clients java,go --share 0.2"

Each client publishes its runs (`plan`), then serves as a gateway for its own approvals. Everything is judged from
outside (`verdict`), then by the outside check; then every compacted topic is compacted, the gate restarted from what is
left, an intent sent for everybody who had said no, and the outside check asked once more.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec
from msgspec import Struct

from streams.testing.audit import AuditReport, AuditSettings, audit
from streams.testing.real_kafka import RealKafka
from streams.testing.records import intent
from tests.clients.compaction import BROKER, compact
from tests.clients.plan import CLIENTS, Task, Topics, planned
from tests.clients.programs import command_of
from tests.clients.report import write_report
from tests.clients.verdict import Counts, Line, judge
from tests.system.conftest import new_prefix, now_ms
from tests.system.harness import (
    ERASURE_KEY,
    REPOSITORY,
    Account,
    Gate,
    World,
    account_for,
    running,
    until_all_decided,
    value_of,
)
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from streams.testing.broker import Broker
    from tests.clients.plan import Planned

Found = TypeVar("Found")

RESULTS: Final = REPOSITORY / "bench" / "results"
CLIENT_SECONDS: Final = 400.0
AGAIN_AT_ONCE: Final = 400
"""Intents for customers who had said no, each time that something is written to have the ledger compacted: enough that
every one of eight partitions gets some."""


class Answer(Struct, frozen=True):
    """One record of `approved-send`, as a client has read it."""

    decision_id: str
    type: str


@dataclass
class Findings:
    """Everything the report is made of."""

    counts: list[Counts] = field(default_factory=list)
    read: dict[str, tuple[Counter[str], Counter[str]]] = field(default_factory=dict)
    """By client: what it read as a gateway by type, and what there was for it to read."""
    audits: dict[str, AuditReport] = field(default_factory=dict)
    compacted: tuple[int, int] | None = None
    """How many records the compacted topics held, and how many of them were left."""
    again: int = 0
    """Intents, after compaction began, for customers who had said no before."""
    again_approved: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """Every promise that was not kept."""
        found = [f"{counts.client}, {counts.run}: {what}" for counts in self.counts for what in counts.wrong]
        found += [
            f"{client} read {dict(read)} of {dict(there)} as a gateway"
            for client, (read, there) in self.read.items()
            if read != there
        ]
        found += [f"topics {when}: {report.as_text()}" for when, report in self.audits.items() if not report.is_clean]
        if self.compacted and self.compacted[0] <= self.compacted[1]:
            found.append("nothing was compacted")
        if self.again_approved:
            found.append(f"{self.again_approved} approved after compaction though they had said no before")
        return found


class Campaign:
    """One gate, and every team that publishes to it."""

    def __init__(self, broker: Broker, directory: Path, plans: Mapping[str, list[Planned]]) -> None:
        self.world = World(broker, new_prefix(), recorded_times=False)
        self.findings = Findings()
        self.account = Account()
        self.lines: dict[str, list[Line]] = {}
        self._directory = directory
        self._policy = directory / "policy.yaml"
        self._policy.write_text(any_hour(), encoding="utf-8")
        self._plans = plans

    def run(self) -> Findings:
        """Everything, in order. The broker must have been started with `compaction.BROKER`, or it takes minutes."""
        with self.gate() as gate:
            self.publish_and_judge(gate)
            self.audit("as it was written")
            again = Again(self.world, [each.customer for lines in self.lines.values() for each in lines if each.said])
            self.findings.compacted = compact(self.world, lambda: again.publish(gate))
        with self.gate() as gate:
            again.publish(gate)
        self.findings.again, self.findings.again_approved = again.count()
        self.audit("compacted, and restored from that")
        return self.findings

    def gate(self) -> AbstractContextManager[Gate]:
        """A gate on the campaign's topics."""
        return running(self.world, self._directory, policy=self._policy)

    def publish_and_judge(self, gate: Gate) -> None:
        """Every client publishes, and then reads what became of it."""
        for client in self._plans:
            self._publish(client)
        until_all_decided(gate, self.world)
        self.account = account_for(self.world)
        self.findings.counts = judge(self.world, self._plans, self.lines, self.account)
        for client in self._plans:
            self._serve(client)
        until_all_decided(gate, self.world)

    def _publish(self, client: str) -> None:
        began = time.monotonic()
        runs = [each.run for each in self._plans[client]]
        self.lines[client] = self._call(client, runs=runs, into=Line)
        self.findings.seconds[client] = time.monotonic() - began
        print(f"{client}: {len(self.lines[client])} published in {self.findings.seconds[client]:.0f} s", flush=True)

    def _serve(self, client: str) -> None:
        withdrawals = [each for found in self.account.withdrawals.values() for each in found]
        answers = [*self.account.decisions.values(), *withdrawals]
        there = Counter(
            str(value_of(answer)["type"]) for answer in answers if (answer.key or b"").startswith(f"{client}-".encode())
        )
        there = Counter({kind: there[kind] for kind in ("approved", "withdrawn")})
        read = self._call(client, approvals=there["approved"], into=Answer)
        once = Counter(each.type for each in set(read))
        if len(read) != len(set(read)):
            once["twice"] = len(read) - len(set(read))
        self.findings.read[client] = (once, there)

    def _call(self, client: str, *, into: type[Found], runs: Sequence[object] = (), approvals: int = 0) -> list[Found]:
        names = self.world.names
        results = self._directory / f"{client}-{'published' if runs else 'read'}.jsonl"
        task = Task(
            bootstrap_servers=self.world.address,
            topics=Topics(names.intents[0], names.preferences, names.outcomes, names.approved),
            client=client,
            results=str(results),
            runs=list(runs),  # type: ignore[arg-type]
            approvals=approvals,
        )
        path = results.with_suffix(".task.json")
        path.write_bytes(msgspec.json.encode(task))
        done = subprocess.run(
            [*command_of(client), str(path)],
            capture_output=True,
            text=True,
            timeout=CLIENT_SECONDS,
            check=False,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )
        assert done.returncode == 0, f"{client} failed:\n{(done.stdout + done.stderr)[-4000:]}"
        return [msgspec.json.decode(line, type=into) for line in results.read_bytes().splitlines()]

    def audit(self, when: str) -> None:
        began = time.monotonic()
        settings = AuditSettings(
            self.world.address,
            topics=self.world.names,
            policies=[self._policy],
            application_id=f"{self.world.prefix}gate",
            acknowledged_ms=self._acknowledged_ms(),
            erasure_key=ERASURE_KEY,
        )
        self.findings.audits[when] = audit(settings)
        self.findings.seconds[f"audit, {when}"] = time.monotonic() - began

    def _acknowledged_ms(self) -> dict[tuple[str, int, int], int]:
        """When each no was acknowledged, by its place: its client knows the moment, the log knows the place."""
        moments = {line.customer.encode(): line.acknowledged_ms for lines in self.lines.values() for line in lines}
        return {
            (record.topic, record.partition, record.offset): moment
            for record in self.world.read(self.world.names.preferences, self.world.names.outcomes)
            if (moment := moments.get(record.key or b"")) is not None and is_first_word(record.value)
        }


class Again:
    """Intents for customers who have said no, time after time."""

    def __init__(self, world: World, customers: list[str]) -> None:
        self._world = world
        self._customers = customers
        self._published = 0

    def publish(self, gate: Gate) -> None:
        """Some of them once more, until decided."""
        numbers = range(self._published, self._published + AGAIN_AT_ONCE)
        self._world.publish(
            intent(self._customers[number % len(self._customers)], f"again-{number}", created_at=now_ms())
            for number in numbers
        )
        self._published = numbers.stop
        until_all_decided(gate, self._world)

    def count(self) -> tuple[int, int]:
        """How many intents were answered, and how many of them approved."""
        answers = [value_of(record) for record in self._world.read_outputs()]
        again = [answer["type"] for answer in answers if str(answer.get("intent_id", "")).startswith("again-")]
        assert len([kind for kind in again if kind != "withdrawn"]) == self._published
        return self._published, again.count("approved")


def is_first_word(value: bytes | None) -> bool:
    """Whether a record is one of a client's noes, not the report of a gateway."""
    return b'"delivered"' not in (value or b"")


def main() -> int:
    """Run the campaign, write the report; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.campaign", description=main.__doc__)
    parser.add_argument("--clients", default=",".join(CLIENTS), help=f"some of {','.join(CLIENTS)}")
    parser.add_argument("--share", type=float, default=1.0, help="of the customers of each run")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    clients = options.clients.split(",")
    plans = {client: planned(CLIENTS[client], share=options.share) for client in clients}
    for client in clients:
        command_of(client)  # what is missing is said before anything is started
    with ExitStack() as stack:
        kafka = stack.enter_context(RealKafka(properties=BROKER))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        findings = Campaign(kafka, directory, plans).run()
    write_report(options.results, clients, findings)
    for what in findings.wrong:
        print(f"BROKEN: {what}", flush=True)
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
