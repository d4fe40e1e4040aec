"""Ids that may be one customer's: noticed in every spelling, and within a limit of memory."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.cli import spellings
from streams.cli.spellings import Spellings, common_form


@pytest.mark.parametrize(
    "group",
    [
        ["c-8f3a", "C-8F3A", " c-8f3a ", "c-8f3a\u200b", "\ufeffc-8f3a"],
        ["jos\u00e9", "jose\u0301", "JOSE\u0301"],
        ["stra\u00dfe", "STRASSE"],
        ["\uff21\uff11", "a1"],
        ["573001234567", "+573001234567", "00573001234567", "+57 (300) 123-4567", "57.300.123.4567"],
    ],
)
def test_what_may_be_one_customer(group: list[str]) -> None:
    assert len(set(group)) == len(group)
    assert len({common_form(name) for name in group}) == 1


DIFFERENT = ["c-8f3a", "c8f3a", "573001234567", "573001234568", "0012", "12", "jose"]


@pytest.mark.parametrize("pair", list(combinations(DIFFERENT, 2)))
def test_what_is_not(pair: tuple[str, str]) -> None:
    assert common_form(pair[0]) != common_form(pair[1])


def warned(*ids: str) -> str | None:
    seen = Spellings()
    for line, name in enumerate(ids, 1):
        seen.add(name, line)
    return seen.warning()


def test_one_spelling_each_is_nothing_to_say() -> None:
    assert warned() is None
    assert warned("a", "b", "a", "B b", "B b") is None


def test_lines_are_named_once_for_each_spelling() -> None:
    said = warned("a", "a", "A", "A", " a", "b", "a ", "a\u200b")
    assert said is not None
    assert ": 1, on lines 1, 3, 5, 7, …. Ids" in said


def test_many_groups_are_counted() -> None:
    said = warned(*(form for number in range(9) for form in (f"a{number}", f"A{number}")))
    assert said is not None
    assert ": 9, on lines 1 and 2; 3 and 4; 5 and 6; 7 and 8; 9 and 10; …. Ids" in said


def test_memory_has_a_limit_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spellings, "CUSTOMERS_COMPARED_MAX", 2)
    said = warned("a", "b", "c", "C", "A")
    assert said is not None
    assert ": 1 (of the first 2 customers), on lines 1 and 5." in said


@given(st.lists(st.sampled_from(["a", "A", "b", "B ", "b", "c"])))
def test_it_warns_if_and_only_if_spellings_differ(ids: list[str]) -> None:
    differ = len(set(ids)) > len({name.strip().lower() for name in ids})
    assert (warned(*ids) is not None) == differ
