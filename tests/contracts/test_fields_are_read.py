"""No field of an event is accepted and does nothing, unless its schema says so in so many words."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

import streams
from streams.decision.intent import Intent
from streams.decision.outcome_event import Outcome
from streams.decision.preference_event import PreferenceEvent
from tests.contracts.schema_files import raw_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msgspec import Struct

SOURCE = Path(streams.__file__).parent
# Where an event makes a difference. Contracts only carry it there, tests and commands only show it.
DECIDING = (*sorted((SOURCE / "decision").rglob("*.py")), SOURCE / "gate.py")
# An event by the name it has there.
EVENTS: dict[str, tuple[str, type[Struct]]] = {
    "intent": ("intent", Intent),
    "preference-event": ("event", PreferenceEvent),
    "outcome": ("outcome", Outcome),
}
NOT_READ = "Not read by this version: "
# Kept in the ledger and asked for by no rule, as its schema says.
ONLY_KEPT = frozenset({("preference-event", "minor")})

FIELDS = [(kind, field.encode_name) for kind, (_, event) in EVENTS.items() for field in structs.fields(event)]


@cache
def attributes_read() -> frozenset[tuple[str, str]]:
    """(name of a variable or attribute, attribute of it) wherever code that decides reads one."""
    return frozenset(found for path in DECIDING for found in _read(ast.parse(path.read_text(encoding="utf-8"))))


def _read(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            if isinstance(node.value, ast.Name):
                yield node.value.id, node.attr
            elif isinstance(node.value, ast.Attribute):
                yield node.value.attr, node.attr  # `context.intent.created_at`


def description(kind: str, field: str) -> str:
    """What the published schema says of the field, its sentences in one line."""
    said: str = raw_schema(kind)["properties"][field].get("description", "")
    return said


@pytest.mark.parametrize(("kind", "field"), FIELDS, ids=[f"{kind}-{field}" for kind, field in FIELDS])
def test_a_field_is_read_or_its_schema_says_that_it_is_not(kind: str, field: str) -> None:
    is_read = (EVENTS[kind][0], field) in attributes_read()
    says_it_is_not = NOT_READ in description(kind, field)
    if (kind, field) in ONLY_KEPT:
        assert is_read
        assert says_it_is_not
    else:
        assert is_read != says_it_is_not, (
            f"say in the schema `{NOT_READ}…` and what it is for, or remove the field"
            if not is_read
            else "it is read: the schema is wrong"
        )


def test_what_is_not_read_says_what_it_is_for() -> None:
    for kind, field in FIELDS:
        before, said, purpose = description(kind, field).partition(NOT_READ)
        if said:
            assert len(purpose.split()) >= 4, f"{field} of {kind}"
            assert purpose.endswith("."), f"{field} of {kind}"
            assert before == "" or before.endswith((". ", "; "))


def test_a_field_that_only_exists_would_be_found() -> None:
    assert ("intent", "purpose") in attributes_read()
    assert ("intent", "template_id") not in attributes_read()
    assert ("intent", "nobody_reads_this") not in attributes_read()
    assert set(_read(ast.parse("intent.one = event.two(outcome.three, checked.intent.four)"))) == {
        ("event", "two"),
        ("outcome", "three"),
        ("checked", "intent"),
        ("intent", "four"),
    }
