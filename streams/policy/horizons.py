"""How long things last in a policy: the least, the most and the default of each duration in its head."""

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


# Nothing is approved with under 2 seconds left, so a shorter life could never be approved; beyond a day an approval is
# no longer about now.
TIME_TO_LIVE: Final = Limits(2 * SECOND_MS, 24 * HOUR_MS, 5 * MINUTE_MS, is_open=True)
# A ledger is held in memory: a year and a month covers "once a year" rules, and more contacts than a person should get.
HISTORY: Final = Limits(DAY_MS, LONGEST_MEMORY_MS, 35 * DAY_MS)
# Intents older than this are expired: under a minute, an ordinary restart would expire everything that waited.
IDENTITIES: Final = Limits(MINUTE_MS, HISTORY.most_ms, 7 * DAY_MS)
