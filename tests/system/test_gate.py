"""The gate alone: batches in, outputs and changes out, without a broker. What brokers may hand over and rarely do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
import pytest

from streams.contracts.header_names import ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TIMESTAMP, ORIGIN_TOPIC
from streams.decision.intent import MOMENT_MAX_MS
from streams.decision.ledger.codec import decode_ledger, encode_ledger
from streams.decision.ledger.state import EMPTY_LEDGER
from streams.decision.policy import compile_policy
from streams.exactly_once.changelog import customer_key
from streams.exactly_once.interfaces import Batch, BatchResult
from streams.gate import Gate, GateSettings
from streams.policy.loader import load_policy
from streams.records import InputRecord
from streams.telemetry.metrics import Telemetry
from streams.testing.records import OutgoingRecord, intent, outcome, preference
from streams.topics import TopicNames
from tests.system.policies import any_hour

if TYPE_CHECKING:
    from pathlib import Path

TOPICS = TopicNames()
NOW_MS = 1_795_618_800_000
DAY_MS = 86_400_000
INT64_MAX = 2**63 - 1
NO_TIMESTAMP = -1
EXTREMES = [NO_TIMESTAMP, -(2**63), INT64_MAX, MOMENT_MAX_MS + 1]
DECISION_ID = "0" * 24


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    path = tmp_path / "policy.yaml"
    path.write_text(any_hour(), encoding="utf-8")
    settings = GateSettings(TOPICS, 1, b"k" * 32, is_bounded=False, dead_letter_bytes_max=1_000_000)
    return Gate(compile_policy(load_policy(path).specification), settings)


class Partition:
    """One partition's store, and the batches applied to it."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.store: dict[bytes, bytes] = {}
        self.said: list[dict[str, object]] = []

    def take(self, *records: OutgoingRecord, now: int = NOW_MS) -> BatchResult:
        rows = [
            InputRecord(record.topic, offset, record.timestamp_ms, record.key, record.value, record.headers)
            for offset, record in enumerate(records)
        ]
        result = self.gate.apply(Batch(0, rows, [now] * len(rows), {}), self.store)
        for key, value in result.changes.items():
            if value is None:
                del self.store[key]
            else:
                self.store[key] = value
        self.said += [
            orjson.loads(output.value or b"")
            for output in result.outputs
            if output.topic in (TOPICS.approved, TOPICS.suppressed)
        ]
        return result


@pytest.fixture
def partition(gate: Gate) -> Partition:
    return Partition(gate)


def forwarded(record: OutgoingRecord, timestamp: bytes, *, place: bytes = b"0", offset: bytes = b"7") -> OutgoingRecord:
    """The record as a gate would have forwarded it."""
    headers = (
        (ORIGIN_TOPIC, record.topic.encode()),
        (ORIGIN_PARTITION, place),
        (ORIGIN_OFFSET, offset),
        (ORIGIN_TIMESTAMP, timestamp),
    )
    return record._replace(topic=TOPICS.rerouted, timestamp_ms=NOW_MS, headers=headers)


# ---- timestamps no clock gave ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("timestamp_ms", [NO_TIMESTAMP, -(2**63)])
@pytest.mark.parametrize("is_forwarded", [False, True])
def test_an_opt_out_without_a_timestamp_counts_from_its_arrival(
    partition: Partition, timestamp_ms: int, is_forwarded: bool
) -> None:
    partition.take(preference("c", "e1", "opt_in", at=NOW_MS - DAY_MS))
    no = preference("c", "e2", "opt_out", at=timestamp_ms)
    partition.take(forwarded(no, b"%d" % timestamp_ms) if is_forwarded else no)
    partition.take(intent("c", "i1", created_at=NOW_MS))
    assert [(answer["type"], answer["reason"]) for answer in partition.said] == [("suppressed", "opt_out")]


@pytest.mark.parametrize("timestamp_ms", EXTREMES)
def test_no_timestamp_stops_a_batch_or_spoils_the_counts(partition: Partition, timestamp_ms: int) -> None:
    records = [
        preference("a", "e1", "opt_out", at=timestamp_ms),
        preference("b", "e2", "opt_in", at=timestamp_ms),
        preference("c", "e3", "erasure", at=timestamp_ms),
        preference("d", "e4", "profile", at=timestamp_ms, country="CO"),
        outcome("e", None, "reply", channel="sms", detail="stop", occurred_at=NOW_MS)._replace(
            timestamp_ms=timestamp_ms
        ),
        intent("f", "i1", created_at=NOW_MS)._replace(timestamp_ms=timestamp_ms),
    ]
    result = partition.take(*records, *(forwarded(record, b"%d" % record.timestamp_ms) for record in records))
    assert result.tally.records == 2 * len(records)
    partition.take(*(intent(customer, "i2", created_at=NOW_MS) for customer in "ae"))
    assert [answer["reason"] for answer in partition.said if answer["customer_id"] in ("a", "e")] == ["opt_out"] * 2
    for moments in (result.tally.intent_timestamps_ms, result.tally.preference_timestamps_ms):
        assert all(NOW_MS <= moment <= MOMENT_MAX_MS for moment in moments)
    telemetry = Telemetry(version="0", process_metrics=False)
    telemetry.count(result.tally, decided_at_ms=NOW_MS, committed_at_ms=NOW_MS + 40)
    for name in ("decision_latency_seconds", "opt_out_in_force_seconds"):
        total = telemetry.registry.get_sample_value(f"mesura_{name}_sum")
        assert total is not None
        assert 0 <= total < 1


