"""The durations in the head of a policy: the least, the greatest and the default value of each."""

from __future__ import annotations

from typing import Final, NamedTuple

from streams.decision.ledger.retention import LONGEST_MEMORY_MS
from streams.decision.tables import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS


class Limits(NamedTuple):
    """The least value (exclusive if `is_open`), the greatest, and the default."""

    least_ms: int
    most_ms: int
    default_ms: int
    is_open: bool = False


# Nothing is approved with less than 2 seconds left, so an intent with a shorter life could never be approved. An
# approval that is older than a day says nothing about the present.
TIME_TO_LIVE: Final = Limits(2 * SECOND_MS, 24 * HOUR_MS, 5 * MINUTE_MS, is_open=True)
# Ledgers are held in memory. A year and a month is enough for rules such as "once a year".
HISTORY: Final = Limits(DAY_MS, LONGEST_MEMORY_MS, 35 * DAY_MS)
# Older intents expire. With less than a minute, an ordinary restart would expire every intent that waited for it.
IDENTITIES: Final = Limits(MINUTE_MS, HISTORY.most_ms, 7 * DAY_MS)
