"""Records that carry markers wherever a record can carry something, sound ones and bad ones of every kind.

Every value that a producer chooses is a marker: ids, references, words, free text, keys, headers, names of unknown
fields. What is made here shares nothing with the product but the field names of the published schemas.
"""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING, Any, Final

from streams.testing.records import INTENT_TOPIC, OUTCOME_TOPIC, PREFERENCE_TOPIC, OutgoingRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.secrecy.markers import Markers

TOPICS: Final = {"intent": INTENT_TOPIC, "preference": PREFERENCE_TOPIC, "outcome": OUTCOME_TOPIC}
STRUCTURED: Final = "application/cloudevents+json"
TOO_LARGE_BYTES: Final = 300_000
"""Beyond what an input value may have; a topic takes it."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def one_round(markers: Markers) -> list[OutgoingRecord]:
    """Some two hundred records with markers of their own."""
    return [*_sound(markers), *_misrouted(markers), *_envelopes(markers), *_unreadable(markers), *_refused(markers)]


def event(kind: str, markers: Markers, **changes: Any) -> dict[str, Any]:  # noqa: ANN401  # JSON
    """A small valid event of a customer of its own; a field changed to `...` is left out."""
    basis: dict[str, dict[str, Any]] = {
        "intent": {"intent_id": markers.word("intent-id"), "channel": "email", "created_at": now_ms()},
        "preference": {"event_id": markers.word("event-id"), "type": "opt_out"},
        "outcome": {"type": "delivered", "occurred_at": now_ms(), "decision_id": "0123456789abcdef01234567"},
    }
    made = {"customer_id": markers.word("customer"), **basis[kind], **changes}
    return {name: value for name, value in made.items() if value is not ...}


def record(
    kind: str, value: bytes | None, key: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()
) -> OutgoingRecord:
    return OutgoingRecord(TOPICS[kind], key, value, now_ms(), headers, None if key is not None else 0)


def _of(kind: str, document: dict[str, Any], markers: Markers) -> OutgoingRecord:
    """On the customer's own partition, with headers as tracing and platforms add them."""
    headers = (("traceparent", markers.word("header").encode()), (markers.word("header-name"), b"1"))
    return record(kind, json.dumps(document).encode(), str(document.get("customer_id")).encode(), headers)


def _full_intent(markers: Markers, **changes: Any) -> dict[str, Any]:  # noqa: ANN401
    text = {markers.word("attribute-name"): markers.word("message-text"), "phone": f"+{markers.number('phone')}"}
    everything: dict[str, Any] = {
        "purpose": "otp",
        "country": "CO",
        "campaign_id": markers.word("campaign"),
        "template_id": markers.word("template"),
        "address_hash": markers.word("address"),
        "sender_id": markers.word("sender"),
        "consent_ref": markers.word("consent-ref"),
        "collapse_key": markers.word("collapse-key"),
        "attributes": text,
    }
    return event("intent", markers, **{**everything, **changes})


def _sound(markers: Markers) -> Iterator[OutgoingRecord]:
    """Approved, suppressed, applied."""
    yield _of("intent", _full_intent(markers), markers)
    yield _of("intent", _full_intent(markers, purpose="marketing", channel="sms"), markers)
    yield _of("intent", _full_intent(markers, retry_of=markers.word("intent-id")), markers)
    for number in ("customer_id", "intent_id"):
        yield _of("intent", _full_intent(markers, **{number: str(markers.number("customer"))}), markers)
    for kind in ("opt_out", "opt_in", "objection", "pause", "restriction", "consent_granted", "consent_withdrawn"):
        more = {"until": now_ms() + 3_600_000} if kind == "pause" else {}
        document = event(
            "preference",
            markers,
            type=kind,
            source=markers.word("source"),
            evidence_ref=markers.word("evidence"),
            attributes={markers.word("attribute-name"): markers.word("preference-text")},
            **more,
        )
        yield _of("preference", document, markers)
    yield _of("preference", event("preference", markers, type="profile", timezone="Europe/Madrid"), markers)
    yield _of("preference", event("preference", markers, type="erasure"), markers)
    reply = event("outcome", markers, type="reply", channel="sms", decision_id=..., detail=markers.word("reply-text"))
    yield _of("outcome", reply, markers)
    yield _of("outcome", event("outcome", markers, detail=markers.word("outcome-detail")), markers)


def _misrouted(markers: Markers) -> Iterator[OutgoingRecord]:
    """Keyed by somebody else, or by nobody: forwarded, where the customer can be read."""
    for kind in TOPICS:
        for key in (markers.word("key").encode(), None):
            yield record(kind, json.dumps(event(kind, markers)).encode(), key)


