"""Every clause about what is not understood, undone by itself, is noticed.

By a golden case or the table of scopes; where there is none for it, by a random history. Sound code passes all of them
(`tests/golden`, `test_properties`). And the principle by itself notices what undoes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.golden import test_scopes
from tests.golden.cases import Case, cases
from tests.golden.play import Played, expected, readable
from tests.golden.sides import Core
from tests.golden.test_scopes import SCOPES, TRACKS
from tests.property import principle
from tests.property.checks import as_it_is, first_difference
from tests.property.clauses import CLAUSES, undone
from tests.property.principle import a_doubtful_yes_changes_nothing, a_garbled_no_opens_nothing
from tests.property.strategies import random_history

if TYPE_CHECKING:
    from collections.abc import Iterator

# Where these clauses have their cases: asked first.
KINDS = ("times", "words", "yes", "unread", "restriction", "place", "zone", "outcome", "preference_order")
BY_SCOPES = {"the_latest_consent_wins"}
# No case is about it alone: the seed of a history that brings it to light soon.
BY_HISTORY = {"provinces_are_regions": 49}
SEEDS_MAX = 40
# The seed of a garbled no, or of a doubtful yes, that opens something without the clause.
BY_PRINCIPLE = {
    "times_of_1970_believed": (a_garbled_no_opens_nothing, 16),
    "unknown_words_cover_nothing": (a_garbled_no_opens_nothing, 48),
    "words_that_are_none_left_out": (a_garbled_no_opens_nothing, 387),
    "a_no_without_customer_is_a_dead_letter": (a_garbled_no_opens_nothing, 11),
    "a_garbled_no_is_a_dead_letter": (a_garbled_no_opens_nothing, 5),
    "unread_records_are_dead_letters_only": (a_garbled_no_opens_nothing, 11),
    "what_comes_later_was_clarified_before": (a_garbled_no_opens_nothing, 599),
    "permissions_with_fields_nobody_knows": (a_doubtful_yes_changes_nothing, 5),
}


def ordered_cases() -> Iterator[Case]:
    for kind in KINDS:
        yield from (case for case in cases() if case.kind == kind)


def is_noticed_by_case(case: Case) -> bool:
    """Whether the core answers otherwise than the case wants."""
    try:
        played = Played(case, Core(case.policy_text))
        wanted = expected(case, case.body["want"])
        return readable(case, played.ask(), played.side, wanted) != wanted
    except Exception:  # noqa: BLE001 - a core that breaks is noticed
        return True


def is_noticed_by_history(seed: int) -> bool:
    """Whether the core differs from the model somewhere in this history."""
    return first_difference(random_history(seed), as_it_is) is not None


@pytest.mark.parametrize("name", [name for name in CLAUSES if name not in {*BY_HISTORY, *BY_SCOPES}])
def test_a_clause_that_is_undone_is_noticed_by_a_golden_case(name: str) -> None:
    with undone(name):
        assert any(map(is_noticed_by_case, ordered_cases())), f"{name} was not noticed"


@pytest.mark.parametrize("name", BY_HISTORY)
def test_a_clause_that_is_undone_is_noticed_by_a_random_history(name: str) -> None:
    first = BY_HISTORY[name]
    with undone(name):
        assert any(map(is_noticed_by_history, range(first, first + SEEDS_MAX))), f"{name} was not noticed"


@pytest.mark.parametrize("name", sorted(BY_SCOPES))
def test_a_clause_that_is_undone_is_noticed_by_the_table_of_scopes(name: str) -> None:
    no, yes = next(track for track in TRACKS if "consent" in track[0])
    with undone(name), pytest.raises(AssertionError):
        for scope in SCOPES:
            test_scopes.test_what_is_open_after_a_no_and_a_yes(scope, no, yes, "core")


@pytest.mark.parametrize("name", BY_PRINCIPLE)
def test_the_principle_notices_what_undoes_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check, first = BY_PRINCIPLE[name]
    monkeypatch.setattr(principle, "SIDES", (Core,))
    with undone(name), pytest.raises(AssertionError, match="Core"):
        for seed in range(first, first + SEEDS_MAX):
            check(seed)


def test_the_cases_want_what_sound_code_answers() -> None:
    assert not any(is_noticed_by_case(case) for case in list(ordered_cases())[::7])
