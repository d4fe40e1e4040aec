"""Customer ids that may be one customer's, spelled differently.

The gate compares ids byte for byte: a no under one spelling does not stop what is sent under another. One file that
holds both is the one place where that can be noticed.

Rules of this module
1. Nothing is said of an id but on which lines it stands.
2. Memory has a limit, whatever the file: beyond it ids that are new are not compared, and that is said.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from streams.decision.vocabulary import fold

if TYPE_CHECKING:
    from collections.abc import Iterable

CUSTOMERS_COMPARED_MAX: Final = 250_000
"""Different ids of one file: about 35 MB of them."""

GROUPS_SHOWN: Final = 5
LINES_SHOWN: Final = 4
"""Enough to find the pattern; a file with one such pair has usually thousands."""

# E.164 numbers have at most 15 digits; fewer than seven are more likely a number of another kind.
_PHONE: Final = re.compile(r"(?:\+|00)?([0-9]{7,15})")
_BETWEEN_DIGITS: Final = str.maketrans("", "", "-./()")
_LINE_BITS: Final = 64


class Spellings:
    """The ids seen so far."""

    def __init__(self) -> None:
        # By what all spellings of an id have in common (its hash): the first spelling's hash, and its line.
        self._first: dict[int, int] = {}
        # Where there is a second one: the first line of each spelling, by the spelling's hash.
        self._groups: dict[int, dict[int, int]] = {}
        self._left_out = False

    def add(self, customer_id: str, line: int) -> None:
        """This id stands on this line."""
        common = hash(common_form(customer_id))
        spelling = hash(customer_id)
        known = self._first.get(common)
        if known is None:
            if len(self._first) < CUSTOMERS_COMPARED_MAX:
                self._first[common] = spelling << _LINE_BITS | line
            else:
                self._left_out = True
            return
        if known >> _LINE_BITS != spelling:
            group = self._groups.setdefault(common, {known >> _LINE_BITS: known & (1 << _LINE_BITS) - 1})
            group.setdefault(spelling, line)

    def warning(self) -> str | None:
        """What to say, or None if there is nothing."""
        if not self._groups:
            return None
        groups = [_lines(group.values()) for group in list(self._groups.values())[:GROUPS_SHOWN]]
        more = "; …" if len(self._groups) > GROUPS_SHOWN else ""
        compared = f" (of the first {CUSTOMERS_COMPARED_MAX:,} customers)" if self._left_out else ""
        return (
            "Warning: customers whose ids differ only in letter case, the form of accents, blanks, or how a number is "
            f"written: {len(self._groups)}{compared}, on lines {'; '.join(groups)}{more}. Ids are compared byte for "
            "byte: a no under one spelling does not stop what is sent under another. Use one spelling a customer."
        )


def common_form(customer_id: str) -> str:
    """What spellings of an id have in common: no letter case, no accents' forms, no blanks, a number's digits only."""
    folded = fold(customer_id)
    phone = _PHONE.fullmatch(folded.translate(_BETWEEN_DIGITS))
    return folded if phone is None else phone[1]


def _lines(numbers: Iterable[int]) -> str:
    texts = [str(number) for number in sorted(numbers)]
    if len(texts) > LINES_SHOWN:
        return f"{', '.join(texts[:LINES_SHOWN])}, …"
    return f"{', '.join(texts[:-1])} and {texts[-1]}"
