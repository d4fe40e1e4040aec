"""Every numbered clause of docs/semantics.md is shown by a test, and every number that somebody cites exists."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from streams.decision.answer import NEXT_ELIGIBLE_HORIZON_MS, VALIDITY_MIN_MS
from streams.decision.ledger import preferences
from streams.oracle import model
from tests.golden.cases import cases
from tests.property.clauses import CLAUSES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
TABLE = tomllib.loads((Path(__file__).parent / "clauses.toml").read_text(encoding="utf-8"))
# A clause is a paragraph that begins with its number in bold, or a row of a table that begins with its number.
NUMBER = re.compile(r"^(?:\*\*(\d+\.\d+)\*\* |\| (\d+\.\d+) \| )", re.MULTILINE)
# Sections are 0 to 8, so that `47 CFR 64.1200` cites nothing.
IN_THE_PAGE = re.compile(r"(?<![\d.])[0-8]\.\d+\b")
ELSEWHERE = re.compile(r"docs/semantics\.md, (\d+(?:\.\d+)?(?:(?:, | and | to )\d+(?:\.\d+)?)*)")
SOURCES = ("streams", "tests", "docs", "bench")
PROPERTY = "property "


def clauses() -> list[str]:
    """The numbers of the page, in its order."""
    return [paragraph or row for paragraph, row in NUMBER.findall(PAGE)]


def sections() -> list[str]:
    return re.findall(r"^## (\d+)\. ", PAGE, re.MULTILINE)


@cache
def names_of_tests(path: str) -> frozenset[str]:
    """The tests of a file, as pytest names them."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    for each in tree.body:
        if isinstance(each, ast.ClassDef):
            found |= {f"{each.name}::{node.name}" for node in each.body if isinstance(node, ast.FunctionDef)}
    return frozenset(name for name in found if name.rpartition("::")[2].startswith("test_"))


def exists(citation: str) -> bool:
    """Whether there is a golden case, a clause of the properties or a test of this name."""
    if citation.startswith(PROPERTY):
        return citation.removeprefix(PROPERTY) in CLAUSES
    path, _, test = citation.partition("::")
    if test:
        return (ROOT / path).is_file() and test in names_of_tests(path)
    return citation in {case.name for case in cases()}


def cited() -> Iterator[tuple[str, str]]:
    """Every number that the page itself and other files cite, with where."""
    for number in IN_THE_PAGE.findall(re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)):
        yield "docs/semantics.md", number
    for source in SOURCES:
        for path in sorted((ROOT / source).rglob("*")):
            if path.suffix in {".py", ".md", ".yaml", ".yml"}:
                for numbers in ELSEWHERE.findall(path.read_text(encoding="utf-8")):
                    for number in re.findall(r"\d+(?:\.\d+)?", numbers):
                        yield str(path.relative_to(ROOT)), number


def test_sections_and_clauses_are_numbered_without_a_gap() -> None:
    assert sections() == [str(number) for number in range(9)]
    wanted = [
        f"{section}.{number}"
        for section in sections()
        for number in range(1, 1 + sum(clause.startswith(f"{section}.") for clause in clauses()))
    ]
    assert clauses() == wanted
    assert len(wanted) > 150


def test_every_paragraph_of_a_section_is_a_clause() -> None:
    """Or introduces a table, or says where a definition is."""
    body = re.sub(r"```.*?```", "", PAGE[PAGE.index("\n## 0.") :], flags=re.DOTALL)
    unnumbered = [
        paragraph
        for paragraph in re.split(r"\n\n+", body.strip())
        if not paragraph.startswith(("#", "|")) and not NUMBER.match(paragraph)
    ]
    assert unnumbered == [
        "Section 4 defines **window**, and section 5 defines **cap** and **gap**.",
        "With N = `limit` and the *latest* times of the counted contacts:",
    ]


def test_every_clause_is_shown_by_something_that_exists() -> None:
    assert list(TABLE) == clauses()
    missing = {clause: [each for each in shown if not exists(each)] for clause, shown in TABLE.items()}
    assert not {clause: names for clause, names in missing.items() if names}
    assert all(TABLE.values())


def test_what_does_not_exist_is_noticed() -> None:
    shown = TABLE["1.33"]
    assert all(exists(each) for each in shown)
    assert not any(exists(each + "x") for each in shown)
    assert not exists("tests/decision/test_nothing.py::test_nothing")


def test_every_number_that_is_cited_exists() -> None:
    known = {*clauses(), *sections()}
    found = list(cited())
    assert not [(where, number) for where, number in found if number not in known]
    assert {where for where, _ in found} > {"docs/semantics.md"}


def test_the_constants_of_the_page_are_those_of_both_implementations() -> None:
    said = dict(re.findall(r"^\| `(\w+_MS)` \| ([^|]+) \|", PAGE, re.MULTILINE))
    values = {
        name: int(re.match(r"[\d ]+", text)[0].replace(" ", "")) * (86_400_000 if "days" in text else 1)  # type: ignore[index]
        for name, text in said.items()
    }
    assert values == {
        "VALIDITY_MIN_MS": VALIDITY_MIN_MS,
        "FUTURE_TOLERANCE_MS": preferences.FUTURE_TOLERANCE_MS,
        "BELIEVED_FROM_MS": preferences.BELIEVED_FROM_MS,
        "NEXT_ELIGIBLE_HORIZON_MS": NEXT_ELIGIBLE_HORIZON_MS,
    }
    assert values == {name: getattr(model, name) for name in values}
