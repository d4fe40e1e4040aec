"""How many records a lane puts into one batch.

Rules of this module
1. Under a backlog a batch is as large as what is decided and committed in about `BATCH_SECONDS`. With light traffic
   everything that arrived fits, and nothing is cut. A lane begins with small batches and doubles them: what a record
   costs is not known before.
2. While records of a preferred topic come (an OTP among campaigns), batches take `URGENT_BATCH_SECONDS`, and every
   second one that meets such a record is short: it waits for the batch under way, hardly for its own. The batches
   between are whole, so that nothing starves.
3. A batch that came too late to be committed is halved until it is not; a slow broker alone never makes batches tiny.
"""

from __future__ import annotations

from typing import Final

BATCH_SECONDS: Final = 0.2
"""What a batch under a backlog should take. Shorter ones pay the five answers of a transaction more often: at 20 ms for
those a tenth of the time is lost already."""

URGENT_BATCH_SECONDS: Final = 0.05
"""The same while urgent records come: what they may have to wait for. Smaller batches cost the backlog some
of its speed, but only in that time."""

URGENT_REMEMBERED_SECONDS: Final = 10.0
"""For so long after an urgent record the next one is expected. Who sends one an hour finds whole batches under way."""

SHORT_BATCH_RECORDS: Final = 100
"""Of a batch that is cut for an urgent record: some 5 ms of deciding. More urgent records than that are a load of their
own."""

FITTED_RECORDS_MIN: Final = 500
"""Batches begin with this and are not fitted below it, some 30 ms of deciding: then not their size is what takes
long."""

SMALLEST_LIMIT_RECORDS: Final = 1

GROWTH: Final = 1.25
"""From one batch to the next, so that the time meant for a batch is passed by a quarter at most."""

FIRST_GROWTH: Final = 2.0
"""The same until a batch has taken too long for the first time: four batches to the largest."""


class BatchLimit:
    """The limit of one lane. Moments are seconds of one monotonic clock."""

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
        """A batch of so many records took so long from its choice to the end of its transaction."""
        if self._is_short:
            return  # it was cut on purpose, and says nothing of what fits
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
