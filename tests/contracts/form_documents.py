"""Documents as reader and writer forms have them: every example, and each output as a later revision may write it."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from jsonschema import Draft7Validator

from streams.contracts.schema_forms import READERS, WRITERS
from tests.contracts.schema_files import examples, independent_moment_ms, raw_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

Node = dict[str, Any]

TIMES: Final = frozenset({"created_at", "expires_at", "effective_at", "until", "occurred_at"})
NEW_WORD: Final = "a-word-of-a-later-revision"


class Example(NamedTuple):
    """A published example, by the form that describes it."""

    form: str
    name: str
    document: Node


def of_readers() -> Iterator[Example]:
    """Every example of an output; those of `approved-send` under the form of their own event."""
    for name in READERS:
        for path in examples(name):
            event = path.name.split(".")[1] if name == "approved" else name
            yield Example(f"readers/{event}", path.stem, json.loads(path.read_text()))


def of_writers() -> Iterator[Example]:
    """Every example of an input in the spelling of its form, those in envelopes without their envelope."""
    for name in WRITERS:
        for path in examples(name):
            yield Example(f"writers/{name}", path.stem, plainly(json.loads(path.read_text())))
    for path in examples("cloudevents"):
        name = next(name for name in WRITERS if path.name.split(".")[1].startswith(name))
        envelope = json.loads(path.read_text())
        data = envelope["data"] if "data" in envelope else json.loads(base64.b64decode(envelope["data_base64"]))
        yield Example(f"writers/{name}", path.stem, plainly(data))


def plainly(document: Node) -> Node:
    """The same event in the spelling of the writer form: times as epoch milliseconds, what is null left out."""
    return {
        field: independent_moment_ms(value) if field in TIMES and isinstance(value, str) else value
        for field, value in document.items()
        if value is not None
    }


def later(example: Example) -> Example:
    """The example as a later revision may write it."""
    return Example(example.form, f"{example.name}, later", additive(example.document, raw_schema(example.form)))


def additive(document: Any, form: Node) -> Any:  # noqa: ANN401 - any part of a document
    """Another field in every object, longer arrays, unknown words."""
    if "oneOf" in form:
        form = next(event for event in form["oneOf"] if Draft7Validator(event).is_valid(document))
    if "properties" in form:
        known = {name: additive(value, form["properties"].get(name, {})) for name, value in document.items()}
        return {**known, NEW_WORD: {"deeper": [1, None]}}
    if "Known: " in form.get("description", ""):
        return NEW_WORD
    if isinstance(document, list) and "items" in form:
        entries = [additive(value, form["items"]) for value in document]
        return entries if "items" in form["items"] else [*entries, *entries]
    return document


def meaning(document: Any, form: Node) -> Any:  # noqa: ANN401 - any part of a document
    """What the form says of a document: fields it does not name, and null for what is absent, are left out."""
    if isinstance(document, dict) and "properties" in form:
        return {
            name: meaning(document[name], content)
            for name, content in form["properties"].items()
            if document.get(name) is not None
        }
    if isinstance(document, list) and "items" in form:
        return [meaning(value, form["items"]) for value in document]
    return document
