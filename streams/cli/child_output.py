"""What a worker writes on its streams, heard by its supervisor.

Rules of this module
1. A line of JSON is a log line, or one of the two that a worker says on standard output; it is passed on as it is: the
   worker's own logging has seen to it that nothing of a customer is in it.
2. Anything else was written past the logging: by a dying interpreter, by a library in C. Only what the form of
   Python's tracebacks shows to be a type or a place in the code is kept of it.
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
    """What a worker says it was ended by: see `streams.worker_end`."""

    sentence: str
    kind: str
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


class Said(Struct, frozen=True):
    """A line of a worker's standard output."""

    ops: str | None = None
    ended: Ended | None = None


_read_said = msgspec.json.Decoder(Said).decode


def said(line: bytes) -> Said | None:
    """What the line says; None if it is no such line."""
    try:
        return _read_said(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def is_log_line(line: bytes) -> bool:
    """Whether it is a whole line of JSON."""
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Its lines; of one that is longer than the stream's limit only that there was one."""
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            yield b"too long\n"
            continue
        if not line:
            return
        yield line


class Remains:
    """What is to be known of a process from lines that are no log lines."""

    def __init__(self) -> None:
        self.kind = ""
        self.place = ""
        self._is_fatal = False

    def add(self, line: bytes) -> dict[str, object]:
        """One more line. Returns what may be said of it."""
        told: dict[str, object] = {"bytes": len(line)}
        if found := _PLACE.match(line):
            place = f"{_text(found['file']).rpartition('site-packages/')[2]}:{_text(found['line'])}"
            told["error_at"] = [place]
            # A fatal error names the innermost call first, a traceback last.
            if not (self._is_fatal and self.place):
                self.place = place
        elif line.startswith(_CURRENT):
            self.place = ""  # what came before are the places of other threads
        elif found := _FATAL.match(line):
            self.kind, self.place, self._is_fatal = _text(found["kind"]).strip(), "", True
            told["error"] = self.kind
        elif found := _ERROR.match(line):
            self.kind = _text(found["kind"])
            told["error"] = self.kind
        return told

    def in_words(self) -> str:
        """What it died of, as far as the lines tell; empty if they do not."""
        if not self.kind:
            return ""
        return f"{self.kind} in {self.place}" if self.place else self.kind


def _text(found: bytes) -> str:
    return found.decode(errors="replace")
