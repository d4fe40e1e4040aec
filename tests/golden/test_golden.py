"""Every golden case, on the gate's core and on the independent model.

Where a case is suppressed with a moment at which to try again: one millisecond earlier it is denied, then approved.
"""

from __future__ import annotations

import pytest

from tests.golden.cases import Case, cases
from tests.golden.play import SIDES, Played, expected, readable

CASES = cases()


def has_next_moment(case: Case) -> bool:
    return case.body["want"].get("next_eligible_at", "none") != "none"


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_answer_is_the_one_wanted(case: Case, side: str) -> None:
    played = Played(case, SIDES[side](case.policy_text))
    answer = played.ask()
    wanted = expected(case, case.body["want"])
    assert readable(case, answer, played.side, wanted) == wanted


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("case", [case for case in CASES if has_next_moment(case)], ids=lambda case: case.name)
def test_the_next_moment_is_the_first(case: Case, side: str) -> None:
    played = Played(case, SIDES[side](case.policy_text))
    moment = expected(case, case.body["want"])["next_eligible_at"]
    assert played.ask_again(moment - 1)["verdict"] == "suppressed"
    assert played.ask_again(moment)["verdict"] == "approved"


def test_no_two_cases_say_the_same() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)


def test_every_kind_has_its_cases() -> None:
    kinds = [case.kind for case in CASES]
    few = {kind for kind in kinds if kinds.count(kind) < 6}
    assert not few
    assert len(CASES) >= 110
