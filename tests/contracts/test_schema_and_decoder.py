"""The published schema and the decoder take the same documents as they stand, in both directions.

What a schema cannot say, and so where the two differ, is `beyond_the_schema`, whole:

1. JSON Schema calls 1.0 and 1e3 integers; the decoder wants whole numbers written as such.
2. A time on the first day of 1970 or the last of 9999 may, by its offset, lie outside these years in UTC.

What the schema refuses of an event that restricts, and of an outcome with a stop code, the decoder reads all the same:
without what is wrong (docs/semantics.md, 0). Of everything else it refuses exactly what the schema refuses.

That a name stands twice, that a value is not UTF-8, too long or nested too deeply is not about documents but about the
bytes that hold them; see test_hostile.py.
"""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_jsonschema import from_schema
from msgspec import Struct, structs

from streams.contracts.decode import PreferenceReading
from streams.contracts.errors import RecordRefused
from streams.decision.intent import MOMENT_MAX_MS
from tests.contracts.decoders import reading
from tests.contracts.schema_files import INPUTS, Json, independent_moment_ms, schema, validator

LENIENT = RecordRefused("out_of_range", "read, but not as it stands")
RESTRICTIVE = frozenset(
    {
        "optout",
        "objection",
        "pause",
        "restriction",
        "consentwithdrawn",
        "erasure",
        "unsubscribe",
        "unsubscribed",
        "stop",
    }
)
STOPS = frozenset({"stop", "stopall", "unsubscribe", "optout", "quit", "end", "revoke", "cancel"})
TIMES = frozenset({"created_at", "expires_at", "effective_at", "until", "occurred_at"})
INTEGERS = TIMES | {"priority"}

Document = dict[str, Any]

_times = st.builds(
    "{:04}-{:02}-{:02}{}{:02}:{:02}{}{}{}".format,
    st.sampled_from([0, 1, 1900, 1969, 1970, 1972, 2000, 2024, 2026, 2100, 9999]) | st.integers(0, 9999),
    st.integers(0, 13),
    st.integers(0, 32) | st.sampled_from([1, 28, 29, 30, 31]),
    st.sampled_from(["T", "T", "T", "t", " ", ""]),
    st.integers(0, 24),
    st.integers(0, 60),
    st.just("") | st.integers(0, 60).map(":{:02}".format),
    st.sampled_from(["", "", ".1", ".999999999", ".", ",5"]),
    st.builds(
        "{}{}".format,
        st.sampled_from(
            [
                *("Z", "Z", "z", "+00:00", "-00:00", "+05:30", "-23:59", "+24:00", "+5:00", "", "+0500", "Z\n"),
                *(
                    "-05",
                    " -0500",
                    " -05",
                    "  +05:30",
                    " UTC",
                    " utc",
                    "UTC",
                    " GMT",
                    " Z",
                    "-05:",
                    "-050",
                    "+05:30:15",
                ),
            ]
        ),
        st.sampled_from(
            ["", "", "", "[Europe/Paris]", "[!Europe/Paris]", "[+01:00][u-ca=iso8601]", "[]", "[a]b]", "[a"]
        ),
    ),
)
_texts = st.one_of(
    st.text(max_size=5),
    st.sampled_from(
        ["", "x" * 64, "x" * 65, "x" * 128, "x" * 129, "é" * 128, "😀" * 129, "CO", "co", "CO\n", "C1", "US", "ÀÀ"]
    ),
    st.sampled_from(
        ["AB\n", "ABCD", "9", "0" * 24, "g" * 24, "0" * 24 + "\n", "A" * 24, "opt_out", "reply", "sent", "hold"]
    ),
    _times,
)
_numbers = st.one_of(
    st.integers(-2, 102),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        [MOMENT_MAX_MS, MOMENT_MAX_MS + 1, 2**53, 2**63, -(2**63), 2**64, 10**30, 9 * 10**18, 9 * 10**18 + 1]
    ),
    st.sampled_from([5.0, 1e3, 9e18, 9.1e18, -9e18, -9.1e18, 1.7e308]),
)
_scalars = st.none() | st.booleans() | _numbers | _texts
_values = _scalars | st.lists(_scalars, max_size=2) | st.dictionaries(_texts, _scalars, max_size=18)


def from_object_schema(node: Document) -> st.SearchStrategy[Document]:
    """Documents an object schema allows, unknown fields among them.

    hypothesis-jsonschema makes the fields. Not the objects: that part of 0.23.1 rests on a private part of Hypothesis
    which current versions no longer have.
    """
    fields = {name: _from_any_schema(content) for name, content in node.get("properties", {}).items()}
    required = {name: fields.pop(name) for name in node.get("required", ())}
    known = st.fixed_dictionaries(required, optional=fields)
    names = from_schema({"type": "string", **node.get("propertyNames", {"maxLength": 8})}).filter(
        lambda name: name not in node.get("properties", {})
    )
    others = st.dictionaries(
        names, _from_any_schema(node.get("additionalProperties", {})), max_size=node.get("maxProperties", 2)
    )
    return st.builds(lambda known, others: {**others, **known}, known, others)


