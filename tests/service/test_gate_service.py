"""What a gate answers about itself, without HTTP and without Kafka."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import orjson
import pytest

from streams.contracts.routing import expected_partition
from streams.decision.ledger.preferences import FUTURE_TOLERANCE_MS
from streams.decision.policy import compile_policy
from streams.exactly_once.changelog import customer_key
from streams.exactly_once.interfaces import Batch
from streams.gate import Gate, GateSettings
from streams.policy.loader import load_policy
from streams.policy.packs import pack_path
from streams.records import InputRecord
from streams.service import errors
from streams.service.explanation import Explanation
from streams.service.gate_service import ExplainRequest, GateService
from streams.testing.fake_clock import FakeClock
from streams.testing.records import preference
from streams.topics import TopicNames
from streams.web.explain import STATUS

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW_MS = 1_795_683_600_000
CUSTOMER = "c-1"
PARTITIONS = 8


class Owner:
    """Owns every partition, or none."""

    def __init__(self, store: Mapping[bytes, bytes] | None) -> None:
        self._store = store

    def committed_store(self, partition: int) -> Mapping[bytes, bytes] | None:
        return self._store


def gate(name: str = "starter") -> Gate:
    policy = compile_policy(load_policy(pack_path(name)).specification)
    return Gate(
        policy, GateSettings(TopicNames(), PARTITIONS, b"k" * 32, is_bounded=False, dead_letter_bytes_max=1_000_000)
    )


def service(store: Mapping[bytes, bytes] | None) -> GateService:
    started = GateService(FakeClock(NOW_MS))
    started.start(gate(), Owner(store))
    return started


def document(*, created_at: int = NOW_MS) -> bytes:
    return orjson.dumps({
        "customer_id": CUSTOMER, "intent_id": "i-1", "channel": "sms", "created_at": created_at, "purpose": "marketing",
        "timezone": "America/Bogota",
    })  # fmt: skip


def after_an_opt_out() -> dict[bytes, bytes]:
    """What the gate itself stores of a customer who opted out."""
    sent = preference(CUSTOMER, "p-1", "opt_out", at=NOW_MS)
    record = InputRecord(sent.topic, 0, sent.timestamp_ms, sent.key, sent.value, ())
    partition = expected_partition(CUSTOMER.encode(), PARTITIONS)
    changes = gate().apply(Batch(partition, [record], [NOW_MS], {sent.topic: 0}), {}).changes
    return {key: value for key, value in changes.items() if value is not None}


def test_the_answer_follows_from_the_committed_ledger() -> None:
    request = ExplainRequest.read(document())
    unknown = service({}).explain(request)
    known = service(after_an_opt_out()).explain(request)
    assert unknown.reason != "opt_out"
    assert (known.verdict, known.reason) == ("suppressed", "opt_out")
    assert "opt_out" in {rule.verdict for rule in known.rules}


def test_the_document_is_the_answer_in_the_order_of_its_fields() -> None:
    answer = service({}).explain(ExplainRequest.read(document()))
    written = answer.as_document()
    assert list(written) == [
        "verdict", "decision_id", "decided_at", "reason", "rule", "valid_until", "next_eligible_at", "remaining",
        "obligations", "policy", "explanation", "rules",
    ]  # fmt: skip
    assert list(written["policy"]) == ["name", "version", "hash"]
    assert list(written["explanation"]) == ["zone", "rules"]
    assert list(written["rules"][0]) == [
        "id", "kind", "is_shadow", "verdict", "text", "because", "limit", "window", "numbers",
    ]  # fmt: skip
    assert msgspec.convert(written, type=Explanation).as_document() == written


def test_nothing_is_answered_before_the_gate_has_started() -> None:
    waiting = GateService(FakeClock(NOW_MS))
    for ask in (waiting.refuse_until_started, waiting.policy_in_force):
        with pytest.raises(errors.GateNotStarted):
            ask()
    with pytest.raises(errors.GateNotStarted):
        waiting.explain(ExplainRequest.read(document()))


@pytest.mark.parametrize("value", [b"", b"{}", b"[]", b'{"customer_id": "c-1"}'])
def test_what_is_no_intent_is_refused_without_being_quoted(value: bytes) -> None:
    with pytest.raises(errors.RequestRefused) as refused:
        ExplainRequest.read(value)
    assert CUSTOMER not in str(refused.value)


def test_what_the_gate_would_not_decide_is_refused() -> None:
    ahead = ExplainRequest.read(document(created_at=NOW_MS + FUTURE_TOLERANCE_MS + 1))
    with pytest.raises(errors.RequestRefused, match="further ahead"):
        service({}).explain(ahead)


def test_whose_partition_is_elsewhere_is_not_answered_about() -> None:
    with pytest.raises(errors.PartitionNotOwned) as refused:
        service(None).explain(ExplainRequest.read(document()))
    assert f"partition {refused.value.partition} " in str(refused.value)


def test_a_ledger_that_cannot_be_read_is_no_empty_ledger() -> None:
    with pytest.raises(errors.StateUnreadable) as refused:
        service({customer_key(CUSTOMER.encode()): b"\xff\xff"}).explain(ExplainRequest.read(document()))
    assert CUSTOMER not in str(refused.value)


def test_the_policy_in_force_is_the_gates_also_after_a_change() -> None:
    asked = service({})
    before = asked.policy_in_force()
    assert (before.name, len(before.hash)) == ("starter", len(gate().policy.specification.content_hash))
    asked.replace_gate(gate("small"))
    assert asked.policy_in_force().hash == gate("small").policy.specification.content_hash != before.hash
    assert asked.explain(ExplainRequest.read(document())).policy == asked.policy_in_force()


def test_every_error_has_a_status_in_http() -> None:
    assert set(STATUS) == set(errors.ServiceError.__subclasses__())
