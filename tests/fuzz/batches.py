"""What a fetch brings to records: batches whose header names, keys and values are any bytes.

What must hold
1. Sound batches are read as they were written, whatever they were compressed with, a header name that is not UTF-8 with
   replacement characters, whichever of the two readers has to do it, in service and in a restore; aborted and control
   batches are left out. Offsets that no record, marker or aborted record has are counted, inside batches too.
2. A damaged batch is refused before it is read, and nothing behind it is read. Damage that no checksum covers (to base
   offset, length and format) may shorten what is read, and is refused at the latest when it comes first.
3. Nonsense under a right checksum is read as something or refused, in one way only.
"""

from __future__ import annotations

import gzip
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from aiokafka.codec import lz4_encode, snappy_encode, zstd_encode
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from streams.exactly_once.errors import BatchUnreadableError
from streams.exactly_once.fetched_records import EntryPartitionRecords, FetchedPartitionRecords
from streams.exactly_once.record_batches import FetchedBatches, unpack_with_limits
from tests.fuzz.frames import Frame, piece

if TYPE_CHECKING:
    from collections.abc import Iterator

BATCHES_MAX: Final = 4
RECORDS_MAX: Final = 4
HEADERS_MAX: Final = 3
OFFSETS_MAX: Final = 10_000
"""A batch of nonsense may claim more than can be listed."""
PRODUCER: Final = 7
TIMESTAMP_MS: Final = 1_795_514_400_000

_PACKED, _TRANSACTIONAL, _CONTROL, _ABORTED, _COMMITS, _HOLES = 1, 2, 4, 8, 16, 32
_CODEC_SHIFT: Final = 6
"""Above it: with what it is packed."""
_CODECS: Final = (
    lambda body: gzip.compress(body, mtime=0),
    lambda body: snappy_encode(body, xerial_compatible=len(body) % 2 == 1),
    lz4_encode,
    zstd_encode,
)
_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CRC_AT, _CRC_FROM = 17, 21
_SIGNED: Final = 2
"""The kind of damage after which the checksum was made."""

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
        last = self.records[-1].offset if self.records else self.base_offset
        return last + 1 + bool(self.flags & _HOLES)

    @property
    def codec(self) -> int:
        """As a batch's attributes say it."""
        return 1 + (self.flags >> _CODEC_SHIFT) if self.flags & _PACKED else 0

    def packed(self) -> bytes:
        body = b"".join(_packed(record, self.base_offset) for record in self.records)
        if self.codec:
            body = bytes(_CODECS[self.codec - 1](body))
        attributes = self.codec | bool(self.flags & _TRANSACTIONAL) << 4 | bool(self.flags & _CONTROL) << 5
        last = self.next_offset - self.base_offset - 1
        fields = (attributes, last, TIMESTAMP_MS, TIMESTAMP_MS, PRODUCER, 0, 0, len(self.records))
        length = _HEADER.size - 12 + len(body)
        return with_checksum(_HEADER.pack(self.base_offset, length, 0, 2, 0, *fields) + body)


def batches(data: bytes) -> None:
    """The target. The frame: damage (kind, place, change), where the fetch begins, batches."""
    frame = Frame(data)
    damage, place, change = frame.byte() % 3, frame.byte() << 8 | frame.byte(), frame.byte()
    inside = frame.byte() % 3
    written = list(_batches(frame))
    fetched = b"".join(batch.packed() for batch in written)
    # A fetch is answered from the batch on in which it begins.
    position = min(written[0].base_offset + inside, written[0].next_offset - 1) if written else 0
    aborted = [(PRODUCER, batch.base_offset) for batch in written if batch.flags & _ABORTED]
    unpack_with_limits()
    if damage and fetched and change:
        _damaged_is_refused(fetched, place % len(fetched), change, written, position, is_signed=damage == _SIGNED)
        return
    data_batches = list(_data(written, aborted))
    seen, pairs, missing = _read(fetched, position, aborted)
    wanted = [record for batch in data_batches for record in batch.records if record.offset >= position]
    assert seen == [
        (one.offset, one.key, one.value, [(name.decode(errors="replace"), header) for name, header in one.headers])
        for one in wanted
    ]
    assert pairs == [(one.key, one.value) for one in wanted]
    accounted = {one.offset for one in wanted}
    for batch in written:
        if batch not in data_batches:
            accounted |= set(range(batch.base_offset, batch.next_offset))
    end = written[-1].next_offset if written else position
    assert missing == [offset for offset in range(position, end) if offset not in accounted]


