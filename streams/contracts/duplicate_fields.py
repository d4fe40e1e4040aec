"""No field occurs twice.

Rules of this module
1. The check is exact: a payload that repeats a known field, or an attribute, is always refused. RFC 8259, section 4,
   leaves the meaning open, and RFC 7493, section 2.3, forbids it. If an opt-out has two `type`s, nobody can say which
   was meant.
2. The check is cheap: every name in JSON is followed by a colon, so there are at most as many names as colons. If that
   many *different* members were decoded, none was repeated. More work is done only if there are colons elsewhere.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from streams.contracts.errors import RecordRefused
from streams.contracts.wire import decode_members

if TYPE_CHECKING:
    from collections.abc import Collection

# The colon after a name is preceded by a quote or by white space; in times and most identifiers it is not. Counted with
# white space made quotes, which is twice as fast as a regular expression (measured).
_BLANKS_TO_QUOTES: Final = bytes.maketrans(b" \t\n\r", b'""""')
_ONCE: Final = "write each once"


def refuse_duplicate_fields(payload: bytes, members: int, attributes: int, fields: Collection[str]) -> None:
    """Refuse the payload if one of `fields`, or a name inside `attributes`, is repeated.

    `payload` is an object that has been decoded before. `members` is how many different names it is known to hold at
    least, `attributes` how many there are in its attributes.

    Raises:
        RecordRefused: `repeated_field`; `not_json` if a skipped field holds what only looked like JSON.
    """
    names = payload.translate(_BLANKS_TO_QUOTES).count(b'":') - attributes
    if names <= members or names <= len(decode_members(payload)):
        return
    pairs = _pairs(payload)
    twice = sorted(name for name, count in Counter(name for name, _ in pairs).items() if count > 1 and name in fields)
    if twice:
        raise RecordRefused("repeated_field", f"more than once: {', '.join(f'`{name}`' for name in twice)}; {_ONCE}")
    for name, content in pairs:
        if name == "attributes" and isinstance(content, _Pairs) and len(dict(content)) < len(content):
            raise RecordRefused("repeated_field", f"a name in `attributes`: more than once; {_ONCE}")


def duplicated_values(payload: bytes, fields: Collection[str]) -> dict[str, list[Any]]:
    """Those of `fields` that stand more than once in an object that has been decoded before, with all they say.

    Empty, too, if that cannot be told: in a field that was skipped stands what only looked like JSON.
    """
    found: dict[str, list[Any]] = {}
    try:
        for name, content in _pairs(payload):
            found.setdefault(name, []).append(content)
    except (RecordRefused, RecursionError):
        return {}
    return {name: contents for name, contents in found.items() if name in fields and len(contents) > 1}


def _pairs(payload: bytes) -> list[tuple[str, Any]]:
    """The members of an object, slowly and exactly. Numbers are not wanted: Python's limits on them are not ours."""
    try:
        pairs: list[tuple[str, Any]] = json.loads(
            payload, object_pairs_hook=_Pairs, parse_int=str, parse_float=str, parse_constant=str
        )
    except ValueError:  # in a field that was skipped, and so not looked at closely
        raise RecordRefused("not_json") from None
    return pairs


class _Pairs(list[tuple[str, Any]]):
    """An object with its members in order, repeated ones included; to tell it from an array."""
