"""How many records a lane puts into one batch.

Rules of this module
1. Under a backlog, a batch is as large as can be decided and committed in about `BATCH_SECONDS`. With light traffic,
   everything that has arrived fits. A lane begins with small batches and doubles them, because it does not know yet
   what a record costs.
2. While records of a preferred topic arrive (an OTP among campaigns), batches are sized for `URGENT_BATCH_SECONDS`, and
   every second batch that finds such a record waiting is short. The record then waits for the batch under way, and
   hardly for its own. The batches in between have the full size, so that nothing starves.
3. Whenever a batch is too late to be committed, the limit is halved. A slow broker alone never makes batches tiny.
"""

from __future__ import annotations

from typing import Final

BATCH_SECONDS: Final = 0.2
"""How long a batch under a backlog should take. Shorter batches wait more often for the five answers of a transaction:
if these take 20 ms, a tenth of the time is already lost."""

URGENT_BATCH_SECONDS: Final = 0.05
"""The same while urgent records arrive, hence how long they may have to wait. Smaller batches slow the backlog down,
but only during that time."""

URGENT_REMEMBERED_SECONDS: Final = 10.0
"""How long after an urgent record the next one is expected. A sender of one an hour finds full-size batches."""

SHORT_BATCH_RECORDS: Final = 100
"""Size of a short batch: about 5 ms of deciding. More urgent records than that are a load of their own."""

FITTED_RECORDS_MIN: Final = 500
"""Size of the first batch, and the least that batches are fitted to: about 30 ms of deciding. If a batch of this size
takes too long, its size is not the reason."""

SMALLEST_LIMIT_RECORDS: Final = 1

GROWTH: Final = 1.25
"""Factor from one batch to the next, so that a batch exceeds its time by a quarter at most."""

FIRST_GROWTH: Final = 2.0
"""The same until a batch takes too long for the first time: the largest size is reached in four batches."""


class BatchLimit:
    """The limit of one lane. Times are seconds of one monotonic clock."""

    def __init__(self, max_records: int) -> None:
        self.records = min(FITTED_RECORDS_MIN, max_records)
        self._max_records = max_records
        self._growth = FIRST_GROWTH
        self._urgent_at = float("-inf")
        self._is_short = False

    def next_records(self, now: float, *, is_urgent: bool) -> int:
        """The limit of the next batch. `is_urgent`: a record of a preferred topic waits."""
        if is_urgent:
            self._urgent_at = now
        self._is_short = is_urgent and not self._is_short
        return min(self.records, SHORT_BATCH_RECORDS) if self._is_short else self.records

    def committed(self, records: int, seconds: float, now: float) -> None:
        """A batch of `records` records took `seconds` from its choice to the end of its transaction."""
        if self._is_short:
            return  # it was short on purpose, and says nothing about what fits
        is_urgent = now - self._urgent_at < URGENT_REMEMBERED_SECONDS
        aimed_seconds = URGENT_BATCH_SECONDS if is_urgent else BATCH_SECONDS
        if seconds > aimed_seconds:
            fitted = max(FITTED_RECORDS_MIN, int(records * aimed_seconds / seconds))
            self.records = min(self.records, fitted)
            self._growth = GROWTH
        else:
            self.records = min(max(self.records + 1, int(self.records * self._growth)), self._max_records)

    def late(self) -> None:
        """A batch could not be committed in time."""
        self.records = max(SMALLEST_LIMIT_RECORDS, self.records // 2)
        self._growth = GROWTH
