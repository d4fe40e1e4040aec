"""An intent whose answer its topic does not take: a dead letter, and the neighbours in its batch are decided once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from streams.audit import AuditSettings, audit
from streams.contracts.header_names import ERROR_DETAIL, ERROR_REASON
from streams.exactly_once.changelog import customer_key
from streams.testing.policies import open_all_hours
from streams.testing.records import OutgoingRecord, intent
from tests.system.harness import World, account_for, header, running, until_all_decided, value_of

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import Broker

pytestmark = pytest.mark.kafka

ANSWER_BYTES = 4_000
"""Takes one ordinary answer with its headers, and not many."""

ORDINARY = 60
LARGE = 3
LARGE_ATTRIBUTES = {f"field-{number}": "x" * 250 for number in range(16)}


def limit_answers(world: World) -> None:
    """Let the output topics take less than they are planned for."""
    admin = AdminClient({"bootstrap.servers": world.address})
    entry = ConfigEntry("max.message.bytes", str(ANSWER_BYTES), incremental_operation=AlterConfigOpType.SET)
    resources = [
        ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for topic in (world.names.approved, world.names.suppressed)
    ]
    for changed in admin.incremental_alter_configs(resources).values():
        changed.result()


def intents(run: str) -> list[OutgoingRecord]:
    """Ordinary ones, and between them some whose answer is large; a customer for each."""
    ordinary = [_intent(f"ordinary-{run}-{number}") for number in range(ORDINARY)]
    for number in range(LARGE):
        ordinary.insert(20 * number + 7, _intent(f"large-{run}-{number}", attributes=LARGE_ATTRIBUTES))
    return ordinary


def _intent(name: str, **more: object) -> OutgoingRecord:
    return intent(
        f"customer-{name}", name, purpose="transactional", country="CO", sender_id="sms-co", created_at=_now(), **more
    )


def _now() -> int:
    return time.time_ns() // 1_000_000


@pytest.mark.parametrize("known_at_start", [True, False], ids=["known-at-start", "learnt-from-a-refusal"])
def test_an_answer_larger_than_its_topic_takes_becomes_a_dead_letter_and_hurts_no_neighbour(
    real_kafka: Broker, topic_prefix: str, tmp_path: Path, known_at_start: bool
) -> None:
    world = World(real_kafka, topic_prefix, partitions=1)
    if known_at_start:
        limit_answers(world)
    policy = open_all_hours("starter", tmp_path)
    with running(world, tmp_path, policy=policy) as gate:
        if not known_at_start:
            limit_answers(world)
        world.publish(intents("a"))
        until_all_decided(gate, world)
        # The gate goes on, and knows now.
        world.publish(intents("b"))
        until_all_decided(gate, world)
        metrics = gate.metrics()
        assert gate.terminate() == 0
    account = account_for(world)
    assert len(account.decisions) == 2 * ORDINARY
    assert {value_of(record)["type"] for record in account.decisions.values()} == {"approved"}
    letters = list(account.dead_letters.items())
    assert len(letters) == 2 * LARGE
    for place, letter in letters:
        assert header(letter, ERROR_REASON) == "too_large"
        assert header(letter, ERROR_DETAIL) == (
            "the answer to it is longer than its topic takes; raise that topic's `max.message.bytes`"
        )
        assert (letter.key, letter.value) == (account.inputs[place].key, account.inputs[place].value)
    report = audit(AuditSettings(world.address, world.names, [policy], answer_bytes_max=ANSWER_BYTES))
    assert report.is_clean, report.as_text()
    assert report.counts["set_aside_for_size"] == 2 * LARGE
    strict = audit(AuditSettings(world.address, world.names, [policy]))
    assert {finding.kind for finding in strict.findings} == {"dead_letter_needless"}
    kept = {record.key for record in world.read(world.names.ledger)}
    assert not kept & {customer_key(letter.key or b"") for _, letter in letters}
    assert len(kept & {customer_key(record.key or b"") for record in account.decisions.values()}) == 2 * ORDINARY
    aborted = metrics["mesura_batches_aborted_total"]
    assert aborted[(("reason", "too_large"),)] >= 1
    assert not sum(value for labels, value in aborted.items() if labels == (("reason", "refused"),))
