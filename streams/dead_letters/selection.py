"""Which dead letters are meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from streams.dead_letters.letter import DeadLetter


class Selection(NamedTuple):
    """Without a condition every dead letter is meant; of several conditions each must be met.

    `topics` are those where the records stood first. `partitions` and `offsets` (both included) are the dead letters'
    own. `since_ms` (included) and `until_ms` (excluded) are about when the gate set them aside.
    """

    reasons: frozenset[str] = frozenset()
    topics: frozenset[str] = frozenset()
    partitions: frozenset[int] = frozenset()
    since_ms: int | None = None
    until_ms: int | None = None
    offsets: tuple[int, int] | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether this one is meant."""
        stood = letter.read_at if letter.first is None else letter.first
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (not self.topics or stood.topic in self.topics)
            and (not self.partitions or letter.place.partition in self.partitions)
            and (self.since_ms is None or letter.set_aside_ms >= self.since_ms)
            and (self.until_ms is None or letter.set_aside_ms < self.until_ms)
            and (self.offsets is None or self.offsets[0] <= letter.place.offset <= self.offsets[1])
        )
