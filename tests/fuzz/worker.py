"""One target under the fuzzer, in a process of its own: atheris takes the process over and ends it.

    python -m tests.fuzz.worker TARGET [what libFuzzer takes]

Only what the target counts is instrumented: that of everything else would be slower and lead nowhere.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import atheris

if TYPE_CHECKING:
    from tests.fuzz.targets import Target

_ROOT = Path(__file__).parents[2]


def _without(counted: set[str]) -> list[str]:
    """Every module of the package but these: atheris is told what to leave out, module by module."""
    found = (path.relative_to(_ROOT).with_suffix("") for path in (_ROOT / "streams").rglob("*.py"))
    names = {".".join(path.parts).removesuffix(".__init__") for path in found}
    assert counted <= names, f"no such modules: {counted - names}"
    return sorted(names - counted)


def main() -> None:
    """Fuzz until told to stop by the arguments, or until something is found."""
    name = sys.argv[1]
    # What a target counts is in a module that imports the code under test: it is asked in a process of its own.
    counted = set(os.environ["FUZZ_COUNTED"].split(","))
    with atheris.instrument_imports(include=["streams"], exclude=_without(counted)):
        target: Target = importlib.import_module("tests.fuzz.targets").TARGETS[name]
    chance = random.Random()

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        chance.seed(seed)
        changed = target.mutate(data, chance, lambda given: atheris.Mutate(given, max_size))
        return changed[:max_size]

    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.passes, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
