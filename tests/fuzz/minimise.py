"""The shortest part of an input that still raises the same, at the same place."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES_MAX: Final = 4_000
"""A second or two for most targets; what is left then is small enough to read."""

Sign = tuple[str, str, int]


def sign_of(run: Callable[[bytes], None], data: bytes) -> Sign | None:
    """What the input raises and where, or None."""
    try:
        run(data)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        place = traceback.extract_tb(error.__traceback__)[-1]
        return type(error).__name__, place.filename, place.lineno or 0
    return None


def minimised(run: Callable[[bytes], None], data: bytes) -> bytes:
    """The input without every part that makes no difference to what it raises."""
    wanted = sign_of(run, data)
    if wanted is None or wanted[0] == RecursionError.__name__:  # how deep is too deep depends on who asks
        return data
    tries, size = 0, len(data) // 2
    while size:
        begin = 0
        while begin < len(data) and tries < TRIES_MAX:
            tries += 1
            shorter = data[:begin] + data[begin + size :]
            if sign_of(run, shorter) == wanted:
                data = shorter
            else:
                begin += size
        size //= 2
    return data
