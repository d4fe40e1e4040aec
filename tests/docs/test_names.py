"""The table of names in docs/architecture.md: names that are said to be in use are, and types before them are gone."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rows() -> list[tuple[list[str], list[str]]]:
    """Of each row the names before and the names now, without backticks."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.split("\n## Names\n")[1].split("\n## ")[0]
    cells = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ") and "---" not in line]
    return [(re.findall(r"`([^`]+)`", before), re.findall(r"`([^`]+)`", now)) for before, now, *_ in cells]


def source(but: str = "") -> str:
    """Everything that is written in Python under `streams`, but for one package."""
    paths = (path for path in sorted((ROOT / "streams").rglob("*.py")) if path.parent.name != but)
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def modules() -> list[str]:
    """Paths of modules and packages."""
    streams = ROOT / "streams"
    return [f"/{path.relative_to(ROOT)}" for path in streams.rglob("*") if path.suffix == ".py" or path.is_dir()]


def is_module(name: str) -> bool:
    return any(path.endswith(f"/{name.rstrip('/')}") for path in modules())


def test_every_name_now_exists() -> None:
    text = source()
    for _, now in rows():
        for name in now:
            if name.endswith((".py", "/")) or name.startswith("streams/"):
                assert is_module(name), name
            else:
                assert re.search(rf"\b{re.escape(name.removesuffix('…'))}", text), name


def test_types_that_were_renamed_are_gone() -> None:
    text = source(but="oracle")
    gone = [name for before, _ in rows() for name in before if re.fullmatch(r"[A-Z]\w+", name)]
    assert len(gone) > 20
    for name in gone:
        assert not re.search(rf"^class {name}\b", text, re.MULTILINE), name
