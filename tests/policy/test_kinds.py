"""Every kind of rule is whole: decided, written in files, described, documented, and tested in every way.

A kind that lacks a part here would be decided without words, published without a schema, or never fuzzed, and no other
test would fail.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from streams.decision.policy import BUILT_IN, compile_policy
from streams.decision.rules import registry as decided
from streams.decision.rules.kind import Kind
from streams.decision.specification import RuleSpecification
from streams.oracle import policy as oracle
from streams.oracle.model import Model
from streams.policy.describe import describe_rule
from streams.policy.kinds import registry as worded
from streams.policy.kinds.checks import CHECKS
from streams.policy.kinds.kind import ExplanationWords
from streams.policy.loader import load_policy
from streams.policy.schema_parts import DEFINITIONS
from tests.fuzz import policies as fuzzed
from tests.property import strategies as drawn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
PUBLISHED: dict[str, Any] = json.loads((ROOT / "schemas" / "policy.schema.json").read_text(encoding="utf-8"))["$defs"]
HEAD = re.findall(r"^```yaml\n(.*?)^rules:\n", PAGE, re.MULTILINE | re.DOTALL)[0]


def example(kind: str) -> str:
    """The rules in the section of docs/policy.md about the kind; empty if there are none."""
    section = re.search(rf"^### {kind}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    found = section and re.search(r"^```yaml\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def missing_parts() -> list[str]:
    """What is missing of each kind that the decision registry lists, as `kind: part`."""
    return [f"{kind.name}: {part}" for kind in decided.KINDS for part in _missing(kind)]


def _missing(kind: Kind) -> Iterator[str]:
    name = kind.name
    words = {each.name: each for each in (*worded.FILE_KINDS, *worded.KINDS_ALWAYS_THERE)}.get(name)
    modules = (f"streams/decision/rules/{name}.py", f"streams/policy/kinds/{name}.py")
    yield from (module for module in modules if not (ROOT / module).is_file())
    if words is None or words.kind is not kind:
        yield "words in the policy registry"
    elif kind.compile is not None and words.passed_sentence == ExplanationWords.passed_sentence:
        yield "what an explanation says if it passed"
    if kind.may_be_exempted:
        if not (words and words.exempted_as):
            yield "what an exemption calls it"
        if name not in PUBLISHED["rule_exempt"]["properties"]["from"]["items"]["enum"]:
            yield "its name in the schema of exemptions"
    if not list((ROOT / "tests" / "cases" / name).glob("*.yaml")):
        yield f"tests/cases/{name}"
    if name not in {rule["kind"] for rule in fuzzed.RULES}:
        yield "tests/fuzz/policies.py"
    if kind.always is None:
        yield from _missing_of_files(name)


def _missing_of_files(name: str) -> Iterator[str]:
    """What is missing of a kind that policy files may contain."""
    if f"rule_{name}" not in PUBLISHED or name not in PUBLISHED["rule"]["properties"]["kind"]["enum"]:
        yield "schemas/policy.schema.json"
    if not re.search(rf"^\| `{name}` \|", PAGE, re.MULTILINE):
        yield "a row in docs/policy.md, Kinds of rule"
    if name not in {rule["kind"] for rule in yaml.safe_load(example(name)) or ()}:
        yield "a section with an example in docs/policy.md"
    if name not in drawn.KINDS or name not in drawn.KIND_WEIGHTS:
        yield "tests/property/strategies.py"
    text = f"{HEAD}rules:\n- {{id: it, kind: {name}}}\n"
    rules, exemptions = oracle.read_rules(yaml.safe_load(text)["rules"])
    asked = {rule.kind for rule in rules}
    if name not in {*asked, *(rule.kind for rule in exemptions)} or not asked <= set(Model(HEAD + "rules: []").makers):
        yield "streams/oracle"


def test_every_kind_has_all_its_parts() -> None:
    assert missing_parts() == []


def test_every_part_belongs_to_a_kind() -> None:
    names = {kind.name for kind in decided.KINDS}
    in_files = {kind.name for kind in decided.KINDS if kind.always is None}
    assert len(names) == len(decided.KINDS)
    assert [kind.name for kind in worded.FILE_KINDS] == PUBLISHED["rule"]["properties"]["kind"]["enum"]
    assert {kind.name for kind in worded.FILE_KINDS} == in_files
    assert {kind.name for kind in worded.KINDS_ALWAYS_THERE} == names - in_files
    assert {name.removeprefix("rule_") for name in PUBLISHED if name.startswith("rule_")} - {"id"} == in_files
    assert set(drawn.KINDS) == in_files
    for folder in ("streams/decision/rules", "streams/policy/kinds"):
        assert {path.stem for path in (ROOT / folder).glob("*.py")} >= names


def test_kinds_that_share_the_name_of_a_definition_share_the_definition() -> None:
    defined: dict[str, Any] = dict(DEFINITIONS)
    for kind in worded.FILE_KINDS:
        for name, definition in kind.definitions().items():
            assert defined.setdefault(name, definition) == definition, f"{kind.name}: {name}"


def test_every_built_in_check_has_words() -> None:
    assert tuple(CHECKS) == BUILT_IN


class InventedSpecification(RuleSpecification):
    """A kind that somebody has added to the decision registry and to nothing else."""


def test_a_kind_that_is_only_decided_lacks_everything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    invented = Kind("invented", InventedSpecification, lambda number, rule, compilation: None)  # type: ignore[arg-type,return-value]
    monkeypatch.setattr(decided, "KINDS", (*decided.KINDS, invented))
    assert missing_parts() == [
        "invented: streams/decision/rules/invented.py",
        "invented: streams/policy/kinds/invented.py",
        "invented: words in the policy registry",
        "invented: what an exemption calls it",
        "invented: its name in the schema of exemptions",
        "invented: tests/cases/invented",
        "invented: tests/fuzz/policies.py",
        "invented: schemas/policy.schema.json",
        "invented: a row in docs/policy.md, Kinds of rule",
        "invented: a section with an example in docs/policy.md",
        "invented: tests/property/strategies.py",
        "invented: streams/oracle",
    ]


# The registers of kinds, and what is said to be missing of a kind that is taken out of one. Exemptions are asked in no
# order, so the oracle's order does not contain them.
REGISTERS = (
    (worded, "FILE_KINDS", "words in the policy registry", ()),
    (fuzzed, "RULES", "tests/fuzz/policies.py", ()),
    (drawn, "KIND_WEIGHTS", "tests/property/strategies.py", ()),
    (oracle, "KIND_ORDER", "streams/oracle", ("exempt",)),
)


@pytest.mark.parametrize(
    ("module", "name", "part", "kind"),
    [
        pytest.param(module, name, part, kind.name, id=f"{kind.name} in {name}")
        for module, name, part, without in REGISTERS
        for kind in worded.FILE_KINDS
        if kind.name not in without
    ],
)
def test_a_part_that_is_taken_away_is_missed(
    module: ModuleType, name: str, part: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tuple(each for each in getattr(module, name) if _name(each) != kind)
    assert len(kept) < len(getattr(module, name))
    monkeypatch.setattr(module, name, kept)
    assert f"{kind}: {part}" in missing_parts()


def _name(entry: Any) -> str:  # noqa: ANN401 - a kind, a rule or a name
    return str(entry["kind"] if isinstance(entry, dict) else getattr(entry, "name", entry))


@pytest.mark.parametrize("kind", [kind.name for kind in worded.FILE_KINDS])
def test_the_example_of_a_kind_is_loaded_described_and_compiled(kind: str) -> None:
    loaded = load_policy(f"{HEAD}rules:\n{example(kind)}")
    for rule in loaded.specification.rules:
        assert worded.kind_of(rule).name == kind
        assert describe_rule(rule).endswith(".")
    compile_policy(loaded.specification)
