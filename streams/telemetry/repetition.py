"""Limits how often the same thing is logged, and counts what was not.

Rules of this module
1. Nothing is withheld for good: what continues is shown again after `AGAIN_SECONDS`, with how often it came meanwhile.
2. What is ordinary for a moment (`is_passing`) is shown only if it lasts.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

AGAIN_SECONDS: Final = 300.0
"""After so long a thing that continues is shown again. Somebody who begins to read a log in the middle of a fault looks
at its last minutes."""

BURST: Final = 5
"""So often within `AGAIN_SECONDS` a thing is shown: its occurrences may differ in what they name."""

PASSING_SECONDS: Final = 60.0
"""What is ordinary for a moment is shown from here on. A broker that is restarted, or a group coordinator that moves,
is back sooner."""

THINGS_MAX: Final = 1_000
"""Things remembered. Lines come from templates in code, of which there are some hundreds; beyond that the one not seen
for the longest is forgotten, and would be shown at once."""


@dataclass(slots=True)
class _Seen:
    since: float
    last: float
    shown: list[float] = field(default_factory=list)
    withheld: int = 0


class Repetition:
    """May be used by several threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._things: OrderedDict[Hashable, _Seen] = OrderedDict()

    def occurrences(self, thing: Hashable, times: int = 1, *, is_passing: bool = False) -> int:
        """How many occurrences a line should stand for now; 0: write none.

        `times`: how many there were now. Those that were withheld before are among the ones to be shown.
        """
        now = self._monotonic()
        with self._lock:
            seen = self._seen(thing, now, is_passing=is_passing)
            seen.last = now
            seen.shown = [moment for moment in seen.shown if now - moment < AGAIN_SECONDS]
            too_early = is_passing and now - seen.since < PASSING_SECONDS
            if too_early or len(seen.shown) >= (1 if is_passing else BURST):
                seen.withheld += times
                return 0
            seen.shown.append(now)
            shown, seen.withheld = seen.withheld + times, 0
            return shown

    def _seen(self, thing: Hashable, now: float, *, is_passing: bool) -> _Seen:
        seen = self._things.get(thing)
        if seen is None:
            seen = self._things[thing] = _Seen(now, now)
        elif now - seen.last >= AGAIN_SECONDS:
            # What was silent for long begins anew. If it was one that passes, it has passed.
            seen = self._things[thing] = _Seen(now, now, withheld=0 if is_passing else seen.withheld)
        self._things.move_to_end(thing)
        if len(self._things) > THINGS_MAX:
            self._things.popitem(last=False)
        return seen
