"""A worker of ours whose stack is looked at every two milliseconds of its processor time: `bench.profile` starts it.

Rules of this module
1. A look counts for the innermost frame that belongs to one of the parts: what a library does is its caller's, unless
   the library is a part itself.
2. Looking begins with SIGUSR1, so that starting and warming up are not counted, and what was seen is written when the
   worker ends.
3. Native code has no frames. It counts for whoever called it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Final

from streams import worker

SUFFIX: Final = ".samples.json"
"""What was seen is written to the working directory, in a file named after the process."""

INTERVAL_SECONDS: Final = 0.002

PARTS: Final = (
    ("streams/decision/ledger", "ledgers: read, changed, written"),
    ("streams/decision/", "rules"),
    ("streams/contracts/encode", "answers written"),
    ("streams/contracts/origin", "answers written"),
    ("streams/contracts/", "intents read"),
    ("streams/gate", "gate around the rules"),
    ("streams/exactly_once/transport", "records fetched"),
    ("streams/exactly_once/slices", "records fetched"),
    ("aiokafka/consumer/", "records fetched"),
    ("aiokafka/record/", "records fetched"),
    ("streams/exactly_once/transaction", "records produced, commits"),
    ("streams/exactly_once/fencing", "records produced, commits"),
    ("streams/exactly_once/sizes", "records produced, commits"),
    ("aiokafka/producer/", "records produced, commits"),
    ("streams/", "lanes, order, barrier, metrics"),
    ("aiokafka/", "connections, event loop"),
    ("faust/", "connections, event loop"),
    ("mode/", "connections, event loop"),
    ("asyncio/", "connections, event loop"),
)
ELSEWHERE: Final = "everything else"


def part_of(frame: FrameType | None) -> str:
    """The part the innermost of these frames belongs to."""
    while frame is not None:
        path = frame.f_code.co_filename
        for piece, part in PARTS:
            if piece in path:
                return part
        frame = frame.f_back
    return ELSEWHERE


def main() -> int:
    """Run the worker of this process's environment, and look at it."""
    seen: Counter[str] = Counter()

    def look(_number: int, frame: FrameType | None) -> None:
        seen[part_of(frame)] += 1

    def begin(_number: int, _frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)

    signal.signal(signal.SIGPROF, look)
    signal.signal(signal.SIGUSR1, begin)
    code = worker.main()
    signal.setitimer(signal.ITIMER_PROF, 0)
    Path(f"{os.getpid()}{SUFFIX}").write_text(json.dumps(seen), encoding="utf-8")
    return code


if __name__ == "__main__":
    sys.exit(main())
