"""Runs a module as the main program, and ends it when the process that started it ends.

    python -m streams.cli.parent_watch PARENT_PID MODULE [ARGUMENT…]

Rules of this module
1. However the parent ends, including `kill -9`, this process does not continue. A gate that nobody supervises would
   keep its partitions and could not be told to stop.
2. There are two independent means. On Linux the kernel kills us when the parent dies, whatever our interpreter is
   doing. On every system our standard input is a pipe whose other end only the parent holds, so that we read its end.
3. The signal is SIGKILL. The gate loses nothing by it, and a program that hangs cannot ignore it.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import signal
import sys
import threading
from typing import Final, NoReturn

MODULE: Final = "streams.cli.parent_watch"

_SET_PARENT_DEATH_SIGNAL: Final = 1  # PR_SET_PDEATHSIG of <sys/prctl.h>
_READ_BYTES: Final = 4_096


def hold(parent_process_id: int) -> None:
    """Tie this process to its parent."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent_process_id:
        _end()  # it ended before the signal was set
    threading.Thread(target=_read_to_the_end, name="parent-watch", daemon=True).start()


def _read_to_the_end() -> None:
    while os.read(0, _READ_BYTES):
        pass
    _end()


def _end() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def main() -> None:
    """Tie this process to its parent, then become the module."""
    _, parent, module, *arguments = sys.argv
    hold(int(parent))
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