@pytest.mark.parametrize(
    ("replayed", "asked_ms"),
    [
        (b"%d" % (NOW_MS - 40), NOW_MS - 40),
        (b"%d" % (NOW_MS + DAY_MS), NOW_MS),
        (b"%d" % (NOW_MS - 2 * DAY_MS), NOW_MS - DAY_MS),
        (b"9" * 5_000, NOW_MS - DAY_MS),
        (b"yesterday", NOW_MS - DAY_MS),
        (b"", NOW_MS - DAY_MS),
    ],
)
@pytest.mark.parametrize("is_forwarded", [False, True])
def test_how_long_a_dead_letter_lay_is_no_time_that_the_gate_took(
    partition: Partition, replayed: bytes, asked_ms: int, is_forwarded: bool
) -> None:
    """It was said a day ago, and is decided as of then; only what is measured begins with its replay."""
    for record in (intent("f", "i1", created_at=NOW_MS - DAY_MS), preference("c", "e", "opt_out", at=NOW_MS - DAY_MS)):
        sent = forwarded(record, b"%d" % record.timestamp_ms) if is_forwarded else record
        sent = sent._replace(headers=[("mesura.replay.timestamp", replayed), *sent.headers])
        tally = partition.take(sent).tally
        assert tally.intent_timestamps_ms + tally.preference_timestamps_ms == [asked_ms]
    assert [answer["type"] for answer in partition.said] == ["approved"]


@pytest.mark.parametrize(
    ("place", "offset", "timestamp"),
    [
        (b"-1", b"7", b"1"),
        (b"2147483648", b"7", b"1"),
        (b"0", b"-1", b"1"),
        (b"0", b"%d" % 2**63, b"1"),
        (b"0", b"7", b"%d" % 2**63),
        (b"0", b"7", b"%d" % (-(2**63) - 1)),
        (b"0", b"7", b"9" * 4_000),
    ],
)
def test_a_first_place_that_no_record_can_have_is_a_dead_letter(
    partition: Partition, place: bytes, offset: bytes, timestamp: bytes
) -> None:
    record = forwarded(preference("c", "e1", "opt_out"), timestamp, place=place, offset=offset)
    result = partition.take(record, intent("c", "i1", created_at=NOW_MS))
    assert dict(result.tally.dead_letters) == {(TOPICS.rerouted, "misrouted_again"): 1}
    assert [answer["type"] for answer in partition.said] == ["approved"]


def test_what_may_have_been_a_no_is_counted_by_itself(partition: Partition) -> None:
    """Also where it was forwarded before: what counts is the topic it was sent to."""
    bad = [
        record._replace(value=b"{") for record in (preference("c", "e1"), outcome("c", DECISION_ID), intent("c", "i"))
    ]
    tally = partition.take(*bad, *(forwarded(record, b"1") for record in bad)).tally
    assert (tally.unreadable_opt_outs, tally.unreadable_outcomes) == (2, 2)
    assert sum(tally.dead_letters.values()) == 6


# ---- customers of whom nothing is known -----------------------------------------------------------------------------


def test_nothing_is_kept_of_a_customer_of_whom_nothing_is_known(partition: Partition) -> None:
    late = intent("b", "i1", created_at=NOW_MS - 100 * DAY_MS)
    result = partition.take(outcome("a", DECISION_ID, "sent", occurred_at=NOW_MS), late)
    assert [answer["reason"] for answer in partition.said] == ["expired"]
    assert result.changes == {}
    assert partition.store == {}


def test_a_stored_ledger_that_says_nothing_is_deleted(partition: Partition) -> None:
    key = customer_key(b"a")
    partition.store[key] = encode_ledger(EMPTY_LEDGER)
    result = partition.take(outcome("a", DECISION_ID, "sent", occurred_at=NOW_MS))
    assert result.changes == {key: None}
    partition.take(intent("a", "i1", created_at=NOW_MS))
    partition.take(outcome("a", DECISION_ID, "sent", occurred_at=NOW_MS))
    assert len(decode_ledger(partition.store[key]).contacts) == 1


def test_a_preference_is_never_nothing(partition: Partition) -> None:
    partition.take(preference("a", "e1", "opt_out", at=NOW_MS), preference("b", "e2", "erasure", at=NOW_MS))
    later = NOW_MS + 1_000 * DAY_MS
    partition.take(*(outcome(customer, DECISION_ID, "sent", occurred_at=later) for customer in "ab"), now=later)
    assert len(partition.store) == 2
    assert customer_key(b"a") in partition.store
    assert customer_key(b"b") not in partition.store
