"""Runs a program that does not watch its parent (a Java broker), and ends it when nobody needs it any more.

`python -m streams.testing.foreign_program --holder PID [options] -- program argument…`

This process is held like every helper process (see `parent_watch`). When its holders are gone, however they went, it
kills the program and removes its scratch directory. If this process itself is killed, Linux kills the program (the
parent-death signal). It speaks lines of JSON: `{"pid": …}` at the start, `{"ended": code}` at the end, and answers in
between to `{"do": "signal", "number": 9}` and `{"do": "stop", "grace_seconds": 10}`. Only this process sends signals,
because only a parent can be sure that a process id still is its child's.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from streams.testing.parent_watch import Answer, Command, ParentWatch, write_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MODULE: Final = "streams.testing.foreign_program"

_PR_SET_PDEATHSIG: Final = 1


class _Program:
    """The program that is kept, in a session of its own: an interrupt typed at a terminal must not reach it."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # what we were told to run
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent(),  # noqa: PLW1509  # this process has one thread
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def answer(self, command: Command) -> Answer:
        if command["do"] == "signal":
            self._process.send_signal(int(command["number"]))
            return {"ok": True}
        if command["do"] == "stop":
            self.stop(float(command["grace_seconds"]))
            return {"ok": True}
        raise ValueError(f"unknown command {command['do']}")

    def stop(self, grace_seconds: float) -> None:
        # A frozen process cannot react to SIGTERM; thawing one that runs does nothing.
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> int:
        self._process.kill()
        return self._process.wait()


def _die_with_parent() -> Callable[[], None] | None:
    """What the program does between fork and exec so that it dies with its parent. Linux only."""
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None, use_errno=True)
    our_process_id = os.getpid()

    def request() -> None:
        library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != our_process_id:
            os._exit(1)  # it died before we asked

    return request


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a program until it ends or nobody needs it any more."""
    parser = argparse.ArgumentParser(prog=f"python -m {MODULE}", description=main.__doc__)
    parser.add_argument("--holder", type=int, help="process id of who holds us over our standard input")
    parser.add_argument("--socket", type=Path, help="where (further) holders connect")
    parser.add_argument("--greeting", type=json.loads, default={}, help="what holders are told when they connect, JSON")
    parser.add_argument("--scratch", type=Path, help="directory removed when nobody needs the program any more")
    parser.add_argument("--log", type=Path, required=True, help="file that receives what the program prints")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(arguments)
    if options.holder is None:
        if options.socket is None:
            parser.error("without --holder, --socket is needed")
        if os.fork():
            os._exit(0)  # held by whoever connects: who started us must not have to wait for our end
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    program: _Program | None = None

    def answer(command: Command) -> Answer:
        assert program is not None
        return program.answer(command)

    parent_watch = ParentWatch(
        holder_process_id=options.holder,
        on_command=answer,
        socket_path=options.socket,
        greeting=options.greeting,
    )
    program = _Program(options.program, options.log)
    parent_watch.notice_end_of(program.pid)
    write_line({"pid": program.pid})
    is_abandoned = parent_watch.serve(program.has_ended)
    code = program.kill()
    if is_abandoned and options.scratch is not None:
        shutil.rmtree(options.scratch, ignore_errors=True)
    write_line({"ended": code})
    return 0


if __name__ == "__main__":
    code = main()
    os._exit(code)  # no flushing into pipes whose reader may be gone
