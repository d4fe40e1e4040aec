"""Times as the world writes them, to integer milliseconds.

Rules of this module
1. Accepted is the grammar of RFC 3339, section 5.6, `date-time`, whole: "T" and "Z" in either case, any fraction,
   `-00:00`. Not the blank instead of "T" (a note there, not the grammar), and no leap second: epoch milliseconds cannot
   name one, and a guess could move a message across the end of a window.
2. A time without a zone is refused: whose zone it would be is a guess.
3. Fractions are cut, not rounded: rounding could name a moment that has not come.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from streams.contracts.advice import A_TIME, amiss
from streams.contracts.errors import RecordRefused
from streams.decision.intent import MOMENT_MAX_MS

# RFC 3339 sets no limit to the digits of a fraction; nobody measures beyond attoseconds (38 characters).
TIME_CHARACTERS_MAX: Final = 64

_grammar = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt](?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?"
    r"(?:[Zz]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])"
).fullmatch
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def moment_ms(text: str, field: str) -> int:
    """The moment `text` names, in epoch milliseconds. `field` is where it stood, for the refusal.

    Raises:
        RecordRefused: `bad_time` if it is not RFC 3339 with a zone or there is no such date; `out_of_range` if it lies
            outside 1970 to 9999, as written or in UTC.
    """
    if _grammar(text) is None:
        raise RecordRefused("bad_time", amiss(field, "text that is no time with a zone", A_TIME))
    try:
        moment = (datetime.fromisoformat(text.upper()) - _EPOCH) // _MILLISECOND
    except ValueError:
        raise RecordRefused("bad_time", amiss(field, "a day that is in no calendar", A_TIME)) from None
    if not 0 <= moment <= MOMENT_MAX_MS or text < "1970":
        raise RecordRefused("out_of_range", amiss(field, "a time outside the years 1970 to 9999", A_TIME))
    return moment
