"""The published schemas, loaded as a validator reads them, patterns as in ECMA-262."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias, cast

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parents[2] / "schemas"
INPUTS = ("intent", "preference-event", "outcome")
OUTPUTS = ("approved", "suppressed")

Json: TypeAlias = dict[str, Any] | list[Any] | str | int | float | bool | None

_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PARTS = re.compile(
    r"(\d+)-(\d+)-(\d+)[tT ](\d+):(\d+)(?::(\d+)(?:[.,](\d+))?)?(?:z|Z| UTC| ?([+-])(\d\d)(?::?(\d\d))?)((?:\[.*\])?)",
    re.ASCII,
)
_SUFFIX = re.compile(r"[A-Za-z_.+-][A-Za-z0-9_.+:/=-]*", re.ASCII)


def independent_moment_ms(text: str) -> int | None:
    """A time to epoch milliseconds by counting days, or None if it is no such time. Nothing of the gate's is used."""
    parts = _PARTS.fullmatch(text) if text.isascii() else None
    if parts is None or [len(part) for part in parts.groups()[:6] if part is not None] not in (
        [4, *[2] * 5],
        [4, *[2] * 4],
    ):
        return None
    if parts[11] and not all(map(_SUFFIX.fullmatch, parts[11][1:-1].split("]["))):
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in parts.groups()[:6])
    sign, offset_hour, offset_minute = parts[8], parts[9] or "00", parts[10] or "00"
    if int(offset_hour) > 23 or int(offset_minute) > 59:
        return None
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or hour > 23 or minute > 59 or second > 59:
        return None
    if not 1 <= day <= _MONTH_DAYS[month - 1] + (leap and month == 2):
        return None
    before = year - 1
    days = 365 * before + before // 4 - before // 100 + before // 400 - 719_162
    days += sum(_MONTH_DAYS[: month - 1]) + (leap and month > 2) + day - 1
    offset = (int(offset_hour) * 60 + int(offset_minute)) * (-1 if sign == "-" else 1)
    minutes = days * 1440 + hour * 60 + minute - offset
    return (minutes * 60 + second) * 1000 + int((parts[7] or "0")[:3].ljust(3, "0"))


def raw_schema(name: str) -> dict[str, Any]:
    """The file as it is."""
    loaded: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    return loaded


@cache
def schema(name: str) -> dict[str, Any]:
    """The schema with local references replaced, and `$` at a pattern's end meaning the end, as in ECMA-262.

    (In Python `$` also matches before a last line feed.)
    """
    loaded = raw_schema(name)
    definitions = loaded.pop("$defs", {})
    inlined = cast("dict[str, Any]", _inlined(loaded, definitions))
    del inlined["$id"]
    return inlined


def _inlined(node: Json, definitions: dict[str, Any]) -> Json:
    if isinstance(node, list):
        return [_inlined(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    return {
        name: re.sub(r"\$$", r"\\Z", content)
        if name == "pattern" and isinstance(content, str)
        else _inlined(content, definitions)
        for name, content in node.items()
    }


@cache
def validator(name: str) -> Draft202012Validator:
    """A validator."""
    return Draft202012Validator(schema(name))


def examples(name: str) -> list[Path]:
    """The examples of one schema; `cloudevents` for those in an envelope."""
    return sorted((SCHEMAS / "examples").glob(f"{name}.*.json"))
