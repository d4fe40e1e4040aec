"""Decides which log lines of libraries are shown: those that are true of this gate, in words that say so.

Rules of this module
1. Below WARNING only the lines of this package are shown. The frameworks' own lines describe their default parts, most
   of which this gate replaces. For example, "Seek stream partitions to committed offsets" is what Faust does, whereas
   here the positions in the ledger are authoritative. At DEBUG everything is shown unchanged.
2. A warning about something that is ordinary here, or is not true here, is left out (`LEFT_OUT`, with the reason). All
   other lines of the Kafka client at WARNING and above are about brokers and groups, and are true.
3. A line that would be misleading is reworded (`REWORDED`). So are errors of requests, in which a client's fault is
   distinguished from ours.
4. What is ordinary for a moment (`PASSING`) is shown only if it lasts, and no line is shown more than a few times in
   five minutes (`streams.telemetry.repetition`). While a fault lasts, our own sentence says what does not work and why.
"""

from __future__ import annotations

import logging
import re
from typing import Final, NamedTuple

from streams.telemetry.repetition import Repetition

_REPLACED: Final = "Faust looks at parts that this gate replaces. /live says whether a worker is stuck."

LEFT_OUT: Final = {
    "Heartbeat failed for group %s because it is rebalancing": "How a member learns that another joined or left.",
    "Fetcher is ignoring cancel or slow": "This happens at a stop, which has a limit of its own.",
    "Missing sensor state for rebalance": "It is about Faust's own metrics, which nobody reads.",
    "Aiokafka has not sent fetch request for": _REPLACED,
    "Aiokafka has not received fetch response for": _REPLACED,
    "Aiokafka stopped fetching from": _REPLACED + " Reading pauses where a queue is full.",
    "Broker stopped responding to fetch requests for": _REPLACED,
    "Highwater not yet available for": _REPLACED,
    "No active partitions for": _REPLACED,
    "Stream has not started processing": _REPLACED,
    "Stream stopped processing, or is slow for": _REPLACED,
    "Has not committed": "Faust commits nothing here, because positions are committed with the decisions.",
}
"""Lines at WARNING or above that are not shown, and why, by the beginning of their template."""


_NO_BROKER: Final = "A broker that is restarted or moves is away for a moment. Our own sentence names the cause."
_COORDINATOR: Final = "A group's coordinator is elected at a first start, moves, and goes away with its broker."

PASSING: Final = {
    "Unable connect to": _NO_BROKER,
    "Unable to update metadata from": _NO_BROKER,
    "Unable to request metadata from": _NO_BROKER,
    "Failed fetch messages from": _NO_BROKER,
    "Failed fetch offsets from": _NO_BROKER,
    "Got error produce response": "The request is sent again, or the transaction fails and says so.",
    "Topic %s not found in cluster metadata": "A topic that was just created is known to every broker a moment later.",
    "Topic %s is not available during auto-create": "A topic that was just created has a leader a moment later.",
    "Group Coordinator Request failed:": _COORDINATOR,
    "Marking the coordinator dead": _COORDINATOR,
    "Error sending %s to node %s [%s] -- marking coordinator dead": _COORDINATOR,
    "Heartbeat send request failed:": _COORDINATOR,
    "Heartbeat failed for group %s: coordinator": _COORDINATOR,
    "Heartbeat failed: local member_id was not recognized": "The others have taken over, and it joins again.",
    "FindCoordinator Request failed:": _COORDINATOR,
    "Cannot send %r to": _NO_BROKER,
    "Could not send %r": _NO_BROKER,
    "Heartbeat session expired - marking coordinator dead": _COORDINATOR,
    "OffsetCommit failed for group %s due to group": _COORDINATOR,
}
"""Lines at WARNING or above that are shown only if they last, and why, by the beginning of their template."""


class Reworded(NamedTuple):
    level: int
    words: str


REWORDED: Final = {
    "Thread keepalive is not responding": Reworded(
        logging.WARNING,
        "The reading thread does not answer, because it lacks processor time or was frozen.",
    ),
}
"""What is logged instead of a line, by the beginning of its template."""

_SERVER: Final = "aiohttp.server"
CLIENTS_FAULT: Final = ("aiohttp.http_exceptions", "aiohttp.web_protocol", "aiohttp.client_exceptions")

# The services of Faust put their name and their depth in the tree of services before each line.
_SERVICE: Final = re.compile(r"\[\^-*[^\]]*\]: ")
# Up to where a text may quote something: a bracket, a quotation, a value, another line.
_LEADING_WORDS: Final = re.compile(r"(?:(?!\s')[^\n<({\[\"=:])*")


def leading_words(text: str) -> str:
    """The beginning of a text that was composed of words and values, as far as it contains no value."""
    return _LEADING_WORDS.match(text)[0].rstrip()  # type: ignore[index]  # it matches the empty text too


class LibraryFilter(logging.Filter):
    """A filter for a handler of the standard library. It lets our own lines pass and judges the others."""

    def __init__(self, repetition: Repetition | None = None) -> None:
        super().__init__()
        self._repetition = repetition or Repetition()

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
        is_passing = record.msg.startswith(tuple(PASSING))
        times = self._repetition.occurrences((record.name, record.msg), is_passing=is_passing)
        record.__dict__["times"] = times
        return times > 0


def _reword(record: logging.LogRecord, said: Reworded) -> None:
    record.levelno, record.levelname = said.level, logging.getLevelName(said.level)
    record.msg, record.args = said.words, ()


def _whose_fault(record: logging.LogRecord) -> Reworded:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, OSError) or type(error).__module__ in CLIENTS_FAULT:
        return Reworded(logging.WARNING, "A request to the operations port was malformed or aborted.")
    return Reworded(record.levelno, "A request to the operations port could not be answered.")
