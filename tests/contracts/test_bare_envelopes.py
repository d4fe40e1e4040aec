# ruff: noqa: ANN401 - JSON
"""Events in envelopes that no header announces, and in other encodings than UTF-8: what is read, what is refused."""

from __future__ import annotations

import base64
import json
import struct
import uuid
import zlib
from typing import Any

import pytest

from streams.audit.documents import BadRecord
from streams.audit.events import read_event
from streams.contracts.bare_envelopes import LAYERS_MAX, find_bare_envelope
from streams.contracts.decode import decode_intent, decode_outcome, decode_preference
from streams.contracts.envelope import payload_of
from streams.contracts.errors import PermissionRefused, RecordRefused

INTENT = {"intent_id": "i", "customer_id": "c", "channel": "sms", "created_at": 1_795_514_400_000}
OPT_OUT = {"event_id": "e", "customer_id": "c", "type": "opt_out", "channel": "sms"}
OPT_IN = {**OPT_OUT, "type": "opt_in"}
SENT = {"customer_id": "c", "type": "sent", "occurred_at": 1_795_514_400_000, "decision_id": "0" * 24}
STOP = {"customer_id": "c", "type": "reply", "occurred_at": 1_795_514_400_000, "channel": "sms", "detail": "stop"}


def compact(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def cloud_event(data: Any) -> Any:
    return {"specversion": "1.0", "id": "1", "source": "/crm", "type": "com.example.event", "data": data}


def cloud_event_in_base64(data: Any) -> Any:
    shell = cloud_event(None)
    return {**shell, "data": None, "data_base64": base64.b64encode(compact(data)).decode()}


def connect(payload: Any) -> Any:
    return {"schema": {"type": "struct", "fields": [], "optional": False, "name": "customer_id"}, "payload": payload}


def schemaless(payload: Any) -> Any:
    return {"schema": None, "payload": payload}


def debezium(after: Any, op: str = "c") -> Any:
    source = {"connector": "postgresql", "name": "crm", "ts_ms": 1, "snapshot": "false", "db": "crm", "table": "said"}
    return {"before": None, "after": after, "source": source, "op": op, "ts_ms": 1, "transaction": None}


def outbox_row(event: Any) -> Any:
    return {"id": "7", "aggregatetype": "customer", "aggregateid": "c", "payload": json.dumps(event)}


def routed(event: Any) -> Any:
    """As Debezium's EventRouter writes it when it is told to put more beside the payload."""
    return {"eventType": "said", "payload": json.dumps(event)}


THE_EVENT_ITSELF: dict[str, Any] = {
    "a CloudEvent": cloud_event,
    "a CloudEvent in base64": cloud_event_in_base64,
    "Connect": connect,
    "Connect without its schema": schemaless,
    "a string": json.dumps,
    "Connect of a string": lambda event: connect(json.dumps(event)),
    "a string twice": lambda event: json.dumps(json.dumps(event)),
    "a CloudEvent in Connect": lambda event: connect(cloud_event(event)),
}
ONLY_WHAT_RESTRICTS: dict[str, Any] = {
    "Debezium": debezium,
    "Debezium, a row changed": lambda event: debezium(event, "u"),
    "Debezium, a snapshot": lambda event: debezium(event, "r"),
    "Debezium in Connect": lambda event: connect(debezium(event)),
    "Debezium of a document": lambda event: debezium(json.dumps(event)),
    "Debezium of an outbox": lambda event: debezium(outbox_row(event)),
    "Debezium of an outbox in Connect": lambda event: connect(debezium(outbox_row(event))),
    "EventRouter": routed,
}


@pytest.mark.parametrize("wrap", THE_EVENT_ITSELF.values(), ids=THE_EVENT_ITSELF)
def test_where_the_envelope_says_no_more_any_event_is_read(wrap: Any) -> None:
    assert decode_intent(compact(wrap(INTENT)))[0] == decode_intent(compact(INTENT))[0]
    for event in (OPT_OUT, OPT_IN, {**OPT_OUT, "unknown": 1}):
        assert decode_preference(compact(wrap(event))) == decode_preference(compact(event))
    for outcome in (SENT, STOP):
        assert decode_outcome(compact(wrap(outcome))) == decode_outcome(compact(outcome))


@pytest.mark.parametrize("wrap", ONLY_WHAT_RESTRICTS.values(), ids=ONLY_WHAT_RESTRICTS)
def test_where_it_says_more_only_what_restricts_is_read(wrap: Any) -> None:
    for no in (OPT_OUT, {**OPT_OUT, "effective_at": "yesterday"}):
        assert decode_preference(compact(wrap(no))) == decode_preference(compact(no))
    assert decode_outcome(compact(wrap(STOP))).event == decode_outcome(compact(STOP)).event
    reading = decode_preference(compact(wrap(OPT_IN)))
    assert reading.event is None
    assert isinstance(reading.refusal, PermissionRefused)  # known to be no no: it pages nobody
    refusals: list[RecordRefused] = [reading.refusal]
    for decode, event in ((decode_intent, INTENT), (decode_outcome, SENT)):
        with pytest.raises(RecordRefused) as caught:
            decode(compact(wrap(event)))
        refusals.append(caught.value)
    for refusal in refusals:
        assert refusal.reason == "bad_envelope"
        assert "only what restricts is read; " in refusal.detail
        assert "ExtractNewRecordState" in refusal.detail or "publish what stands in `payload` alone" in refusal.detail


@pytest.mark.parametrize("op", ["d", "t", "m"])
def test_a_row_that_is_gone_says_nothing(op: str) -> None:
    with pytest.raises(RecordRefused) as caught:
        decode_intent(compact(debezium(INTENT, op)))
    assert caught.value.reason == "bad_envelope"
    assert "ExtractNewRecordState" in caught.value.detail
    # It may have been a no, and nobody can read it: what the key names is held back until somebody has looked.
    reading = decode_preference(compact(debezium(OPT_OUT, op)), key=b"c")
    assert reading.refusal is not None
    assert reading.event is not None
    assert (reading.event.customer_id, reading.event.type) == ("c", "unread")


def test_what_is_wrong_inside_is_said_with_where_it_stood() -> None:
    with pytest.raises(RecordRefused) as caught:
        decode_intent(compact(connect({**INTENT, "channel": 7})))
    assert caught.value.reason == "wrong_type"
    assert caught.value.detail == (
        "`channel`: a whole number; write text of 1 to 128 characters (in a Kafka Connect envelope)"
    )
    with pytest.raises(RecordRefused) as caught:
        decode_intent(compact(connect(debezium({"id": 7, "name": "x"}))))
    assert caught.value.reason == "missing_field"
    assert "(in a Debezium change event in a Kafka Connect envelope)" in caught.value.detail


def test_a_tombstone_in_connects_envelope_says_nothing() -> None:
    reading = decode_preference(b'{"schema":null,"payload":null}', key=b"c")
    assert (reading.event, reading.refusal and reading.refusal.reason) == (None, "no_value")


def test_what_restricts_is_never_missed_for_a_bad_envelope() -> None:
    for envelope in (
        {**cloud_event(OPT_OUT), "specversion": "2.0"},
        {**cloud_event(OPT_OUT), "data_base64": "e30="},
        {"specversion": "1.0"},
    ):
        reading = decode_preference(compact(envelope), key=b"c")
        assert reading.refusal is not None
        assert reading.refusal.reason == "bad_envelope"
        assert reading.event is not None
        assert (reading.event.customer_id, reading.event.type) == ("c", "unread")


@pytest.mark.parametrize(
    "event",
    [
        {**INTENT, "payload": {"customer_id": "somebody"}, "schema": None},
        {**INTENT, "op": "c", "after": {**INTENT, "customer_id": "somebody"}},
        {**INTENT, "specversion": "1.0", "data": {**INTENT, "customer_id": "somebody"}},
    ],
)
def test_an_event_is_never_looked_for_inside_an_event(event: dict[str, Any]) -> None:
    assert decode_intent(compact(event))[0].customer_id == "c"
    for field in ("channel", "created_at"):
        with pytest.raises(RecordRefused) as caught:
            decode_intent(compact({name: content for name, content in event.items() if name != field}))
        assert caught.value.reason == "missing_field"


def test_a_no_with_members_of_its_own_stays_what_it_is() -> None:
    reading = decode_preference(b'{"type":"opt_out","payload":{"customer_id":"somebody","type":"opt_in"}}', key=b"c")
    assert reading.event is not None
    assert (reading.event.customer_id, reading.event.type) == ("c", "opt_out")


def test_members_of_an_envelope_stand_once() -> None:
    twice = b'{"schema":null,"payload":' + compact(OPT_OUT) + b',"payload":' + compact(OPT_IN) + b"}"
    reading = decode_preference(twice, key=b"c")
    assert reading.refusal is not None
    assert reading.refusal.reason == "repeated_field"
    assert reading.event is not None
    assert reading.event.type == "unread"


def test_envelopes_in_envelopes_come_to_an_end() -> None:
    value: Any = INTENT
    for _ in range(LAYERS_MAX):
        value = connect(value)
    assert decode_intent(compact(value))[0].customer_id == "c"
    with pytest.raises(RecordRefused) as caught:
        decode_intent(compact(connect(value)))
    assert caught.value.reason == "bad_envelope"


@pytest.mark.parametrize("value", [b"{}", b'{"data":{}}', b"[1]", b"7", b"{", b'{"payload"', b"", b'"\xff"'])
def test_what_is_no_envelope(value: bytes) -> None:
    assert find_bare_envelope(value) is None


# ---- encodings ------------------------------------------------------------------------------------------------------

ENCODINGS: dict[str, Any] = {
    "UTF-8 with a mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16, little-endian, with a mark": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16, big-endian, with a mark": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16, little-endian": lambda text: text.encode("utf-16-le"),
    "UTF-16, big-endian": lambda text: text.encode("utf-16-be"),
    "UTF-32, little-endian, with a mark": lambda text: text.encode("utf-32"),
    "UTF-32, little-endian": lambda text: text.encode("utf-32-le"),
    "behind a prefix": lambda text: b"\0\0\0\0\7\xef\xbb\xbf" + text.encode(),
}
STRUCTURED = (("content-type", b"application/cloudevents+json"),)


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_encodings_that_are_certain_are_read(encode: Any) -> None:
    event = {**INTENT, "topic": "cafe\u0301 ☕ 😀"}
    text = json.dumps(event, ensure_ascii=False)
    assert decode_intent(encode(text))[0] == decode_intent(text.encode())[0]
    assert decode_intent(encode(json.dumps(cloud_event(event))), STRUCTURED)[0] == decode_intent(text.encode())[0]
    no = json.dumps(OPT_OUT)
    assert decode_preference(encode(no)) == decode_preference(no.encode())
    assert decode_outcome(encode(json.dumps(STOP))) == decode_outcome(compact(STOP))


def test_a_mark_inside_base64() -> None:
    marked = base64.b64encode(b"\xef\xbb\xbf" + compact(INTENT)).decode()
    assert decode_intent(compact({**cloud_event(None), "data_base64": marked}), STRUCTURED)[0].customer_id == "c"


@pytest.mark.parametrize(
    "value", [b"\xff\xfe{", b"\xff\xfe\0\0{\0\0", b"{\0\xd8\xd8", b"\xfe\xff\xd8\0\0{", b"\xef\xbb\xbf\xff"]
)
def test_what_begins_as_one_and_is_none(value: bytes) -> None:
    for decode in (decode_intent, decode_outcome):
        with pytest.raises(RecordRefused) as caught:
            decode(value)
        assert caught.value.reason == "not_utf8"


def test_a_mark_alone_is_no_value() -> None:
    for value in (b"\xef\xbb\xbf", b"\xff\xfe"):
        with pytest.raises(RecordRefused) as caught:
            payload_of(value, ())
        assert caught.value.reason == "no_value"


# ---- what registries' serializers put before JSON -------------------------------------------------------------------

PREFIXES: dict[str, Any] = {
    "Confluent, an id": lambda text: b"\0\0\0\1\xa7" + text,
    "Confluent, a GUID": lambda text: b"\1" + uuid.UUID("89791762-2336-4186-9674-299b90a802e2").bytes + text,
    "Apicurio, eight bytes": lambda text: b"\0" + struct.pack(">q", 4711) + text,
    "Azure": lambda text: b"\0\0\0\0" + uuid.UUID("7b7b7b7b-7b7b-4b7b-9b7b-7b7b7b7b7b7b").hex.encode() + text,
    "AWS Glue": lambda text: b"\3\0" + uuid.UUID("7b7b7b7b-7b7b-4b7b-9b7b-7b7b7b7b7b7b").bytes + text,
    "AWS Glue, zlib": lambda text: (
        b"\3\5" + uuid.UUID("b7b4a7f0-9c96-4e4a-a687-fb5de9ef0c63").bytes + zlib.compress(text)
    ),
}


@pytest.mark.parametrize("prefixed", PREFIXES.values(), ids=PREFIXES)
def test_json_behind_a_registrys_prefix_is_read(prefixed: Any) -> None:
    assert decode_intent(prefixed(compact(INTENT))) == decode_intent(compact(INTENT))
    for event in (OPT_OUT, OPT_IN, {**OPT_OUT, "effective_at": "yesterday"}, {**OPT_OUT, "customer_id": 7}):
        assert decode_preference(prefixed(compact(event)), (), b"c") == decode_preference(compact(event), (), b"c")
    assert decode_outcome(prefixed(compact(STOP))) == decode_outcome(compact(STOP))
    assert decode_intent(prefixed(compact(cloud_event(INTENT))), STRUCTURED) == decode_intent(compact(INTENT))
    assert read_event("preference", prefixed(compact(OPT_OUT)), (), b"c")["type"] == "opt_out"


@pytest.mark.parametrize("prefixed", PREFIXES.values(), ids=PREFIXES)
def test_what_nobody_can_read_behind_a_prefix_may_have_been_a_no(prefixed: Any) -> None:
    for broken in (b"\2\6abc", compact(OPT_OUT)[:-1]):
        reading = decode_preference(prefixed(broken), (), b"c")
        assert reading.event is not None
        assert (reading.event.type, reading.event.customer_id) == ("unread", "c")
        assert reading.refusal is not None
        assert reading.refusal.reason == "not_json"


KEYS: dict[bytes, str] = {
    b"c-1": "c-1",
    b'"c-1"': "c-1",
    b"\0\0\0\0\7c-1": "c-1",
    b'\0\0\0\0\7"c-1"': "c-1",
    b"\0\0\0\0\0\0\0\x12\x34c-1": "c-1",
    b'"': '"',
    b'""': '""',
    b'"c': '"c',
    b'"c" "d"': '"c" "d"',
    b'"jos\xc3\xa9"': "jos\u00e9",
    b"\0\0\0\0\7": "\0\0\0\0\7",
}


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_a_no_without_a_customer_is_heard_though_a_serializer_wrote_its_key(key: bytes) -> None:
    for value in (b"\0\0\0\0\7\2\6abc", b'{"event_id":"e","type":"opt_out"}'):
        reading = decode_preference(value, (), key)
        assert reading.event is not None
        assert reading.event.customer_id == KEYS[key]
        try:
            found: Any = read_event("preference", value, (), key)
        except BadRecord as bad:
            found = bad.unread
        assert found["customer_id"] == KEYS[key]
    stop = decode_outcome(compact({name: said for name, said in STOP.items() if name != "customer_id"}), (), key)
    assert stop.event.customer_id == KEYS[key]


def test_ids_in_headers_change_nothing() -> None:
    for headers in (
        (("apicurio.value.globalId", struct.pack(">q", 7)), ("apicurio.value.encoding", b"JSON")),
        (("__value_schema_id", b"\1" + bytes(16)),),
        (("value.schema.version.id", b"\1" + bytes(12)),),
    ):
        assert decode_preference(compact(OPT_OUT), headers) == decode_preference(compact(OPT_OUT))


# ---- CloudEvents as the SDKs write them -----------------------------------------------------------------------------

# Taken from what they wrote: Java 4.0.1 (cloudevents-kafka, cloudevents-json-jackson), JavaScript 10.
_PREFERENCE = b'{"event_id":"e-1","customer_id":"c-1","type":"opt_out","channel":"sms"}'
_IN_BASE64 = base64.b64encode(_PREFERENCE)
_OF_JAVA = b'{"specversion":"1.0","id":"7","source":"/crm","type":"com.example.preference",'
_OF_JAVASCRIPT = (
    b'{"id":"7","time":"2026-11-24T10:00:00.000Z","type":"com.example.preference","source":"/crm","specversion":"1.0",'
)
_JAVA = (("content-type", b"application/cloudevents+json"),)
_JAVASCRIPT = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
_ATTRIBUTES = (
    *(("ce_specversion", b"1.0"), ("ce_id", b"7"), ("ce_source", b"/crm"), ("ce_type", b"com.example.preference")),
    ("ce_time", b"2026-11-24T10:00:00Z"),
)
SDK_EVENTS: dict[str, tuple[Any, bytes]] = {
    "Java, structured": (_JAVA, _OF_JAVA + b'"datacontenttype":"application/json","data":' + _PREFERENCE + b"}"),
    "Java, structured, no content type": (_JAVA, _OF_JAVA + b'"data":' + _PREFERENCE + b"}"),
    "Java, structured, bytes": (
        _JAVA,
        _OF_JAVA + b'"datacontenttype":"application/octet-stream","data_base64":"' + _IN_BASE64 + b'"}',
    ),
    "Java, binary": ((*_ATTRIBUTES, ("content-type", b"application/json")), _PREFERENCE),
    "Java, binary, no content type": (_ATTRIBUTES, _PREFERENCE),
    "JavaScript, structured": (_JAVASCRIPT, _OF_JAVASCRIPT + b'"data":' + _PREFERENCE + b"}"),
    "JavaScript, structured, text": (
        _JAVASCRIPT,
        _OF_JAVASCRIPT
        + b'"datacontenttype":"application/json","data":'
        + json.dumps(_PREFERENCE.decode()).encode()
        + b"}",
    ),
    "JavaScript, structured, a buffer": (
        _JAVASCRIPT,
        _OF_JAVASCRIPT + b'"datacontenttype":"application/json","data_base64":"' + _IN_BASE64 + b'"}',
    ),
    "JavaScript, structured, with a partition key": (
        _JAVASCRIPT,
        _OF_JAVASCRIPT + b'"data":' + _PREFERENCE + b',"partitionkey":"c-1"}',
    ),
    "JavaScript, binary": ((*_ATTRIBUTES, ("ce_datacontenttype", b"application/json")), _PREFERENCE),
}


@pytest.mark.parametrize(("headers", "value"), SDK_EVENTS.values(), ids=SDK_EVENTS)
def test_cloud_events_as_the_sdks_write_them(headers: Any, value: bytes) -> None:
    assert decode_preference(value, headers) == decode_preference(_PREFERENCE)
    assert read_event("preference", value, headers) == read_event("preference", _PREFERENCE, ())
    # A bridge that keeps values loses headers.
    assert decode_preference(value) == decode_preference(_PREFERENCE)


# ---- what is likely to be wrong -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "remedy"),
    [
        (b"\x1f\x8b\x08\0\0\0\0\0\0\3", "compression.type"),
        (b"\x28\xb5\x2f\xfd\x24\x01", "compression.type"),
        (b"\0\0\0\0\7\2\6abc", "JSON serializer"),
        (b"\0\0\0\0\7\0\x12", "JSON serializer"),
        (b"\0\0\0\0\0\0\0\0\7\2\6abc", "JSON serializer"),
        (b"\0\0\0\0" + b"1a" * 16 + b"\2\6abc", "JSON serializer"),
        (b"\1" + bytes(16) + b"\2\6abc", "JSON serializer"),
        (b"\3\0" + bytes(16) + b"\2\6abc", "JSON serializer"),
        (b"\3\5" + bytes(16) + b"{}", "zlib"),
        (b"\xc3\x01" + bytes(8) + b"\6abc", "Avro"),
        (b"\xac\xed\0\5t\0\3abc", "serializer for JSON"),
    ],
)
def test_a_refusal_names_the_likely_cause(value: bytes, remedy: str) -> None:
    with pytest.raises(RecordRefused) as caught:
        decode_intent(value)
    assert remedy in caught.value.detail
