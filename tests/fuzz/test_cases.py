"""Everything the fuzzer ever found, and everything it begins with, through the targets; the fuzzer is not needed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.targets import OPEN, TARGETS

CASES = Path(__file__).with_name("cases")
FOUND = sorted(path.relative_to(CASES).as_posix() for path in CASES.glob("*/*"))


def _parameter(case: str) -> object:
    if case not in OPEN:
        return case
    known = TARGETS[case.partition("/")[0]].known
    return pytest.param(case, marks=pytest.mark.xfail(reason=OPEN[case], strict=True, raises=known))


@pytest.mark.parametrize("case", [_parameter(case) for case in FOUND])
def test_what_was_found_is_put_right(case: str) -> None:
    TARGETS[case.partition("/")[0]].run((CASES / case).read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_raise_nothing(name: str) -> None:
    for seed in TARGETS[name].seeds():
        TARGETS[name].run(seed)


def test_every_case_belongs_to_a_target() -> None:
    assert {case.partition("/")[0] for case in FOUND} <= TARGETS.keys()
    assert set(FOUND) >= OPEN.keys()
    assert {name for name, target in TARGETS.items() if target.known} == {case.partition("/")[0] for case in OPEN}


@pytest.mark.parametrize("name", TARGETS)
def test_mutators_give_the_same_for_the_same(name: str) -> None:
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds()):
        one, other = (target.mutate(seed, random.Random(number), lambda data: data[::-1]) for _ in range(2))
        assert one == other
