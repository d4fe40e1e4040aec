"""What a fetch brings to records: batches whose header names, keys and values are any bytes.

What must hold
1. Sound batches are read as they were written, a header name that is not UTF-8 with replacement characters, whichever
   of the two readers has to do it, in service and in a restore; aborted and control batches are left out.
2. A damaged batch is refused before it is read.

Left out, because there both of aiokafka 0.14's readers follow lengths beyond the batch, natively, and may take the
process with them: nonsense under a right checksum, which no broker lets in, and damage to a batch's length and format,
which no checksum covers (what seems to be of a format of before Kafka 0.11 is believed).
"""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from streams.exactly_once.transport import EntriesPartitionRecords, KeptMemoryRecords, SlicedPartitionRecords
from tests.fuzz.frames import Frame, piece

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCHES_MAX: Final = 4
RECORDS_MAX: Final = 4
HEADERS_MAX: Final = 3
PRODUCER: Final = 7
TIMESTAMP_MS: Final = 1_795_514_400_000

_GZIP, _TRANSACTIONAL, _CONTROL, _ABORTED, _COMMITS = 1, 2, 4, 8, 16
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CRC_AT, _CRC_FROM = 17, 21
_BELIEVED: Final = (8, 9, 10, 11, 16)
"""Places of a batch's length and format."""

Headers = list[tuple[bytes, bytes | None]]


class _Written(NamedTuple):
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class _Batch(NamedTuple):
    flags: int
    base_offset: int
    records: list[_Written]

    @property
    def next_offset(self) -> int:
        return self.base_offset + max(len(self.records), 1)

    def packed(self) -> bytes:
        body = b"".join(_packed(record, self.base_offset) for record in self.records)
        if self.flags & _GZIP:
            body = gzip.compress(body, mtime=0)
        attributes = (
            bool(self.flags & _GZIP) | bool(self.flags & _TRANSACTIONAL) << 4 | bool(self.flags & _CONTROL) << 5
        )
        last = self.next_offset - self.base_offset - 1
        fields = (attributes, last, TIMESTAMP_MS, TIMESTAMP_MS, PRODUCER, 0, 0, len(self.records))
        length = _HEADER.size - 12 + len(body)
        return with_checksum(_HEADER.pack(self.base_offset, length, 0, 2, 0, *fields) + body)


def batches(data: bytes) -> None:
    """The target. The frame: damage (kind, place, change), where the fetch begins, batches."""
    frame = Frame(data)
    is_damaged, place, change = frame.byte() % 2, frame.byte() << 8 | frame.byte(), frame.byte()
    inside = frame.byte() % 3
    written = list(_batches(frame))
    fetched = b"".join(batch.packed() for batch in written)
    # A fetch is answered from the batch on in which it begins.
    position = min(written[0].base_offset + inside, written[0].next_offset - 1) if written else 0
    aborted = [(PRODUCER, batch.base_offset) for batch in written if batch.flags & _ABORTED]
    if is_damaged and fetched and change:
        _damaged_is_refused(fetched, place % len(fetched), change, written, position)
        return
    data_batches = list(_data(written, aborted))
    seen, pairs = _read(fetched, position, aborted)
    wanted = [record for batch in data_batches for record in batch.records if record.offset >= position]
    assert seen == [
        (one.offset, one.key, one.value, [(name.decode(errors="replace"), header) for name, header in one.headers])
        for one in wanted
    ]
    assert pairs == [(one.key, one.value) for one in wanted]


def _damaged_is_refused(fetched: bytes, place: int, change: int, written: list[_Batch], position: int) -> None:
    at = _struck(place, written)
    if at in _BELIEVED:
        return
    changed = bytearray(fetched)
    changed[place] ^= change
    try:
        _read(bytes(changed), position, [])
    except CorruptRecordException:
        return
    assert at < _CRC_AT, "damage is not noticed"


def _read(fetched: bytes, position: int, aborted: list[tuple[int, int]]) -> tuple[list[Any], list[Any]]:
    """The records as the gate reads them, and keys and values as a restore does."""
    seen, end = [], position
    for one in _partition(fetched, position, aborted, SlicedPartitionRecords)._unpack_records():
        assert one.start_offset == end, "a slice does not continue the one before"
        end = one.next_offset
        assert one.missing_count >= 0
        seen += [(r.offset, r.key, r.value, list(r.headers)) for r in one.records]
        assert all(type(part) in {bytes, type(None)} for r in one.records for part in (r.key, r.value))
    entries = _partition(fetched, position, aborted, EntriesPartitionRecords)._unpack_records()
    return seen, [pair for one in entries for pair in one.pairs()]  # type: ignore[attr-defined]


