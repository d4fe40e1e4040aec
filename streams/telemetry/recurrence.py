"""Recognises a failure that recurs and that no restart repairs, and distinguishes it from one that passes.

Rules of this module
1. An end that names an offset is the same as another of its kind at that offset, in whichever process of the machine
   and whatever was decided elsewhere in the meantime, because nothing has moved at that offset.
2. An end without an offset is the same as the last one of its process if it is of its kind and that process has
   committed nothing and was not seen deciding for `SETTLED_SECONDS` in between.
3. The same end `SAME_TIMES` times is a recurrence. It is over when every process has been deciding for
   `SETTLED_SECONDS`, because a restarted worker is healthy for a moment each time.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

SAME_TIMES: Final = 3
"""Once is an accident, and a second time may be its tail (a broker that is just coming back). With the pauses between
starts, the third comes within seconds, so it is reported soon."""

SETTLED_SECONDS: Final = 60.0
"""A worker reaches the record that ends it within seconds of being ready. After a minute it is past it."""


@dataclass(frozen=True, slots=True)
class End:
    """How a worker ended, as it reported itself or as the end of its process shows. Nothing in it quotes a record."""

    sentence: str
    kind: str
    exit_code: int
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None

    @property
    def place(self) -> str:
        """The place in words; empty if it is not known."""
        if self.topic is None or self.partition is None:
            return self.topic or ""
        where = f"{self.topic}-{self.partition}"
        return where if self.offset is None else f"offset {self.offset} of {where}"


class Recurrence:
    """How the workers of one machine ended, and whether the failure recurs."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._times: dict[tuple[object, ...], int] = {}
        self._last: dict[int, tuple[object, ...]] = {}
        self._committed: dict[int, float] = {}
        self._recurring: tuple[End, int] | None = None
        self._all_ready_since: float | None = None

    @property
    def is_recurring(self) -> bool:
        return self._recurring is not None

    @property
    def why(self) -> str:
        """What recurs, in a sentence with its place; empty if nothing does."""
        if self._recurring is None:
            return ""
        end, times = self._recurring
        at = f" at {end.place}" if end.place else ", without getting any further"
        return f"a worker has ended {times} times in the same way{at}, and a restart does not help: {end.sentence}"

    def ended(self, process: int, end: End, *, committed: float, was_settled: bool) -> bool:
        """A process has failed. Returns whether this is a recurrence.

        Args:
            committed: how many batches all its starts have committed.
            was_settled: the process had been deciding long enough for this failure to be a new one.
        """
        self._all_ready_since = None
        has_moved = was_settled or committed != self._committed.get(process, committed)
        self._committed[process] = committed
        if end.offset is not None:
            same: tuple[object, ...] = (end.kind, end.topic, end.partition, end.offset)
        else:
            same = (process, end.kind, end.topic, end.partition)
            if has_moved or self._last.get(process) != same:
                self._times[same] = 0
        self._last[process] = same
        times = self._times[same] = self._times.get(same, 0) + 1
        if times < SAME_TIMES:
            return False
        self._recurring = end, times
        return True

    def seen(self, *, all_ready: bool) -> None:
        """Report whether all processes were found deciding."""
        if not all_ready:
            self._all_ready_since = None
            return
        now = self._monotonic()
        if self._all_ready_since is None:
            self._all_ready_since = now
        elif now - self._all_ready_since >= SETTLED_SECONDS:
            self._times.clear()
            self._last.clear()
            self._recurring = None
