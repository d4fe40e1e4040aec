"""Malformed, hostile and merely odd records, each with what must become of it.

Rules of this module
1. Every record that can be read has a customer of its own, every other a key of its own: each fate shows from outside.
2. Fates are those of the whole gate: `decided` (an intent is answered, a preference or an outcome applied),
   `dead_letter` with its reason, `rerouted`.
3. Every value fits a default Kafka topic (1 MB), so that the same records can be sent through a broker.
"""

from __future__ import annotations

import base64
import json
import zlib
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from streams.contracts.prefixes import INPUT_VALUE_BYTES_MAX
from streams.contracts.refusals import NESTING_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.contracts.errors import RefusalReason

TopicKind = Literal["intent", "preference", "outcome"]
Fate = Literal["dead_letter", "decided", "rerouted"]
Headers = tuple[tuple[str, bytes], ...]

NOW_MS = 1_795_514_400_000
"""The moment around which the records are made, if nothing else is asked for: 2026-11-24T10:00:00Z."""


class HostileRecord(NamedTuple):
    """One record. `key` is what murmur2 is taken of; a null key may go anywhere."""

    name: str
    topic_kind: TopicKind
    key: bytes | None
    value: bytes | None
    headers: Headers
    expected: Fate
    reason: RefusalReason | None


def hostile_records(now_ms: int = NOW_MS) -> list[HostileRecord]:
    """All of them, always in the same order. `now_ms` dates those for which the time matters."""
    records = [
        *_shapes(now_ms),
        *_intents(now_ms),
        *_preferences(now_ms),
        *_outcomes(now_ms),
        *_envelopes(now_ms),
        *_wrapped(now_ms),
        *_misrouted(now_ms),
        *_odd_but_fine(now_ms),
    ]
    names = [record.name for record in records]
    assert len(set(names)) == len(names)
    return records


def _customer(kind: TopicKind, name: str) -> str:
    return f"hostile-{kind}-{name}"


