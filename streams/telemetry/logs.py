"""Logs for machines and people: JSON lines, or coloured text on a terminal, and never anything about a customer.

Rules of this module
1. A key passes only if it is in `ALLOWED_KEYS`. Any other key keeps its name and loses its value. A key whose name
   suggests customer data never passes, whatever the list says.
2. Only numbers, short text and lists of them are values. Bytes, mappings and objects are not.
3. An exception is logged as its type and its location. Its message is kept only if it cannot quote a record, as in
   errors of the system, of the Kafka client and of this package.
4. Records of the standard library's loggers pass through the same chain. The arguments of a library's message are
   shown only for the Kafka client and the service framework, and only from information on, where they name brokers,
   groups and partitions. Below, the client shows requests whole: passwords, tokens, records.
   `streams.telemetry.libraries` decides which other lines of libraries are logged, and in whose words.
5. An uncaught error, in whatever thread, is a line like any other. None of our processes prints a traceback.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import orjson
import structlog

from streams.telemetry.libraries import LibraryFilter, leading_words

REDACTED = "[redacted]"

LEVEL_VARIABLE = "MESURA_LOG_LEVEL"

MAX_TEXT = 1_000
"""Characters kept of a text. Our longest sentences, which name every topic of a gate, fit. A payload that slipped
through does not fit."""

MAX_ITEMS = 100
"""Items kept of a list: a worker's partitions fit."""

FORBIDDEN = re.compile(
    r"customer|address|phone|mail|payload|content|body|header|attribute|detail|recipient|secret|password|(^|_)(key|value)s?($|_)"
)

ALLOWED_KEYS = frozenset(
    {
        "event", "level", "logger", "timestamp",
        "topic", "topics", "partition", "partitions", "offset", "group", "transactional_id", "generation", "bootstrap",
        "slot",
        "records", "remaining_records", "restored_records", "lag_records", "count", "attempt", "bytes",
        "process", "processes", "exit_code", "restarts", "times",
        "seconds", "decoding_seconds", "duration_seconds", "difference_seconds", "lag_seconds",
        "decided_at_ms", "committed_at_ms",
        "policy_name", "policy_version", "policy_hash", "rule", "channel", "verdict", "reason", "why", "result",
        "host", "port", "file", "line", "column", "version", "python", "signal", "setting", "state",
        "error", "error_message", "error_at", "warning",
    }
)  # fmt: skip

ARGUMENTS_SHOWN = ("aiokafka", "mode")
"""Loggers of the standard library whose message arguments are shown. At information and above they name brokers,
groups, topics, partitions and services, never a record."""

MESSAGES_SHOWN = ("aiokafka.", "asyncio.", "streams.")
"""Modules whose exceptions keep their message, because they quote the network or our own sentences, never a record."""


