"""What is heard of libraries in the log: what is true of this gate, in words that say so.

Rules of this module
1. Below WARNING only this package speaks. The frameworks' own lines tell what their default parts do, and this gate
   replaces most of them: "Seek stream partitions to committed offsets" is what Faust does; here the positions in the
   ledger are the authority. Whoever asks for DEBUG gets everything, as it is.
2. What a library warns of although it is ordinary here, or is not so here, is left out: `LEFT_OUT`, each with the
   reason. Everything else of the Kafka client at WARNING and above speaks of brokers and groups, and is true.
3. What would be read wrongly is said in our words: `REWORDED`. Of a request, too: a client's fault is told from ours.
"""

from __future__ import annotations

import logging
import re
from typing import Final, NamedTuple

_REPLACED: Final = "Faust looks at parts that this gate replaces. Whether a worker stands still, /live says."

LEFT_OUT: Final = {
    "Heartbeat failed for group %s because it is rebalancing": "How a member learns that another joined or left.",
    "Fetcher is ignoring cancel or slow": "At a stop, which has a limit of its own.",
    "Missing sensor state for rebalance": "Of Faust's own metrics, which nobody reads.",
    "Aiokafka has not sent fetch request for": _REPLACED,
    "Aiokafka has not received fetch response for": _REPLACED,
    "Aiokafka stopped fetching from": _REPLACED + " Reading pauses where a queue is full.",
    "Broker stopped responding to fetch requests for": _REPLACED,
    "Highwater not yet available for": _REPLACED,
    "No active partitions for": _REPLACED,
    "Stream has not started processing": _REPLACED,
    "Stream stopped processing, or is slow for": _REPLACED,
    "Has not committed": "Faust commits nothing here: positions are committed with the decisions.",
}
"""By how a template begins: lines at WARNING or above that are not shown, and why."""


class Reworded(NamedTuple):
    level: int
    words: str


REWORDED: Final = {
    "Thread keepalive is not responding": Reworded(
        logging.WARNING,
        "The thread that reads does not answer, for want of processor or because it was frozen.",
    ),
}
"""By how a template begins: what is said in its place."""

_SERVER: Final = "aiohttp.server"
_CLIENTS_FAULT: Final = ("aiohttp.http_exceptions", "aiohttp.web_protocol", "aiohttp.client_exceptions")

# The services of Faust put their name and their depth in the tree of services before each line.
_SERVICE: Final = re.compile(r"\[\^-*[^\]]*\]: ")
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
        if not isinstance(record.msg, str):
            return True
        record.msg = _SERVICE.sub("", record.msg, count=1)
        if any(record.msg.startswith(begins) for begins in LEFT_OUT):
            return False
        for begins, said in REWORDED.items():
            if record.msg.startswith(begins):
                _reword(record, said)
        if record.name == _SERVER:
            _reword(record, _whose_fault(record))
        return True


def _reword(record: logging.LogRecord, said: Reworded) -> None:
    record.levelno, record.levelname = said.level, logging.getLevelName(said.level)
    record.msg, record.args = said.words, ()


def _whose_fault(record: logging.LogRecord) -> Reworded:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, OSError) or type(error).__module__ in _CLIENTS_FAULT:
        return Reworded(logging.WARNING, "A request to the operations port was malformed or broken off.")
    return Reworded(record.levelno, "A request to the operations port could not be answered.")
