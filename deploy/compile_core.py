"""A copy of the project whose decision core is compiled by mypyc: the same sources, the same answers, less time.

    make compiled                       into build/compiled/
    cd build/compiled && python -m ...  runs what is compiled

Rules of this module
1. The source tree is never touched: a compiled module that lies beside an edited source would silently win over it.
2. What is compiled is what decides: the core, the gate around it, and the contracts. Classes made by msgspec stay
   interpreted, because msgspec builds them from annotations when they are defined; so do modules without a loop that an
   intent passes.
3. Nothing in the product may ask whether it is compiled, but to report it (`streams.build`).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
DEFAULT_TARGET: Final = ROOT / "build" / "compiled"

INTERPRETED: Final = frozenset(
    f"streams/decision/{name}.py"
    for name in (
        "__init__",
        "checks/check",
        "decision",
        "intent",
        "ledger/state",
        "outcome_event",
        "preference_event",
        "policy_specification",
    )
)
"""Modules of the core that define msgspec classes, or only dataclasses that are read when a policy is compiled."""

AROUND_THE_CORE: Final = (
    "streams/gate.py",
    "streams/batch_ledgers.py",
    "streams/contracts/decode.py",
    "streams/contracts/encode.py",
    "streams/contracts/origin.py",
)

CONFIGURATION: Final = "[mypy]\nstrict = True\nfollow_imports = silent\nignore_missing_imports = True\n"


def compiled_modules(tree: Path) -> list[str]:
    """What is compiled, relative to the tree."""
    core = sorted(str(path.relative_to(tree)) for path in (tree / "streams" / "decision").rglob("*.py"))
    return [path for path in core if path not in INTERPRETED and not path.endswith("__init__.py")] + [*AROUND_THE_CORE]


def copy_tree(target: Path) -> None:
    """The project's files, as they are now, without what was built before."""
    if target.exists():
        shutil.rmtree(target)
    for name in ("streams", "schemas", "tests", "bench", "deploy", "docs", "examples", "pyproject.toml"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.so", "results"))
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)


def compile_tree(tree: Path) -> None:
    """Compile in place.

    Raises:
        SystemExit: mypyc refused, or there is no C compiler; its own words are printed.
    """
    work = tree / "build"
    work.mkdir()
    configuration = work / "mypy.ini"
    configuration.write_text(CONFIGURATION)
    # A setup file would be found and read by setuptools: the project's own says nothing about extensions.
    project = tree / "pyproject.toml"
    aside = project.rename(tree / "pyproject.toml.aside")
    try:
        result = subprocess.run(
            [str(Path(sys.executable).parent / "mypyc"), *compiled_modules(tree)],
            cwd=tree,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "MYPY_CONFIG_FILE": str(configuration)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        aside.rename(project)
    if result.returncode:
        sys.exit(f"The core was not compiled (is there a C compiler?):\n{result.stdout[-4000:]}{result.stderr[-4000:]}")
    shutil.rmtree(work)


def main() -> None:
    """Copy, compile, say where it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", type=Path, default=DEFAULT_TARGET)
    target: Path = parser.parse_args().target
    copy_tree(target)
    compile_tree(target)
    print(f"{len(compiled_modules(target))} modules compiled in {target}")


if __name__ == "__main__":
    main()
