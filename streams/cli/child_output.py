"""Reads what a worker writes to its streams, for its supervisor.

Rules of this module
1. A line of JSON is a log line, or one of the two messages that a worker writes to standard output. It is passed on
   unchanged, because the worker's own logging has made sure that it contains no customer data.
2. Anything else was written past the logging, by a dying interpreter or a library in C. Only what the format of
   Python's tracebacks shows to be a type or a location in the code is kept of it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
import orjson
from msgspec import Struct

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator

_PLACE: Final = re.compile(rb'\s*File "(?P<file>[^"]*)", line (?P<line>\d+),? in ')
_ERROR: Final = re.compile(rb"(?P<kind>[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Refused|Warning))(?:: |$)")
_CURRENT: Final = b"Current thread "
_FATAL: Final = re.compile(rb"Fatal Python error: (?P<kind>[A-Za-z_ ]+)")


class Ended(Struct, frozen=True):
    """What a worker reports as the cause of its end. See `streams.worker_end`."""

    sentence: str
    kind: str
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


class WorkerMessage(Struct, frozen=True):
    """A line of a worker's standard output."""

    ops: str | None = None
    ended: Ended | None = None


_decode_message = msgspec.json.Decoder(WorkerMessage).decode


def worker_message(line: bytes) -> WorkerMessage | None:
    """The message in the line, or None if it is not such a line."""
    try:
        return _decode_message(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def is_log_line(line: bytes) -> bool:
    """Whether it is a whole line of JSON."""
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Its lines. A line that is longer than the stream's limit is replaced by a short one."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            yield b"too long\n"
            continue
        if not line:
            return
        yield line


class UnloggedLines:
    """What lines that are not log lines reveal about a process."""

    def __init__(self) -> None:
        self.kind = ""
        self.place = ""
        self._is_fatal = False

    def add(self, line: bytes) -> dict[str, object]:
        """Add a line. Returns what may be logged about it."""
        told: dict[str, object] = {"bytes": len(line)}
        if found := _PLACE.match(line):
            place = f"{_text(found['file']).rpartition('site-packages/')[2]}:{_text(found['line'])}"
            told["error_at"] = [place]
            # A fatal error names the innermost call first, and a traceback names it last.
            if not (self._is_fatal and self.place):
                self.place = place
        elif line.startswith(_CURRENT):
            self.place = ""  # the locations before this line belong to other threads
        elif found := _FATAL.match(line):
            self.kind, self.place, self._is_fatal = _text(found["kind"]).strip(), "", True
            told["error"] = self.kind
        elif found := _ERROR.match(line):
            self.kind = _text(found["kind"])
            told["error"] = self.kind
        return told

    def in_words(self) -> str:
        """The cause of its death as far as the lines show it, otherwise empty."""
        if not self.kind:
            return ""
        return f"{self.kind} in {self.place}" if self.place else self.kind


def _text(found: bytes) -> str:
    return found.decode(errors="replace")
