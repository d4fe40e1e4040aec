"""Decoding: what comes out is the core's own event; unknown fields are counted; repeated ones are found."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.contracts.decode import decode_intent, decode_outcome, decode_preference
from streams.contracts.errors import RecordRefused
from streams.contracts.prefixes import INPUT_VALUE_BYTES_MAX
from streams.contracts.refusals import NESTING_MAX
from streams.decision.intent import Intent
from streams.decision.outcome_event import Outcome
from streams.decision.preference_event import PreferenceEvent
from tests.contracts.decoders import read

INTENT: dict[str, Any] = {"intent_id": "i", "customer_id": "c", "channel": "sms", "created_at": 1}


def encoded(document: object, *, spaced: bool = False) -> bytes:
    return json.dumps(document, separators=(" , ", " : ") if spaced else (",", ":")).encode()


def test_what_is_returned_is_the_cores_own_event() -> None:
    intent, unknown = decode_intent(encoded({**INTENT, "expires_at": "1970-01-01T00:00:01Z", "attributes": {"a": 1.5}}))
    assert type(intent) is Intent
    assert intent == Intent(
        intent_id="i", customer_id="c", channel="sms", created_at=1, expires_at=1000, attributes={"a": 1.5}
    )
    assert unknown == 0
    event = decode_preference(encoded({"event_id": "e", "customer_id": "c", "type": "pause", "until": 5})).event
    assert type(event) is PreferenceEvent
    assert event == PreferenceEvent(event_id="e", customer_id="c", type="pause", until=5)
    outcome = decode_outcome(
        encoded({"customer_id": "c", "type": "sent", "occurred_at": 1, "decision_id": "0" * 24})
    ).event
    assert type(outcome) is Outcome
    assert outcome == Outcome(customer_id="c", type="sent", occurred_at=1, decision_id="0" * 24)


def test_an_event_shares_nothing_with_the_next() -> None:
    first, _ = decode_intent(encoded({**INTENT, "attributes": {"a": 1}}))
    second, _ = decode_intent(encoded({**INTENT, "attributes": {"a": 1}}))
    assert first.attributes is not second.attributes


_names = st.text(max_size=4) | st.sampled_from(["zz", "Intent_id", "intent-id", "type", "customer_id\0"])
_contents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(_names, _contents, max_size=5), st.booleans())
def test_unknown_fields_are_counted_exactly(others: dict[str, Any], spaced: bool) -> None:
    intent, unknown = decode_intent(encoded({**others, **INTENT}, spaced=spaced))
    assert unknown == len(others.keys() - set(Intent.__struct_fields__))
    assert intent.customer_id == "c"


_text = st.text(max_size=6) | st.sampled_from([":", '":', '" :', '\\":', "urn:x", "12:00:00", ' : "', "{", "a\n:"])
_members = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["topic", "brand", "campaign_id", "channel", "intent_id"]), _text.filter(bool)),
        st.tuples(st.just("priority"), st.sampled_from([50, 51, None])),
        st.tuples(st.just("on_suppress"), st.sampled_from(["drop", "hold", None])),
        st.tuples(st.just("purpose"), st.none()),
        st.tuples(st.just("expires_at"), st.sampled_from([5, "2026-11-24T10:00:00Z"])),
        st.tuples(st.sampled_from(["zz", ""]), _contents),
        st.tuples(
            st.just("attributes"),
            st.lists(st.tuples(st.sampled_from("ab") | _text.filter(bool), st.integers(0, 3) | _text), max_size=3),
        ),
    ),
    max_size=6,
)
_gaps = st.sampled_from(["", "", " ", "\n", "\t\r ", "  "])


@given(_members, st.data())
def test_repeated_fields_are_found_exactly(members: list[tuple[str, Any]], data: st.DataObject) -> None:
    """However they are written: with blanks, in disguise, among colons in strings."""

    def name(text: str) -> str:
        if text and data.draw(st.booleans()):
            return f'"\\u{ord(text[0]):04x}{json.dumps(text[1:])[1:]}' if ord(text[0]) < 0x10000 else json.dumps(text)
        return json.dumps(text)

    def text_of(pairs: list[tuple[str, Any]]) -> str:
        return "{" + ",".join(
            f"{data.draw(_gaps)}{name(key)}{data.draw(_gaps)}:{data.draw(_gaps)}"
            + (text_of(content) if key == "attributes" else json.dumps(content, ensure_ascii=data.draw(st.booleans())))
            for key, content in pairs
        ) + "}"  # fmt: skip

    present = {key for key, _ in members}
    whole = [*members, *((key, value) for key, value in INTENT.items() if key not in present)]
    repeated = any(
        count > 1 for key, count in Counter(key for key, _ in whole).items() if key in Intent.__struct_fields__
    ) or any(
        count > 1 for key, content in whole if key == "attributes" for count in Counter(n for n, _ in content).values()
    )
    try:
        decode_intent(text_of(whole).encode())
        assert not repeated
    except RecordRefused as refused:
        assert repeated, str(refused)
        assert refused.reason == "repeated_field"


def test_the_limits_hold_to_the_byte() -> None:
    opened = encoded(INTENT)[:-1] + b',"zz":"'
    fits = opened + b"x" * (INPUT_VALUE_BYTES_MAX - len(opened) - 2) + b'"}'
    assert decode_intent(fits)[1] == 1
    with pytest.raises(RecordRefused) as caught:
        decode_intent(fits + b" ")
    assert caught.value.reason == "too_large"
    opened = encoded(INTENT)[:-1] + b',"zz":'
    assert decode_intent(opened + b"[" * (NESTING_MAX - 1) + b"]" * (NESTING_MAX - 1) + b"}")[1] == 1
    with pytest.raises(RecordRefused, match="nested"):
        decode_intent(opened + b"[" * NESTING_MAX + b"]" * NESTING_MAX + b"}")


def test_the_largest_intent_in_plain_utf_8_fits_also_in_base64() -> None:
    text = "😀" * 128
    largest: dict[str, Any] = {
        **dict.fromkeys(["intent_id", "customer_id", "channel", "purpose", "topic", "brand", "campaign_id"], text),
        **dict.fromkeys(["template_id", "holiday_calendar", "address_hash", "sender_id", "consent_ref"], text),
        **dict.fromkeys(["collapse_key", "retry_of"], text),
        "created_at": 1,
        "timezone": "😀" * 64,
        "attributes": {f"{number:02}{'😀' * 126}": "😀" * 256 for number in range(16)},
    }
    value = json.dumps(largest, ensure_ascii=False).encode()
    assert decode_intent(value)[1] == 0
    assert len(value) * 4 / 3 + 1000 < INPUT_VALUE_BYTES_MAX


@given(st.binary(max_size=200))
def test_bytes_are_refused_or_read_and_nothing_else_happens(value: bytes) -> None:
    for kind in ("intent", "preference-event", "outcome"):
        for headers in ((), (("content-type", b"application/cloudevents+json"),), (("content-type", value),)):
            with pytest.raises(RecordRefused):
                read(kind, value, headers, b"c")


@given(st.data())
def test_damaged_records_are_refused_or_read_and_nothing_else_happens(data: st.DataObject) -> None:
    value = bytearray(encoded({**INTENT, "topic": "é", "attributes": {"a": 1}, "expires_at": "2026-11-24T10:00:00Z"}))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    try:
        intent, _ = decode_intent(bytes(value))
    except RecordRefused as refused:
        assert "é" not in refused.detail
    else:
        assert type(intent) is Intent
        assert type(intent.created_at) is int


def test_header_values_may_be_missing() -> None:
    headers: Any = (("content-type", None), ("a", None))
    assert decode_intent(encoded(INTENT), headers)[0].customer_id == "c"


@pytest.mark.parametrize(
    "value",
    [
        b'{"customer_id":"c-1","type":"opt_out","type":"opt_in"}',
        b'{"customer_id":"c-1","event_id":"e","type":"opt_out","type":"opt_in","list":1}',
        b'{"customer_id":"c-1","type":"opt_out","channel":"sms","channel":"email"}',
    ],
)
def test_a_field_that_stands_twice_is_not_believed_whatever_else_is_wrong(value: bytes) -> None:
    read = decode_preference(value, (), b"c-1")
    assert read.event is not None
    assert (read.event.type, read.event.customer_id) == ("unread", "c-1")
    assert read.refusal is not None
    assert read.refusal.reason == "repeated_field"
