"""A gate sets records aside, the cause is mended, and they are replayed: one run on Apache Kafka, seen by each test.

The topics keep producers' times here. What is different where the broker says the time is in `test_replay.py`.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from streams.audit import AuditSettings, audit
from streams.testing.kafka_io import read_topic
from streams.testing.records import intent, murmur2_partition, outcome, preference
from streams.testing.waiting import wait_until
from tests.dead_letters.commands import Said, dead_letters
from tests.system.conftest import now_ms
from tests.system.harness import ERASURE_KEY, World, ends_of, running, until_all_decided
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from streams.audit import AuditReport
    from streams.testing.broker import Broker
    from streams.testing.kafka_io import StoredRecord
    from streams.testing.records import OutgoingRecord

pytestmark = pytest.mark.kafka

PARTITIONS = 2
HOUR_MS = 3_600_000
CLOCKS_DIFFER_MS = 300_000
"""How far ahead an intent may be created (docs/semantics.md, 3.26)."""
AHEAD_MS = 15_000
"""And how much further it is: a gate that is ready takes far less to set it aside, however busy the machine is."""
WORD = "newsletter"
"""A purpose that the policy does not know at first."""
HEADER = ("traceparent", b"00-4bf92f")


@dataclass
class Run:
    world: World
    published: list[OutgoingRecord]
    listed: Said
    too_early: Said
    """A dry run before the policy knew the word."""
    dry: Said
    ends: list[dict[tuple[str, int], int]]
    """Of the input topics before and after the dry run."""
    first: Said
    again: Said
    forced: Said
    after_force: Said
    report: AuditReport

    def replayed(self) -> list[StoredRecord]:
        """The records that were published by replays."""
        found = read_topic(self.world.address, *self.world.inputs)
        return [record for record in found if "mesura.replay.count" in dict(record.headers)]

    def answers(self, customer: str) -> list[dict[str, Any]]:
        names = self.world.names
        records = read_topic(self.world.address, names.approved, names.suppressed)
        return [json.loads(record.value or b"") for record in records if record.key == customer.encode()]


def broken(now: int) -> list[OutgoingRecord]:
    """What the gate cannot use at first."""
    yes = preference("permits", "e1", "opt_in", at=now - 2 * HOUR_MS, purpose=WORD)
    sent_wrong = preference("elsewhere", "e2", "opt_in", at=now - 2 * HOUR_MS, purpose=WORD)
    return [
        yes._replace(headers=[HEADER]),
        sent_wrong._replace(key=b"another", partition=1 - murmur2_partition(b"elsewhere", PARTITIONS)),
        intent("ahead", "i-ahead", created_at=now + CLOCKS_DIFFER_MS + AHEAD_MS)._replace(timestamp_ms=now),
        intent("unreadable", "i-unreadable", created_at=now)._replace(value=b"{"),
        preference("clarified", "e3", at=now - HOUR_MS)._replace(value=b"{"),
        outcome("reported", None, "shouted", occurred_at=now),
    ]


@pytest.fixture(scope="session")
def run(real_kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = tmp_path_factory.mktemp("dead-letters")
    world = World(real_kafka, f"test-{uuid.uuid4().hex[:12]}-", partitions=PARTITIONS)
    policy = directory / "policy.yaml"
    policy.write_text(any_hour(), encoding="utf-8")
    old = directory / "old.yaml"
    old.write_text(any_hour(), encoding="utf-8")
    with running(world, directory, policy=policy) as gate:

        def decided(*records: OutgoingRecord) -> None:
            world.publish(records)
            until_all_decided(gate, world)

        began = now_ms()
        published = broken(began)
        decided(*published)
        # Said later than the yes, and before it is replayed.
        decided(preference("permits", "e4", at=now_ms(), effective_at=now_ms() - HOUR_MS))
        decided(preference("clarified", "e5", "clarification", at=now_ms()))
        decided(intent("clarified", "i-clarified", created_at=now_ms()))
        listed = dead_letters(world, "list", "--json")
        too_early = dead_letters(world, "replay", "--json", "--reason", "unknown_word")

        policy.write_text(any_hour(version="2").replace("marketing]", f"marketing, {WORD}]"), encoding="utf-8")
        gate.until(
            lambda: gate.metrics()["mesura_policy_reload_total"][(("result", "success"),)] == 2, 30, "the new policy"
        )
        wait_until(lambda: now_ms() > began + AHEAD_MS, 30, "the intent's time has come")
        ends = [ends_of(world)]
        dry = dead_letters(world, "replay", "--json")
        ends.append(ends_of(world))
        first = dead_letters(world, "replay", "--execute", "--json")
        until_all_decided(gate, world)
        again = dead_letters(world, "replay", "--execute", "--json")
        forced = dead_letters(world, "replay", "--execute", "--force", "--json")
        until_all_decided(gate, world)
        after_force = dead_letters(world, "replay", "--json")
        decided(intent("permits", "i-permits", created_at=now_ms(), purpose=WORD))
    settings = AuditSettings(
        world.address, world.names, [policy, old], f"{world.prefix}gate", processes=1, erasure_key=ERASURE_KEY
    )
    return Run(world, published, listed, too_early, dry, ends, first, again, forced, after_force, audit(settings))


def customers(records: list[StoredRecord]) -> Counter[str]:
    return Counter((record.key or b"").decode() for record in records)


def test_every_record_that_was_set_aside_is_listed_with_its_first_place(run: Run) -> None:
    assert run.listed.exit_code == 0
    first = {f"{name}-{partition}" for name in run.world.inputs for partition in range(PARTITIONS)}
    assert {line["first"].rpartition("-")[0] for line in run.listed.lines} <= first
    assert run.listed.summary["reasons"] == {
        "not_json": 2,
        "unknown_word": 2,
        "unknown_type": 1,
        "from_the_future": 1,
    }
    [forwarded] = [line for line in run.listed.lines if line["topic"] == run.world.names.rerouted]
    assert forwarded["first"].startswith(f"{run.world.names.preferences}-{1 - forwarded['partition']}-")


def test_a_dry_run_says_what_a_replay_does_and_publishes_nothing(run: Run) -> None:
    assert run.ends[0] == run.ends[1]
    assert run.dry.fates() == run.first.fates()
    assert (run.dry.summary["replay"], run.dry.summary["published"]) == (3, 0)
    assert run.first.summary["published"] == 3


def test_before_the_policy_knows_the_word_it_would_come_back(run: Run) -> None:
    assert [(line["why"], line["again"]) for line in run.too_early.lines] == [("unreadable", "unknown_word")] * 2


def test_what_was_mended_is_replayed_where_it_stood_first_as_it_was(run: Run) -> None:
    mended = [record for record in run.replayed() if record.value != b"{" and record.key != b"reported"]
    published = {record.value: record for record in run.published}
    for record in mended:
        sent = published[record.value]
        customer = json.loads(record.value or b"")["customer_id"].encode()
        assert record.topic == run.world.prefix + sent.topic
        # A gate has given the forwarded one its customer's key.
        assert record.key == (customer if sent.key == b"another" else sent.key)
        assert record.partition == murmur2_partition(customer, PARTITIONS)
        assert record.timestamp_ms == sent.timestamp_ms
        assert [each for each in record.headers if not each[0].startswith("mesura.replay.")] == list(sent.headers)
    assert customers(mended) == {"permits": 1, "elsewhere": 1, "ahead": 1}
    assert [answer["type"] for answer in run.answers("ahead")] == ["approved"]


def test_a_yes_that_is_replayed_does_not_undo_a_later_no(run: Run) -> None:
    """The opt-in for a purpose was said an hour before the opt-out of everything, and arrived again after it."""
    assert [answer.get("reason") for answer in run.answers("permits")] == ["opt_out"]


def test_nothing_is_replayed_twice(run: Run) -> None:
    assert run.again.summary["already_replayed"] == 3
    assert run.again.summary["published"] == 0
    assert set(customers(run.replayed()).values()) == {1}


def test_what_would_come_back_is_held_back_and_comes_back_if_forced(run: Run) -> None:
    assert run.first.exit_code == 1
    assert Counter(run.first.fates().values()) == {"replay": 3, "unreadable": 3}
    assert run.forced.exit_code == 0
    assert run.forced.summary["published"] == 3
    came_back = [line for line in run.after_force.lines if line["why"] == "came_back"]
    assert [line["replays"] for line in came_back] == [1, 1, 1]
    assert {line["reason"] for line in came_back} == {"not_json", "unknown_type"}
    assert run.after_force.summary == run.after_force.summary | {"held_back": 3, "already_replayed": 6, "replay": 0}


def test_the_audit_stays_clean(run: Run) -> None:
    """Also of the no that nobody could read: it was replayed with its old time, after its customer had been clarified
    and somebody had been approved, and closed the customer again.
    """
    assert [answer["type"] for answer in run.answers("clarified")] == ["approved", "withdrawn"]
    assert not run.report.found, run.report.findings
    assert run.report.counts["dead_letters"] == 9
