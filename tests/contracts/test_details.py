# ruff: noqa: ANN401 - JSON
"""What a dead letter says to people: which field, what was found there by its kind, what to do; never what it held."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from streams.contracts.errors import REFUSALS, REMEDIES, RecordRefused
from tests.contracts.decoders import read
from tests.contracts.hostile import hostile_records
from tests.contracts.schema_files import INPUTS, schema, validator

# One of each, none of which restricts: a no is read without what is wrong, and has no detail.
EVENTS: dict[str, dict[str, Any]] = {
    "intent": {"intent_id": "i", "customer_id": "c", "channel": "sms", "created_at": 1},
    "preference-event": {"event_id": "e", "customer_id": "c", "type": "opt_in"},
    "outcome": {"customer_id": "c", "type": "sent", "occurred_at": 1, "decision_id": "0" * 24},
}
SECRET = "somebody-s3cret"
FOUND: dict[str, tuple[Any, str]] = {
    "null": (None, "null"),
    "true": (True, "true or false"),
    "a whole number": (7130917, "a whole number|a number that is too great"),
    "a negative number": (-7130917, "a whole number|a number that is too small"),
    "a huge number": (7130917 * 10**30, r"a number .*too great.*"),
    "a fraction": (7130917.5, "a number with a fraction or an exponent, or too great"),
    "text": (SECRET, r"text.*|a word that the contract does not know|too long|too short"),
    "digits": ("7130917", r"text.*|a number in quotes|a word that the contract does not know|too long|too short"),
    "empty text": ("", r"text.*|too short|a word that the contract does not know"),
    "long text": (SECRET * 20, r"text|too long|a word that the contract does not know"),
    "a list": ([SECRET], "a list"),
    "an object": ({SECRET: [SECRET]}, "an object|a list"),
    "many members": ({f"{SECRET}{number}": 1 for number in range(17)}, "an object|too many members"),
    "no name": ({"": SECRET}, "an object|too short"),
    "a long member": ({SECRET: SECRET * 20}, "an object|too long"),
}
PYTHON = re.compile(r"\b(?:int|str|float|bool|dict|NoneType|None|True|False|msgspec|Expected|got)\b|\$")
REMEDY = re.compile(r"\b(?:[Ww]rite|[Pp]ublish|[Pp]ut|[Uu]se|[Ll]eave|[Ss]et|[Kk]eep|let|[Gg]ive|[Ll]ook|[Kk]ey)\b")


def refusal(kind: str, value: bytes | None, headers: Any = ()) -> RecordRefused | None:
    try:
        read(kind, value, headers, b"c")
    except RecordRefused as refused:
        return refused
    return None


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("name", FOUND)
def test_every_field_with_every_kind_of_content(kind: str, name: str) -> None:
    content, words = FOUND[name]
    refused_fields = set()
    for field in schema(kind)["properties"]:
        document = {**EVENTS[kind], field: content}
        refused = refusal(kind, json.dumps(document).encode())
        assert (refused is None) == validator(kind).is_valid(document), field
        if refused is None:
            continue
        refused_fields.add(field)
        found = re.fullmatch(r"(`\w+`|a (?:name|value) in `attributes`): (.*?); write (.+)", refused.detail)
        if refused.reason in {"unknown_field", "missing_field"}:  # a field of another type; a decision that is null
            assert REMEDY.search(refused.detail)
        else:
            assert found is not None, refused.detail
            assert f"`{field}`" in found[1]
            assert re.fullmatch(words, found[2]), refused.detail
        assert SECRET not in refused.detail
        assert "7130917" not in refused.detail
        assert not PYTHON.search(refused.detail), refused.detail
    assert refused_fields


@pytest.mark.parametrize("kind", INPUTS)
def test_every_field_that_is_required_is_named_when_it_is_absent(kind: str) -> None:
    for field in schema(kind)["required"]:
        document = {name: each for name, each in EVENTS[kind].items() if name != field}
        refused = refusal(kind, json.dumps(document).encode())
        assert refused is not None
        assert refused.reason == "missing_field"
        assert refused.detail.startswith(f"`{field}`: absent; write ")
        assert "leave the field out" not in refused.detail


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("document", [None, True, 7, 7.5, [7], [[]]])
def test_what_is_no_object(kind: str, document: Any) -> None:
    refused = refusal(kind, json.dumps(document).encode())
    assert refused is not None
    assert re.fullmatch(r"the value itself: .+; write one JSON object, the event, a record", refused.detail)


def test_a_word_is_told_all_the_words_there_are() -> None:
    for kind, field in (("intent", "on_suppress"), ("preference-event", "type"), ("outcome", "type")):
        refused = refusal(kind, json.dumps({**EVENTS[kind], field: SECRET}).encode())
        assert refused is not None
        for word in schema(kind)["properties"][field]["enum"]:
            assert word is None or word in refused.detail


def test_whatever_is_refused_names_a_remedy_and_speaks_no_python() -> None:
    kinds = {"intent": "intent", "preference": "preference-event", "outcome": "outcome"}
    for record in hostile_records():
        refused = refusal(kinds[record.topic_kind], record.value, record.headers)
        if refused is not None:
            assert REMEDY.search(refused.detail), (record.name, refused.detail)
            assert not PYTHON.search(refused.detail), (record.name, refused.detail)


def test_each_reason_has_a_sentence_and_a_remedy() -> None:
    assert REFUSALS.keys() == REMEDIES.keys()
    for reason in REFUSALS:
        assert REMEDY.search(RecordRefused(reason).detail), reason
