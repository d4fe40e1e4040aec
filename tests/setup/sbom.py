"""What the image holds, as a bill of materials in CycloneDX: package by package with version, licence and source.

    make sbom

The first stage of the Dockerfile is carried out, and its environment is what the bill is of: what only builds is not in
it. It is compared with the lock afterwards, and every package must have a licence. It goes to build/mesura.cdx.json.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.setup.environments import ROOT, THIS, fresh_copy, locked, run
from tests.setup.image import carry_out
from tests.setup.test_packages import ONLY_BUILDS

TOOL: Final = ROOT / "build/sbom/bin/cyclonedx-py"
BILL: Final = ROOT / "build/mesura.cdx.json"


def bill_of(environment: Path) -> dict[str, Any]:
    """The bill of what is installed there; the same for the same packages."""
    options = ["--output-reproducible", "--output-format", "JSON", "--pyproject", ROOT / "pyproject.toml"]
    run([TOOL, "environment", *options, "--output-file", BILL, environment / "bin/python"], ROOT)
    bill: dict[str, Any] = json.loads(BILL.read_text())
    return bill


def amiss(components: list[dict[str, Any]]) -> list[str]:
    """What the bill lacks, or has too much."""
    held = {re.sub(r"[-_.]+", "-", each["name"]).lower(): each["version"] for each in components}
    wanted = {name: version for name, version in locked("runtime", THIS.version).items() if name not in ONLY_BUILDS}
    held.pop("mesura", None)
    differing = sorted(name for name in held.keys() | wanted.keys() if held.get(name) != wanted.get(name))
    without = sorted(each["name"] for each in components if not each.get("licenses"))
    found = [f"not as in the lock: {name}" for name in differing]
    return found + [f"without a licence: {name}" for name in without]


def main() -> int:
    """The exit code."""
    with tempfile.TemporaryDirectory() as work:
        tree = fresh_copy(Path(work) / "tree")
        environment = carry_out(tree, THIS, Path(work) / "image", PIP_NO_CACHE_DIR="")
        bill = bill_of(environment)
    wrong = amiss(bill["components"])
    print(f"{BILL.relative_to(ROOT)}: {len(bill['components'])} packages, CycloneDX {bill['specVersion']}")
    print("\n".join(wrong) or "nothing is amiss")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
