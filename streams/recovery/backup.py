"""A backup of the ledger topic, in one file.

    mesura-ledger-backup 1\\n
    gzip of: a line of JSON (which gate, when, how many partitions), then records, each as
             partition (4 bytes), length of the key (4), length of the value (4), key, value
    SHA-256 of everything before, 32 bytes

Of each partition there is the state at one transaction, with its meta record. The partitions are of different moments
if a gate runs meanwhile, which does not matter: each one has its own positions.

Rules of this module
1. The file is readable by its owner alone, because it holds what customers said. It never replaces another.
2. A file that is cut short or altered is refused before anything of it is used.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import msgspec

from streams.exactly_once.changelog import META_KEY, decode_meta, encode_meta
from streams.exactly_once.errors import StartupRefusedError
from streams.recovery.errors import RecoveryRefused
from streams.recovery.replay import Ledgers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BACKUP_FORMAT: Final = 1
"""Grows when a reader of the previous format would misunderstand the file."""

MODE: Final = 0o600
_MAGIC: Final = b"mesura-ledger-backup "
_FRAME: Final = struct.Struct(">III")
_DIGEST_BYTES: Final = hashlib.sha256().digest_size
_CHUNK_BYTES: Final = 1024 * 1024
_LINE_BYTES_MAX: Final = 64 * 1024


class BackupHead(msgspec.Struct, frozen=True):
    """Of which gate, and from when."""

    application_id: str
    topic: str
    partitions: int
    taken_at_ms: int
    version: str


class _Digesting:
    """A file that is written, with the digest of it so far."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def write_backup(path: Path, head: BackupHead, partitions: Iterable[tuple[int, Ledgers]]) -> int:
    """Write a file that did not exist before. Returns the number of records.

    Raises:
        RecoveryRefused: there is such a file, or it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    if path.exists():
        raise RecoveryRefused(f"{path} exists already. Give another name; a backup never replaces another.")
    count = 0
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, MODE)
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, MODE)
            digesting = _Digesting(file)
            digesting.write(_MAGIC + b"%d\n" % BACKUP_FORMAT)
            with gzip.GzipFile(filename="", mode="wb", fileobj=digesting, mtime=0, compresslevel=6) as packed:
                packed.write(msgspec.json.encode(head) + b"\n")
                for partition, ledgers in partitions:
                    for key, value in _records(ledgers):
                        packed.write(_FRAME.pack(partition, len(key), len(value)) + key + value)
                        count += 1
            file.write(digesting.digest.digest())
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)  # never over a file that has appeared meanwhile
    except OSError as error:
        raise RecoveryRefused(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            partial.unlink()
    return count


def read_backup(path: Path) -> tuple[BackupHead, dict[int, Ledgers]]:
    """What the file holds.

    Raises:
        RecoveryRefused: it cannot be read, is of a newer format, cut short or altered.
    """
    try:
        with path.open("rb") as file:
            begin, end = _check_whole(path, file)
            file.seek(begin)
            with gzip.GzipFile(fileobj=_Until(file, end), mode="rb") as packed:
                head = msgspec.json.decode(packed.readline(_LINE_BYTES_MAX), type=BackupHead)
                found = {partition: Ledgers() for partition in range(head.partitions)}
                for partition, key, value in _frames(packed):
                    if key == META_KEY:
                        found[partition].meta = decode_meta(value)
                    else:
                        found[partition].store[key] = value
    except OSError as error:
        raise RecoveryRefused(f"{path} cannot be read: {error.strerror or error}.") from None
    except StartupRefusedError as refused:
        raise RecoveryRefused(f"{path}: {refused}") from None
    except (msgspec.MsgspecError, KeyError, EOFError, zlib.error, UnicodeDecodeError):
        raise RecoveryRefused(f"{path} is no backup that this version has written, although it is whole.") from None
    return head, found


class _Until:
    """A file that ends where its digest begins."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file = file
        self._end = end

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of the whole file."""
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """Up to so many bytes; all that are left by default."""
        left = self._end - self._file.tell()
        return self._file.read(left if size < 0 else min(size, left))


def _check_whole(path: Path, file: IO[bytes]) -> tuple[int, int]:
    """Where what is packed begins and ends."""
    first = file.readline(_LINE_BYTES_MAX)
    said = first.removeprefix(_MAGIC).strip()
    if not first.startswith(_MAGIC) or not said.isdigit():
        raise RecoveryRefused(f"{path} is no backup of a ledger topic.")
    if int(said) > BACKUP_FORMAT:
        raise RecoveryRefused(
            f"{path} is a backup of format {int(said)}, and this version reads format {BACKUP_FORMAT}. Use the version "
            "that wrote it, or a later one."
        )
    end = os.fstat(file.fileno()).st_size - _DIGEST_BYTES
    left = end - len(first)
    digest = hashlib.sha256(first)
    while left > 0:
        chunk = file.read(min(left, _CHUNK_BYTES))
        if not chunk:
            break
        digest.update(chunk)
        left -= len(chunk)
    if left != 0 or file.read(_DIGEST_BYTES) != digest.digest():
        raise RecoveryRefused(f"{path} is not what was written: it was cut short or altered. Use another backup.")
    return len(first), end


def _records(ledgers: Ledgers) -> Iterator[tuple[bytes, bytes]]:
    yield from ledgers.store.items()
    if ledgers.meta is not None:
        yield META_KEY, encode_meta(ledgers.meta)


def _frames(packed: IO[bytes] | gzip.GzipFile) -> Iterator[tuple[int, bytes, bytes]]:
    while head := packed.read(_FRAME.size):
        if len(head) < _FRAME.size:
            raise EOFError
        partition, key_bytes, value_bytes = _FRAME.unpack(head)
        key, value = packed.read(key_bytes), packed.read(value_bytes)
        if len(key) < key_bytes or len(value) < value_bytes:
            raise EOFError
        yield partition, key, value
