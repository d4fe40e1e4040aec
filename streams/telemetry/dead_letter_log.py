"""A line for a dead letter: where the record stands, and why it could not be read. Never what is in it.

Rules of this module
1. It is written after the commit, so that what it names is in the dead-letter topic.
2. A producer that goes wrong makes millions. A few of each topic and reason have a line of their own; the others are
   counted in the next one (`streams.telemetry.repetition`), and in `mesura_dead_letters_total`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from streams.telemetry.repetition import Repetition

if TYPE_CHECKING:
    from streams.telemetry.tally import Tally

log = structlog.get_logger(__name__)


class DeadLetterLog:
    """Writes the lines of the batches that have committed."""

    def __init__(self, repetition: Repetition | None = None) -> None:
        self._repetition = repetition or Repetition()

    def committed(self, tally: Tally) -> None:
        """Write what a batch has made dead letters of."""
        unnamed = sum(tally.dead_letters.values()) - len(tally.dead_letter_places)
        for place in tally.dead_letter_places:
            # Those without a place are counted with the last kind that has one.
            extra = unnamed if place is tally.dead_letter_places[-1] else 0
            times = self._repetition.occurrences((place.topic, place.reason), 1 + extra)
            if times:
                log.warning(
                    "A record could not be used and is in the dead-letter topic.",
                    topic=place.topic,
                    partition=place.partition,
                    offset=place.offset,
                    reason=place.reason,
                    times=times,
                )
