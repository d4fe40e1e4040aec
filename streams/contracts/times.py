"""From times as producers write them to integer milliseconds.

Rules of this module
1. It accepts the `date-time` of RFC 3339, and what libraries of other languages write if it can be read in one way
   only: a blank for the "T", no seconds on a whole minute, a comma before the fraction, an offset without its colon or
   its minutes or behind a blank, "UTC", RFC 9557's suffixes (`[Europe/Paris]`). docs/contracts.md has the producers; a
   test has what they write.
2. The offset determines the moment. A suffix is ignored, even if it contradicts the offset, unless it says that it must
   not be ignored (`[!Europe/Paris]`).
3. A time without a zone is refused, because any zone would be a guess. Leap seconds are refused too, because epoch
   milliseconds cannot name one, and a guess could move a message across the end of a window.
4. Fractions are cut, not rounded: rounding could name a moment that has not come.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from streams.contracts.advice import A_TIME, amiss
from streams.contracts.errors import RecordRefused
from streams.decision.intent import MOMENT_MAX_MS

# With nine digits of a fraction 35 characters, with the longest name of a zone behind it 69, with a calendar too 83.
TIME_CHARACTERS_MAX: Final = 96

_LOCAL: Final = r"([0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:[.,][0-9]+)?)?)"
_grammar = re.compile(
    _LOCAL + r"(?: UTC|[Zz]| ?([+-](?:[01][0-9]|2[0-3])(?::?[0-5][0-9])?))(?:\[[A-Za-z_.+-][A-Za-z0-9_.+:/=-]*\])*"
).fullmatch
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# What is likely to stand there instead, for the detail alone.
_LIKELY: Final = tuple(
    (re.compile(pattern).fullmatch, found)
    for pattern, found in (
        (_LOCAL + r"(?:\[.*\])?", "a time without a zone"),
        (r"[+-]?[0-9]+(?:[.,][0-9]+)?(?:[eE][+-]?[0-9]+)?", "a number in quotes"),
        (r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "a date without a time"),
        (r"[0-9-]{10}.[0-9:]{5}:60.*", "a leap second"),
        (r".*\[!.*", "a suffix that must not be passed over"),
    )
)


def moment_ms(text: str, field: str) -> int:
    """The moment `text` names, in epoch milliseconds. `field` is where it stood, for the refusal.

    Raises:
        RecordRefused: `bad_time` if it is no time with a zone or there is no such date; `out_of_range` if it lies
            outside 1970 to 9999, as written or in UTC.
    """
    found = _grammar(text)
    if found is None:
        raise RecordRefused("bad_time", amiss(field, _likely(text), A_TIME))
    try:
        moment = (datetime.fromisoformat(f"{found[1].upper()}{found[2] or 'Z'}") - _EPOCH) // _MILLISECOND
    except ValueError:
        raise RecordRefused("bad_time", amiss(field, "a day that is in no calendar", A_TIME)) from None
    if not 0 <= moment <= MOMENT_MAX_MS or text < "1970":
        raise RecordRefused("out_of_range", amiss(field, "a time outside the years 1970 to 9999", A_TIME))
    return moment


def _likely(text: str) -> str:
    return next((found for matches, found in _LIKELY if matches(text)), "text that is no time")
