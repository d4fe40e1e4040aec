"""Every link to a section of a document leads to a section that exists."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "schemas", "bench")
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "schemas").rglob("*.md"),
        *(ROOT / "bench").rglob("*.md"),
    ]
)


@cache
def anchors(document: Path) -> frozenset[str]:
    """The sections as they are linked: lower case, spaces as hyphens, without punctuation."""
    text = re.sub(r"^```.*?^```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_section_that_is_linked_exists(document: Path) -> None:
    broken = []
    for target, anchor in re.findall(r"\]\(([^)#:\s]*)#([^)\s]+)\)", document.read_text(encoding="utf-8")):
        linked = (document.parent / target).resolve() if target else document
        if linked.suffix == ".md" and (not linked.exists() or anchor not in anchors(linked)):
            broken.append(f"{target}#{anchor}")
    assert not broken
