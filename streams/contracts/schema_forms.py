"""The reader and writer forms of the schemas: the same events, said so plainly that every generator makes good types.

    python -m streams.contracts.schema_forms schemas

Rules of this module
1. The strict schemas are the only source. The files in `schemas/readers` and `schemas/writers` are written from here,
   never by hand; a test compares the two.
2. A form is one tree of JSON Schema draft-07, the newest that every generator reads: no reference, no condition, no
   positional array, and no field of two types. Null may stand only where a field may be left out as well.
3. A reader form refuses nothing that a compatible revision may bring: unknown fields, unknown words, wider limits.
   Only `type` is fixed, because it tells events apart.
4. A writer form describes what the gate reads, in one spelling: times as epoch milliseconds, no null for the absent.
   That some events need more fields than the required ones stands in the strict schema alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

Schema: TypeAlias = dict[str, Any]

DIALECT: Final = "http://json-schema.org/draft-07/schema#"
READERS: Final = ("approved", "suppressed", "dead-letter.headers", "decision.headers", "policy-record")
WRITERS: Final = ("intent", "preference-event", "outcome")

_KEPT_BY_WRITERS: Final = ("minLength", "maxLength", "pattern", "minimum", "maximum", "maxProperties", "propertyNames")
_OF_NULL: Final = "; null says the same as absent"
# Without it generators for Java and C# take 32 bits, and epoch milliseconds have 41.
_WHOLE: Final[Schema] = {"type": "integer", "format": "int64"}
_INT32_MAX: Final = 2**31 - 1


class FormUnknownError(ValueError):
    """A strict schema says something for which there is no plain form yet. The message says where."""


def forms(strict: Mapping[str, Schema]) -> dict[str, Schema]:
    """Every form by its path below `schemas`, without `.schema.json`.

    Raises:
        FormUnknownError: something has no plain form.
    """
    return {f"readers/{name}": form for name in READERS for name, form in _readers(name, strict[name])} | {
        f"writers/{name}": _document("writers", name, strict[name], _written(_whole(strict[name]))) for name in WRITERS
    }


def _readers(name: str, strict: Schema) -> Iterator[tuple[str, Schema]]:
    """The form under its own name, and of what is one of several events, each by itself."""
    whole = _whole(strict)
    if "oneOf" not in whole:
        yield name, _document("readers", name, strict, _read(whole))
        return
    events = {event["$ref"].rpartition("/")[2]: _read(_whole(strict, event)) for event in strict["oneOf"]}
    about = {"title": strict["title"], "description": strict["description"]}
    yield name, _document("readers", name, strict, {**about, "oneOf": list(events.values())})
    for event, form in events.items():
        yield event, _document("readers", event, strict, form)


def _document(folder: str, name: str, strict: Schema, body: Schema) -> Schema:
    version = strict["$id"].rpartition(":")[2]
    return {"$schema": DIALECT, "$id": f"urn:mesura:schema:{folder}:{name}:{version}", **body}


def _whole(strict: Schema, node: Schema | None = None) -> Schema:
    """The schema, or a part of it, with every reference replaced by what it names."""
    resolved: Schema = _resolved(strict if node is None else node, strict.get("$defs", {}))
    return resolved


def _resolved(node: Any, definitions: Schema) -> Any:  # noqa: ANN401 - any part of a JSON document
    if isinstance(node, list):
        return [_resolved(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    found = {key: _resolved(value, definitions) for key, value in node.items() if key not in ("$defs", "$ref")}
    if "$ref" not in node:
        return found
    named = _resolved(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    return {**named, **found, **_described(found.get("description"), named.get("description"))}


def _read(node: Schema) -> Schema:
    """What a reader may rely on."""
    about = _about(node)
    if "anyOf" in node:
        return {**about, "type": "array", "items": _read(_one_for_all(node["anyOf"]))}
    if "enum" in node:
        known = ", ".join(f"`{word}`" for word in node["enum"])
        return {**about, **_described(node.get("description"), f"Known: {known}; more may come."), "type": "string"}
    if "const" in node:
        return {**about, "type": "string", "const": node["const"]}
    match node.get("type"):
        case "object":
            return {**about, **_object(node, _read)}
        case "array":
            return {**about, "type": "array", "items": _read(node["items"])}
        case "string" | "integer" | "boolean" as kind:
            return {**about, **(_WHOLE if kind == "integer" else {"type": kind})}
        case ["string" | "integer" as kind, "null"]:
            return {**about, **(_WHOLE if kind == "integer" else {}), "type": [kind, "null"]}
    raise FormUnknownError(f"there is no reader form of a field with {', '.join(node)}; write one in _read")


def _one_for_all(arrays: list[Schema]) -> Schema:
    """What every entry of these positional arrays is."""
    kinds = {entry.get("type") for array in arrays for entry in array.get("prefixItems", [{}])}
    if len(kinds) != 1 or kinds == {None}:
        raise FormUnknownError("a field may be one of several things that have no type in common; write a form for it")
    return {"type": kinds.pop()}


def _written(node: Schema) -> Schema:
    """One spelling of what the gate reads, and the limits of it."""
    if "anyOf" in node and "type" not in node:
        first = _written(node["anyOf"][0])
        return {**first, **_described(node.get("description"), first.get("description"))}
    limits: Schema = {key: node[key] for key in _KEPT_BY_WRITERS if key in node}
    kind = next(kind for kind in _kinds(node) if kind != "null")
    default = f"Default: {node['default']}." if "default" in node else None
    about = {**_about(node), **_described(node.get("description", "").replace(_OF_NULL, ""), default)}
    if kind == "object":
        return {**about, **_object(node, _written), **limits}
    if kind == "integer" and limits.get("maximum", _INT32_MAX + 1) > _INT32_MAX:
        return {**about, **_WHOLE, **limits}
    words = [word for word in node.get("enum", ()) if word is not None]
    return {**about, "type": kind, **({"enum": words} if words else {}), **limits}


def _object(node: Schema, form: Callable[[Schema], Schema]) -> Schema:
    """Named fields, or a map. Null stands only where a field may be left out as well, so it is not required."""
    found: Schema = {"type": "object"}
    if "properties" in node:
        found["properties"] = {field: form(content) for field, content in node["properties"].items()}
        found["required"] = [field for field in node["required"] if "null" not in _kinds(node["properties"][field])]
    values = node.get("additionalProperties")
    if values:
        # Values of several types are values of any type: no generator but TypeScript's has a good type for them.
        found["additionalProperties"] = True if "anyOf" in values else form(values)
    return found


def _about(node: Schema) -> Schema:
    return {key: node[key] for key in ("title", "description") if key in node}


def _described(*sentences: str | None) -> Schema:
    said = " ".join(sentence for sentence in sentences if sentence)
    return {"description": said} if said else {}


def _kinds(node: Schema) -> list[str]:
    kinds = node.get("type", [])
    return kinds if isinstance(kinds, list) else [kinds]


def main() -> None:
    """Write every form below the folder that holds the strict schemas."""
    folder = Path(sys.argv[1])
    strict = {name: json.loads((folder / f"{name}.schema.json").read_text()) for name in (*READERS, *WRITERS)}
    for path, form in forms(strict).items():
        file = folder / f"{path}.schema.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(form, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
