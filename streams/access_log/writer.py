"""Writes the records: to a file that is only ever appended to, or to standard error among the log lines."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from pathlib import Path

EVENT: Final = "A customer was looked up."

HASH_BYTES: Final = 16
"""Enough that two customers never have one hash, and short enough to be read out."""

_PERSON: Final = b"mesura-access"
_OWNER_AND_GROUP: Final = 0o640


class AccessNotRecorded(Exception):
    """The record could not be written, so there must be no answer."""


class AccessLog:
    """Records of look-ups.

    Args:
        key: the erasure key. With it a customer's records are found again (`hash_of`), and only with it.
        path: the file. It is opened for each record, so that it may be rotated by renaming. None: standard error.
    """

    def __init__(self, key: bytes, path: Path | None = None) -> None:
        self._key = key
        self._path = path

    def hash_of(self, customer_id: str) -> str:
        """How the customer is written."""
        return blake2b(customer_id.encode(), digest_size=HASH_BYTES, key=self._key, person=_PERSON).hexdigest()

    def record(self, *, who: str, role: str, what: str, customer_id: str) -> None:
        """Write one record; it is with the system when this returns.

        Raises:
            AccessNotRecorded: it is not.
        """
        line = orjson.dumps(
            {
                "event": EVENT,
                "level": "info",
                "logger": "streams.access_log",
                "timestamp": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
                "who": who,
                "role": role,
                "what": what,
                "customer_hash": self.hash_of(customer_id),
            },
            option=orjson.OPT_APPEND_NEWLINE,
        )
        try:
            self._write(line)
        except (OSError, ValueError) as error:
            raise AccessNotRecorded(getattr(error, "strerror", None) or "the stream is closed") from None

    def check(self) -> None:
        """Refuse a file that cannot be written, before anybody asks.

        Raises:
            AccessNotRecorded: it cannot.
        """
        if self._path is None:
            return
        try:
            os.close(self._open(self._path))
        except OSError as error:
            raise AccessNotRecorded(error.strerror) from None

    def _write(self, line: bytes) -> None:
        if self._path is None:
            sys.stderr.write(line.decode())
            sys.stderr.flush()
            return
        descriptor = self._open(self._path)
        try:
            # One call: the lines of several processes that append to one file do not mix.
            if os.write(descriptor, line) != len(line):
                raise OSError(0, "the disk is full")
        finally:
            os.close(descriptor)

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _OWNER_AND_GROUP)
