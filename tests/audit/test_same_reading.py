# ruff: noqa: ANN401 - JSON
"""The gate's decoders and the audit's reader, written apart from one contract, read the same out of any envelope."""

from __future__ import annotations

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict

from streams.audit.documents import BadRecord
from streams.audit.events import read_event
from streams.contracts.decode import decode_intent, decode_outcome, decode_preference
from streams.contracts.errors import RecordRefused

NOW_MS = 1_795_514_400_000
EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("intent", {"intent_id": "i", "customer_id": "c", "channel": "sms", "created_at": NOW_MS}),
    ("preference", {"event_id": "e", "customer_id": "c", "type": "opt_out", "channel": "sms"}),
    ("preference", {"event_id": "e", "customer_id": "c", "type": "opt_in"}),
    ("preference", {"event_id": "e", "customer_id": "c", "type": "profile", "country": "CO"}),
    ("outcome", {"customer_id": "c", "type": "sent", "occurred_at": NOW_MS, "decision_id": "0" * 24}),
    ("outcome", {"customer_id": "c", "type": "reply", "occurred_at": NOW_MS, "channel": "sms", "detail": "stop"}),
]
STRUCTURED = (("content-type", b"application/cloudevents+json"),)

_names = st.sampled_from(
    [
        *("specversion", "data", "data_base64", "schema", "payload", "op", "before", "after", "source", "type"),
        *("customer_id", "event_id", "intent_id", "channel", "extra"),
    ]
)
_contents: st.SearchStrategy[Any] = st.sampled_from([None, "c", "d", "1.0", "", "e30=", 7, True, [], {}])


def _wrapped(content: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        content.map(json.dumps),
        content.map(lambda found: "\ufeff\ufeff" + json.dumps(found)),
        content.map(lambda found: {"specversion": "1.0", "type": "x", "data": found}),
        content.map(lambda found: {"specversion": "1.0", "data_base64": _base64(json.dumps(found))}),
        content.map(lambda found: {"schema": None, "payload": found}),
        content.map(lambda found: {"eventType": "x", "payload": found}),
        st.tuples(content, st.sampled_from("curdt")).map(lambda two: {"op": two[1], "before": None, "after": two[0]}),
        # An envelope, or an event, with something beside it, taken away, or put in its place.
        st.tuples(content, _names, _contents).map(lambda three: _changed(*three)),
    )


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _changed(found: Any, name: str, content: Any) -> Any:
    if not isinstance(found, dict):
        return found
    return {other: said for other, said in found.items() if other != name} | (
        {} if content is True else {name: content}
    )


_ENCODINGS: list[tuple[bytes, str]] = [
    (b"", "utf-8"),
    (b"\xef\xbb\xbf", "utf-8"),
    (b"", "utf-16"),
    (b"", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (b"", "utf-16-be"),
    (b"", "utf-32"),
    (b"\0\0\0\0\7", "utf-8"),
    (b"\0\0\0\0\7\xef\xbb\xbf", "utf-8"),
]


def gate(kind: str, value: bytes, headers: Any, key: bytes | None) -> tuple[Any, str | None]:
    """The event's fields, and why it is a dead letter."""
    try:
        if kind == "preference":
            read = decode_preference(value, headers, key)
            return _fields(read.event), None if read.refusal is None else read.refusal.reason
        if kind == "intent":
            return _fields(decode_intent(value, headers)[0]), None
        return _fields(decode_outcome(value, headers, key).event), None
    except RecordRefused as refused:
        return None, refused.reason


def audit(kind: str, value: bytes, headers: Any, key: bytes | None) -> tuple[Any, str | None]:
    try:
        return read_event(kind, value, headers, key), None
    except BadRecord as bad:
        return bad.unread, bad.reason


def _fields(event: Any) -> dict[str, Any] | None:
    return None if event is None else {name: said for name, said in asdict(event).items() if said is not None}


def _alike(kind: str, ours: Any, others: Any) -> bool:
    """Of a no, who said it, what it was and about what; of any other event, every field that both know."""
    if ours is None or others is None:
        return ours is others
    if kind == "preference":
        return all(ours.get(name) == others.get(name) for name in ("customer_id", "type"))
    return all(ours[name] == others[name] for name in ours.keys() & others.keys() - {"detail", "type"})


@st.composite
def _found(draw: st.DrawFn) -> tuple[str, Any]:
    """A kind, and a document of it in up to seven envelopes: two more than are opened."""
    kind, event = draw(st.sampled_from(EVENTS))
    document: Any = event
    for _ in range(draw(st.integers(0, 7))):
        document = draw(_wrapped(st.just(document)))
    return kind, document


@settings(max_examples=800, deadline=None)
@given(
    _found(),
    st.sampled_from(_ENCODINGS),
    st.sampled_from([(), STRUCTURED]),
    st.sampled_from([b"c", b"k", b"", b"\xff\xfe", None]),
)
def test_both_read_the_same(
    found: tuple[str, Any], encoding: tuple[bytes, str], headers: Any, key: bytes | None
) -> None:
    kind, document = found
    value = encoding[0] + json.dumps(document, ensure_ascii=False).encode(encoding[1])
    ours, why = gate(kind, value, headers, key)
    others, why_not = audit(kind, value, headers, key)
    assert (why is None) == (why_not is None), (why, why_not)
    assert _alike(kind, ours, others), (ours, others)


_fields_of_events = st.sampled_from(
    [
        *("customer_id", "event_id", "type", "channel", "purpose", "source", "effective_at", "until", "expires_at"),
        *("occurred_at", "decision_id", "detail", "intent_id", "created_at", "attributes", "extra"),
    ]
)
_said: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "c",
        "d",
        "",
        "opt_out",
        "OPT-OUT",
        "opt_in",
        "stop",
        "sms",
        7,
        -1,
        1.5,
        NOW_MS,
        NOW_MS // 1000,
        True,
        [],
        {},
    ]
)


@st.composite
def _repeated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A kind, and an object of it with up to three members more, some of a name that is there already."""
    kind, event = draw(st.sampled_from(EVENTS))
    members = list(event.items())
    for _ in range(draw(st.integers(1, 3))):
        members.insert(draw(st.integers(0, len(members))), (draw(_fields_of_events), draw(_said)))
    text = ", ".join(f"{json.dumps(name)}: {json.dumps(content)}" for name, content in members)
    return kind, f"{{{text}}}".encode()


@settings(max_examples=3_000, deadline=None)
@given(_repeated(), st.sampled_from([b"c", b"k", None]))
def test_both_read_the_same_of_fields_that_stand_twice(found: tuple[str, bytes], key: bytes | None) -> None:
    kind, value = found
    ours, why = gate(kind, value, (), key)
    others, why_not = audit(kind, value, (), key)
    assert (why is None) == (why_not is None), (why, why_not)
    assert _alike(kind, ours, others), (ours, others)
