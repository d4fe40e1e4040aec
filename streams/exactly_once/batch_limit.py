"""How many records a lane puts into one batch.

Rules of this module
1. Under a backlog a batch is as large as what is decided and committed in about `BATCH_SECONDS`: an urgent record waits
   for the batch under way and for its own. With light traffic everything that arrived fits, and nothing is cut.
2. A batch that came too late to be committed is halved until it is not; a slow broker alone never makes batches tiny.
"""

from __future__ import annotations

from typing import Final

BATCH_SECONDS: Final = 0.2
"""What a batch under a backlog should take. Shorter ones pay the five answers of a transaction more often: at 20 ms for
those a tenth of the time is lost already."""

FITTED_RECORDS_MIN: Final = 500
"""Batches are not fitted below this, some 30 ms of deciding: then not their size is what takes long."""

SMALLEST_LIMIT_RECORDS: Final = 1

GROWTH: Final = 1.25
"""From one batch to the next, so that the time meant for a batch is passed by a quarter at most."""


class BatchLimit:
    """The limit of one lane."""

    def __init__(self, max_records: int) -> None:
        self.records = max_records
        self._max_records = max_records

    def committed(self, records: int, seconds: float) -> None:
        """A batch of so many records took so long from its choice to the end of its transaction."""
        if seconds > BATCH_SECONDS:
            fitted = max(FITTED_RECORDS_MIN, int(records * BATCH_SECONDS / seconds))
            self.records = min(self.records, fitted)
        else:
            self.records = min(max(self.records + 1, int(self.records * GROWTH)), self._max_records)

    def late(self) -> None:
        """A batch could not be committed in time."""
        self.records = max(SMALLEST_LIMIT_RECORDS, self.records // 2)
