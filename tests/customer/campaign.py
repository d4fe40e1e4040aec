"""Plants a customer everywhere, erases them, lets compaction and retention pass, and searches every byte that is left.

    make forget

Apache Kafka with topics that store uncompressed, so that bytes can be searched; a gate of its own, with its temporary
directory and its logs. What is found after each step goes to `bench/results/forget.md`. A second customer is planted
alike and not erased: at the end they must still be found, or the search would prove nothing.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from bench.report import machine
from streams.batch_ledgers import LedgerStore
from streams.exit_codes import ExitCode
from streams.policy.packs import pack_path
from streams.testing.errors import DeadlineError
from streams.testing.real_kafka import SHORT_LIVED, RealKafka
from streams.testing.records import OutgoingRecord, intent, outcome, preference
from streams.testing.waiting import wait_until
from tests.customer.search import Search
from tests.customer.test_customer import run
from tests.system.harness import ERASURE_KEY, World, running, until_all_decided

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.system.harness import Gate

RESULTS: Final = Path(__file__).parents[2] / "bench" / "results" / "forget.md"
PARTITIONS: Final = 2
WAIT_SECONDS: Final = 180.0
BROKER: Final = {
    "log.retention.check.interval.ms": "500",
    "log.segment.delete.delay.ms": "500",
    "log.cleaner.backoff.ms": "300",
}
"""Looks often, so that what follows can be waited for. What it does is what it does anywhere."""

LEDGER: Final = {
    "segment.ms": "1000",
    "max.compaction.lag.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01",
    "delete.retention.ms": "2000",
}
SHORT: Final = {"retention.ms": "1000", "segment.ms": "1000"}


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Customer:
    """One customer, and every identifier that upstream systems gave them."""

    name: str
    identifiers: dict[str, str | bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.identifiers["customer id"] = self.id

    @property
    def id(self) -> str:
        return f"planted-{self.name}-customer-7d1e"

    def new(self, kind: str) -> str:
        """An identifier of this kind, to be searched for."""
        return str(self.identifiers.setdefault(kind, f"planted-{self.name}-{kind.replace(' ', '-')}-93ab"))

    def inputs(self) -> list[OutgoingRecord]:
        """Records that leave the customer on every topic: decided, forwarded, unreadable in several ways."""
        now = now_ms()
        base: dict[str, object] = {"created_at": now, "purpose": "otp", "channel": "email", "country": "CO"}
        more = {
            "attributes": {"note": self.new("attribute")},
            "campaign_id": self.new("campaign"),
            "address_hash": self.new("address hash"),
            "consent_ref": self.new("consent ref"),
        }
        first = intent(self.id, self.new("intent id"), **(base | more))  # type: ignore[arg-type]
        other = intent(self.id, self.new("misrouted intent id"), **base)  # type: ignore[arg-type]
        coded = intent(self.id, self.new("enveloped intent id"), **base)  # type: ignore[arg-type]
        envelope = {"specversion": "1.0", "data_base64": base64.b64encode(coded.value or b"").decode()}
        cut = (intent(self.id, self.new("unreadable intent id"), **base).value or b"")[:-1]  # type: ignore[arg-type]
        wide = json.dumps({"customer_id": self.id, "type": "nonsense", "event_id": self.new("unreadable event id")})
        return [
            preference(self.id, self.new("opt-out event id"), at=now, channel="sms", purpose="marketing"),
            preference(
                self.id,
                self.new("consent event id"),
                "consent_granted",
                at=now,
                purpose="marketing",
                evidence_ref=self.new("evidence ref"),
            ),
            preference(self.id, self.new("profile event id"), "profile", at=now, timezone="Europe/Madrid"),
            first,
            intent(self.id, self.new("suppressed intent id"), created_at=now, purpose="marketing", country="ES"),
            other._replace(key=b"somebody-else"),
            coded._replace(
                value=json.dumps(envelope).encode(),
                headers=[("content-type", b"application/cloudevents+json")],
                key=b"somebody-else",
            ),
            OutgoingRecord("outbound-intent", self.id.encode(), b"unreadable " + self.new("text").encode(), now),
            OutgoingRecord("outbound-intent", None, cut, now, partition=0),
            OutgoingRecord("opt-out", None, wide.encode("utf-16"), now, partition=1),
            OutgoingRecord("contact-outcome", self.id.encode(), b"{", now, headers=[("origin", self.id.encode())]),
        ]


class Scene:
    """The broker, the gate, and what was found."""

    def __init__(self, kafka: RealKafka, world: World, gate: Gate, directory: Path) -> None:
        self.kafka, self.world, self.gate, self.directory = kafka, world, gate, directory
        self.steps: list[tuple[str, float, dict[str, set[str]]]] = []
        self.began = time.monotonic()

    def set(self, topics: Sequence[str], settings: Mapping[str, str]) -> None:
        client = AdminClient({"bootstrap.servers": self.world.address})
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in settings.items()
        ]
        resources = [ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries) for topic in topics]
        for future in client.incremental_alter_configs(resources).values():
            future.result(20)

    def places(self, search: Search) -> dict[str, set[str]]:
        """Which identifiers stand where: by topic, and the files of the broker and of the gate by what they are."""
        found: dict[str, set[str]] = {}
        for root, name in ((self.kafka.data_directory, "broker"), (self.directory, "gate")):
            for place, identifier in search.below(root):
                where = self._where(place, name)
                found.setdefault(where, set()).add(identifier)
        return found

    def _where(self, place: str, root: str) -> str:
        for topic in self.world.names.all():
            if f"{topic}-" in place:
                return topic.removeprefix(self.world.prefix)
        return f"other files of the {root}"

    def step(self, name: str, search: Search) -> dict[str, set[str]]:
        found = self.places(search)
        self.steps.append((name, time.monotonic() - self.began, found))
        print(f"{self.steps[-1][1]:6.1f} s  {name}: { ({k: len(v) for k, v in sorted(found.items())}) }", flush=True)
        return found

    def publish_traffic(self) -> None:
        """Something of somebody else's on every partition: a log is closed and compacted when it is written to."""
        moment = now_ms()
        people = [f"neighbour-{number}" for number in range(8)]
        self.world.publish(preference(each, f"t-{moment}", at=moment) for each in people)

    def wait(self, condition: Callable[[], bool], what: str, *, with_traffic: bool) -> None:
        def looked() -> bool:
            if with_traffic:
                self.publish_traffic()
            return condition()

        wait_until(looked, WAIT_SECONDS, what, poll_seconds=0.5)


