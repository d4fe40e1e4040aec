"""Checks the shape of a policy file: the errors of its JSON Schema become findings.

Rules of this module
1. Every error of the schema becomes a finding with a line and a fix. None is reported in the library's words.
2. The path of an error is that of the thing that is wrong: the unknown field itself, or the block that lacks something.
3. No kind of rule is known here by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from jsonschema import Draft202012Validator

from streams.policy.findings import Finding, did_you_mean
from streams.policy.kinds.registry import RULES_ALWAYS_THERE
from streams.policy.phrases import joined
from streams.policy.schema import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from streams.policy.document import Document, Path, Plain

# Words that people use when they want to count across customers.
ACROSS_CUSTOMERS: Final = frozenset(
    {
        "account",
        "address",
        "address_hash",
        "all",
        "company",
        "country",
        "device",
        "email",
        "everyone",
        "global",
        "household",
        "organisation",
        "phone",
        "policy",
        "segment",
        "system",
        "tenant",
    }
)
ACROSS_SENTENCE: Final = (
    "asks to count across customers. Caps hold within one customer, because one lane owns one customer's history. "
    "Across customers no cap could be exact."
)
_TYPES: Final = {
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a block of fields",
    "null": "nothing",
}
_SHOWN_MAX: Final = 60
_SELECTORS: Final = frozenset({"applies_to", "except", "counts", "counts_except"})


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(_with_python_ends(schema()))


def _with_python_ends(node: Plain) -> Plain:
    """The schema with patterns that end where the text ends, as `$` means in JSON Schema. (In Python it also matches
    before a last line feed, and `"7d\\n"` would be a duration.)
    """
    if isinstance(node, list):
        return [_with_python_ends(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {
        name: re.sub(r"\$$", r"\\Z", content)
        if name == "pattern" and isinstance(content, str)
        else _with_python_ends(content)
        for name, content in node.items()
    }


@dataclass(frozen=True, slots=True)
class _Error:
    """One error of the library, in our words."""

    document: Document
    path: Path
    rule: str
    """The schema's keyword that was violated."""
    wanted: Plain
    """What the keyword says."""
    value: Plain
    holder: dict[str, Plain]
    """The part of the schema the keyword stands in."""
    is_key: bool

    @property
    def said(self) -> str:
        return str(self.holder.get("description", ""))

    @property
    def expected(self) -> str:
        return f"Expected: {self.said}" if self.said else ""

    @property
    def where(self) -> str:
        return _name(self.path)

    def finding(self, message: str, fix: str, at: Path | None = None) -> tuple[Path, Finding]:
        path = self.path if at is None else at
        return path, Finding(self.document.line(path), self.document.rule_id(path), message, fix)


def check_shape(document: Document) -> tuple[list[Finding], list[Path]]:
    """Findings about the file's shape, and the paths they are about."""
    found: list[tuple[Path, Finding]] = []
    for raw in _validator().iter_errors(document.data):
        error = _Error(
            document,
            tuple(raw.absolute_path),
            str(raw.validator),
            raw.validator_value,
            raw.instance,
            cast("dict[str, Plain]", raw.schema),
            "propertyNames" in raw.absolute_schema_path,
        )
        found += _SAID.get(error.rule, _not_allowed)(error)
    return [finding for _, finding in found], [path for path, _ in found]


def _unknown(error: _Error) -> Iterator[tuple[Path, Finding]]:
    known = error.holder.get("properties", {})
    for key in [key for key in error.value if key not in known]:
        yield error.finding(f"{error.where} has no field `{key}`.", did_you_mean(key, known), (*error.path, key))


def _lacking(error: _Error) -> Iterator[tuple[Path, Finding]]:
    """The library reports each missing field separately. Here every report names all of them, and equal reports are
    merged.
    """
    for key in [key for key in error.wanted if key not in error.value]:
        yield error.finding(f"{error.where} lacks `{key}`.", _described(error.holder, key))


def _dependent(error: _Error) -> Iterator[tuple[Path, Finding]]:
    for key, needed in error.wanted.items():
        for lacking in [name for name in needed if key in error.value and name not in error.value]:
            yield error.finding(f"{error.where} has `{key}` without `{lacking}`.", error.said, (*error.path, key))


def _type(error: _Error) -> Iterator[tuple[Path, Finding]]:
    types = [error.wanted] if isinstance(error.wanted, str) else error.wanted
    wanted = " or ".join(_TYPES[name] for name in types)
    yield error.finding(f"{error.where} is {_shown(error.value)}, but should be {wanted}.", _retyped(error, types))


