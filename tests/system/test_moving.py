"""The runbook's way to another partition count (docs/operations.md): nothing a customer said is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streams.testing.records import OutgoingRecord, intent, preference
from tests.system.conftest import new_prefix, now_ms
from tests.system.harness import World, account_for, decide_all_by_record_clock, running, until_all_decided, value_of
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from pathlib import Path

    from streams.testing.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(200)]

CUSTOMERS = 20


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(any_hour(limit=1), encoding="utf-8")
    return path


def test_what_customers_said_and_got_moves_with_its_history(real_kafka: Broker, policy: Path, tmp_path: Path) -> None:
    old, new = World(real_kafka, new_prefix(), partitions=8), World(real_kafka, new_prefix(), partitions=3)
    began_ms = now_ms()
    with running(old, tmp_path, policy=policy) as gate:
        old.publish(preference(f"no-{number}", f"e-{number}", at=began_ms) for number in range(CUSTOMERS))
        old.publish(preference(f"gone-{number}", f"e-{number}", at=began_ms) for number in range(CUSTOMERS))
        old.publish(
            preference(f"gone-{number}", f"x-{number}", "erasure", at=began_ms + 1) for number in range(CUSTOMERS)
        )
        sent = [intent(f"sent-{number}", f"i-{number}", created_at=now_ms()) for number in range(CUSTOMERS)]
        old.publish(sent)
        until_all_decided(gate, old)
    history = sorted(old.read_inputs(), key=lambda record: (old.inputs.index(record.topic), record.timestamp_ms))
    new.publish(
        OutgoingRecord(
            record.topic.removeprefix(old.prefix), record.key, record.value, record.timestamp_ms, record.headers
        )
        for record in history
    )
    decide_all_by_record_clock(new, tmp_path, policy)
    with running(new, tmp_path, policy=policy) as gate:
        kinds = ("no", "gone", "sent", "fresh")
        new.publish(
            intent(f"{kind}-{number}", "next", created_at=now_ms()) for kind in kinds for number in range(CUSTOMERS)
        )
        new.publish(sent)
        until_all_decided(gate, new)
    account_for(new)
    moved_ms = max(record.timestamp_ms for record in history)
    answers: dict[tuple[str, str], set[str]] = {}
    for record in new.read_outputs():
        answer = value_of(record)
        if answer["decided_at"] > moved_ms:
            kind = answer["customer_id"].partition("-")[0], answer["intent_id"].partition("-")[0]
            answers.setdefault(kind, set()).add(answer.get("reason", "approved"))
    assert answers == {
        ("no", "next"): {"opt_out"},
        ("gone", "next"): {"opt_out"},
        ("sent", "next"): {"cap_reached"},
        ("sent", "i"): {"duplicate"},
        ("fresh", "next"): {"approved"},
    }
