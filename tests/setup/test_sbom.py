"""A bill of materials that is not of the lock, or that leaves a licence open, is not passed over."""

from __future__ import annotations

from tests.setup.environments import THIS, locked
from tests.setup.sbom import amiss
from tests.setup.test_packages import ONLY_BUILDS

LICENSED = {"licenses": [{"license": {"id": "MIT"}}]}


def test_a_bill_is_compared_with_the_lock() -> None:
    packages = {name: found for name, found in locked("runtime", THIS.version).items() if name not in ONLY_BUILDS}
    right = [{"name": name, "version": version, **LICENSED} for name, version in packages.items()]
    assert amiss([*right, {"name": "mesura", "version": "0.1.0", **LICENSED}]) == []
    first, second, third, *rest = right
    wrong = [{**second, "version": "0"}, {"name": third["name"], "version": third["version"]}, *rest]
    assert amiss([*wrong, {"name": "pip", "version": "1", **LICENSED}]) == [
        *(f"not as in the lock: {name}" for name in sorted([str(first["name"]), str(second["name"]), "pip"])),
        f"without a licence: {third['name']}",
    ]
