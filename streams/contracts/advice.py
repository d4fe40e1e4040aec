"""The form of a detail: which field it is about, what kind of value was found there, and what to write instead.

Rules of this module
1. People who write producers in any language read it, so it has the terms of JSON and none of Python's.
2. It holds nothing of the record: only a kind, a limit and a name from the contract itself.
"""

from __future__ import annotations

from typing import Final

from streams.decision.intent import MOMENT_MAX_MS

KINDS: Final = {
    "null": "null",
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number with a fraction or an exponent, or too great",
    "str": "text",
    "array": "a list",
    "object": "an object",
}
"""The kinds of JSON by the names that the decoder gives them."""

THE_VALUE: Final = "the value itself"
AN_EVENT: Final = "one JSON object, the event, a record"
A_TIME: Final = (
    f"epoch milliseconds, a whole number from 0 to {MOMENT_MAX_MS}, or an RFC 3339 time, 2026-11-24T10:00:00Z"
)


def amiss(place: str, found: str, write: str) -> str:
    """The detail. `place` is a field of the contract, or words for what has no name of its own."""
    return f"{place if ' ' in place else f'`{place}`'}: {found}; write {write}"
