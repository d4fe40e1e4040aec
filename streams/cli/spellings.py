"""Finds customer ids that may be different spellings of one customer's id.

The gate compares ids byte for byte, so an opt-out under one spelling does not stop what is sent under another. Only a
file that contains both shows it.

Rules of this module
1. Nothing is said about an id except the lines on which it occurs.
2. Memory is limited, whatever the file. Beyond the limit new ids are not compared, and the warning says so.
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
"""Enough to find the pattern. A file with one such pair usually has thousands."""

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
        """Record that this id occurs on this line."""
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
        """The warning, or None if there is nothing to report."""
        if not self._groups:
            return None
        groups = [_lines(group.values()) for group in list(self._groups.values())[:GROUPS_SHOWN]]
        more = "; …" if len(self._groups) > GROUPS_SHOWN else ""
        compared = f" (of the first {CUSTOMERS_COMPARED_MAX:,} customers)" if self._left_out else ""
        return (
            "Warning: customers whose ids differ only in letter case, the form of accents, blanks, or how a number is "
            f"written: {len(self._groups)}{compared}, on lines {'; '.join(groups)}{more}. Ids are compared byte for "
            "byte, so an opt-out under one spelling does not stop what is sent under another. Use one spelling per "
            "customer."
        )


def common_form(customer_id: str) -> str:
    """The form common to all spellings of an id: without letter case, forms of accents and blanks; of a number only its
    digits.
    """
    folded = fold(customer_id)
    phone = _PHONE.fullmatch(folded.translate(_BETWEEN_DIGITS))
    return folded if phone is None else phone[1]


def _lines(numbers: Iterable[int]) -> str:
    texts = [str(number) for number in sorted(numbers)]
    if len(texts) > LINES_SHOWN:
        return f"{', '.join(texts[:LINES_SHOWN])}, …"
    return f"{', '.join(texts[:-1])} and {texts[-1]}"
