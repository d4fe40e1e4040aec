"""When the keys of one partition are to be looked at again.

Rules of this module
1. Every key that may have work at some moment stands in a bucket that opens by then. One that stands there too early,
   or twice, or is gone from the store, costs one look; one that stood there too late would be work forgotten.
2. A bucket is a list of keys, and the keys are the store's own objects: eight bytes each, and a little for the list.
   What lies ahead is filed by the hour. Keys of an hour that has begun are filed again, by the second.
3. The index is never stored. It follows from the store, and is made again after a restore, and when a state machine
   comes that has other moments; until it is whole again, the one before it is served.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

SECOND_MS: Final = 1_000
"""Precision at which keys become due. A wait for a message is felt in seconds."""

HOUR_MS: Final = 3_600_000
"""Width of the buckets that lie ahead. A month has seven hundred of them, so that their lists weigh nothing; by the
second there would be one for nearly every customer."""


class _Buckets:
    """Keys by the moment at which they are to be looked at."""

    __slots__ = ("_by_moment", "_latest_ms", "_moments")

    def __init__(self, latest_ms: int = 0) -> None:
        self._by_moment: dict[int, list[bytes]] = {}
        self._moments: list[int] = []  # a heap of the keys of `_by_moment`
        self._latest_ms = latest_ms

    def file(self, key: bytes, due_ms: int) -> None:
        """Look at the key no later than a second after `due_ms`."""
        at_ms = due_ms - due_ms % HOUR_MS
        if at_ms <= self._latest_ms < due_ms:
            at_ms = due_ms - due_ms % SECOND_MS + SECOND_MS
        keys = self._by_moment.get(at_ms)
        if keys is None:
            keys = self._by_moment[at_ms] = []
            heappush(self._moments, at_ms)
        keys.append(key)

    def next_ms(self) -> int | None:
        """When the next bucket opens."""
        return self._moments[0] if self._moments else None

    def take(self, now_ms: int, most: int) -> list[bytes]:
        """Up to so many keys of the earliest bucket that is open at the moment. They stand nowhere any more."""
        self._latest_ms = max(self._latest_ms, now_ms)
        if not self._moments or self._moments[0] > now_ms:
            return []
        keys = self._by_moment[self._moments[0]]
        taken = keys[-most:]
        del keys[-most:]
        if not keys:
            del self._by_moment[heappop(self._moments)]
        return taken


_NOBODYS: Final = object()


class DueIndex:
    """The buckets of one partition, and those that take their place while all keys are filed anew."""

    __slots__ = ("_buckets", "_outdated", "_unfiled", "horizons")

    def __init__(self) -> None:
        self.horizons: Hashable = _NOBODYS
        """Of the state machine whose moments are filed here."""
        self._buckets = _Buckets()
        self._outdated: _Buckets | None = None
        self._unfiled: Iterator[bytes] | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every key of the store has been filed."""
        return self._unfiled is None

    def file(self, key: bytes, due_ms: int) -> None:
        """Look at the key no later than a second after `due_ms`."""
        self._buckets.file(key, due_ms)

    def begin(self, horizons: Hashable, keys: Iterable[bytes]) -> None:
        """File these keys, all of the store, anew. Keys that come to it later are filed as they come."""
        if self._unfiled is None:
            self._outdated = self._buckets
        self.horizons = horizons
        self._buckets = _Buckets()
        self._unfiled = iter(list(keys))  # a store changes meanwhile, so no iterator over it is kept

    def unfiled(self) -> Iterator[bytes]:
        """The keys still to be filed, each to be taken once. Call `finish` when there are none left."""
        return iter(()) if self._unfiled is None else self._unfiled

    def finish(self) -> None:
        """All keys have been filed."""
        self._unfiled = self._outdated = None

    def next_ms(self) -> int | None:
        """When the next bucket opens."""
        ahead = [self._buckets.next_ms(), None if self._outdated is None else self._outdated.next_ms()]
        return min((moment_ms for moment_ms in ahead if moment_ms is not None), default=None)

    def take(self, now_ms: int, most: int) -> list[bytes]:
        """Up to so many keys whose bucket is open at the moment, to be looked at and, if they stay, filed again."""
        taken = [] if self._outdated is None else self._outdated.take(now_ms, most)
        return taken or self._buckets.take(now_ms, most)