def _envelopes(markers: Markers) -> Iterator[OutgoingRecord]:
    """CloudEvents, sound and broken, in both modes."""
    for kind in TOPICS:
        document = event(kind, markers)
        key = document["customer_id"].encode()
        around = {"specversion": "1.0", "id": markers.word("envelope-id"), "source": markers.word("envelope-source")}
        around |= {"type": markers.word("envelope-type"), "subject": markers.word("envelope-subject")}
        coded = base64.b64encode(json.dumps(event(kind, markers)).encode()).decode()
        for envelope in (
            around | {"data": document},
            around | {"data_base64": coded},
            around | {"data_base64": coded[:-3] + "*"},
            around | {"data": document | {"customer_id": 7}, markers.word("extension"): markers.word("extension")},
            around | {"specversion": markers.word("version"), "data": event(kind, markers)},
            around | {"datacontenttype": markers.word("content-type"), "data": markers.word("envelope-data")},
            around,
        ):
            yield record(kind, json.dumps(envelope).encode(), key, (("content-type", STRUCTURED.encode()),))
            yield record(kind, json.dumps(envelope).encode(), key)
        for content in (json.dumps(event(kind, markers)).encode(), markers.word("envelope-data").encode()):
            binary = (
                ("ce_specversion", b"1.0"),
                ("ce_id", markers.word("envelope-id").encode()),
                ("ce_source", markers.word("envelope-source").encode()),
                ("ce_type", markers.word("envelope-type").encode()),
                ("content-type", f"application/{markers.word('content-type')}".encode()),
            )
            yield record(kind, content, key, binary)


def _unreadable(markers: Markers) -> Iterator[OutgoingRecord]:
    """No JSON, or none that is an event. On the preference topic each may have been a no."""
    for kind in TOPICS:

        def whole(kind: str = kind) -> bytes:
            return json.dumps(event(kind, markers)).encode()

        for value in (
            whole()[:-1],
            whole()[:40],
            whole() + whole(),
            whole() + markers.word("rubbish").encode(),
            whole().replace(b'"', b"'"),
            whole()[:-1] + b',"zz":"\\q"}',
            whole()[:-1] + b',"zz":"caf\xe9"}',
            whole()[:-1] + b',"zz":NaN}',
            b"\xff" + whole(),
            whole().decode().encode("utf-16"),
            whole().decode().encode("utf-16")[:-1],
            b"[" + whole() + b"]",
            json.dumps(whole().decode()).encode(),
            json.dumps(markers.word("rubbish")).encode(),
            b"\0\0\0\0\x07" + whole()[:-1],
            b'{"data":' + whole() + b"}",
            whole()[:-1] + b',"zz":' + b"[" * 100 + b"]" * 100 + b"}",
            base64.b64encode(whole()),
            f"customer={markers.word('customer')}&text={markers.word('message-text')}".encode(),
            f"<intent customer='{markers.word('customer')}'/>".encode(),
            whole()[:-1] + b',"zz":"' + b"x" * TOO_LARGE_BYTES + b'"}',
        ):
            headers = (("origin", markers.word("header").encode()),)
            yield record(kind, value, markers.word("key").encode(), headers)


def _refused(markers: Markers) -> Iterator[OutgoingRecord]:
    """JSON with a field that the contract refuses, and the marker in that field: each as a text, as a name, inside."""
    fields = {
        "intent": (
            "intent_id", "customer_id", "channel", "created_at", "expires_at", "purpose", "topic", "brand", "priority",
            "country", "region", "timezone", "holiday_calendar", "automated", "on_suppress", "attributes", "retry_of",
        ),
        "preference": (
            "event_id", "customer_id", "type", "channel", "purpose", "topic", "effective_at", "until", "expires_at",
            "source", "timezone", "country", "region", "minor", "attributes",
        ),
        "outcome": ("customer_id", "type", "occurred_at", "decision_id", "channel", "detail"),
    }  # fmt: skip
    for kind, names in fields.items():
        for name in names:
            word = markers.word(f"wrong-{name.replace('_', '-')}")
            for wrong in (word, {word: word}, [word], f"{word}{'x' * 600}", f"\u0000{word}"):
                document = event(kind, markers)
                key = str(document["customer_id"]).encode()
                yield record(kind, json.dumps(document | {name: wrong}).encode(), key)
        document = event(kind, markers)
        unknown = json.dumps(document | {markers.word("unknown-field"): markers.word("unknown-value")}).encode()
        yield record(kind, unknown, document["customer_id"].encode())
        twice = json.dumps(event(kind, markers))[:-1] + f', "customer_id": "{markers.word("customer")}"}}'
        yield record(kind, twice.encode(), markers.word("key").encode())
        number = json.dumps(event(kind, markers, customer_id=markers.number("customer"))).encode()
        yield record(kind, number, markers.word("key").encode())