def carry_out(scene: Scene, erased: Customer, kept: Customer) -> list[str]:
    """Everything. Returns what is wrong."""
    world = scene.world
    scene.set(world.names.all(), {"compression.type": "uncompressed"})
    scene.set([world.names.ledger], LEDGER)
    for customer in (erased, kept):
        world.publish(customer.inputs())
    until_all_decided(scene.gate, world)
    for record in world.read(world.names.approved):
        answer = json.loads(record.value or b"")
        for customer in (erased, kept):
            if answer["customer_id"] == customer.id and answer.get("intent_id") == customer.identifiers["intent id"]:
                customer.identifiers["decision id"] = bytes.fromhex(answer["decision_id"])
                reported = outcome(customer.id, answer["decision_id"], occurred_at=now_ms())
                world.publish([reported])
    until_all_decided(scene.gate, world)
    search, control = Search(erased.identifiers), Search(kept.identifiers)
    wrong: list[str] = []

    planted = scene.step("planted", search)
    missing = erased.identifiers.keys() - set().union(*planted.values())
    wrong += [f"planted and not found anywhere: {sorted(missing)}"] if missing else []
    topics = {name.removeprefix(world.prefix) for name in world.names.all()} - {"mesura-control", "mesura-batches"}
    wrong += [f"not planted in {sorted(topics - planted.keys())}"] if topics - planted.keys() else []

    done = run(world, "forget", "--confirm", "--json", "--access-log", str(scene.directory / "access.log"),
               customer=erased.id)  # fmt: skip
    if done.exit_code != ExitCode.DONE:
        return [*wrong, f"forget ended with {done.exit_code}"]
    wrong += ["the receipt names the customer"] if search.in_bytes(done.output.encode()) else []
    scene.step("erased, and nothing compacted yet", search)

    ledger = "mesura-ledger"
    scene.wait(lambda: ledger not in scene.places(search), "the ledger is compacted", with_traffic=True)
    compacted = scene.step("the ledger compacted twice, log topics inside their retention", search)
    wrong += [f"{ledger} still names them"] if ledger in compacted else []

    logs = [name for name in world.names.all() if name not in {world.names.ledger, world.names.control}]
    scene.set(logs, SHORT)
    scene.wait(lambda: not scene.places(search), "retention deletes the records", with_traffic=False)
    left = scene.step("retention passed", search)
    wrong += [f"left: { {place: sorted(names) for place, names in left.items()} }"] if left else []
    wrong += verdict_on_what_is_kept(scene, erased)
    if "customer id" not in scene.places(control).get(ledger, set()):
        wrong.append("the customer who was not erased is not found either: the search proves nothing")
    return wrong


