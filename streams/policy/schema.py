"""The JSON Schema of the policy file, put together from its parts and from the kinds of rule.

    python -m streams.policy.schema          write it to schemas/policy.schema.json

Rules of this module
1. What is written here and in the kinds is the only description of the file's shape. `schemas/policy.schema.json` is
   the same for editors, and a test compares the two.
2. The schema knows no kind by name.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Final

from streams.policy.kinds.registry import FILE_KINDS
from streams.policy.phrases import joined
from streams.policy.schema_head import CALENDAR, HEAD, OBLIGATION, OTHER_NAMES
from streams.policy.schema_parts import DEFINITIONS, Schema, definition

SCHEMA_NAME: Final = "policy.schema.json"


@cache
def schema() -> Schema:
    """The schema of policy files."""
    definitions = dict(DEFINITIONS)
    for kind in FILE_KINDS:
        definitions |= kind.definitions()
    definitions |= {"calendar": CALENDAR, "obligation": OBLIGATION, "rule": _rule([kind.name for kind in FILE_KINDS])}
    definitions |= {f"rule_{kind.name}": kind.schema() for kind in FILE_KINDS}
    return {**HEAD, "$defs": {**definitions, "names": OTHER_NAMES}}


def text_of(whole: Schema) -> str:
    """The schema as it is published."""
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _rule(names: list[str]) -> Schema:
    return {
        "type": "object",
        "required": ["id", "kind"],
        "properties": {"id": True, "kind": {"enum": names, "description": f"{joined(names, 'or')}."}},
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": name}}, "required": ["kind"]},
                "then": definition(f"rule_{name}"),
            }
            for name in names
        ],
    }


if __name__ == "__main__":
    path = Path(__file__).parents[2] / "schemas" / SCHEMA_NAME
    path.write_text(text_of(schema()), encoding="utf-8")
