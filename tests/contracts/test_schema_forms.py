"""The reader and writer forms: written from the strict schemas, plain, and true to them in both directions.

What the generators make of them is tried by `make generators` (tests/generators); here stands what they rely on.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator

from streams.contracts.schema_forms import READERS, WRITERS, FormUnknownError, forms
from tests.contracts.form_documents import (
    NEW_WORD,
    TIMES,
    Example,
    Node,
    later,
    meaning,
    of_readers,
    of_writers,
    plainly,
)
from tests.contracts.schema_files import SCHEMAS, Json, examples, raw_schema, schema, validator
from tests.contracts.test_schema_and_decoder import documents, from_object_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STRICT = {name: raw_schema(name) for name in (*READERS, *WRITERS)}
FORMS = forms(STRICT)
EVENTS_OF_ONE_TOPIC = ("approval", "withdrawal")
EVERY_FILE = sorted(path.relative_to(SCHEMAS).as_posix() for path in SCHEMAS.rglob("*.schema.json"))
OF_FORMS = [name for name in EVERY_FILE if "/" in name]
CLOSED = {"readers/approved", "readers/suppressed", "readers/policy-record"}
KEYWORDS = {
    "readers": {"title", "description", "type", "format", "const", "items", "properties", "required"}
    | {"additionalProperties", "oneOf", "$schema", "$id"},
    "writers": {"title", "description", "type", "format", "enum", "items", "properties", "required"}
    | {"additionalProperties", "$schema", "$id", "minLength", "maxLength", "pattern", "minimum", "maximum"}
    | {"maxProperties", "propertyNames"},
}


def nodes(node: Json, path: str = "") -> Iterator[tuple[str, Node]]:
    """Every schema inside a schema, by its path."""
    if not isinstance(node, dict):
        return
    yield path, node
    for holder in ("properties", "$defs", "patternProperties"):
        for name, content in node.get(holder, {}).items():
            yield from nodes(content, f"{path}/{holder}/{name}")
    for place in ("items", "additionalProperties", "propertyNames", "if", "then", "else"):
        yield from nodes(node.get(place), f"{path}/{place}")
    for group in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for number, content in enumerate(node.get(group, ())):
            yield from nodes(content, f"{path}/{group}/{number}")


def kinds(node: Node) -> list[str]:
    found = node.get("type", [])
    return found if isinstance(found, list) else [found]


def strict_mode_faults(whole: Node) -> Iterator[str]:
    """What ajv says in its strict mode, as far as these schemas could meet it (`make generators` asks ajv itself)."""
    for path, node in nodes(whole):
        if len({*kinds(node)} - {"null"}) > 1:
            yield f"{path} has several types"
        if "prefixItems" in node:
            full = len(node["prefixItems"]) == node.get("minItems") and node.get("items") is False
            if not full:
                yield f"{path} is a tuple of no fixed length"
        if not {*node.get("required", ())} <= {*node.get("properties", {})}:
            yield f"{path} requires a field that it does not describe"
        if "const" in node and not isinstance(node["const"], str | int):
            yield f"{path} is a constant that is neither text nor number"


def test_the_files_are_those_that_are_derived() -> None:
    found = {name.removesuffix(".schema.json"): raw_schema(name.removesuffix(".schema.json")) for name in OF_FORMS}
    assert found == FORMS, "run python -m streams.contracts.schema_forms schemas"


def test_a_field_without_a_plain_form_is_refused_not_guessed() -> None:
    for content in ({"type": ["string", "integer"]}, {"anyOf": [{"type": "string"}, {"type": "integer"}]}):
        changed = deepcopy(STRICT)
        changed["suppressed"]["properties"]["reason"] = content
        with pytest.raises(FormUnknownError):
            forms(changed)


@pytest.mark.parametrize("file", EVERY_FILE)
def test_strict_mode_has_nothing_to_say(file: str) -> None:
    assert list(strict_mode_faults(raw_schema(file.removesuffix(".schema.json")))) == []


@pytest.mark.parametrize(
    "faulty",
    [
        {"type": ["string", "number"]},
        {"type": "array", "prefixItems": [{"type": "string"}], "minItems": 1, "maxItems": 2},
        {"type": "object", "properties": {}, "anyOf": [{"required": ["a"]}]},
    ],
)
def test_strict_mode_is_heard(faulty: Node) -> None:
    assert list(strict_mode_faults(faulty))


@pytest.mark.parametrize("path", FORMS)
def test_a_form_is_plain(path: str) -> None:
    form, folder = FORMS[path], path.partition("/")[0]
    Draft7Validator.check_schema(form)
    Draft202012Validator.check_schema(form)
    for place, node in nodes(form):
        assert {*node} <= KEYWORDS[folder], place
        if place.endswith("/propertyNames"):
            continue
        assert ("oneOf" in node) == (place == "" and path == "readers/approved"), place
        names = [*kinds(node)]
        assert len({*names} - {"null"}) == (0 if "oneOf" in node else 1), place
        assert "integer" not in names or "maximum" in node or node["format"] == "int64", place
        for field, content in node.get("properties", {}).items():
            assert "null" not in kinds(content) or field not in node["required"], f"{place} {field}"
            assert folder == "readers" or "null" not in kinds(content), f"{place} {field}"
        if "properties" in node or "enum" in node:
            assert node["title"], f"{place} has no name that a type could have"
        if "const" in node:
            assert place.rpartition("/")[2] == "type"
        if folder == "readers":
            assert node.get("additionalProperties") is not False, place


def test_titles_name_one_thing_each() -> None:
    """Two types of one name in one package would be one type."""
    seen: dict[str, Node] = {}
    for form in FORMS.values():
        for _, node in nodes(form):
            if "title" in node:
                same = {key: value for key, value in node.items() if key not in ("$id", "$schema", "description")}
                assert seen.setdefault(node["title"], same) == same, node["title"]


@pytest.mark.parametrize("example", list(of_readers()), ids=lambda example: example.name)
def test_a_reader_form_takes_what_is_and_what_may_come(example: Example) -> None:
    topic = "readers/approved" if example.form.removeprefix("readers/") in EVENTS_OF_ONE_TOPIC else example.form
    changed = later(example).document
    assert changed != example.document
    for form in {example.form, topic}:
        validator(form).validate(example.document)
        validator(form).validate(changed)
        for field in FORMS[form].get("required", ()):
            without = {name: value for name, value in example.document.items() if name != field}
            assert not validator(form).is_valid(without), field
            assert not validator(form).is_valid({**example.document, field: [[]]}), field
    if topic in CLOSED:
        assert not validator(topic.removeprefix("readers/")).is_valid(changed)


def test_approval_and_withdrawal_are_told_apart() -> None:
    for path in examples("approved"):
        document = json.loads(path.read_text())
        one, other = sorted(EVENTS_OF_ONE_TOPIC, key=lambda name: name not in path.name)
        assert validator(f"readers/{one}").is_valid(document)
        assert not validator(f"readers/{other}").is_valid(document)
        assert not validator(f"readers/{one}").is_valid({**document, "type": NEW_WORD})
        assert not validator("readers/approved").is_valid({**document, "type": NEW_WORD})


@pytest.mark.parametrize("example", list(of_writers()), ids=lambda example: example.name)
def test_a_writer_form_takes_every_example_in_its_spelling(example: Example) -> None:
    validator(example.form).validate(example.document)
    validator(example.form.removeprefix("writers/")).validate(example.document)


def test_every_example_is_one_of_a_form() -> None:
    """But those of an export: a file for people, which no client reads from a topic."""
    names = {example.name for example in (*of_readers(), *of_writers())}
    of_a_file = {path.stem for path in examples("customer-export")}
    assert names | of_a_file == {path.stem for path in (SCHEMAS / "examples").iterdir()}


def test_meaning_is_lost_with_a_field_and_not_with_what_no_form_names() -> None:
    for example in of_readers():
        form = FORMS[example.form]
        kept = meaning(example.document, form)
        assert meaning({**example.document, NEW_WORD: 1}, form) == kept
        for field in kept:
            assert meaning({**example.document, field: None}, form) != kept
            assert meaning({**example.document, field: NEW_WORD}, form) != kept


def without_conditions(name: str) -> Draft202012Validator:
    """The strict schema without the conditions at its root: which event needs, or may have, which fields."""
    return Draft202012Validator({key: value for key, value in schema(name).items() if key not in ("allOf", "anyOf")})


_SETTINGS = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", WRITERS)
@given(data=st.data())
@_SETTINGS
def test_whatever_the_gate_reads_can_be_written_plainly(name: str, data: st.DataObject) -> None:
    document = plainly(data.draw(documents(name)))
    moments_in_range = [value for field, value in document.items() if field in TIMES and value >= 0]
    if len(moments_in_range) == len(TIMES & document.keys()):
        validator(f"writers/{name}").validate(document)


@pytest.mark.parametrize("name", WRITERS)
@given(data=st.data())
@_SETTINGS
def test_what_is_written_plainly_is_read(name: str, data: st.DataObject) -> None:
    form = schema(f"writers/{name}")
    fields = {field: content for field, content in form["properties"].items() if field != "attributes"}
    document = data.draw(from_object_schema({**form, "properties": fields}))
    document.pop("attributes", None)
    without_conditions(name).validate(document)


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_form_is_no_wider_than_the_gate_in_any_field(name: str) -> None:
    """The limits are those of the strict schema: one step beyond each is refused by both."""
    form = FORMS[f"writers/{name}"]
    example = plainly(json.loads(examples(name)[0].read_text()))
    beyond: dict[str, Callable[[Any], Json]] = {
        "minLength": lambda limit: "x" * (limit - 1),
        "maxLength": lambda limit: "x" * (limit + 1),
        "minimum": lambda limit: limit - 1,
        "maximum": lambda limit: limit + 1,
        "pattern": lambda _: "no such thing",
        "enum": lambda _: NEW_WORD,
    }
    tried = 0
    for field, content in form["properties"].items():
        for limit in beyond.keys() & content.keys():
            broken = {**example, field: beyond[limit](content[limit])}
            assert not validator(f"writers/{name}").is_valid(broken), f"{field} {limit}"
            assert not without_conditions(name).is_valid(broken), f"{field} {limit}"
            tried += 1
    assert tried