def configure_logging(
    *, level: str | None = None, stream: TextIO | None = None, pretty: bool | None = None, slot: str | None = None
) -> None:
    """Send every log of this process, structlog's and the standard library's, to `stream` (default: standard error).

    With `pretty=None` the format depends on whether the stream is a terminal. With `level=None` the level is that of
    `MESURA_LOG_LEVEL`, otherwise INFO. `slot` is in every line and distinguishes processes that write to one stream.
    """
    shared = [_slot_adder(slot), *_SHARED] if slot is not None else _SHARED
    out = stream if stream is not None else sys.stderr
    pretty = out.isatty() if pretty is None else pretty
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_logger_name,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    render: Any = structlog.dev.ConsoleRenderer() if pretty else structlog.processors.JSONRenderer(serializer=_json)
    handler = _Handler(out)
    handler.addFilter(LibraryFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_guard_foreign, structlog.stdlib.add_logger_name, *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            use_get_message=False,
            pass_foreign_args=True,
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(_level(level if level is not None else os.environ.get(LEVEL_VARIABLE, "")))


def log_what_nobody_catches() -> None:
    """Send to the log what the interpreter would otherwise print: uncaught errors of any thread, and warnings.

    The main program of a process calls this once. The event loop's own messages come through the logger `asyncio`.
    """
    log = structlog.get_logger("streams")

    def in_main_thread(kind: type[BaseException], error: BaseException, _trace: object) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            log.critical("An uncaught error ended the process.", exc_info=error)

    def in_thread(uncaught: threading.ExceptHookArgs) -> None:
        log.error("An uncaught error ended a thread.", exc_info=uncaught.exc_value)

    def nowhere(unraisable: sys.UnraisableHookArgs) -> None:
        log.error("An error occurred where it cannot be raised.", exc_info=unraisable.exc_value)

    def warned(
        message: Warning | str,  # noqa: ARG001 - it may quote anything
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        place = f"{filename.rpartition('site-packages/')[2]}:{lineno}"
        log.warning("The interpreter or a library issued a warning.", warning=category.__name__, error_at=[place])

    sys.excepthook = in_main_thread
    threading.excepthook = in_thread
    sys.unraisablehook = nowhere
    warnings.showwarning = warned


def _slot_adder(slot: str) -> structlog.typing.Processor:
    def add_slot(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["slot"] = slot
        return event

    return add_slot


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep what is allowed and replace the other values. Their names stay, which shows that something was replaced."""
    for key, value in event.items():
        if not key.startswith("_"):
            event[key] = _safe(value) if key in ALLOWED_KEYS and not FORBIDDEN.search(key) else REDACTED
    return event


def describe_exception(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Turn `exc_info` into type, place and, where it cannot quote a record, message."""
    given = event.pop("exc_info", None)
    exception = given if isinstance(given, BaseException) else None
    if given is True:
        exception = sys.exc_info()[1]
    elif isinstance(given, tuple):
        exception = given[1]
    if exception is not None:
        event.update(_exception_fields(exception))
    return event


def _exception_fields(exception: BaseException) -> Mapping[str, object]:
    kind = type(exception)
    fields: dict[str, object] = {"error": f"{kind.__module__}.{kind.__qualname__}"}
    if isinstance(exception, OSError) or f"{kind.__module__}.".startswith(MESSAGES_SHOWN):
        fields["error_message"] = str(exception)
    frames = traceback.extract_tb(exception.__traceback__)
    fields["error_at"] = [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno}" for frame in frames]
    return fields


def _guard_foreign(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Rebuild a standard library record's message from its template, with only the arguments that may be shown."""
    record: logging.LogRecord = event["_record"]
    times = record.__dict__.get("times", 1)  # set by the filter
    if times > 1:
        event["times"] = times
    shown = record.name.split(".", 1)[0] in ARGUMENTS_SHOWN and record.levelno >= logging.INFO
    arguments = event.pop("positional_args", ())
    if not isinstance(record.msg, str):
        event["event"] = type(record.msg).__name__
    elif arguments:
        event["event"] = _fill(record.msg, arguments, shown)
    elif not shown:
        # The message may have been formatted before, from values that must not be shown.
        event["event"] = leading_words(record.msg)
    return event


def _level(name: str) -> int:
    """The level of that name. An unknown name means INFO, because it must not keep a gate from starting."""
    return logging.getLevelNamesMapping().get(name.upper(), logging.INFO)


def _fill(template: str, arguments: tuple[object, ...] | Mapping[str, object], shown: bool) -> str:
    """The template with its arguments. Those that may not be shown lose their value, and a number keeps it."""

    def guard(argument: object) -> object:
        if isinstance(argument, BaseException):
            return argument if shown and isinstance(argument, OSError) else type(argument).__name__
        return argument if shown or isinstance(argument, (int, float)) else REDACTED

    try:
        if isinstance(arguments, Mapping) and "%(" in template:
            return template % {name: guard(argument) for name, argument in arguments.items()}
        positional = (arguments,) if isinstance(arguments, Mapping) else arguments
        return template % tuple(guard(argument) for argument in positional)
    except (TypeError, ValueError):
        return template


def _safe(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else value[:MAX_TEXT] + "…"
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_safe(item) for item in list(value)[:MAX_ITEMS]]
    return REDACTED


def _json(event: object, **_options: object) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except orjson.JSONEncodeError:  # half a character, as in the name of a file, or a number beyond 64 bits
        return json.dumps(event, default=str, ensure_ascii=False).encode(errors="replace").decode()


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to a stream. What it cannot write is not shown in any other way."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        # The standard library would print the record with all its arguments.
        with contextlib.suppress(OSError, ValueError):
            kind, where = type(sys.exc_info()[1]).__name__, f"{record.filename}:{record.lineno}"
            self.stream.write(_json({"event": "A log line could not be written.", "error": kind, "error_at": [where]}))
            self.stream.write(self.terminator)


_SHARED = (
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    describe_exception,
    redact,
)
