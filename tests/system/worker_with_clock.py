"""A worker whose clock is as wrong as a file says. It exists for tests alone: the product reads the machine's clock.

The file, named by `WRONG_CLOCK_FILE`, holds the milliseconds to add, and is looked at for every moment. When a queue is
full, which nobody could see from outside, it says `QUEUE_IS_FULL`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams import worker
from streams.app import SystemClock
from streams.exactly_once.input_queue import InputQueue

if TYPE_CHECKING:
    from streams.exactly_once.fetched_records import FetchedRecords
    from streams.exactly_once.input_queue import Missing

FILE_VARIABLE: Final = "WRONG_CLOCK_FILE"
QUEUE_IS_FULL: Final = "a queue is full"


class WrongClock(SystemClock):
    """The machine's clock, shifted."""

    def __init__(self) -> None:
        self._file = Path(os.environ[FILE_VARIABLE])

    def now_ms(self) -> int:
        return super().now_ms() + int(self._file.read_text(encoding="ascii"))


add = InputQueue.add


def add_and_tell(input_queue: InputQueue, arrived: FetchedRecords) -> Missing | None:
    was_full = input_queue.is_full
    missing = add(input_queue, arrived)
    if input_queue.is_full and not was_full:
        print(QUEUE_IS_FULL, file=sys.stderr, flush=True)
    return missing


if __name__ == "__main__":
    InputQueue.add = add_and_tell  # type: ignore[assignment, method-assign]
    worker.SystemClock = WrongClock  # type: ignore[attr-defined]
    sys.exit(worker.main())
