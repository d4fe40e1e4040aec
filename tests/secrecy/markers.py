"""Identifiers and secrets that are planted, each of which tells what it is wherever a part of it turns up.

Rules of this module
1. Every marker begins with one of two stems. So one search finds them all, and also the first letters of one that was
   cut short.
2. A marker says its kind. What is found can be named in a report without the marker itself.
"""

from __future__ import annotations

import itertools
from typing import Final

WORD_STEM: Final = "wq9zx7kv"
"""Eight characters that occur nowhere else, in no encoding: two whole groups of base64 at any alignment."""

NUMBER_STEM: Final = "991407735"
"""The same for what must be digits: a telephone number, or a customer's id that somebody wrote as a number."""

SERIAL_DIGITS: Final = 5


class Markers:
    """Makes markers. No two are equal."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        """By marker."""
        self._numbers = itertools.count()

    def word(self, kind: str) -> str:
        """A marker of letters, digits and hyphens: 'customer' and 'campaign' are kinds."""
        return self._made(f"{WORD_STEM}-{kind}-{next(self._numbers):0{SERIAL_DIGITS}d}", kind)

    def secret(self, kind: str) -> str:
        """The same, of 40 characters: as long as a token has to be."""
        return self._made(f"{WORD_STEM}-{kind}-{next(self._numbers):0{SERIAL_DIGITS}d}".ljust(40, "x"), kind)

    def number(self, kind: str) -> int:
        """A marker of 15 digits."""
        made = f"{NUMBER_STEM}{next(self._numbers):06d}"
        self._made(made, kind)
        return int(made)

    def _made(self, marker: str, kind: str) -> str:
        assert marker.startswith((WORD_STEM, NUMBER_STEM))
        self.kinds[marker] = kind
        return marker
