"""Teams that write Java, JavaScript, Go and Python publish to a running gate on Apache Kafka, each with its own client.

    make clients                            everything; writes bench/results/clients.*
    make clients ARGS="--clients java,go --share 0.2"

Each client publishes its runs (`plan`); then its language's example publishes, and the example gateway serves
everything that was approved (`example_runs`). Everything is judged from outside (`verdict`), then by the outside check:
as it is, after forced compaction, after a gate has restored what is left and got one more intent for everybody who had
said no, and without the first of the inputs (`tests.system.aging`).
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
from typing import TYPE_CHECKING, Final

import msgspec

from streams.audit import AuditReport, AuditSettings, audit
from streams.testing.real_kafka import RealKafka
from streams.testing.records import intent
from tests.clients.example_runs import ExampleRuns
from tests.clients.plan import CLIENTS, Task, Topics, planned
from tests.clients.programs import command_of, example
from tests.clients.report import write_report
from tests.clients.rules import Rules
from tests.clients.secured import published
from tests.clients.verdict import Counts, Line, is_first_word, judge
from tests.connection.secured_kafka import secured_kafka
from tests.system.aging import AS_IT_IS, Stage, aged, unsound
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
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from streams.testing.broker import Broker
    from tests.clients.example_runs import Published, Served
    from tests.clients.plan import Planned, Run

NO: Final = "suppressed opt_out"
RESULTS: Final = REPOSITORY / "bench" / "results"
CLIENT_SECONDS: Final = 400.0
CLEANER: Final = {"log.cleaner.backoff.ms": "200"}
"""To start the broker with: otherwise its cleaner looks every 15 seconds."""


@dataclass
class Findings:
    """Everything the report is made of."""

    counts: list[Counts] = field(default_factory=list)
    published: list[Published] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    """By the examples."""
    rules: dict[str, list[str]] = field(default_factory=dict)
    """By language: what its gateway made otherwise than docs/gateway.md says."""
    connected: dict[str, bool] = field(default_factory=dict)
    """By language: whether its example published with TLS and a login."""
    stages: list[Stage] = field(default_factory=list)
    """What the outside check said at each age of the topics."""
    again: Counter[str] = field(default_factory=Counter)
    """Once compacted and restored: what came of one more intent for everybody who had said no."""
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """Every promise that was not kept."""
        found = [f"{counts.client}, {counts.run}: {what}" for counts in self.counts for what in counts.wrong]
        found += [
            f"the example in {each.language}: {what}" for each in (*self.published, *self.served) for what in each.wrong
        ]
        found += [f"the gateway in {language}: {what}" for language, rules in self.rules.items() for what in rules]
        found += [f"the example in {language} did not connect" for language, did in self.connected.items() if not did]
        found += unsound(self.stages)
        found += [
            f"{number} more intents for who had said no: {what}" for what, number in self.again.items() if what != NO
        ]
        return found


class Campaign:
    """One gate, and every team that publishes to it."""

    def __init__(self, broker: Broker, directory: Path, plans: Mapping[str, list[Planned]]) -> None:
        self.world = World(broker, new_prefix(), recorded_times=False)
        self.findings = Findings()
        self.account = Account()
        self.lines: dict[str, list[Line]] = {}
        self.examples = ExampleRuns(self.world, directory, self.findings.published, self.findings.served)
        self._directory = directory
        self._policy = directory / "policy.yaml"
        self._policy.write_text(any_hour(), encoding="utf-8")
        self._plans = plans

    def run(self) -> Findings:
        """Everything, in order."""
        for client in self._plans:
            directory = self._directory / f"rules-{client}"
            directory.mkdir()
            self.findings.rules[client] = Rules(self.world.broker, client, new_prefix(), directory).wrong()
        with self.gate() as gate:
            self.publish_and_judge(gate)
        judge = self.outside_check()
        self.findings.stages = [Stage.of(AS_IT_IS, judge())]
        for stage in aged(self.world, self._directory, self._policy, judge):
            print(f"{stage.name}: {stage.said.splitlines()[0]}", flush=True)
            if len(self.findings.stages) == 1:  # compacted; the next gate restores what is left
                self._once_more()
            self.findings.stages.append(stage)
        return self.findings

    def gate(self) -> AbstractContextManager[Gate]:
        """A gate on the campaign's topics."""
        return running(self.world, self._directory, policy=self._policy)

    def publish_and_judge(self, gate: Gate) -> None:
        """Every client publishes, as itself and by its language's example, whose gateway serves what is approved."""
        for client in self._plans:
            self._publish(gate, client)
            self.examples.publish(client, lambda: until_all_decided(gate, self.world))
            self.examples.serve(client)
        until_all_decided(gate, self.world)
        self.account = account_for(self.world)
        self.findings.counts = judge(self.world, self._plans, self.lines, self.account)
        self.examples.judge(list(self._plans), self.account)

    def _publish(self, gate: Gate, client: str) -> None:
        """First what is hashed as the gate looks for it, then, so that nothing waits before it, what is not."""
        began = time.monotonic()
        self.lines[client] = []
        for is_misrouted in (False, True):
            runs = [each.run for each in self._plans[client] if each.is_misrouted is is_misrouted]
            self.lines[client] += self._call(client, runs)
            until_all_decided(gate, self.world)
        self.findings.seconds[client] = time.monotonic() - began
        print(f"{client}: {len(self.lines[client])} published in {self.findings.seconds[client]:.0f} s", flush=True)

    def _call(self, client: str, runs: list[Run]) -> list[Line]:
        names = self.world.names
        results = self._directory / f"{client}-published.jsonl"
        task = Task(
            bootstrap_servers=self.world.address,
            topics=Topics(names.intents[0], names.preferences, names.outcomes),
            client=client,
            results=str(results),
            runs=runs,
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
        return [msgspec.json.decode(line, type=Line) for line in results.read_bytes().splitlines()]

    def outside_check(self, processes: int = 2) -> Callable[[], AuditReport]:
        """An audit that is told when each no was acknowledged."""
        settings = AuditSettings(
            self.world.address,
            topics=self.world.names,
            policies=[self._policy],
            application_id=f"{self.world.prefix}gate",
            acknowledged_ms=self._acknowledged_ms(),
            erasure_key=ERASURE_KEY,
            processes=processes,
        )
        return lambda: audit(settings)

    def _once_more(self) -> None:
        """An intent for everybody who had said no, decided by a gate that has restored what compaction left."""
        customers = [line.customer for lines in self.lines.values() for line in lines if line.said]
        with self.gate() as gate:
            self.world.publish(intent(customer, f"again-{customer}", created_at=now_ms()) for customer in customers)
            until_all_decided(gate, self.world)
        answers = [value_of(record) for record in self.world.read_outputs()]
        again = [each for each in answers if str(each.get("intent_id", "")).startswith("again-")]
        assert sorted(each["customer_id"] for each in again) == sorted(customers)
        self.findings.again.update(f"{each['type']} {each.get('reason', '')}".strip() for each in again)

    def _acknowledged_ms(self) -> dict[tuple[str, int, int], int]:
        """When each no was acknowledged, by its place: its client knows the moment, the log knows the place."""
        moments = {line.customer.encode(): line.acknowledged_ms for lines in self.lines.values() for line in lines}
        return {
            (record.topic, record.partition, record.offset): moment
            for record in self.world.read(self.world.names.preferences, self.world.names.outcomes)
            if (moment := moments.get(record.key or b"")) is not None and is_first_word(record.value)
        }


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
        example(client, "gateway")
    with ExitStack() as stack:
        kafka = stack.enter_context(RealKafka(properties=CLEANER))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        findings = Campaign(kafka, directory, plans).run()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        secured = stack.enter_context(secured_kafka(directory))
        findings.connected = {client: published(client, secured, directory) for client in clients}
    write_report(options.results, clients, findings, options.share)
    for what in findings.wrong:
        print(f"BROKEN: {what}", flush=True)
    return 1 if findings.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
