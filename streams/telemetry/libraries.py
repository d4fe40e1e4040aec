"""What is heard of libraries in the log: what is true of this gate, in words that say so.

Rules of this module
1. Below WARNING only this package speaks. The frameworks' own lines tell what their default parts do, and this gate
   replaces most of them: "Seek stream partitions to committed offsets" is what Faust does; here the positions in the
   ledger are the authority. Whoever asks for DEBUG gets everything, as it is.
2. What a library says of an ordinary event of a group's life is no warning: `ORDINARY`, each with the reason.
3. What the HTTP server says of a request is said in our words, which tell a client's fault from our own.
"""

from __future__ import annotations

import logging
import re
from typing import Final, NamedTuple


class Line(NamedTuple):
    """A line of a library, by its logger and the beginning of its template."""

    logger: str
    begins: str


ORDINARY: Final = {
    Line("aiokafka.consumer.group_coordinator", "Heartbeat failed for group %s because it is rebalancing"): (
        "How a member of a group learns that another joined or left."
    ),
}
"""Lines at WARNING that are no warning, and why."""

_SERVER: Final = "aiohttp.server"
_CLIENTS_FAULT: Final = ("aiohttp.http_exceptions", "aiohttp.web_protocol", "aiohttp.client_exceptions")

# Up to where a text may quote something: a bracket, a quotation, a value, another line.
_LEADING_WORDS: Final = re.compile(r"(?:(?!\s')[^\n<({\[\"=:])*")


def leading_words(text: str) -> str:
    """The beginning of a text that was put together from words and values, as far as it holds no value."""
    return _LEADING_WORDS.match(text)[0].rstrip()  # type: ignore[index]  # it matches the empty text too


class LibraryFilter(logging.Filter):
    """Of a handler of the standard library. Lets our own lines pass, and judges the others."""

    def filter(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "_logger") or logging.getLogger().getEffectiveLevel() <= logging.DEBUG:
            return True
        if record.levelno < logging.WARNING:
            return False
        text = record.msg if isinstance(record.msg, str) else ""
        if any(record.name == line.logger and text.startswith(line.begins) for line in ORDINARY):
            return False
        if record.name == _SERVER:
            _say_whose_fault(record)
        return True


def _say_whose_fault(record: logging.LogRecord) -> None:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, OSError) or type(error).__module__ in _CLIENTS_FAULT:
        record.levelno, record.msg = logging.WARNING, "A request to the operations port was malformed or broken off."
    else:
        record.msg = "A request to the operations port could not be answered."
    record.levelname, record.args = logging.getLevelName(record.levelno), ()
