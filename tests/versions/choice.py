"""Random choices that are the same under every version of Python.

Of the standard generator only `random()` is promised to give the same numbers in later versions. Every choice
rests on it.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Choice:
    """A source of choices for one seed. `random` is the generator's own function: a number in [0, 1)."""

    __slots__ = ("random",)

    def __init__(self, *seed: int | str) -> None:
        self.random = random.Random("/".join(map(str, seed))).random

    def one_of(self, values: Sequence[T]) -> T:
        return values[int(self.random() * len(values))]

    def chance(self, share: float) -> bool:
        return self.random() < share

    def between(self, least: int, most: int) -> int:
        """A whole number, both ends included."""
        return least + int(self.random() * (most - least + 1))

    def some_of(self, values: Sequence[T], most: int) -> list[T]:
        """One to `most` different ones, in the order of `values`."""
        count = min(len(values), self.between(1, most))
        left = list(range(len(values)))
        while len(left) > count:
            del left[int(self.random() * len(left))]
        return [values[place] for place in left]
