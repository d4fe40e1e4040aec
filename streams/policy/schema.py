"""The published JSON Schema, and its errors as findings.

Rules of this module
1. `schemas/policy.schema.json` is the one description of the file's shape; editors and the gate read the same.
2. Every error of the schema becomes a finding with a line and a fix; none is passed on in the library's words.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Final

from jsonschema import Draft202012Validator

from streams.policy.findings import Finding, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema.exceptions import ValidationError

    from streams.policy.document import Document, Path

SCHEMA_NAME: Final = "policy.schema.json"

# Words people use when they mean to count across customers.
ACROSS_CUSTOMERS: Final = frozenset(
    "account address address_hash all all_customers anyone company contact_point country customers device email everybody "
    "everyone family global group_of_customers household line number organisation organization phone phone_number "
    "platform policy recipient_address segment system tenant total waba".split()
)
ACROSS_SENTENCE: Final = (
    "asks to count across customers; caps hold within one customer, because one lane owns one customer's history, "
    "and across customers no cap could be exact."
)
_TYPES: Final = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a block of fields",
    "null": "nothing",
}


@cache
def schema() -> dict[str, Any]:
    """The schema as published, from the installed package or from the source tree."""
    packaged = files("streams") / "_schemas" / SCHEMA_NAME
    if packaged.is_file():
        text = packaged.read_text("utf-8")
    else:
        text = (FilePath(__file__).parents[2] / "schemas" / SCHEMA_NAME).read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(schema())


def broken(document: Document) -> tuple[list[Finding], list[Path]]:
    """Findings about the file's shape, and the paths they are about."""
    findings: list[Finding] = []
    paths: list[Path] = []
    for error in _validator().iter_errors(document.data):
        path = tuple(error.absolute_path)
        paths.append(path)
        findings += _findings(document, path, error)
    return findings, paths


def _findings(document: Document, path: Path, error: ValidationError) -> Iterator[Finding]:
    rule_id = document.rule_id(path)
    line = document.line(path)
    where = _name(path)
    said = str(error.schema.get("description", "")) if isinstance(error.schema, dict) else ""
    value = error.instance
    match error.validator:
        case "additionalProperties":
            known = error.schema.get("properties", {})
            for key in [key for key in value if key not in known]:
                fix = did_you_mean(key, known)
                yield Finding(document.line((*path, key)), rule_id, f"{where} has no field `{key}`.", fix)
        case "required":
            missing = [key for key in error.validator_value if key not in value]
            key = next(key for key in missing if f"'{key}'" in error.message)
            yield Finding(line, rule_id, f"{where} lacks `{key}`.", _described(error.schema, key))
        case "dependentRequired":
            for key, needed in error.validator_value.items():
                for lacking in [n for n in needed if key in value and n not in value]:
                    yield Finding(document.line((*path, key)), rule_id, f"{where} has `{key}` without `{lacking}`.", said)
        case "type":
            yield Finding(line, rule_id, f"{where} is {_shown(value)}, and should be {_wanted(error)}.", _fix(error, said))
        case "enum" | "const":
            yield _not_one_of(document, path, error, said)
        case "uniqueItems":
            twice = next(entry for index, entry in enumerate(value) if entry in value[:index])
            yield Finding(line, rule_id, f"{where} names {_shown(twice)} twice.", "Keep one.")
        case "minItems" | "minProperties":
            fix = "Leave the field out to mean any; an empty one would match nothing." if _selects(path) else said
            yield Finding(line, rule_id, f"{where} is empty.", fix)
        case "maxItems" | "maxProperties":
            yield Finding(line, rule_id, f"{where} has {len(value)} entries; {error.validator_value} are allowed.", said)
        case "oneOf":
            yield Finding(line, rule_id, f"{where} must be exactly one of rolling, calendar, lifetime.", said)
        case "pattern" if path in document.lines and isinstance(error.parent, object) and _is_key(error):
            yield Finding(document.line((*path, value)), rule_id, f"`{value}` cannot be a name here.", said)
        case _:
            yield Finding(line, rule_id, f"{where} is {_shown(value)}, which is not allowed.", _expected(said))


def _not_one_of(document: Document, path: Path, error: ValidationError, said: str) -> Finding:
    line, rule_id, where, value = document.line(path), document.rule_id(path), _name(path), error.instance
    if len(path) > 1 and path[-2] == "scope":
        if isinstance(value, str) and value.lower().replace("-", "_") in ACROSS_CUSTOMERS:
            return Finding(line, rule_id, f"The scope `{value}` {ACROSS_SENTENCE}", "Remove it from `scope`.")
        if value == "customer":
            fix = "Remove it: every scope is within one customer already."
            return Finding(line, rule_id, "`customer` is no scope.", fix)
    if path[-1:] == ("kind",) and value == "opt_out":
        fix = "Remove the rule: `opt-out` is always there, first, and cannot be switched off."
        return Finding(line, rule_id, "A rule of kind opt_out is not written.", fix)
    if error.validator == "const":
        known = [error.validator_value]
    else:
        known = error.validator_value
    if path[-1:] == ("state",) and isinstance(value, bool):
        return Finding(line, rule_id, f"{where} is {_shown(value)}.", f"Did you mean {'on' if value else 'off'}?")
    words = [_shown(entry).strip("`") for entry in known]
    return Finding(line, rule_id, f"{where} cannot be {_shown(value)}.", did_you_mean(value, words, _expected(said)))


def _is_key(error: ValidationError) -> bool:
    return "propertyNames" in error.absolute_schema_path


def _selects(path: Path) -> bool:
    return any(part in {"applies_to", "except", "counts", "counts_except"} for part in path)


def _name(path: Path) -> str:
    """What people call the thing at a path."""
    if not path:
        return "The file"
    names = [part for part in path if isinstance(part, str)]
    if path[0] == "rules" and len(path) == 2:
        return "The rule"
    if path[0] == "obligations" and len(path) == 2:
        return "The obligation"
    shown = names[1:] if path[0] in {"rules", "obligations"} and len(names) > 1 else names
    item = "An entry of " if isinstance(path[-1], int) else ""
    return f"{item}`{'.'.join(shown)}`"


def _shown(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return f"`{str(value).lower()}`"
        case str() | int():
            text = str(value)
            return f"`{text if len(text) <= 60 else text[:57] + '…'}`"
        case list():
            return "a list"
        case _:
            return "a block of fields"


def _wanted(error: ValidationError) -> str:
    types = error.validator_value
    return " or ".join(_TYPES.get(t, t) for t in ([types] if isinstance(types, str) else types))


def _fix(error: ValidationError, said: str) -> str:
    value = error.instance
    if error.validator_value == "string" and isinstance(value, int):
        return f'Put it in quotes: "{str(value).lower() if isinstance(value, bool) else value}".'
    if error.validator_value == "boolean" and isinstance(value, str):
        if value.lower() in {"yes", "on", "y"}:
            return "Did you mean true?"
        if value.lower() in {"no", "off", "n"}:
            return "Did you mean false?"
    if error.validator_value == "array" and isinstance(value, str | int):
        return f"Write it as a list: [{value}]."
    return _expected(said)


def _expected(said: str) -> str:
    return f"Expected: {said}" if said else ""


def _described(holder: Any, key: str) -> str:
    properties = holder.get("properties", {}) if isinstance(holder, dict) else {}
    entry = properties.get(key)
    while isinstance(entry, dict) and "description" not in entry and "$ref" in entry:
        entry = schema()["$defs"][entry["$ref"].rsplit("/", 1)[-1]]
    return _expected(str(entry["description"])) if isinstance(entry, dict) and "description" in entry else "Add it."