def _from_any_schema(node: Document) -> st.SearchStrategy[Any]:
    if not node:
        return _values
    if "object" in node.get("type", ()):
        return st.none() | from_object_schema(node)
    return from_schema(node)


@cache
def documents(kind: str) -> st.SearchStrategy[Document]:
    """Documents valid under the schema of this kind."""
    return from_object_schema(schema(kind)).filter(validator(kind).is_valid)


def beyond_the_schema(document: Document) -> bool:
    """Whether the document is one of the listed differences: valid under the schema, and refused."""
    for field in INTEGERS & document.keys():
        value = document[field]
        if isinstance(value, float) and value.is_integer():
            return True
        if field in TIMES and isinstance(value, str):
            moment = independent_moment_ms(value)
            if moment is not None and not 0 <= moment <= MOMENT_MAX_MS and value[:4] in ("1970", "9999"):
                return True
    return False


def refusal(kind: str, document: Json, *, ascii_only: bool) -> RecordRefused | None:
    """Why nothing is to be applied of the document, or why it is not taken as it stands."""
    try:
        found = reading(kind, json.dumps(document, ensure_ascii=ascii_only, allow_nan=False).encode())
    except RecordRefused as refused:
        return refused
    if isinstance(found, PreferenceReading) and found.refusal is not None:
        assert found.event is None or found.event.type == "unread"
        return found.refusal
    assert found.event is not None
    assert isinstance(document, dict)
    if found.not_understood or not says(found.event, document):
        assert is_read_leniently(kind, document)
        return LENIENT
    return None


def says(event: Struct, document: Document) -> bool:
    """Whether the event has every field of the document as it stands there, and every field that it must have."""
    for field in structs.fields(type(event)):
        if field.encode_name not in document:
            if field.required:
                return False
            continue
        said, found = document[field.encode_name], getattr(event, field.name)
        if isinstance(said, str) and isinstance(found, int):
            said = independent_moment_ms(said)
        if said is None and not field.required:
            said = field.default
        if type(said) is not type(found) or said != found:
            return False
    return True


def is_read_leniently(kind: str, document: Document) -> bool:
    """Whether the document is one of which something may be left out: it restricts, in whatever spelling."""
    if kind == "preference-event":
        return plain(document.get("type")) in RESTRICTIVE
    return kind == "outcome" and (plain(document.get("detail")) in STOPS or plain(document.get("type")) in STOPS)


def plain(word: Json) -> str:
    """Letters alone, in lower case."""
    folded = unicodedata.normalize("NFKC", str(word)).casefold()
    return "".join(c for c in folded if not c.isspace() and unicodedata.category(c) != "Cf" and c not in "-_")


def is_an_envelope(document: Json) -> bool:
    """Whether it is one that no header announces: then the schema is about what it holds (test_bare_envelopes.py)."""
    if not isinstance(document, dict):
        return isinstance(document, str)
    if not document.keys().isdisjoint({"customer_id", "intent_id", "event_id"}):
        return False
    return "specversion" in document or (
        "type" not in document and ("payload" in document or document.keys() >= {"op", "after"})
    )


def assert_they_agree(kind: str, document: Document, *, ascii_only: bool = False) -> None:
    if is_an_envelope(document):
        return
    refused = refusal(kind, document, ascii_only=ascii_only)
    accepted = validator(kind).is_valid(document)
    if accepted and refused is not None:
        assert beyond_the_schema(document), f"valid under the schema, but {refused}"
    else:
        assert accepted == (refused is None), "the schema refuses what the decoder takes"
    if kind == "preference-event" and is_read_leniently(kind, document):
        # One who is named, and nothing else, is needed.
        named = document.get("customer_id")
        assert (refused in {None, LENIENT}) == (isinstance(named, str) and 1 <= len(named) <= 128)


@st.composite
def mutated(draw: st.DrawFn, kind: str) -> Document:
    """A valid document in which some fields were removed, replaced or added."""
    document: Document = dict(draw(documents(kind)))
    fields = sorted(schema(kind)["properties"])
    required = schema(kind)["required"]
    for _ in range(draw(st.integers(1, 3))):
        field = draw(st.sampled_from(fields) | st.sampled_from([*required, *document]))
        match draw(st.sampled_from(["remove", "replace", "replace", "replace", "unknown", "attribute"])):
            case "remove":
                document.pop(field, None)
            case "replace":
                document[field] = draw(_times if field in TIMES and draw(st.booleans()) else _values)
            case "unknown":
                document[draw(_texts)] = draw(_values)
            case "attribute" if isinstance(document.get("attributes"), dict):
                document["attributes"] = {**document["attributes"], draw(_texts): draw(_values)}
    return document


