"""Whether a text of the gate's gives away what a record said.

A text may hold words of the gate's own and of msgspec's messages; any other word came out of the input. Inputs carry
`TOKEN` where people's words would stand, which is in neither.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

TOKEN: Final = "Xylograf"
"""Stands for what a customer is called, or said. No word of this project."""

_WORD: Final = re.compile(r"(?<!\\)[^\W\d_]{4,}")
_STREAMS: Final = Path(__file__).parents[2] / "streams"
_OWN: Final = ("contracts", "decision", "exactly_once/errors.py", "exactly_once/changelog.py")
# The constant part of what msgspec 0.22 says.
_MSGSPEC: Final = (
    "Expected got object array str int float bool null missing required field length JSON MessagePack is malformed "
    "invalid character trailing characters number escape sequence utf surrogate end of string Input data was truncated "
    "Integer value out range Number Object key byte bytes Invalid enum value opcode msgpack ext datetime at least "
    "most with contains unknown expected quoted comma colon must strings hashable map keys escaped escape unexpected "
    "surrogate pair literal control trailing comma codes unicode hex codec can decode "
    "position start continuation end of data maximum recursion depth exceeded while deserializing an object utf"
)


def assert_tells_nothing(text: str) -> None:
    """Raises unless every word of the text is one of ours or msgspec's."""
    assert TOKEN not in text, "an error says what the record said"
    foreign = {word for word in _WORD.findall(text) if word not in _known()}
    assert not foreign, f"words that are not the gate's own: {sorted(foreign)}"


@cache
def _known() -> frozenset[str]:
    sources = [
        path for name in _OWN for path in ([_STREAMS / name] if "." in name else (_STREAMS / name).rglob("*.py"))
    ]
    own = " ".join(path.read_text("utf-8") for path in sources)
    return frozenset(_WORD.findall(f"{own} {_MSGSPEC}"))
