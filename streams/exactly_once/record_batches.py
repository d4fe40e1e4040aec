# ruff: noqa: ANN401 - one of the places for names of library_internals.py
"""What was fetched of a partition, batch by batch, for aiokafka's readers; and what makes a batch unreadable.

Rules of this module
1. Every batch is read whole and as it was written, or not at all: then `UnreadableError` says why. Reading never goes
   on behind a batch that was not read.
2. Nothing that a batch says of itself is believed: not its length, its format, its codec, how many records it holds or
   where it ends. Whatever is wrong with one ends here, so that it has a name and a place.
3. A header name that is not UTF-8 makes nothing unreadable: it is read with replacement characters, the rest as it is.
"""

from __future__ import annotations

import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records as default_in_python
from aiokafka.record import legacy_records as legacy_in_python
from aiokafka.record._crecords import default_records as default_native
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.legacy_records import _LegacyRecordBatchPy
from aiokafka.record.util import decode_varint_py

from streams.exactly_once import codecs
from streams.records import InputRecord

if TYPE_CHECKING:
    from collections.abc import Sequence

_BATCH_START: Final = struct.Struct(">qi")
"""Base offset, and the length of what follows."""

_MAGIC_AT: Final = 16
_INT: Final = struct.Struct(">i")
_RECORD_COUNT_AT: Final = 57
_HEADER_BYTES: Final = 61
"""Of the format since Kafka 0.11 (2)."""

_LEGACY_HEADER_BYTES: Final = {0: 26, 1: 34}
"""Of the formats before it, a message without key and value."""

_MAGIC: Final = 2
_CODEC_MASK: Final = 0x07

RECORDS_MAX: Final = 500_000
"""Of one batch. Within the limit on unpacked bytes, a batch could hold nine million empty records, which would take
gigabytes once they are read. A megabyte holds ten thousand intents of a hundred bytes."""

NO_TIME_MS: Final = -1
"""The timestamp of a record that has none, as Kafka says it."""

_new_tuple = tuple.__new__


class UnreadableError(Exception):
    """A batch cannot be read. The text says why, to complete "it cannot be read: …"; it quotes nothing.

    `end_offset` is where the batch says that it ends; None where not even that can be believed.
    """

    def __init__(self, why: str, end_offset: int | None = None) -> None:
        super().__init__(why)
        self.end_offset = end_offset


