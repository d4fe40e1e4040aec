"""What is read from files and read again when they change.

Rules of this module
1. What cannot be used does not replace what could: a mistake in an edit must not lock everybody out. It is logged once.
2. What was taken out of the files no longer counts, at the latest `LOOK_SECONDS` later.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Read = TypeVar("Read")

LOOK_SECONDS: Final = 1.0
"""Between two looks. A token that was taken out is of use for so long. A flood of requests does not read the disk."""

log = structlog.get_logger(__name__)


class Reread(Generic[Read]):
    """The value of a directory.

    Args:
        read: makes the value. Raises ValueError, with a sentence, if the files cannot be used.
    """

    def __init__(
        self, directory: Path, read: Callable[[Path], Read], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory = directory
        self._read = read
        self._monotonic = monotonic
        self._seen = _signature(directory)
        self._looked = monotonic()
        self._value = read(directory)

    def current(self) -> Read:
        """The value, as the files are now."""
        if self._monotonic() - self._looked < LOOK_SECONDS:
            return self._value
        self._looked = self._monotonic()
        if (signature := _signature(self._directory)) != self._seen:
            self._seen = signature
            try:
                self._value = self._read(self._directory)
                log.info("The operations endpoint has read changed files.", file=str(self._directory))
            except ValueError as error:
                log.error("Changed files cannot be used; what was read before stays.", why=str(error))
        return self._value


def _signature(directory: Path) -> frozenset[tuple[str, int, int, int]]:
    """Changes whenever a file is written, replaced, added or removed, also behind the links of Kubernetes."""
    try:
        with os.scandir(directory) as entries:
            found = [(entry.name, entry.stat()) for entry in entries if not entry.name.startswith(".")]
    except OSError:  # in the middle of being replaced, or gone: what was read stays
        return frozenset()
    return frozenset((name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in found)