def document(kind: TopicKind, name: str, now_ms: int, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """A small valid document of the customer of this name; a field changed to `...` is left out."""
    basis: dict[TopicKind, dict[str, Any]] = {
        "intent": {"intent_id": f"i-{name}", "channel": "sms", "created_at": now_ms},
        "preference": {"event_id": f"e-{name}", "type": "opt_out"},
        "outcome": {"type": "sent", "occurred_at": now_ms, "decision_id": "0123456789abcdef01234567"},
    }
    made = {"customer_id": _customer(kind, name), **basis[kind], **changes}
    return {field: value for field, value in made.items() if value is not ...}


def compact(value: Any) -> bytes:  # noqa: ANN401 - JSON
    """JSON without blanks."""
    return json.dumps(value, separators=(",", ":")).encode()


def _record(
    kind: TopicKind, name: str, value: bytes | None, reason: RefusalReason | None = None, headers: Headers = ()
) -> HostileRecord:
    fate: Fate = "decided" if reason is None else "dead_letter"
    return HostileRecord(f"{kind}-{name}", kind, _customer(kind, name).encode(), value, headers, fate, reason)


def _shapes(now_ms: int) -> Iterator[HostileRecord]:
    """What is no readable object at all, on each of the topics."""
    kinds: tuple[TopicKind, ...] = ("intent", "preference", "outcome")
    for kind in kinds:
        whole = compact(document(kind, "shape", now_ms))
        opened = whole[:-1]
        customer = _customer(kind, "shape").encode()
        shapes: list[tuple[str, bytes | None, RefusalReason]] = [
            ("null", None, "no_value"),
            ("empty", b"", "no_value"),
            ("blanks", b" \n\t ", "not_json"),
            ("byte-order-mark-and-rubbish", b"\xef\xbb\xbf\xff" + whole, "not_utf8"),
            ("utf-16-cut", whole.decode().encode("utf-16")[:-1], "not_utf8"),
            ("utf-16-behind-blanks", b" " + whole.decode().encode("utf-16"), "not_utf8"),
            ("latin-1", opened + b',"topic":"caf\xe9"}', "not_utf8"),
            ("latin-1-in-unknown", opened + b',"zz":"caf\xe9"}', "not_utf8"),
            ("latin-1-in-unknown-name", opened + b',"caf\xe9":1}', "not_utf8"),
            ("overlong-utf-8", opened + b',"zz":"\xc0\xaf"}', "not_utf8"),
            ("surrogate-in-utf-8", opened + b',"zz":"\xed\xa0\x80"}', "not_utf8"),
            ("beyond-unicode", opened + b',"zz":"\xf4\x90\x80\x80"}', "not_utf8"),
            ("random-bytes", bytes(range(128, 256)), "not_utf8"),
            ("gzip", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", "not_utf8"),
            ("lone-surrogate", whole.replace(customer, b"\\ud83d"), "not_json"),
            ("lone-low-surrogate", whole.replace(customer, b"\\ude00 "), "not_json"),
            ("cut-in-a-string", whole[: whole.index(b"hostile") + 3], "not_json"),
            ("cut-before-the-end", opened, "not_json"),
            ("two-documents", whole + whole, "not_json"),
            ("two-lines", whole + b"\n" + whole, "not_json"),
            ("rubbish-behind", whole + b"x", "not_json"),
            ("trailing-comma", opened + b",}", "not_json"),
            ("single-quotes", whole.replace(b'"', b"'"), "not_json"),
            ("comment", b"/* */" + whole, "not_json"),
            ("bare-names", whole.replace(b'"customer_id"', b"customer_id"), "not_json"),
            ("control-character", whole.replace(b"hostile-", b"hostile\x01"), "not_json"),
            ("line-feed-in-string", whole.replace(b"hostile-", b"hostile\n"), "not_json"),
            ("nan", opened + b',"zz":NaN}', "not_json"),
            ("infinity", opened + b',"zz":-Infinity}', "not_json"),
            ("hexadecimal", opened + b',"zz":0x10}', "not_json"),
            ("leading-zero", opened + b',"zz":01}', "not_json"),
            ("plus-sign", opened + b',"zz":+1}', "not_json"),
            ("python", whole.replace(b"}", b',"zz":None}'), "not_json"),
            ("bad-escape", opened + b',"zz":"\\q"}', "not_json"),
            ("nested-10000", opened + b',"zz":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "not_json"),
            ("nested-30000-open", opened + b',"zz":' + b'{"a":' * 10_000, "not_json"),
            ("nested-one-too-deep", opened + b',"zz":' + b"[" * NESTING_MAX + b"]" * NESTING_MAX + b"}", "not_json"),
            ("array", b"[" + whole + b"]", "wrong_type"),
            ("array-of-arrays", b"[[[[]]]]", "wrong_type"),
            ("string-that-is-no-json", compact(whole.decode()[:-1]), "not_json"),
            ("number", b"42", "wrong_type"),
            ("true", b"true", "wrong_type"),
            ("null-document", b"null", "wrong_type"),
            ("empty-object", b"{}", "missing_field"),
            ("wrapped", b'{"data":' + whole + b"}", "missing_field"),
            ("too-large", opened + b',"zz":"' + b"x" * INPUT_VALUE_BYTES_MAX + b'"}', "too_large"),
            ("too-large-rubbish", b"\xff" * (INPUT_VALUE_BYTES_MAX + 1), "too_large"),
            ("900-kilobytes", b"[" * 900_000, "too_large"),
            ("prefix-only", b"\0\0\0\0\x07", "no_value"),
            ("prefix-of-avro", b"\0\0\0\0\x07\x02\x06abc", "not_json"),
            ("prefix-of-protobuf", b"\0\0\0\0\x07\0\x0a\x03abc", "not_json"),
            ("prefix-of-apicurio-before-avro", b"\0" * 8 + b"\x07\x02\x06abc", "not_json"),
            ("prefix-of-apicurio-alone", b"\0" * 8 + b"\x07", "not_json"),
            ("prefix-of-azure-before-avro", b"\0\0\0\0" + b"a1" * 16 + b"\x02\x06abc", "not_json"),
            ("prefix-of-a-guid-before-avro", b"\1" + bytes(range(16)) + b"\x02\x06abc", "not_json"),
            ("prefix-of-a-guid-cut", b"\1" + whole, "not_json"),
            ("prefix-of-glue-before-avro", b"\3\0" + bytes(range(16)) + b"\x02\x06abc", "not_json"),
            ("prefix-of-glue-unknown", b"\3\7" + bytes(range(16)) + whole, "not_json"),
            ("prefix-of-glue-no-zlib", b"\3\5" + bytes(range(16)) + whole, "not_json"),
            ("prefix-of-glue-cut", b"\3\5" + bytes(range(16)) + zlib.compress(whole, 0)[:-1], "not_json"),
            ("prefix-of-glue-avro-in-zlib", b"\3\5" + bytes(range(16)) + zlib.compress(b"\2\6abc", 0), "not_json"),
            ("prefix-of-glue-and-more", b"\3\5" + bytes(range(16)) + zlib.compress(whole, 0) + b" ", "not_json"),
            ("prefix-of-glue-bomb", b"\3\5" + bytes(range(16)) + zlib.compress(b"{" * 10_000_000), "too_large"),
            ("prefix-of-glue-broken-json", b"\3\0" + bytes(range(16)) + opened, "not_json"),
            ("avro-with-fingerprint", b"\xc3\x01" + bytes(range(8)) + b"\2\6abc", "not_utf8"),
            ("java-object", b"\xac\xed\0\5t\0\3abc", "not_utf8"),
            ("two-prefixes", b"\0\0\0\0\x07" * 2 + whole, "not_json"),
            ("repeated-customer", opened + b',"customer_id":"somebody-else"}', "repeated_field"),
            ("repeated-the-same", opened + b',"customer_id":"' + customer + b'"}', "repeated_field"),
            ("repeated-in-disguise", opened + b',"customer\\u005fid":"somebody-else"}', "repeated_field"),
            ("repeated-with-blanks", opened + b' ,\n"customer_id" :\t"somebody-else"}', "repeated_field"),
        ]
        for name, value, reason in shapes:
            yield _record(kind, name, value, reason)
        # Who an event that restricts is about is told by its key, if not by itself.
        nobody: list[tuple[str, dict[str, Any], RefusalReason]] = [
            ("customer-missing", {"customer_id": ...}, "missing_field"),
            ("customer-null", {"customer_id": None}, "wrong_type"),
            ("customer-number", {"customer_id": 7}, "wrong_type"),
            ("customer-empty", {"customer_id": ""}, "out_of_range"),
            ("customer-too-long", {"customer_id": "x" * 129}, "out_of_range"),
            ("customer-list", {"customer_id": ["x"]}, "wrong_type"),
        ]
        yield from _changed(kind, now_ms, nobody if kind != "preference" else _without_reasons(nobody))


def _changed(
    kind: TopicKind, now_ms: int, cases: Sequence[tuple[str, dict[str, Any], RefusalReason | None]]
) -> Iterator[HostileRecord]:
    for name, changes, reason in cases:
        yield _record(kind, name, compact(document(kind, name, now_ms, **changes)), reason)


def _without_reasons(
    cases: list[tuple[str, dict[str, Any], RefusalReason]],
) -> list[tuple[str, dict[str, Any], RefusalReason | None]]:
    """The same, where what is wrong is passed over."""
    return [(name, changes, None) for name, changes, _ in cases]


_BAD_TIMES: list[tuple[str, Any, RefusalReason]] = [
    ("float", 1.5, "wrong_type"),
    ("whole-float", 1_795_514_400_000.0, "wrong_type"),
    ("true", True, "wrong_type"),
    ("list", [], "wrong_type"),
    ("negative", -1, "out_of_range"),
    ("year-10000", 253_402_300_800_000, "out_of_range"),
    ("nanoseconds", 1_795_514_400_000_000_000, "out_of_range"),
    ("beyond-64-bits", 10**30, "out_of_range"),
    ("empty", "", "bad_time"),
    ("digits-as-text", "1795514400000", "bad_time"),
    ("date-only", "2026-11-01", "bad_time"),
    ("naive", "2026-11-01T10:00:00", "bad_time"),
    ("two-blanks-for-t", "2026-11-01  10:00:00Z", "bad_time"),
    ("leap-second", "2016-12-31T23:59:60Z", "bad_time"),
    ("hour-24", "2026-11-01T24:00:00Z", "bad_time"),
    ("thirtieth-of-february", "2026-02-30T10:00:00Z", "bad_time"),
    ("no-leap-year", "2100-02-29T10:00:00Z", "bad_time"),
    ("month-13", "2026-13-01T10:00:00Z", "bad_time"),
    ("zone-name", "2026-11-01T10:00:00 America/Bogota", "bad_time"),
    ("zone-of-three-digits", "2026-11-01T10:00:00+100", "bad_time"),
    ("zone-by-letters", "2026-11-01 10:00:00 CST", "bad_time"),
    ("suffix-that-matters", "2026-11-01T10:00:00+01:00[!Europe/Paris]", "bad_time"),
    ("suffix-alone", "2026-11-01T10:00:00[Europe/Paris]", "bad_time"),
    ("http-date", "Tue, 24 Nov 2026 10:00:00 GMT", "bad_time"),
    ("week-date", "2026-W48-2T10:00:00Z", "bad_time"),
    ("wide-digits", "２０２６-11-24T10:00:00Z", "bad_time"),
    ("line-feed", "2026-11-01T10:00:00Z\n", "bad_time"),
    ("before-1970", "1969-12-31T23:59:59Z", "out_of_range"),
    ("before-1970-by-offset", "1970-01-01T00:00:00+01:00", "out_of_range"),
    ("beyond-9999-by-offset", "9999-12-31T23:59:59-01:00", "out_of_range"),
    ("long-fraction", "2026-11-01T10:00:00." + "0" * 96 + "Z", "out_of_range"),
]


def _intents(now_ms: int) -> Iterator[HostileRecord]:
    for name, time, reason in _BAD_TIMES:
        yield from _changed("intent", now_ms, [(f"created-{name}", {"created_at": time}, reason)])
    yield from _changed(
        "intent",
        now_ms,
        [
            ("created-missing", {"created_at": ...}, "missing_field"),
            ("created-null", {"created_at": None}, "wrong_type"),
            ("created-year-9999", {"created_at": "9999-12-31T23:59:59Z"}, "from_the_future"),
            ("created-in-an-hour", {"created_at": now_ms + 3_600_000}, "from_the_future"),
            ("expires-naive", {"expires_at": "2026-11-01T10:00:00"}, "bad_time"),
            ("id-missing", {"intent_id": ...}, "missing_field"),
            ("id-number", {"intent_id": 7}, "wrong_type"),
            ("channel-missing", {"channel": ...}, "missing_field"),
            ("channel-empty", {"channel": ""}, "out_of_range"),
            ("channel-object", {"channel": {"name": "sms"}}, "wrong_type"),
            ("priority-101", {"priority": 101}, "out_of_range"),
            ("priority-negative", {"priority": -1}, "out_of_range"),
            ("priority-text", {"priority": "high"}, "wrong_type"),
            ("priority-float", {"priority": 50.0}, "wrong_type"),
            ("priority-null", {"priority": None}, None),
            ("priority-huge", {"priority": 10**40}, "out_of_range"),
            ("country-lower", {"country": "co"}, "out_of_range"),
            ("country-three", {"country": "COL"}, "out_of_range"),
            ("country-line-feed", {"country": "CO\n"}, "out_of_range"),
            ("country-digit", {"country": "C0"}, "out_of_range"),
            ("country-accent", {"country": "ÀB"}, "out_of_range"),
            ("region-lower", {"region": "dc"}, "out_of_range"),
            ("region-line-feed", {"region": "DC\n"}, "out_of_range"),
            ("region-with-country", {"region": "CO-DC"}, "out_of_range"),
            ("zone-too-long", {"timezone": "A/" + "b" * 63}, "out_of_range"),
            ("automated-text", {"automated": "true"}, "wrong_type"),
            ("automated-one", {"automated": 1}, "wrong_type"),
            ("on-suppress-unknown", {"on_suppress": "retry"}, "out_of_range"),
            ("on-suppress-null", {"on_suppress": None}, None),
            ("attributes-list", {"attributes": []}, "wrong_type"),
            ("attributes-17", {"attributes": {f"a{n}": n for n in range(17)}}, "out_of_range"),
            ("attributes-nested", {"attributes": {"a": {"b": 1}}}, "wrong_type"),
            ("attributes-array", {"attributes": {"a": [1]}}, "wrong_type"),
            ("attributes-long", {"attributes": {"a": "x" * 257}}, "out_of_range"),
            ("attributes-nameless", {"attributes": {"": 1}}, "out_of_range"),
            ("attributes-beyond-64-bits", {"attributes": {"a": 2**64}}, "out_of_range"),
            ("attributes-huge-float", {"attributes": {"a": 1e300}}, "out_of_range"),
        ],
    )
    opened = compact(document("intent", "attributes-raw", now_ms))[:-1]
    yield _record("intent", "attributes-repeated", opened + b',"attributes":{"a":1,"a":2}}', "repeated_field")
    yield _record(
        "intent", "attributes-twice", opened + b',"attributes":{"a":1},"attributes":{"b":2}}', "repeated_field"
    )
    yield _record("intent", "attributes-infinite", opened + b',"attributes":{"a":1e999}}', "out_of_range")
    yield _record("intent", "channel-repeated", opened + b',"channel":"voice"}', "repeated_field")


def _preferences(now_ms: int) -> Iterator[HostileRecord]:
    yes = {"type": "opt_in"}
    for name, time, reason in _BAD_TIMES:
        yield from _changed("preference", now_ms, [(f"effective-{name}", {"effective_at": time}, None)])
        yield from _changed("preference", now_ms, [(f"yes-{name}", {**yes, "effective_at": time}, reason)])
    scopes: list[tuple[str, dict[str, Any], RefusalReason]] = [
        ("scope-list", {"channel": ["sms", "email"]}, "wrong_type"),
        ("scope-empty", {"channel": ""}, "out_of_range"),
        ("scope-object", {"channel": {}}, "wrong_type"),
        ("until-naive", {"until": "2026-12-24T00:00:00"}, "bad_time"),
        ("expires-float", {"expires_at": 0.5}, "wrong_type"),
        ("source-long", {"source": "x" * 129}, "out_of_range"),
        ("id-missing", {"event_id": ...}, "missing_field"),
        ("id-number", {"event_id": 7}, "wrong_type"),
    ]
    yield from _changed("preference", now_ms, _without_reasons(scopes))
    yield from _changed("preference", now_ms, [(f"yes-{name}", {**yes, **c}, reason) for name, c, reason in scopes])
    yield from _changed(
        "preference",
        now_ms,
        [
            ("type-missing", {"type": ...}, "missing_field"),
            ("type-null", {"type": None}, "wrong_type"),
            ("type-number", {"type": 1}, "wrong_type"),
            ("type-unknown", {"type": "shout"}, "unknown_type"),
            ("type-of-the-gate", {"type": "unread"}, "unknown_type"),
            ("type-unsubscribe", {"type": "unsubscribe"}, None),
            ("type-upper-case", {"type": "OPT_OUT"}, None),
            ("type-with-blank", {"type": "opt_out "}, None),
            ("type-with-hyphen", {"type": "opt-out"}, None),
            ("yes-in-upper-case", {"type": "OPT_IN"}, "unknown_type"),
            ("yes-unknown-field", {"type": "opt_in", "channels": ["email"]}, "unknown_field"),
            ("yes-with-a-list", {"type": "consent_granted", "list_id": "7"}, "unknown_field"),
            ("yes-of-a-profile", {"type": "opt_in", "country": "ES"}, "unknown_field"),
            ("yes-with-null-of-a-profile", {"type": "opt_in", "country": None, "minor": None}, None),
            ("yes-with-unknown-null", {"type": "opt_in", "channels": None}, "unknown_field"),
            ("profile-with-null-of-a-yes", {"type": "profile", "channel": None, "until": None}, None),
            ("clarification-with-nulls", {"type": "clarification", "channel": None, "country": None}, None),
            ("yes-customer-missing", {"type": "opt_in", "customer_id": ...}, "missing_field"),
            ("minor-text", {"type": "profile", "minor": "no"}, "wrong_type"),
            ("country-lower", {"type": "profile", "country": "es"}, "out_of_range"),
        ],
    )
    repeated = [
        ("type-repeated", b',"type":"opt_in"}'),
        ("type-repeated-null", b',"channel":null,"channel":"sms"}'),
        ("type-in-disguise", b',"\\u0074ype":"opt_in"}'),
    ]
    for name, tail in repeated:
        opened = compact(document("preference", name, now_ms))[:-1]
        yield _record("preference", name, opened + tail, "repeated_field")


def _outcomes(now_ms: int) -> Iterator[HostileRecord]:
    for name, time, reason in _BAD_TIMES:
        yield from _changed("outcome", now_ms, [(f"occurred-{name}", {"occurred_at": time}, reason)])
    yield from _changed(
        "outcome",
        now_ms,
        [
            ("type-missing", {"type": ...}, "missing_field"),
            ("type-unknown", {"type": "opened"}, "unknown_type"),
            ("occurred-missing", {"occurred_at": ...}, "missing_field"),
            ("decision-missing", {"decision_id": ...}, "missing_field"),
            ("decision-null", {"decision_id": None}, "missing_field"),
            ("reply-without-anything", {"type": "reply", "decision_id": ...}, "missing_field"),
            ("reply-with-null-channel", {"type": "reply", "decision_id": ..., "channel": None}, "missing_field"),
            ("decision-short", {"decision_id": "0" * 23}, "out_of_range"),
            ("decision-long", {"decision_id": "0" * 25}, "out_of_range"),
            ("decision-upper-case", {"decision_id": "A" * 24}, "out_of_range"),
            ("decision-line-feed", {"decision_id": "0" * 23 + "\n"}, "out_of_range"),
            ("decision-number", {"decision_id": 12}, "wrong_type"),
            ("detail-text", {"detail": "x" * 129}, "out_of_range"),
            ("detail-list", {"detail": ["stop"]}, "wrong_type"),
        ],
    )
    opened = compact(document("outcome", "detail-repeated", now_ms))[:-1]
    yield _record("outcome", "detail-repeated", opened + b',"detail":"busy","detail":"ok"}', "repeated_field")
    for name, tail in (
        ("stop-beside-another", b',"detail":"stop","detail":"ok"}'),
        ("stop-of-two-customers", b',"detail":"stop","customer_id":"somebody-else"}'),
    ):
        yield _record("outcome", name, compact(document("outcome", name, now_ms))[:-1] + tail)


def _envelopes(now_ms: int) -> Iterator[HostileRecord]:
    structured: Headers = (("content-type", b"application/cloudevents+json"),)
    shell = {"specversion": "1.0", "id": "1", "source": "/x", "type": "y"}

    def data(name: str) -> dict[str, Any]:
        return document("intent", name, now_ms)

    def encoded(name: str) -> str:
        return base64.b64encode(compact(data(name))).decode()

    envelopes: list[tuple[str, Any, RefusalReason | None]] = [
        ("structured", {**shell, "data": data("structured")}, None),
        ("structured-base64", {**shell, "data_base64": encoded("structured-base64")}, None),
        ("structured-null-data", {**shell, "data": None, "data_base64": encoded("structured-null-data")}, None),
        ("structured-contradicts", {**shell, "customer_id": "x", "data": data("structured-contradicts")}, None),
        ("structured-both", {**shell, "data": data("both"), "data_base64": encoded("both")}, "bad_envelope"),
        ("structured-neither", shell, "bad_envelope"),
        ("structured-null", {**shell, "data": None}, "bad_envelope"),
        ("structured-no-version", {"data": data("no-version")}, "bad_envelope"),
        ("structured-version-0.3", {**shell, "specversion": "0.3", "data": data("version")}, "bad_envelope"),
        ("structured-version-number", {**shell, "specversion": 1.0, "data": data("version")}, "bad_envelope"),
        ("structured-list", [{**shell, "data": data("list")}], "bad_envelope"),
        ("structured-string", {**shell, "data": json.dumps(data("structured-string"))}, None),
        ("structured-empty", {**shell, "data": {}}, "missing_field"),
        ("structured-not-base64", {**shell, "data_base64": "!!"}, "bad_envelope"),
        ("structured-base64-no-padding", {**shell, "data_base64": "e30"}, "bad_envelope"),
        ("structured-base64-number", {**shell, "data_base64": 7}, "bad_envelope"),
        ("structured-base64-empty", {**shell, "data_base64": ""}, "no_value"),
        ("structured-base64-rubbish", {**shell, "data_base64": "/////w=="}, "not_utf8"),
    ]  # fmt: skip
    for name, value, reason in envelopes:
        yield _record("intent", name, compact(value), reason, structured)
    yield _record("intent", "structured-plain", compact(data("structured-plain")), "bad_envelope", structured)
    yield _record("intent", "structured-cut", compact({**shell, "data": data("cut")})[:-1], "not_json", structured)
    twice = compact({**shell, "data": data("twice")})[:-1] + b',"data":{}}'
    yield _record("intent", "structured-twice", twice, "repeated_field", structured)
    deep = compact({**shell, "data": data("deep")})[:-1] + b',"zz":' + b"[" * 9_000 + b"]" * 9_000 + b"}"
    yield _record("intent", "structured-deep", deep, "not_json", structured)
    for name, header in [
        ("capitals", ("Content-Type", b"Application/CloudEvents+JSON")),
        ("charset", ("CONTENT-TYPE", b"application/cloudevents+json; charset=UTF-8")),
    ]:
        value = compact({**shell, "data": data(f"structured-{name}")})
        yield _record("intent", f"structured-{name}", value, None, (("a", b""), header, ("b", b"\xff")))
    prefixed = b"\0\0\0\0\x07" + compact({**shell, "data": data("structured-prefixed")})
    yield _record("intent", "structured-prefixed", prefixed, None, structured)
    batch = (("content-type", b"application/cloudevents-batch+json"),)
    yield _record("intent", "batch", compact([{**shell, "data": data("batch")}]), "bad_envelope", batch)
    avro = (("content-type", b"application/cloudevents+avro"),)
    yield _record("intent", "structured-avro", b"\x02\x06abc", "bad_envelope", avro)
    binary: Headers = (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"1"),
        ("ce_type", b"opt_in"),
        ("ce_customer_id", b"x"),
        ("content-type", b"application/json"),
    )
    yield _record("intent", "binary", compact(data("binary")), None, binary)
    yield _record("intent", "binary-without-data", None, "no_value", binary)
    yield _record("intent", "binary-prefixed", b"\0\0\0\0\x07" + compact(data("binary-prefixed")), None, binary)
    kinds: tuple[TopicKind, ...] = ("preference", "outcome")
    for kind in kinds:
        event = document(kind, "enveloped", now_ms)
        yield _record(kind, "enveloped", compact({**shell, "data": event}), None, structured)
        wrong = {**shell, "type": "opt_out", "data": document(kind, "enveloped-type", now_ms, type="nonsense")}
        yield _record(kind, "enveloped-type", compact(wrong), "unknown_type", structured)


def _wrapped(now_ms: int) -> Iterator[HostileRecord]:
    """In an envelope that no header announces, or in another encoding."""
    kinds: tuple[TopicKind, ...] = ("intent", "preference", "outcome")
    for kind in kinds:

        def data(name: str, kind: TopicKind = kind) -> dict[str, Any]:
            return document(kind, name, now_ms)

        def text(name: str, kind: TopicKind = kind) -> str:
            return json.dumps(document(kind, name, now_ms))

        encoded: list[tuple[str, bytes]] = [
            ("byte-order-mark", b"\xef\xbb\xbf" + text("byte-order-mark").encode()),
            ("utf-16", text("utf-16").encode("utf-16")),
            ("utf-16-big", b"\xfe\xff" + text("utf-16-big").encode("utf-16-be")),
            ("utf-16-no-mark", text("utf-16-no-mark").encode("utf-16-le")),
            ("utf-16-big-no-mark", text("utf-16-big-no-mark").encode("utf-16-be")),
            ("utf-32", text("utf-32").encode("utf-32")),
            ("apicurio", b"\0" * 7 + b"\x12\x34" + compact(data("apicurio"))),
            ("azure", b"\0\0\0\0" + b"0123456789abcdef" * 2 + compact(data("azure"))),
            ("guid", b"\1" + bytes(range(112, 128)) + compact(data("guid"))),
            ("glue", b"\3\0" + bytes(range(16)) + compact(data("glue"))),
            ("glue-zlib", b"\3\5" + bytes(range(16)) + zlib.compress(compact(data("glue-zlib")), 0)),
            (
                "glue-cloud-event",
                b"\3\0" + bytes(16) + compact({"specversion": "1.0", "data": data("glue-cloud-event")}),
            ),
            ("string", compact(text("string"))),
            ("cloud-event", compact({"specversion": "1.0", "type": "x", "data": data("cloud-event")})),
            ("connect", compact({"schema": {"type": "struct"}, "payload": data("connect")})),
            ("connect-string", compact({"schema": {"type": "string"}, "payload": text("connect-string")})),
        ]
        for name, value in encoded:
            yield _record(kind, name, value)
        rows: list[tuple[str, Any]] = [
            ("row-created", {"before": None, "after": data("row-created"), "op": "c", "source": {}}),
            ("row-in-connect", {"schema": {}, "payload": {"after": data("row-in-connect"), "op": "u", "source": {}}}),
            ("routed", {"eventType": "x", "payload": text("routed")}),
        ]
        for name, value in rows:
            yield _record(kind, name, compact(value), None if kind == "preference" else "bad_envelope")
        gone = {"before": data("row-gone"), "after": None, "op": "d", "source": {}}
        yield _record(kind, "row-gone", compact(gone), "bad_envelope")
        yield _record(kind, "connect-nothing", b'{"schema":null,"payload":null}', "no_value")
        older = {"specversion": "0.3", "type": "x", "data": data("cloud-event-older")}
        yield _record(kind, "cloud-event-older", compact(older), "bad_envelope")
        twice = compact({"schema": {}, "payload": data("connect-twice")})[:-1] + b',"payload":{}}'
        yield _record(kind, "connect-twice", twice, "repeated_field")
    stop = document("outcome", "row-stop", now_ms, detail="stop")
    yield _record("outcome", "row-stop", compact({"before": None, "after": stop, "op": "c", "source": {}}))
    yes = document("preference", "row-yes", now_ms, type="opt_in")
    yield _record("preference", "row-yes", compact({"after": yes, "op": "c", "source": {}}), "bad_envelope")


def _misrouted(now_ms: int) -> Iterator[HostileRecord]:
    kinds: tuple[TopicKind, ...] = ("intent", "preference", "outcome")
    for kind in kinds:
        keys: list[tuple[str, bytes | None]] = [
            ("key-null", None),
            ("key-empty", b""),
            ("key-of-another", b"somebody-else"),
            ("key-in-quotes", compact(_customer(kind, "key-in-quotes"))),
            ("key-with-prefix", b"\0\0\0\0\x07" + _customer(kind, "key-with-prefix").encode()),
            ("key-not-utf-8", b"\xff\xfe"),
            ("key-upper-case", _customer(kind, "key-upper-case").upper().encode()),
            ("key-decomposed", f"hostile-{kind}-caf\u0065\u0301".encode()),
            ("key-very-long", b"k" * 10_000),
        ]
        for name, key in keys:
            customer = f"hostile-{kind}-caf\u00e9" if name == "key-decomposed" else _customer(kind, name)
            value = compact(document(kind, name, now_ms, customer_id=customer))
            yield HostileRecord(f"{kind}-{name}", kind, key, value, (), "rerouted", None)


def _odd_but_fine(now_ms: int) -> Iterator[HostileRecord]:
    """What looks wrong and is not: it must not be refused."""
    yield from _changed(
        "intent",
        now_ms,
        [
            ("fine-epoch", {"created_at": 0}, None),
            ("fine-last-moment", {"expires_at": "9999-12-31T23:59:59.999999Z"}, None),
            ("fine-lower-case-time", {"created_at": "2026-11-01t09:59:59.5z"}, None),
            ("fine-offset", {"created_at": "2026-11-01T04:59:59-05:00"}, None),
            ("fine-unknown-local-offset", {"created_at": "2026-11-01T09:59:59-00:00"}, None),
            ("fine-whole-minute", {"created_at": "2026-11-01T10:00+01:00"}, None),
            ("fine-zoned", {"created_at": "2026-11-01T10:00+01:00[Europe/Paris]"}, None),
            ("fine-blank-for-t", {"created_at": "2026-11-01 10:00:00 +0100"}, None),
            ("fine-utc", {"created_at": "2026-11-01 09:00:00 UTC"}, None),
            ("fine-leap-day", {"created_at": "2024-02-29T00:00:00Z"}, None),
            ("fine-nulls", dict.fromkeys(["purpose", "topic", "brand", "country", "automated", "attributes"]), None),
            ("fine-no-such-zone", {"timezone": "Mars/Olympus"}, None),
            ("fine-no-such-channel", {"channel": "carrier-pigeon"}, None),
            ("fine-no-such-country", {"country": "ZZ"}, None),
            ("fine-nul-in-a-word", {"topic": "a\0b"}, None),
            ("fine-emoji", {"topic": "😀" * 128}, None),
            ("fine-colons", {"topic": ":::", "brand": '":', "campaign_id": '" : "', "retry_of": "urn:a:b"}, None),
            ("fine-looks-like-json", {"topic": '{"customer_id":"x"}'}, None),
            ("fine-unknown-fields", {"zz": 1, "": None, "customerId": "x", "Customer_id": "y"}, None),
            ("fine-unknown-nested", {"zz": {"customer_id": "x", "a": [{"customer_id": "y"}]}}, None),
            ("fine-unknown-huge-number", {"zz": 10**400}, None),
            ("fine-attributes", {"attributes": {f"a{n}": None for n in range(16)}}, None),
            ("fine-attributes-like-fields", {"attributes": {"customer_id": "x", "channel": "y"}}, None),
            ("fine-default-written", {"priority": 50, "on_suppress": "drop"}, None),
            ("fine-sql", {"topic": "'; DROP TABLE customers; --"}, None),
            ("fine-markup", {"topic": "<script>alert(1)</script>"}, None),
            ("fine-format", {"topic": "%s%n{0}{{x}}${jndi:ldap://x}"}, None),
            ("fine-path", {"topic": "../../etc/passwd"}, None),
            ("fine-right-to-left", {"topic": "\u202eabc"}, None),
        ],
    )  # fmt: skip
    yield from _changed(
        "preference",
        now_ms,
        [
            ("fine-everything", {}, None),
            ("fine-pause-until-resume", {"type": "pause"}, None),
            ("fine-pause-in-the-past", {"type": "pause", "until": 1}, None),
            ("fine-restrictive-ahead", {"effective_at": "2099-01-01T00:00:00Z"}, None),
            ("fine-profile-of-nothing", {"type": "profile"}, None),
            ("fine-unknown-field", {"reason": "too many"}, None),
        ],
    )
    yield from _changed(
        "outcome",
        now_ms,
        [
            ("fine-unknown-decision", {}, None),
            ("fine-long-ago", {"occurred_at": 0}, None),
            ("fine-unsolicited", {"type": "reply", "decision_id": ..., "channel": "sms"}, None),
            ("fine-stop", {"type": "reply", "decision_id": None, "channel": "sms", "detail": "stop"}, None),
            ("fine-unknown-field", {"provider": {"code": 7}}, None),
        ],
    )
    spaced = json.dumps(document("intent", "fine-spaced", now_ms), indent=4).replace('":', '" \t:').encode()
    yield _record("intent", "fine-spaced", b"\n " + spaced + b"\r\n")
    escaped = compact(document("intent", "fine-escaped", now_ms)).replace(b'"channel"', b'"\\u0063hannel"')
    yield _record("intent", "fine-escaped", escaped)
    prefixed = b"\0\0\0\0\x07" + compact(document("intent", "fine-prefixed", now_ms))
    yield _record("intent", "fine-prefixed", prefixed)
    opened = compact(document("intent", "fine-deep", now_ms))[:-1]
    depth = NESTING_MAX - 1
    yield _record("intent", "fine-deep", opened + b',"zz":' + b"[" * depth + b"]" * depth + b"}")
    opened = compact(document("intent", "fine-brackets", now_ms))[:-1]
    yield _record("intent", "fine-brackets", opened + b',"zz":"' + b"[{" * 500 + b'\\"[[["}')
    opened = compact(document("intent", "fine-repeated-unknown", now_ms))[:-1]
    yield _record("intent", "fine-repeated-unknown", opened + b',"zz":1,"zz":2,"yy":{"a":1,"a":2}}')
    opened = compact(document("intent", "fine-largest", now_ms))[:-1]
    padding = INPUT_VALUE_BYTES_MAX - len(opened) - len(b',"zz":""}')
    yield _record("intent", "fine-largest", opened + b',"zz":"' + b"x" * padding + b'"}')
    headers: Headers = (("", b""), ("mesura.origin.topic", b"forged"), ("x" * 300, b"\xff" * 300))
    yield _record("intent", "fine-odd-headers", compact(document("intent", "fine-odd-headers", now_ms)), None, headers)
