"""Figures as a compact Markdown table and as JSON, side by side in `bench/results/`."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

RESULTS: Final = Path(__file__).parent / "results"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows of the same kind; a column is left out where no row has it."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(_shown(row.get(column, "")) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def machine() -> dict[str, Any]:
    """What the figures were taken on."""
    return {
        "python": platform.python_version(),
        "cores_used": len(os.sched_getaffinity(0)),
        "system": platform.system(),
    }


def keep(name: str, title: str, sections: Sequence[tuple[str, str]], document: dict[str, Any]) -> None:
    """Print the tables, and write `results/NAME.md` and `results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    text = "\n\n".join([f"# {title}", *(f"{heading}\n\n{body}" for heading, body in sections)]) + "\n"
    print(text, flush=True)
    (RESULTS / f"{name}.md").write_text(text)
    (RESULTS / f"{name}.json").write_text(json.dumps({**document, "machine": machine()}, indent=2) + "\n")