class FetchedBatch:
    """One record batch, or one message of a format older than Kafka 0.11. `parsed` is aiokafka's; its header is
    read."""

    __slots__ = ("_is_legacy", "_packed", "next_offset", "parsed", "position")

    def __init__(self, packed: bytes, parsed: Any, position: int, *, is_legacy: bool) -> None:
        self._packed = packed
        self._is_legacy = is_legacy
        self.parsed = parsed
        self.position = position
        """The offset that was asked for, within the batch or before it."""
        self.next_offset: int = parsed.next_offset

    @property
    def lies_before(self) -> bool:
        """Whether all of it lies before `position`. A broker may begin its answer with such a batch."""
        return self.next_offset <= self.position

    @property
    def base_offset(self) -> int | None:
        """Where it begins. Batches of a format older than Kafka 0.11 do not say."""
        return getattr(self.parsed, "base_offset", None)

    def check(self, *, check_crc: bool) -> None:
        """Compare the checksum, and whether the header makes sense.

        Raises:
            UnreadableError: it does not.
        """
        if check_crc and not self.parsed.validate_crc():
            raise UnreadableError("its checksum is wrong", self._end)
        if self.base_offset is not None and self.next_offset <= self.base_offset:
            raise UnreadableError("it ends before it begins")

    def records(self, topic: str) -> list[InputRecord]:
        """Its records from `position` on.

        Raises:
            UnreadableError: it cannot be read.
        """
        records = self._read(
            lambda batch: [
                _new_tuple(InputRecord, (topic, r.offset, r.timestamp, r.key, r.value, r.headers)) for r in batch
            ]
        )
        if self._is_legacy:  # those of format 0 have no time
            records = [
                record if record.timestamp_ms is not None else record._replace(timestamp_ms=NO_TIME_MS)
                for record in records
            ]
        self._check_order([record.offset for record in records])
        if records and records[0].offset < self.position:  # the fetch began inside this batch
            records = [record for record in records if record.offset >= self.position]
        return records

    def pairs(self) -> list[tuple[bytes | None, bytes | None]]:
        """Key and value of its records from `position` on.

        Raises:
            UnreadableError: it cannot be read.
        """
        position = self.position
        base_offset = self.base_offset
        if base_offset is not None and base_offset >= position:
            return self._read(lambda batch: [(record.key, record.value) for record in batch])
        triples = self._read(lambda batch: [(record.offset, record.key, record.value) for record in batch])
        return [(key, value) for offset, key, value in triples if offset >= position]

    def offset_of(self, key: bytes) -> int | None:
        """Of the latest record with this key; None if there is none.

        Raises:
            UnreadableError: it cannot be read.
        """
        offsets = self._read(lambda batch: [record.offset if record.key == key else None for record in batch])
        return max((offset for offset in offsets if offset is not None), default=None)

    def missing(self, records: Sequence[InputRecord]) -> tuple[int, int]:
        """The first offset from `position` on that none of these records, read from it, has; and how many those are."""
        count = self.next_offset - self.position - len(records)
        if count == 0:
            return self.position, 0
        expected = self.position
        for record in records:
            if record.offset != expected:
                break
            expected += 1
        return expected, count

    def _read(self, read: Any) -> list[Any]:
        found: list[Any]
        try:
            self._check_claims()
            try:
                found = read(self.parsed)
            except (UnicodeDecodeError, CorruptRecordException):
                # What a header name that is not UTF-8 raises; corrupt, says the reader written in Python.
                if self._is_legacy:
                    raise
                found = read(LenientBatch(self._packed))
        except UnreadableError:
            raise
        except codecs.DamagedError as damaged:
            raise UnreadableError(str(damaged), self._end) from None
        except Exception as error:  # noqa: BLE001 - lengths that lead anywhere raise anything
            raise UnreadableError(f"its records are damaged ({type(error).__name__})", self._end) from None
        if not self._is_legacy and len(found) != self._claimed_count:
            raise UnreadableError(f"it says that it holds {self._claimed_count} records, not {len(found)}", self._end)
        return found

    @property
    def _claimed_count(self) -> int:
        (count,) = _INT.unpack_from(self._packed, _RECORD_COUNT_AT)
        return int(count)

    def _check_claims(self) -> None:
        """Refuse what must not even be tried."""
        if self._is_legacy:
            return
        if not 0 <= self._claimed_count <= RECORDS_MAX:
            raise UnreadableError(f"it says that it holds {self._claimed_count} records", self._end)
        codec = self.parsed.attributes & _CODEC_MASK
        if codec and codec not in codecs.NAMES:
            raise UnreadableError(f"its compression codec {codec} is unknown", self._end)

    def _check_order(self, offsets: list[int]) -> None:
        base_offset = self.base_offset
        begin = base_offset if base_offset is not None else (offsets[0] if offsets else 0)
        if offsets == list(range(begin, begin + len(offsets))):
            is_sound = not offsets or offsets[-1] < self.next_offset
        else:
            rising = all(earlier < later for earlier, later in pairwise(offsets))
            is_sound = rising and begin <= offsets[0] and offsets[-1] < self.next_offset
        if not is_sound:
            raise UnreadableError("its records do not lie within it, one after another", self._end)

    @property
    def _end(self) -> int | None:
        return self.next_offset if self.next_offset > self.position else None


