"""What `make generators` found is about the forms as they are, with the tools as they are pinned, and it can fail.

The verb itself needs some minutes and three languages; here is what costs nothing. What the generators rely on in the
forms is held by tests/contracts/test_schema_forms.py.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from typing import TYPE_CHECKING, Any, NotRequired, get_origin, get_type_hints

import pytest

from tests.contracts.form_documents import Example, of_readers
from tests.contracts.schema_files import raw_schema
from tests.generators.run import (
    EXAMPLES,
    PYTHON_OPTIONS,
    Verdict,
    crossed,
    digest_of_forms,
    examples,
    judged,
    type_name,
    version_of_python_generator,
)
from tests.generators.toolbox import HERE, ROOT, StepFailedError

if TYPE_CHECKING:
    from pathlib import Path

FOUND = json.loads((ROOT / "bench" / "results" / "generators.json").read_text())
MANIFEST = json.loads((HERE / "package.json").read_text())["dependencies"]
LOCK = json.loads((HERE / "package-lock.json").read_text())
PACKAGES = {"Modelina": "@asyncapi/modelina"}


def test_the_results_are_of_these_forms() -> None:
    assert FOUND["forms"] == digest_of_forms(), "the forms have changed since; run make generators"


def test_every_tool_made_types_that_hold() -> None:
    verdicts = [Verdict(**tool) for tool in FOUND["tools"]]
    assert {(verdict.tool, verdict.language.partition(",")[0]) for verdict in verdicts} == {
        ("json-schema-to-typescript", "TypeScript"),
        ("Modelina", "TypeScript"),
        ("Modelina", "Java"),
        ("quicktype", "TypeScript"),
        ("quicktype", "Java"),
        ("quicktype", "Go"),
        ("datamodel-code-generator", "Python"),
    }
    assert [verdict.tool for verdict in verdicts if not verdict.holds] == []
    assert {verdict.asked for verdict in verdicts} == {len(examples())}
    assert (FOUND["strict_mode"], FOUND["asyncapi_lacks"]) == ([], [])


def test_the_results_are_of_the_pinned_tools() -> None:
    for tool in FOUND["tools"]:
        pinned = MANIFEST.get(PACKAGES.get(tool["tool"], tool["tool"]), version_of_python_generator())
        assert tool["version"] == pinned, f"{tool['tool']} is pinned anew; run make generators"


def test_what_npm_installs_is_locked_by_its_hash_and_names_no_registry() -> None:
    assert LOCK["packages"][""]["dependencies"] == MANIFEST
    for name, package in LOCK["packages"].items():
        assert "resolved" not in package, name
        assert not name or package.get("inBundle") or package["integrity"].startswith("sha512-"), name


def _answered(document: dict[str, Any] | None, kind: str = "Approval") -> str:
    answer = {"error": "refused"} if document is None else {"kind": kind, "text": json.dumps(document)}
    return json.dumps(answer) + "\n"


def _judged(example: Example, answer: str) -> Verdict:
    return judged(Verdict("tool", "1", "language", ""), [example], lambda: answer)


APPROVAL = next(example for example in of_readers() if example.form == "readers/approval")


def test_a_document_that_comes_back_as_it_went_holds() -> None:
    verdict = _judged(APPROVAL, _answered(APPROVAL.document))
    assert verdict.holds
    assert verdict.keeps_the_unknown


@pytest.mark.parametrize(
    "change",
    [
        {"decided_at": None},
        {"decided_at": APPROVAL.document["decided_at"] & 0x7FFFFFFF},
        {"remaining": {}},
        {"attributes": {"step": True}},
        {"explanation": {**APPROVAL.document["explanation"], "rules": [[0, 0]]}},
    ],
    ids=str,
)
def test_a_lost_or_changed_value_is_noticed(change: dict[str, Any]) -> None:
    verdict = _judged(APPROVAL, _answered({**APPROVAL.document, **change}))
    assert not verdict.holds
    assert (verdict.read, verdict.asked, len(verdict.wrong)) == (0, 1, 1)


def test_what_the_gate_does_not_read_is_noticed() -> None:
    """A type that writes a field of its own beside the right ones loses nothing, and its events are dead letters."""
    event = next(example for example in examples() if example.name == "preference-event.consent")
    assert _judged(event, _answered(event.document)).holds
    verdict = _judged(event, _answered({**event.document, "additionalProperties": {}}))
    assert not verdict.holds
    assert "unknown_field" in verdict.wrong[0]


def test_refusals_and_what_does_not_compile_are_noticed() -> None:
    def broken() -> str:
        raise StepFailedError("it does not compile")

    assert not _judged(APPROVAL, _answered(None)).holds
    verdict = judged(Verdict("tool", "1", "language", ""), [APPROVAL], broken)
    assert (verdict.holds, verdict.compiles, verdict.wrong) == (False, False, ["it does not compile"])


def test_one_event_taken_for_the_other_is_noticed() -> None:
    either = APPROVAL._replace(form="readers/approved")
    assert _judged(either, _answered(APPROVAL.document)).holds
    assert not _judged(either, _answered(APPROVAL.document, "Withdrawal")).holds
    other = next(example for example in crossed() if example.form == "readers/withdrawal")
    assert _judged(other, _answered(None)).refuses_the_other
    assert not _judged(other, _answered(other.document)).refuses_the_other


def test_unknown_fields_that_are_lost_are_said_and_allowed() -> None:
    later = next(example for example in examples() if example.form == "readers/approval" and "later" in example.name)
    known = {name: later.document[name] for name in raw_schema(later.form)["properties"] if name in later.document}
    verdict = _judged(later, _answered(known))
    assert verdict.holds
    assert not verdict.keeps_the_unknown


def test_the_documentation_calls_the_tools_as_they_are_called_here() -> None:
    text = re.sub(r"\s+", " ", (ROOT / "docs" / "contracts.md").read_text())
    assert " ".join(PYTHON_OPTIONS) in text
    calls = (HERE / "run.py").read_text()
    for word in ("--src-lang", "--lang", "--package"):
        assert word in text
        assert f'"{word}"' in calls
    options = (HERE / "modelina.mjs").read_text()
    for word in ("rawPropertyNames: true", 'modelType: "interface"', 'mapType: "record"', "JAVA_JACKSON_PRESET"):
        assert word in text
        assert word in options


@pytest.mark.parametrize("file", sorted((EXAMPLES / "python" / "events").glob("*.py")), ids=lambda file: file.stem)
def test_the_types_of_the_example_are_those_of_the_forms(file: Path) -> None:
    """Field by field; that they are what the generator makes is asked by the verb."""
    forms = {
        "approved": ("readers/approval", "readers/withdrawal"),
        "outcome": ("writers/outcome",),
        "intent": ("writers/intent",),
    }[file.stem]
    specification = spec_from_file_location(f"example_{file.stem}", file)
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    for form in forms:
        hints = get_type_hints(getattr(module, type_name(form)), include_extras=True)
        required = {name for name, hint in hints.items() if get_origin(hint) is not NotRequired}
        assert hints.keys() == raw_schema(form)["properties"].keys()
        assert required == {*raw_schema(form)["required"]}
