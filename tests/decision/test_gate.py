"""What the gate leaves behind of records that are not understood: ledgers, dead letters, counts, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streams.contracts.header_names import ERROR_REASON, ORIGIN_OFFSET, ORIGIN_PARTITION, ORIGIN_TIMESTAMP, ORIGIN_TOPIC
from streams.decision.ledger.state import Ledger
from streams.exactly_once.changelog import customer_key
from streams.exactly_once.interfaces import Batch, BatchResult
from streams.gate import Gate, GateSettings
from streams.records import InputRecord
from streams.topics import TopicNames
from tests.decision.builders import HOUR, NOW, policy_of

TOPICS = TopicNames()
WINDOW = {"id": "hours", "kind": "window", "hours": {"workday": ["08:00-19:00"]}}
GATE = Gate(policy_of(WINDOW), GateSettings(TOPICS, 1, b"k" * 32, is_bounded=False, dead_letter_bytes_max=1_000_000))
CUSTOMER = b"c-1"


def record(topic: str, value: bytes | dict[str, Any], offset: int = 0, at: int = NOW, **fields: Any) -> InputRecord:  # noqa: ANN401
    content = value if isinstance(value, bytes) else json.dumps({"customer_id": "c-1", **value}).encode()
    return InputRecord(topic, offset, at, CUSTOMER, content, **{"headers": (), **fields})


def said(value: bytes | dict[str, Any], **fields: Any) -> InputRecord:  # noqa: ANN401 - fields of the record
    return record(TOPICS.preferences, value, **fields)


def applied(*records: InputRecord) -> BatchResult:
    """The batch, applied to a store of nobody."""
    return GATE.apply(Batch(0, records, [NOW] * len(records), {}), {})


def ledger(result: BatchResult) -> Ledger | None:
    store = {key: value for key, value in result.changes.items() if value is not None}
    return GATE.ledger_of(CUSTOMER, store)


def reasons(result: BatchResult) -> list[str]:
    found = [dict(output.headers) for output in result.outputs if output.topic == TOPICS.dead_letter]
    return [headers[ERROR_REASON].decode() for headers in found]


NO = {"event_id": "e-1", "type": "opt_out"}


@pytest.mark.parametrize(
    ("value", "at", "counted"),
    [
        (NO, NOW, {}),
        ({**NO, "channel": "pager"}, NOW, {"scope_word": 1}),
        ({**NO, "effective_at": NOW // 1_000, "until": 7}, NOW, {"time": 2}),
        (NO, -1, {"time": 1}),
        ({**NO, "channel": ["sms"]}, NOW, {"field": 1, "scope_word": 1}),
        ({**NO, "channel": "pager", "purpose": "offers", "until": "soon"}, 0, {"scope_word": 2, "time": 2}),
    ],
)
def test_a_no_is_heard_and_what_was_left_out_of_it_counted(
    value: dict[str, Any], at: int, counted: dict[str, int]
) -> None:
    result = applied(said(value, at=at))
    assert dict(result.tally.not_understood) == counted
    assert dict(result.tally.preferences) == {"opt_out": 1}
    assert reasons(result) == []
    found = ledger(result)
    assert found is not None
    assert [p.type for p in found.preferences] == ["opt_out"]


def test_unknown_fields_of_a_no_are_counted_as_such() -> None:
    result = applied(said({**NO, "channels": ["sms"], "zz": 1}))
    assert dict(result.tally.unknown_fields) == {"preference": 2}
    assert dict(result.tally.not_understood) == {}


@pytest.mark.parametrize(
    ("value", "at", "reason"),
    [
        ({"event_id": "e", "type": "opt_in", "channels": ["email"]}, NOW, "unknown_field"),
        ({"event_id": "e", "type": "opt_in", "channel": "pager"}, NOW, "unknown_word"),
        ({"event_id": "e", "type": "opt_in", "effective_at": NOW // 1_000}, NOW, "implausible_time"),
        ({"event_id": "e", "type": "opt_in"}, -1, "implausible_time"),
        ({"event_id": "e", "type": "opt_in"}, NOW + HOUR, "from_the_future"),
        ({"event_id": "e", "type": "OPT_IN"}, NOW, "unknown_type"),
        ({"event_id": "e", "type": "profile", "timezone": "UTC", "channel": "sms"}, NOW, "unknown_field"),
    ],
)
def test_a_yes_that_is_refused_is_a_dead_letter_and_nothing_more(value: dict[str, Any], at: int, reason: str) -> None:
    result = applied(said(value, at=at))
    assert reasons(result) == [reason]
    assert result.changes == {}
    assert dict(result.tally.not_understood) == {}
    assert result.tally.permissions_refused == 1
    assert result.tally.unreadable_opt_outs == 0


def test_what_nobody_can_read_is_a_dead_letter_and_a_no() -> None:
    result = applied(said(b"STOP"))
    assert reasons(result) == ["not_json"]
    assert dict(result.tally.not_understood) == {"event": 1}
    assert result.tally.unreadable_opt_outs == 1
    found = ledger(result)
    assert found is not None
    assert [(p.type, p.order_ms) for p in found.preferences] == [("unread", NOW)]


def test_a_tombstone_is_a_dead_letter_and_no_no() -> None:
    for tombstone in (said(b""), said(b"")._replace(value=None)):
        result = applied(tombstone)
        assert reasons(result) == ["no_value"]
        assert result.changes == {}
        assert dict(result.tally.not_understood) == {}


def test_what_nobody_can_read_under_the_key_of_nobody_changes_nothing() -> None:
    result = applied(said(b"STOP")._replace(key=None))
    assert reasons(result) == ["not_json"]
    assert result.changes == {}
    assert result.tally.unreadable_opt_outs == 1


@pytest.mark.parametrize(
    ("type_", "detail", "occurred", "counted", "stops"),
    [
        ("reply", "stop", NOW, {}, True),
        ("reply", "stop", 0, {"time": 1}, True),
        ("refusal", "STOP", NOW, {}, True),
        ("reply", "parar", NOW, {"reply_code": 1}, False),
        ("conversation", "end", NOW, {}, False),
    ],
)
def test_codes_are_counted_and_never_their_content(
    type_: str, detail: str, occurred: int, counted: dict[str, int], stops: bool
) -> None:
    value = {"type": type_, "detail": detail, "occurred_at": occurred, "decision_id": "0" * 24}
    result = applied(record(TOPICS.outcomes, value))
    assert dict(result.tally.not_understood) == counted
    assert dict(result.tally.outcomes) == {(type_, False): 1}
    found = ledger(result)
    assert (found is not None and bool(found.preferences)) is stops
    assert detail not in repr(result.tally)


def test_a_zone_that_contradicts_the_place_is_counted() -> None:
    intent = {"intent_id": "i", "channel": "sms", "created_at": NOW, "timezone": "UTC"}
    for country, counted in (("IN", {"zone": 1}), (None, {})):
        result = applied(record(TOPICS.intents[0], {**intent, "country": country}))
        assert sum(result.tally.decisions.values()) == 1
        assert dict(result.tally.not_understood) == counted


@pytest.mark.parametrize(
    ("first_ms", "order_ms"), [(NOW - 9, NOW - 9), (0, NOW), (1, NOW), (NOW // 1_000, NOW), (-1, NOW)]
)
def test_a_forwarded_record_is_of_the_moment_at_which_it_first_stood(first_ms: int, order_ms: int) -> None:
    where = {
        ORIGIN_TOPIC: TOPICS.preferences,
        ORIGIN_PARTITION: "0",
        ORIGIN_OFFSET: "3",
        ORIGIN_TIMESTAMP: str(first_ms),
    }
    headers = tuple((name, content.encode()) for name, content in where.items())
    forwarded = said(NO, at=NOW - 1, headers=headers)._replace(topic=TOPICS.rerouted)
    result = applied(forwarded)
    found = ledger(result)
    assert found is not None
    assert [p.order_ms for p in found.preferences] == [order_ms]
    assert dict(result.tally.not_understood) == ({} if first_ms == order_ms else {"time": 1})


def test_what_is_known_of_a_customer_stands_under_the_customers_key() -> None:
    assert set(applied(said(b"STOP")).changes) == {customer_key(CUSTOMER)}