def _choice(error: _Error) -> Iterator[tuple[Path, Finding]]:
    value, path = error.value, error.path
    known = error.wanted if error.rule == "enum" else [error.wanted]
    if len(path) > 1 and path[-2] == "scope" and str(value).lower().replace("-", "_") in ACROSS_CUSTOMERS:
        yield error.finding(f"The scope `{value}` {ACROSS_SENTENCE}", "Remove it from `scope`.")
    elif len(path) > 1 and path[-2] == "scope" and value == "customer":
        yield error.finding("`customer` is not a scope.", "Remove it. Every scope is already within one customer.")
    elif path[-1:] == ("kind",) and isinstance(value, str) and value in RULES_ALWAYS_THERE:
        rule_id = RULES_ALWAYS_THERE[value].rule_id
        fix = f"Remove the rule. `{rule_id}` is always there, as the first rule, and cannot be switched off."
        yield error.finding(f"A rule of kind {value} cannot be written in the file.", fix)
    elif isinstance(value, bool) and {"on", "off"} & set(known):
        yield error.finding(f"{error.where} is {_shown(value)}.", f"Did you mean {'on' if value else 'off'}?")
    else:
        words = [_shown(word).strip("`") for word in known]
        yield error.finding(
            f"{error.where} cannot be {_shown(value)}.", did_you_mean(_plain(value), words, error.expected)
        )


def _twice(error: _Error) -> Iterator[tuple[Path, Finding]]:
    index = next(index for index, entry in enumerate(error.value) if entry in error.value[:index])
    yield error.finding(f"{error.where} names {_shown(error.value[index])} twice.", "Keep one.", (*error.path, index))


def _empty(error: _Error) -> Iterator[tuple[Path, Finding]]:
    is_selector = bool(_SELECTORS & set(error.path))
    fix = "Leave the field out to mean any. An empty list matches nothing." if is_selector else error.expected
    yield error.finding(f"{error.where} is empty.", fix)


def _many(error: _Error) -> Iterator[tuple[Path, Finding]]:
    message = f"{error.where} has {len(error.value)} entries; at most {error.wanted} are allowed."
    yield error.finding(message, error.said)


def _one_of(error: _Error) -> Iterator[tuple[Path, Finding]]:
    names = [name for option in error.wanted for name in option["required"]]
    yield error.finding(f"{error.where} must have exactly one of {joined(names, 'and')}.", error.expected)


def _not_allowed(error: _Error) -> Iterator[tuple[Path, Finding]]:
    if error.is_key:
        message = f"{error.where} cannot contain the name `{error.value}`."
        yield error.finding(message, error.expected, (*error.path, error.value))
    else:
        yield error.finding(f"{error.where} is {_shown(error.value)}, which is not allowed.", error.expected)


_SAID: Final[Mapping[str, Callable[[_Error], Iterator[tuple[Path, Finding]]]]] = {
    "additionalProperties": _unknown,
    "required": _lacking,
    "dependentRequired": _dependent,
    "type": _type,
    "enum": _choice,
    "const": _choice,
    "uniqueItems": _twice,
    "minItems": _empty,
    "minProperties": _empty,
    "maxItems": _many,
    "maxProperties": _many,
    "oneOf": _one_of,
}


def _name(path: Path) -> str:
    """What people call the thing at a path."""
    if not path:
        return "The file"
    if len(path) == 2 and path[0] in {"rules", "obligations"}:
        return f"The {str(path[0])[:-1]}"
    names = [part for part in path if isinstance(part, str)]
    shown = names[1:] if path[0] in {"rules", "obligations"} and len(names) > 1 else names
    return f"{'An entry of ' if isinstance(path[-1], int) else ''}`{'.'.join(shown)}`"


def _plain(value: Plain) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: Plain) -> str:
    if value is None:
        return "empty"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, dict):
        return "a block of fields"
    text = _plain(value)
    return f"`{text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + '…'}`"


def _retyped(error: _Error, types: list[str]) -> str:
    value = error.value
    if "string" in types and isinstance(value, int):
        return f'Put it in quotes: "{_plain(value)}".'
    if "boolean" in types and str(value).lower() in {"yes", "on", "y"}:
        return "Did you mean true?"
    if "boolean" in types and str(value).lower() in {"no", "off", "n"}:
        return "Did you mean false?"
    if "array" in types and isinstance(value, str | int):
        return f"Write it as a list: [{_plain(value)}]."
    return error.expected


def _described(holder: dict[str, Any], key: str) -> str:
    entry = holder.get("properties", {}).get(key)
    while isinstance(entry, dict) and "description" not in entry and "$ref" in entry:
        entry = schema()["$defs"][entry["$ref"].rsplit("/", 1)[-1]]
    return f"Expected: {entry['description']}" if isinstance(entry, dict) and "description" in entry else "Add it."