def verdict_on_what_is_kept(scene: Scene, erased: Customer) -> list[str]:
    """The opt-out must have outlived all of it, under the hash."""
    key = LedgerStore(bytes.fromhex(ERASURE_KEY)).erased_key(erased.id.encode())
    if not Search({"hash": key[1:]}).below(scene.kafka.data_directory):
        return ["the hash of the erased customer is not in the ledger"]
    status, answer = scene.gate.explain(
        {
            "intent_id": "after",
            "customer_id": erased.id,
            "channel": "sms",
            "purpose": "marketing",
            "created_at": now_ms(),
        }
    )
    is_heard = status == 200 and answer.get("reason") == "opt_out"
    return [] if is_heard else [f"the opt-out is not heard any more: {status} {answer.get('reason')}"]


_HEAD: Final = """\
# An erased customer, searched for in every byte

Made by `make forget`, on Apache Kafka (one node) with topics that store uncompressed. A customer with {count}
identifiers ({names})
was planted on every topic, erased by `mesura customer forget --confirm`, and searched for in every file of the broker's
directory (logs, indexes, its own log) and of the gate (temporary directory with Faust's, output, errors, access log):
as UTF-8, UTF-16 and UTF-32, escaped as in JSON, in hexadecimal, in base64; the decision id as bytes too. The numbers
are how many of the identifiers are found. The ledger's topic closes and compacts within seconds here; the retention of
the other topics was shortened to a second when it had been shown what stays without.

"""

_FOOT: Final = """
At the end the hash of the erased customer is in the ledger, a marketing SMS to them is still suppressed as `opt_out`,
and a second customer, planted alike and not erased, is still found by the same search.

Verdict: {verdict}.

Machine: {machine}.
"""


def as_markdown(scene: Scene, erased: Customer, wrong: Sequence[str]) -> str:
    """The report, for people."""
    lines = [
        "| where | " + " | ".join(f"{name} ({seconds:.0f} s)" for name, seconds, _ in scene.steps) + " |",
        "|---|" + "---|" * len(scene.steps),
    ]
    for place in sorted({place for _, _, found in scene.steps for place in found}):
        counts = " | ".join(str(len(found.get(place, ()))) for _, _, found in scene.steps)
        lines.append(f"| {place} | {counts} |")
    head = _HEAD.format(count=len(erased.identifiers), names=", ".join(erased.identifiers))
    foot = _FOOT.format(
        verdict="; ".join(wrong) if wrong else "nothing is left",
        machine=", ".join(f"{name} {value}" for name, value in machine().items()),
    )
    return head + "\n".join(lines) + "\n" + foot


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    erased, kept = Customer("erased"), Customer("kept")
    with tempfile.TemporaryDirectory(prefix="mesura-forget-") as temporary:
        directory = Path(temporary) / "gate"
        directory.mkdir()
        with RealKafka(properties=BROKER, java_options=SHORT_LIVED) as kafka:
            world = World(kafka, "", partitions=PARTITIONS, recorded_times=False)
            os.environ["TMPDIR"] = str(directory)
            with running(world, directory, policy=pack_path("small")) as gate:
                scene = Scene(kafka, world, gate, directory)
                try:
                    wrong = carry_out(scene, erased, kept)
                except DeadlineError as error:
                    left = scene.step("what is left", Search(erased.identifiers))
                    wrong = [f"{error}; left in {', '.join(sorted(left))}"]
            if Search(erased.identifiers).below(directory):
                wrong.append("the gate left something behind when it ended")
    options.results.write_text(as_markdown(scene, erased, wrong))
    print("nothing is left" if not wrong else "\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
