"""A worker that fails on records which ask for it, as a mistake in it or in a library would make it fail.

`FAULT_DIRECTORY` names a directory. A record of an intent or a preference with a marker of the kind `fault-NAME` in it
makes the fault NAME happen there, once, with the whole record in its text and in the variables around it.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from streams import gate, worker

if TYPE_CHECKING:
    from collections.abc import Callable

DIRECTORY_VARIABLE: Final = "FAULT_DIRECTORY"
_ASKED: Final = re.compile(rb"-fault-([a-z]+)-")


def _raise(text: str) -> None:
    try:
        int(text)
    except ValueError as error:
        raise RuntimeError(f"cannot use {text}") from error


def _thread(text: str) -> None:
    thread = threading.Thread(target=_raise, args=(text,), name=text)
    thread.start()
    thread.join()


def _unraisable(text: str) -> None:
    class Broken:
        def __del__(self) -> None:
            raise ValueError(text)

    Broken()


def _group(text: str) -> None:
    raise ExceptionGroup(text, [ValueError(text), KeyError(text)])


def _log(text: str) -> None:
    """As libraries log, and as a careless line of our own might."""
    for name in ("faust.agents", "aiohttp.server", "aiokafka.consumer", "somebody.elses"):
        logger = logging.getLogger(name)
        if name != "aiokafka.consumer":  # its arguments are shown, see streams.telemetry.logs
            logger.error("Cannot use %s", text)
            logger.error("Cannot use %r of %(customer)s", {"customer": text})
        try:
            _raise(text)
        except RuntimeError:
            logger.exception("A record cannot be used")
    log = structlog.get_logger("streams.gate")
    log.error("A record cannot be used.", record=text, customer_id=text, value=text.encode(), reason={"text": text})
    try:
        _raise(text)
    except RuntimeError:
        log.exception("A record cannot be used.")


def _print(text: str) -> None:
    """As a library in C does, beside the logging."""
    os.write(2, f"cannot use {text}\n".encode())
    os.write(1, f"cannot use {text}\n".encode())
    os.write(2, f'  File "{text}.py", line 7, in {text}\n'.encode())


FAULTS: Final[dict[str, Callable[[str], object]]] = {
    "thread": _thread,
    "unraisable": _unraisable,
    "warning": lambda text: warnings.warn(text, UserWarning, stacklevel=1),
    "log": _log,
    "print": _print,
    "raise": _raise,
    "group": _group,
    "abort": lambda _: os.abort(),
    "leak": lambda text: structlog.get_logger("streams.gate").error(f"Cannot use {json.loads(text)['customer_id']}."),
}
"""By name. Only `leak` says what it must not: the search has to find it."""


def _asked(value: bytes | None) -> None:
    found = _ASKED.search(value or b"")
    if found is None:
        return
    name = found[1].decode()
    done = Path(os.environ[DIRECTORY_VARIABLE]) / name
    if not done.exists():
        done.touch()
        FAULTS[name]((value or b"").decode())


def _failing(decode: Callable[..., Any]) -> Callable[..., Any]:
    def failing(value: bytes | None, *more: Any) -> Any:  # noqa: ANN401
        _asked(value)
        return decode(value, *more)

    return failing


if __name__ == "__main__":
    gate.decode_intent = _failing(gate.decode_intent)  # type: ignore[attr-defined]
    gate.decode_preference = _failing(gate.decode_preference)  # type: ignore[attr-defined]
    sys.exit(worker.main())