_SETTINGS = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("kind", INPUTS)
@given(data=st.data())
@_SETTINGS
def test_what_the_schema_allows_decodes(kind: str, data: st.DataObject) -> None:
    document = data.draw(documents(kind))
    assert validator(kind).is_valid(document)
    assert_they_agree(kind, document)


@pytest.mark.parametrize("kind", INPUTS)
@given(data=st.data(), ascii_only=st.booleans())
@_SETTINGS
def test_the_schema_refuses_exactly_what_the_decoder_refuses(kind: str, data: st.DataObject, ascii_only: bool) -> None:
    assert_they_agree(kind, data.draw(mutated(kind)), ascii_only=ascii_only)


def _minimal(kind: str) -> Document:
    documents: dict[str, Document] = {
        "intent": {"intent_id": "i", "customer_id": "c", "channel": "sms", "created_at": 1},
        "preference-event": {"event_id": "e", "customer_id": "c", "type": "opt_out"},
        "outcome": {"customer_id": "c", "type": "sent", "occurred_at": 1, "decision_id": "0" * 24},
    }
    return documents[kind]


_EDGES: list[Json] = [
    *(None, True, False, 0, -1, 1, 100, 101, 1.5, 5.0, -0.0, 10**30, MOMENT_MAX_MS, MOMENT_MAX_MS + 1),
    *("", "x", "x" * 64, "x" * 65, "x" * 128, "x" * 129, "😀" * 128, "😀" * 129, "\0"),
    *("CO", "co", "CO\n", "AB\n", "A1", "ABCD", "reply", "sent", "opt_out", "profile", "hold", "drop"),
    *("0" * 24, "0" * 23, "0" * 25, "g" * 24, "A" * 24, "0" * 24 + "\n"),
    *("2026-11-24T10:00:00Z", "2026-11-24t10:00:00z", "2026-11-24 10:00:00Z", "2026-11-24T10:00:00", "2026-11-24"),
    *("2026-11-24T10:00:60Z", "2026-11-24T24:00:00Z", "2026-13-01T10:00:00Z", "2026-11-24T10:00Z"),
    *("2026-02-29T10:00:00Z", "2028-02-29T10:00:00Z", "2100-02-29T10:00:00Z", "2026-11-24T10:00:00Z "),
    *("1970-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1969-12-31T23:00:00-05:00", "1970-01-01T00:00:00+01:00"),
    *("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z"),
    *("2026-W48-2T10:00:00Z", "20261124T100000Z", "２０２６-11-24T10:00:00Z", f"2026-11-24T10:00:00.{'1' * 50}Z"),
    *([], ["x"], {}, {"a": 1}, {"": 1}, {"a": []}, {"a": "x" * 256}, {"a": "x" * 257}, {"x" * 129: 1}),
    *({"a": 9 * 10**18}, {"a": 9 * 10**18 + 1}, {"a": 9e18}, {"a": -9.1e18}, {"a": None, "b": True, "c": 1.5}),
    {str(number): number for number in range(16)},
    {str(number): number for number in range(17)},
]  # fmt: skip


@pytest.mark.parametrize("kind", INPUTS)
def test_every_field_with_every_edge(kind: str) -> None:
    """Each field in turn takes each value of a list of edges: nothing left to chance."""
    for field in schema(kind)["properties"]:
        for edge in _EDGES:
            assert_they_agree(kind, {**_minimal(kind), field: edge})
        assert_they_agree(kind, {name: value for name, value in _minimal(kind).items() if name != field})


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("document", [None, True, 1, "text", [], [{}], {}])
def test_what_is_no_object_or_an_empty_one(kind: str, document: Json) -> None:
    assert not validator(kind).is_valid(document)
    assert refusal(kind, document, ascii_only=True) is not None


@pytest.mark.parametrize("reply", [{"type": "reply"}, {"type": "sent"}])
@pytest.mark.parametrize("decision", [{}, {"decision_id": None}, {"decision_id": "0" * 24}])
@pytest.mark.parametrize("channel", [{}, {"channel": None}, {"channel": "sms"}])
def test_who_needs_a_decision_and_who_a_channel(reply: Document, decision: Document, channel: Document) -> None:
    document = {"customer_id": "c", "occurred_at": 1, **reply, **decision, **channel}
    assert_they_agree("outcome", document)
    needed = decision.get("decision_id") is not None or (
        reply["type"] == "reply" and channel.get("channel") is not None
    )
    assert (refusal("outcome", document, ascii_only=True) is None) == needed