class FetchedBatches:
    """What was fetched of a partition. Takes the place of aiokafka's `MemoryRecords`.

    What is cut off at the end is left for the next fetch, unless there is nothing before it: brokers answer with one
    whole batch at least.
    """

    __slots__ = ("_at", "_fetched")

    def __init__(self, fetched: bytes | bytearray | None) -> None:
        self._fetched = bytes(fetched or b"")
        self._at = 0

    def size_in_bytes(self) -> int:
        return len(self._fetched)

    def has_next(self) -> bool:
        """Whether `next_batch` has an answer, be it that what comes is unreadable."""
        left = len(self._fetched) - self._at
        if self._at == 0 or left < _BATCH_START.size:
            return self._at == 0 and left > 0
        _, length = _BATCH_START.unpack_from(self._fetched, self._at)
        return bool(_BATCH_START.size + length <= left)

    def next_batch(self) -> Any:
        """The next one as aiokafka's own consumers read it, which are in this process too."""
        try:
            return self.next_fetched(0).parsed
        except UnreadableError as error:
            raise CorruptRecordException(str(error)) from None

    def next_fetched(self, position: int) -> FetchedBatch:
        """The next one, of which the offsets from `position` on were asked for.

        Raises:
            UnreadableError: there is something, but no batch.
        """
        begin, left = self._at, len(self._fetched) - self._at
        if left < _BATCH_START.size:
            raise UnreadableError("it is cut off")
        _, length = _BATCH_START.unpack_from(self._fetched, begin)
        size = _BATCH_START.size + length
        magic = self._fetched[begin + _MAGIC_AT] if left > _MAGIC_AT else _MAGIC
        if magic > _MAGIC:
            raise UnreadableError(f"its format {magic} is unknown")
        if size < _LEGACY_HEADER_BYTES.get(magic, _HEADER_BYTES):
            raise UnreadableError(f"its length of {length} bytes is too small for a batch")
        if size > left:
            raise UnreadableError(f"it should be {size} bytes long, and ends after {left}")
        self._at = begin + size
        packed = self._fetched[begin : self._at]
        try:
            parsed = DefaultRecordBatch(packed) if magic == _MAGIC else LegacyBatch(packed, magic)
        except Exception as error:  # noqa: BLE001 - a nonsensical header raises anything
            raise UnreadableError(f"its header is damaged ({type(error).__name__})") from None
        return FetchedBatch(packed, parsed, position, is_legacy=magic != _MAGIC)


class LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A record batch whose header names may be any bytes. Slow: only for what aiokafka's own reader cannot read."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _LenientText(self._buffer)

    def _read_msg(self, decode_varint: Any = decode_varint_py) -> Any:
        # Not aiokafka's native one, which follows a nonsensical length out of the buffer and crashes the process.
        return super()._read_msg(decode_varint)


class LegacyBatch(_LegacyRecordBatchPy):  # type: ignore[misc]
    """A message of a format older than Kafka 0.11, or a compressed set of them. Slow, but few are left.

    aiokafka's native reader follows a nonsensical length out of the buffer and crashes the process; its reader in
    Python accepts fewer bytes than were announced, or loops for ever.
    """

    _buffer: memoryview

    def _read_all_headers(self) -> list[Any]:
        headers: list[Any] = []
        position = 0
        while position < len(self._buffer):
            header = self._read_header(position)
            end = position + _BATCH_START.size + header[1]
            if header[1] < self._least_length or end > len(self._buffer) or len(headers) == RECORDS_MAX:
                raise CorruptRecordException("a nonsensical message")
            headers.append((header, position))
            position = end
        return headers

    @property
    def _least_length(self) -> int:
        return _LEGACY_HEADER_BYTES[self._magic] - _BATCH_START.size

    def _read_key_value(self, pos: int) -> tuple[bytes | None, bytes | None]:
        key, pos = self._sized(pos)
        value, _ = self._sized(pos)
        return key, value

    def _sized(self, position: int) -> tuple[bytes | None, int]:
        (length,) = _INT.unpack_from(self._buffer, position)
        begin = position + _INT.size
        if length == -1:
            return None, begin
        if not 0 <= length <= len(self._buffer) - begin:
            raise CorruptRecordException("a nonsensical length")
        return bytes(self._buffer[begin : begin + length]), begin + length


class _LenientText(bytearray):
    """Bytes that can always be decoded."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _LenientText(part) if isinstance(index, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)


def unpack_with_limits() -> None:
    """Make aiokafka's readers unpack by `codecs`, not by functions of their own that know no limit."""
    for module in (default_in_python, default_native, legacy_in_python):
        module.gzip_decode = codecs.gunzip
        module.snappy_decode = codecs.unsnappy
        module.lz4_decode = codecs.unlz4
    for module in (default_in_python, default_native):
        module.zstd_decode = codecs.unzstd
