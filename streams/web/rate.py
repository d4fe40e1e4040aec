"""How often somebody may ask."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

KEPT_MAX: Final = 1_024
"""Askers remembered at once. The one not heard for longest is forgotten: strangers must not choose our memory."""


class Rate:
    """A bucket for each asker, that holds `burst` requests and is filled with `per_second` of them."""

    def __init__(self, *, per_second: float, burst: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._monotonic = monotonic
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def allows(self, asker: str) -> bool:
        """Whether one more may be asked now; if so it counts."""
        now = self._monotonic()
        left, since = self._buckets.pop(asker, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._per_second)
        is_allowed = left >= 1.0
        self._buckets[asker] = (left - 1.0 if is_allowed else left, now)
        if len(self._buckets) > KEPT_MAX:
            self._buckets.popitem(last=False)
        return is_allowed
