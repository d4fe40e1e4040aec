"""What a key of the changelog, and so of a store, stands for: its first byte says it (`changelog.py`)."""

from __future__ import annotations

from enum import Enum
from typing import Final


class KeyKind(Enum):
    """What a key stands for. The value is the byte that it begins with."""

    CUSTOMER = b"c"
    ERASED = b"e"
    HOLD = b"h"
    REGISTER = b"r"
    META = b"m"


def kind_of(key: bytes) -> KeyKind | None:
    """What the key stands for; None if this version does not know."""
    return _KINDS.get(key[:1])


_KINDS: Final = {kind.value: kind for kind in KeyKind}