def _damaged_is_refused(
    fetched: bytes, place: int, change: int, written: list[_Batch], position: int, *, is_signed: bool
) -> None:
    batch, begin = _struck(place, written)
    at = place - begin
    changed = bytearray(fetched)
    changed[place] ^= change
    if is_signed:
        end = begin + len(written[batch].packed())
        changed[begin:end] = with_checksum(bytes(changed[begin:end]))
    before = [one.offset for earlier in _data(written[:batch], []) for one in earlier.records if one.offset >= position]
    try:
        seen, _, _ = _read(bytes(changed), position, [])
    except BatchUnreadableError as error:
        assert error.offset is not None
        assert error.offset >= position
        return
    # Not covered are where it begins, how long it is (then it may seem cut off), the leader's epoch and its format.
    assert is_signed or at < _CRC_AT, "damage is not noticed"
    assert not is_signed or [one[0] for one in seen[: len(before)]] == before


def _read(fetched: bytes, position: int, aborted: list[tuple[int, int]]) -> tuple[list[Any], list[Any], list[int]]:
    """The records as the gate reads them, keys and values as a restore does, and the offsets that are missing."""
    seen, missing, end = [], [], position
    unreadable = None
    for one in _partition(fetched, position, aborted, FetchedPartitionRecords)._unpack_records():
        assert unreadable is None, "read behind what is unreadable"
        assert one.start_offset == end, "a slice does not continue the one before"
        unreadable = one.unreadable
        end = one.next_offset
        assert unreadable is not None or end > one.start_offset, "the same would be fetched again"
        if one.missing_count:
            assert one.start_offset <= one.first_missing < end
            if end - one.start_offset < OFFSETS_MAX:
                had = {record.offset for record in one.records}
                unseen = [offset for offset in range(one.first_missing, end) if offset not in had]
                missing += unseen[: one.missing_count]  # what is no data comes behind what is missing
        offsets = [record.offset for record in one.records]
        assert offsets == sorted(set(offsets))
        assert all(one.start_offset <= offset < end for offset in offsets)
        seen += [(r.offset, r.key, r.value, list(r.headers)) for r in one.records]
        assert all(type(part) in {bytes, type(None)} for r in one.records for part in (r.key, r.value))
    try:
        entries = _partition(fetched, position, aborted, EntryPartitionRecords)._unpack_records()
        pairs = [pair for one in entries for pair in one.pairs()]  # type: ignore[attr-defined]
    except BatchUnreadableError:
        assert unreadable is not None, "a restore refuses what is read in service"
        raise
    if unreadable is not None:
        raise unreadable
    return seen, pairs, missing


def _partition(
    fetched: bytes, position: int, aborted: list[tuple[int, int]], reader: type[FetchedPartitionRecords]
) -> FetchedPartitionRecords:
    records: FetchedPartitionRecords = PartitionRecords(
        TopicPartition("t", 0), FetchedBatches(fetched), aborted, position, None, None, True, READ_COMMITTED
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
            flags &= ~_PACKED & ~_HOLES  # brokers write these, never compressed, and never more than one
        else:
            step = 2 if flags & _HOLES else 1
            records = [_record(frame, offset + step * number) for number in range(frame.byte() % RECORDS_MAX)]
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


def _struck(place: int, written: list[_Batch]) -> tuple[int, int]:
    """In which batch this byte lies, and where that one begins."""
    at = 0
    for number, batch in enumerate(written):
        size = len(batch.packed())
        if place < at + size:
            return number, at
        at += size
    raise AssertionError("behind the last batch")


def seeds() -> Iterator[bytes]:
    """Plain, packed, aborted, control; names that are UTF-8 and others; with holes; begun inside; damaged."""
    plain = piece(b"k") + piece(b"value") + b"\2" + piece(b"name") + piece(b"v") + piece(b"other") + piece(None)
    strange = piece(None) + piece(b"") + b"\1" + piece(b"\xff\xfe\xfd") + piece(b"\xff")
    bodies = (b"\1" + plain, b"\2" + plain + strange, b"\3" + strange + plain + strange, b"\0")
    packed = [_PACKED | codec << _CODEC_SHIFT for codec in range(len(_CODECS))]
    for flags in (0, _HOLES, *packed, _TRANSACTIONAL, _TRANSACTIONAL | _ABORTED, _PACKED | _TRANSACTIONAL):
        for inside in range(3):
            for body in bodies:
                one = bytes((flags, inside)) + body
                marker = bytes((_CONTROL | _TRANSACTIONAL | (_COMMITS if inside == 1 else 0), 0))
                yield bytes((0, 0, 0, 0, inside, 10, 3)) + one + marker + bytes((flags & ~_ABORTED, 0)) + body
                yield bytes((1, 0, 61 + 7 * inside, 1 << inside, 0, 10, 1)) + one
                yield bytes((_SIGNED, 0, 23 + 9 * inside, 1 << inside, 0, 10, 1)) + one
    yield b""
