"""A cluster that has run for a month is audited as exactly as a new one.

In small what `make faults` and `make chaos` do at their end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.audit import AuditReport, AuditSettings, audit
from streams.oracle.model import decision_id
from streams.testing.records import OutgoingRecord, intent, murmur2_partition, outcome, preference
from tests.system.aging import AS_IT_IS, Stage, aged, unsound
from tests.system.conftest import now_ms
from tests.system.harness import ERASURE_KEY, World, running, until_all_decided, until_nothing_is_open
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

PARTITIONS = 2
CUSTOMERS = tuple(f"customer-{number}" for number in range(60))
LIMIT = 2
ROUNDS = 3


def somewhere_else(customer: str) -> int:
    return 1 - murmur2_partition(customer.encode(), PARTITIONS)


def a_round(number: int, now: int) -> list[OutgoingRecord]:
    """Everybody gets an intent; every few say something, some of it on the wrong partition, some of it unreadable."""
    some = CUSTOMERS[number::7]
    return [
        *(intent(customer, f"i-{number}-{customer}", created_at=now) for customer in CUSTOMERS),
        *(preference(customer, f"no-{number}-{customer}", "opt_out", at=now) for customer in some),
        *(preference(customer, f"yes-{number}-{customer}", "opt_in", at=now) for customer in CUSTOMERS[number::11]),
        *(
            preference(customer, f"pause-{number}-{customer}", "pause", at=now)._replace(
                partition=somewhere_else(customer)
            )
            for customer in CUSTOMERS[number::13]
        ),
        *(
            outcome(customer, decision_id(customer, f"i-{number - 1}-{customer}"), occurred_at=now)
            for customer in CUSTOMERS[number::3]
        ),
        preference(CUSTOMERS[number], f"erased-{number}", "erasure", at=now),
        preference(CUSTOMERS[-number - 1], f"unread-{number}", "opt_out", at=now)._replace(value=b"{"),
    ]


def test_compaction_a_restore_and_retention_make_nobody_break_a_promise(
    real_kafka: Broker, topic_prefix: str, tmp_path: Path
) -> None:
    world = World(real_kafka, topic_prefix, partitions=PARTITIONS)
    policies = [tmp_path / name for name in ("first.yaml", "second.yaml")]
    for policy, limit in zip(policies, (LIMIT, LIMIT + 1), strict=True):
        policy.write_text(any_hour(limit=limit), encoding="utf-8")
    for number in range(ROUNDS):
        with running(world, tmp_path, policy=policies[number % 2]) as gate:
            world.publish(a_round(number, now_ms()))
            if number == 1:  # in the middle of it; whoever comes next goes on
                gate.kill()
            else:
                until_all_decided(gate, world)
    until_nothing_is_open(world)
    settings = AuditSettings(
        world.address, world.names, policies, f"{world.prefix}gate", processes=1, erasure_key=ERASURE_KEY
    )
    reports: list[AuditReport] = []

    def judge() -> AuditReport:
        reports.append(audit(settings))
        return reports[-1]

    stages = [Stage.of(AS_IT_IS, judge()), *aged(world, tmp_path, policies[0], judge)]
    assert not unsound(stages)
    as_it_was, compacted, restored, deleted = reports
    assert as_it_was.counts["decisions"] == ROUNDS * len(CUSTOMERS)
    assert as_it_was.counts["decisions"] < compacted.counts["decisions"] < restored.counts["decisions"]
    assert min(as_it_was.counts[name] for name in ("approved", "suppressed", "withdrawals", "forwarded")) > 0
    # The ledger topic forgot its meta records, and nothing of it is missed.
    assert as_it_was.counts["batches"] < compacted.counts["batches"]
    assert deleted.counts["missing"] > 0
    assert 0 < deleted.counts["decisions"] < restored.counts["decisions"]
