"""Where the chart is, with which values it is rendered, and what was rendered last.

Rules of this module
1. What `make test` looks at was rendered by the real Helm, by `make charts`, and is kept with a digest of everything
   that it came of. So nobody needs Helm to run the tests, and nothing stale is looked at.
2. What follows from elsewhere in the product (rules of Prometheus, topics, permissions) is not kept: a change there
   does not make the rendered stale.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
CHART: Final = ROOT / "deploy/helm/mesura"
VALUES: Final = HERE / "values"
RENDERED: Final = HERE / "rendered"
DIGEST: Final = RENDERED / "digest.txt"
KEPT: Final = ("smallest", "secured")


def digest() -> str:
    """Of the chart's own files and of the values."""
    files = [path for path in CHART.rglob("*") if path.is_file() and not path.is_relative_to(CHART / "files")]
    found = hashlib.sha256()
    for path in sorted([*files, *VALUES.glob("*.yaml")]):
        found.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()


def documents(text: str) -> list[dict[str, Any]]:
    """The resources of what Helm rendered."""
    return [document for document in yaml.safe_load_all(text) if document]


def rendered(name: str) -> list[dict[str, Any]]:
    """What was rendered with these values."""
    return documents((RENDERED / f"{name}.yaml").read_text())


def of_kind(kind: str, resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The resources of a kind."""
    return [resource for resource in resources if resource["kind"] == kind]
