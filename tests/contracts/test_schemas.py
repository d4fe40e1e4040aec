"""The published schemas are sound, agree with each other, and with the examples and tables they stand beside."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import Struct, structs

from streams.contracts.control import decode_policy, encode_policy
from streams.contracts.errors import REFUSALS
from streams.contracts.prefixes import INPUT_VALUE_BYTES_MAX
from streams.contracts.reasons_table import reasons_table
from streams.contracts.refusals import NESTING_MAX
from streams.decision.intent import Intent
from streams.decision.outcome_event import Outcome
from streams.decision.preference_event import PreferenceEvent
from tests.contracts.decoders import read
from tests.contracts.schema_files import (
    INPUTS,
    OUTPUTS,
    SCHEMAS,
    examples,
    independent_moment_ms,
    raw_schema,
    validator,
)

if TYPE_CHECKING:
    from pathlib import Path

NAMES = (*INPUTS, *OUTPUTS, "dead-letter.headers", "decision.headers", "policy-record", "customer-export")
EVENTS: dict[str, type[Struct]] = {"intent": Intent, "preference-event": PreferenceEvent, "outcome": Outcome}
STRUCTURED = (("content-type", b"application/cloudevents+json"),)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_2020_12_schema_under_a_versioned_name(name: str) -> None:
    schema = raw_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert re.fullmatch(rf"urn:mesura:schema:{re.escape(name)}:[0-9]+", schema["$id"])


def test_every_file_is_known_to_these_tests() -> None:
    found = {path.name.removesuffix(".schema.json") for path in SCHEMAS.glob("*.schema.json")}
    assert found - {"policy"} == set(NAMES)
    kinds = (*NAMES, "cloudevents")
    assert {path for kind in kinds for path in examples(kind)} == set((SCHEMAS / "examples").iterdir())


def test_definitions_of_the_same_name_are_the_same() -> None:
    seen: dict[str, Any] = {}
    for name in NAMES:
        for word, definition in raw_schema(name).get("$defs", {}).items():
            assert seen.setdefault(word, definition) == definition, f"{word} of {name}"


def test_every_definition_is_used() -> None:
    for name in NAMES:
        schema = raw_schema(name)
        used = set(re.findall(r'"#/\$defs/(\w+)"', json.dumps(schema)))
        assert used == set(schema.get("$defs", {})), name


@pytest.mark.parametrize("name", INPUTS)
def test_inputs_are_open_and_name_every_field_with_its_default(name: str) -> None:
    schema = raw_schema(name)
    assert "additionalProperties" not in schema
    assert "unevaluatedProperties" not in schema
    fields = {field.encode_name: field for field in structs.fields(EVENTS[name])}
    assert set(schema["properties"]) == set(fields)
    assert set(schema["required"]) == {field for field, info in fields.items() if info.required}
    for field, info in fields.items():
        if not info.required:
            assert schema["properties"][field].get("default") == info.default


@pytest.mark.parametrize("name", OUTPUTS)
def test_outputs_are_closed(name: str) -> None:
    schema = raw_schema(name)
    bodies = [schema, *schema["$defs"].values()]
    open_ones = [
        body
        for body in bodies
        if body.get("type") == "object" and "properties" in body and body.get("additionalProperties") is not False
    ]
    assert open_ones == []


@pytest.mark.parametrize("name", NAMES)
def test_it_has_examples_and_they_are_valid(name: str) -> None:
    paths = examples(name)
    assert paths
    for path in paths:
        validator(name).validate(json.loads(path.read_text()))


@pytest.mark.parametrize("path", [path for name in INPUTS for path in examples(name)], ids=lambda path: path.stem)
def test_examples_decode_to_what_they_say(path: Path) -> None:
    name = path.name.split(".")[0]
    document = json.loads(path.read_text())
    event, unknown = read(name, path.read_bytes())
    assert type(event) is EVENTS[name]
    assert unknown == len(document.keys() - set(event.__struct_fields__))
    for field, value in document.items():
        if field in event.__struct_fields__:
            decoded = getattr(event, field)
            assert decoded == (
                independent_moment_ms(value) if isinstance(value, str) and isinstance(decoded, int) else value
            )


@pytest.mark.parametrize("path", examples("cloudevents"), ids=lambda path: path.stem)
def test_enveloped_examples_decode_like_their_data(path: Path) -> None:
    kind = next(kind for kind in INPUTS if path.name.split(".")[1].startswith(kind))
    envelope = json.loads(path.read_text())
    data = envelope["data"] if "data" in envelope else json.loads(base64.b64decode(envelope["data_base64"]))
    validator(kind).validate(data)
    assert read(kind, path.read_bytes(), STRUCTURED) == read(kind, json.dumps(data).encode())


def test_reasons_are_published_as_they_are() -> None:
    assert json.loads((SCHEMAS / "reasons.json").read_text()) == reasons_table(), (
        "run python -m streams.contracts.reasons_table > schemas/reasons.json"
    )


def test_a_policy_record_survives_the_way_out_and_back() -> None:
    document = json.loads(examples("policy-record")[0].read_text())
    value = encode_policy(decode_policy(json.dumps(document).encode()))
    assert json.loads(value) == {**document, "format": 1}
    validator("policy-record").validate(json.loads(value))
    assert encode_policy(decode_policy(value)) == value


def test_the_documentation_names_every_reason_header_and_limit() -> None:
    text = (SCHEMAS.parent / "docs" / "contracts.md").read_text()
    for reason in REFUSALS:
        assert f"`{reason}`" in text
    for header in raw_schema("dead-letter.headers")["properties"]:
        assert f"`{header}`" in text or f"`.{header.rpartition('.')[2]}`" in text
    assert f"{INPUT_VALUE_BYTES_MAX:,} bytes".replace(",", " ") in text
    assert f"| {NESTING_MAX} |" in text


def test_the_documentation_of_gateways_names_every_outcome() -> None:
    text = (SCHEMAS.parent / "docs" / "gateway.md").read_text()
    for kind in raw_schema("outcome")["properties"]["type"]["enum"]:
        assert f"`{kind}`" in text
