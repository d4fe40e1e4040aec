"""Reads {"form": …, "text": …} a line, reads the text into the form's type, and writes it again.

Runs in the generators' own environment: `python_round_trip.py KIND FOLDER`, FOLDER where the generated modules are.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from types import ModuleType

import msgspec
from pydantic import TypeAdapter, ValidationError

KIND, FOLDER = sys.argv[1:]


def through_pydantic(module: ModuleType, name: str, text: str) -> tuple[str, str]:
    """Models of Pydantic; a union is one too, with the event in it."""
    adapter = TypeAdapter(getattr(module, name))
    event = adapter.validate_json(text)
    return type(getattr(event, "root", event)).__name__, adapter.dump_json(
        event, exclude_unset=True, by_alias=True
    ).decode()


def through_msgspec(module: ModuleType, name: str, text: str) -> tuple[str, str]:
    """Structures of msgspec."""
    event = msgspec.json.decode(text, type=getattr(module, name))
    return type(event).__name__, msgspec.json.encode(event).decode()


def through_dictionaries(module: ModuleType, name: str, text: str) -> tuple[str, str]:
    """A typed dictionary is what was read; msgspec says whether it is of its type, one event at a time."""
    document = json.loads(text)
    if name == "ApprovalOrWithdrawal":
        name = {"approved": "Approval", "withdrawn": "Withdrawal"}[document["type"]]
    msgspec.convert(document, type=getattr(module, name))
    return name, json.dumps(document)


THROUGH = {
    "pydantic_v2.BaseModel": through_pydantic,
    "msgspec.Struct": through_msgspec,
    "typing.TypedDict": through_dictionaries,
}


def main() -> None:
    """One line out for each line in."""
    sys.path.insert(0, FOLDER)
    for line in sys.stdin:
        asked = json.loads(line)
        module = import_module(asked["module"])
        try:
            kind, text = THROUGH[KIND](module, asked["name"], asked["text"])
        except (ValidationError, msgspec.ValidationError) as error:
            print(json.dumps({"error": str(error)}))
        else:
            print(json.dumps({"kind": kind, "text": text}))


if __name__ == "__main__":
    main()
