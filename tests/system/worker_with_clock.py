"""A worker whose clock is as wrong as a file says. It exists for tests alone: the product reads the machine's clock.

The file, named by `WRONG_CLOCK_FILE`, holds the milliseconds to add, and is looked at for every moment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from streams import worker
from streams.app import SystemClock

FILE_VARIABLE: Final = "WRONG_CLOCK_FILE"


class WrongClock(SystemClock):
    """The machine's clock, shifted."""

    def __init__(self) -> None:
        self._file = Path(os.environ[FILE_VARIABLE])

    def now_ms(self) -> int:
        return super().now_ms() + int(self._file.read_text(encoding="ascii"))


if __name__ == "__main__":
    worker.SystemClock = WrongClock  # type: ignore[attr-defined]
    sys.exit(worker.main())