def _partition(
    fetched: bytes, position: int, aborted: list[tuple[int, int]], reader: type[SlicedPartitionRecords]
) -> SlicedPartitionRecords:
    records: SlicedPartitionRecords = PartitionRecords(
        TopicPartition("t", 0), KeptMemoryRecords(fetched), aborted, position, None, None, True, READ_COMMITTED
    )
    records.__class__ = reader
    return records


def _data(written: list[_Batch], aborted: list[tuple[int, int]]) -> Iterator[_Batch]:
    """The batches that are neither control nor aborted, found in another way than the readers'."""
    begun = {offset for _, offset in aborted}
    is_aborted = False
    for batch in written:
        is_aborted = is_aborted or batch.base_offset in begun
        if batch.flags & _CONTROL and not batch.flags & _COMMITS:
            is_aborted = False
        if not batch.flags & _CONTROL and not (is_aborted and batch.flags & _TRANSACTIONAL):
            yield batch


def _batches(frame: Frame) -> Iterator[_Batch]:
    offset = frame.byte()
    for _ in range(frame.byte() % BATCHES_MAX):
        flags, gap = frame.byte(), frame.byte() % 3
        offset += gap
        if flags & _CONTROL:
            key = struct.pack(">hh", 0, bool(flags & _COMMITS))
            records = [_Written(offset, key, b"\0\0\0\0\0\0", [])]
            flags &= ~_GZIP  # brokers write these, and never compressed
        else:
            records = [_record(frame, offset + number) for number in range(frame.byte() % RECORDS_MAX)]
        batch = _Batch(flags, offset, records)
        yield batch
        offset = batch.next_offset


def _record(frame: Frame, offset: int) -> _Written:
    key, value = frame.piece(), frame.piece()
    headers: Headers = [(frame.piece() or b"", frame.piece()) for _ in range(frame.byte() % HEADERS_MAX)]
    return _Written(offset, key, value, headers)


def _packed(record: _Written, base_offset: int) -> bytes:
    headers = b"".join(_sized(name) + _sized(header) for name, header in record.headers)
    body = b"\0" + _varint(0) + _varint(record.offset - base_offset) + _sized(record.key) + _sized(record.value)
    body += _varint(len(record.headers)) + headers
    return _varint(len(body)) + body


def _sized(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content


def _varint(value: int) -> bytes:
    left = value << 1 ^ value >> 63
    packed = bytearray()
    while left > 0x7F:
        packed.append(left & 0x7F | 0x80)
        left >>= 7
    packed.append(left)
    return bytes(packed)


def with_checksum(packed: bytes) -> bytes:
    """The batch with the checksum of what it holds."""
    return packed[:_CRC_AT] + struct.pack(">I", calc_crc32c(packed[_CRC_FROM:])) + packed[_CRC_FROM:]


def _struck(place: int, written: list[_Batch]) -> int:
    """Where in its batch this byte lies."""
    at = 0
    for batch in written:
        size = len(batch.packed())
        if place < at + size:
            return place - at
        at += size
    raise AssertionError("behind the last batch")


def seeds() -> Iterator[bytes]:
    """Plain, gzip, aborted, control; names that are UTF-8 and names that are not; begun inside; damaged."""
    plain = piece(b"k") + piece(b"value") + b"\2" + piece(b"name") + piece(b"v") + piece(b"other") + piece(None)
    strange = piece(None) + piece(b"") + b"\1" + piece(b"\xff\xfe\xfd") + piece(b"\xff")
    bodies = (b"\1" + plain, b"\2" + plain + strange, b"\3" + strange + plain + strange, b"\0")
    for flags in (0, _GZIP, _TRANSACTIONAL, _TRANSACTIONAL | _ABORTED, _GZIP | _TRANSACTIONAL):
        for inside in range(3):
            for body in bodies:
                one = bytes((flags, inside)) + body
                marker = bytes((_CONTROL | _TRANSACTIONAL | (_COMMITS if inside == 1 else 0), 0))
                yield bytes((0, 0, 0, 0, inside, 10, 3)) + one + marker + bytes((flags & ~_ABORTED, 0)) + body
                yield bytes((1, 0, 61 + 7 * inside, 1 << inside, 0, 10, 1)) + one
    yield b""
