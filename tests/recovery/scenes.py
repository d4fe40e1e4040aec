"""A gate that has met everything a ledger can remember, on Apache Kafka, and the means to lose its ledgers."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from click.testing import CliRunner, Result
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.cli.main import mesura
from streams.connection.cluster import Cluster
from streams.oracle.model import decision_id
from streams.recovery.ledger_topic import LedgerTopic
from streams.testing.records import OutgoingRecord, intent, outcome, preference
from streams.testing.waiting import wait_until
from tests.system.harness import ERASURE_KEY, World, ends_of, running, until_all_decided

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from streams.recovery.replay import Ledgers

PARTITIONS: Final = 2
CUSTOMERS: Final = 60
SECONDS: Final = 60.0

POLICY: Final = """\
mesura: 1
name: recovery
version: "1"
zone: UTC
recipient_zone: UTC
time_to_live: 5m
default_purpose: service
channels: {sms: {group: text}, email: {}, voice: {group: phone}}
purposes: [service, marketing, otp]
rules:
  - {id: consent, kind: consent, applies_to: {purposes: [marketing]}}
  - {id: for-life, kind: cap, limit: 40, window: {lifetime: true}, applies_to: {channels: [voice]}}
  - {id: daily, kind: cap, limit: 4, window: {rolling: 1d}}
  - {id: codes, kind: exempt, purposes: [otp], from: [cap, opt_out], even_if_opted_out: true, still_counts: false}
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def name_of(number: int) -> str:
    return f"customer-{number:03}"


def said_no(number: int) -> bool:
    """Whether the customer has refused everything, once all rounds are published."""
    return number % 7 == 3


def is_erased(number: int) -> bool:
    return number % 11 == 5


def one_round(number: int) -> Iterator[OutgoingRecord]:
    """What is published in this round: for each customer something else, and over the rounds everything."""
    at = now_ms() - 2_000
    for each in range(CUSTOMERS):
        customer = name_of(each)
        if number == 0:
            yield preference(customer, f"p{each}", "profile", at=at, timezone="Europe/Madrid", country="ES")
            yield preference(customer, f"g{each}", "consent_granted", at=at, purpose="marketing", evidence_ref="form")
        if number == 1 and said_no(each):
            yield preference(customer, f"n{each}", "opt_out", at=at)
        if number == 1 and each % 5 == 2:
            yield preference(customer, f"t{each}", "opt_out", at=at, channel="text", topic="loans")
        if number == 2 and is_erased(each):
            yield preference(customer, f"e{each}", "erasure", at=at)
        if number > 0 and each % 4 == 0:
            identity = decision_id(customer, f"r{number - 1}-0")
            yield outcome(customer, identity, "delivered" if each % 8 else "failed", occurred_at=at)
        for which, (channel, purpose) in enumerate([("sms", "service"), ("email", "marketing"), ("voice", "otp")]):
            if (each + which) % 3 or number == 0:
                yield intent(
                    customer,
                    f"r{number}-{which}",
                    channel=channel,
                    purpose=purpose,
                    topic="loans" if which else "accounts",
                    created_at=at,
                )
    yield intent(name_of(1), f"r{number}-0", created_at=at - 1)  # a duplicate, perhaps of another moment
    yield OutgoingRecord("opt-out", name_of(2).encode(), b"{", at)
    yield OutgoingRecord("outbound-intent", b"another key", json.dumps(
        {"intent_id": f"misrouted-{number}", "customer_id": name_of(4), "channel": "sms", "created_at": at}
    ).encode(), at)  # fmt: skip


class Scene:
    """A gate's topics, its policy, and what was asked of it."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.directory = directory
        self.policy = directory / "policy.yaml"
        self.policy.write_text(POLICY, encoding="utf-8")
        self.application_id = f"{world.prefix}gate"
        self.rounds = 0
        self.backups: list[Path] = []

    def decide(self, rounds: int = 1, after_each: Callable[[], object] = lambda: None) -> None:
        """Let the gate decide so many more rounds, and end it. `after_each` is called while it runs."""
        with running(self.world, self.directory, policy=self.policy) as gate:
            for _ in range(rounds):
                self.world.publish(one_round(self.rounds))
                self.rounds += 1
                until_all_decided(gate, self.world)
                after_each()
            assert gate.terminate() == 0

    def refused(self) -> str:
        """What the gate says when it is started and does not start."""
        with running(self.world, self.directory, policy=self.policy, ready=False) as gate:
            assert gate.ended() == 2
            return gate.said

    def run(self, *arguments: str, world: World | None = None) -> Result:
        """One command of `mesura` on these topics."""
        where = world or self.world
        options = ["--bootstrap", where.address, "--prefix", where.prefix]
        environment = {"MESURA_ERASURE_KEY": ERASURE_KEY}
        return CliRunner().invoke(mesura, [*arguments, *options], env=environment, standalone_mode=False)

    def recover(self, *arguments: str) -> Result:
        """The same, of a command that knows the application id."""
        return self.run(*arguments, "--application-id", self.application_id)

    def delete_records(self, topic: str) -> None:
        """As retention does, everything that there is."""
        ends = [TopicPartition(name, number, end) for (name, number), end in ends_of(self.world, topic).items()]
        client = AdminClient({"bootstrap.servers": self.world.address})
        for future in client.delete_records(ends, operation_timeout=SECONDS).values():
            future.result()

    def back_up(self) -> None:
        """One more backup."""
        file = self.directory / f"backup-{len(self.backups)}"
        result = self.recover("ledger", "backup", str(file))
        assert result.return_value == 0, result.output
        self.backups.append(file)

    def audit(self) -> dict[str, Any]:
        """What an audit finds."""
        result = self.run("audit", "--policy", str(self.policy), "--json", "--processes", "1")
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def ledgers(self) -> dict[int, Ledgers]:
        """What the ledger topic holds."""
        topic = LedgerTopic(Cluster(self.world.address), self.world.names.ledger, self.application_id)
        return {partition: topic.read(partition) for partition in range(self.world.partitions)}

    def lose(self, *topics: str) -> None:
        """Delete topics and create them again, empty."""
        client = AdminClient({"bootstrap.servers": self.world.address})
        for future in client.delete_topics(list(topics), operation_timeout=SECONDS).values():
            future.result()
        wait_until(lambda: not set(topics) & set(client.list_topics(timeout=SECONDS).topics), SECONDS, "topics gone")
        for topic in self.world.plan.topics():
            if topic.name in topics:
                self.world.broker.create_topics([topic.name], partitions=topic.partitions, config=topic.config)


def positions(ledgers: Mapping[int, Ledgers]) -> dict[int, Mapping[str, int]]:
    return {partition: each.positions for partition, each in ledgers.items()}
