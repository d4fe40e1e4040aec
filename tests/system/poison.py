"""Record batches as no producer can write them: what a damaged disk, network or replica makes of one.

Each kind takes the place of a sound batch of `SIZE` bytes in a broker's log, at the same offset and of the same length.
"""

from __future__ import annotations

import gzip
import random
import struct
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import cramjam
from aiokafka.record.util import calc_crc32c, encode_varint

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SIZE: Final = 4_096
"""Of every batch here. Larger than a bomb is."""

RECORDS: Final = 3
"""In the sound batch; it takes so many offsets."""

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
_CRC_AT, _CRC_FROM = 17, 21
_CONTROL: Final = 0x20
_CODECS: Final = {"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
BOMB_BYTES: Final = 80 * 1024 * 1024


class Record(NamedTuple):
    """Of a batch: the key and value of a record, and how far it lies behind the batch's begin."""

    delta: int
    key: bytes
    value: bytes


class Poison(NamedTuple):
    """One kind. `why` is what the worker must say of it, a pattern: what is met first may be seen by the worker or by
    the broker. None: it reads on, and `read` of the records are there.
    """

    name: str
    make: Callable[[Sound], bytes]
    why: str | None = None
    read: tuple[int, ...] = ()


class Sound(NamedTuple):
    """The batch that is to be replaced: where it begins, when it was written, and its records."""

    base_offset: int
    timestamp_ms: int
    records: Sequence[Record]

    def padded(self, kept: Sequence[int] = range(RECORDS)) -> list[Record]:
        """These records, the last value padded with blanks so that the batch has the size."""
        records = [self.records[number] for number in kept]
        while (missing := SIZE - _HEADER.size - len(b"".join(map(_packed, records)))) != 0:
            value = records[-1].value
            # A longer length may take a byte more than a shorter one: then there is one blank too many.
            records[-1] = records[-1]._replace(value=value + b" " * missing if missing > 0 else value[:missing])
        return records

    def body(self, kept: Sequence[int] = range(RECORDS)) -> bytes:
        """The same, packed."""
        return b"".join(map(_packed, self.padded(kept)))

    def batch(self, body: bytes, *, attributes: int = 0, count: int = RECORDS, last_delta: int = RECORDS - 1) -> bytes:
        """A whole batch with its checksum."""
        body = body.ljust(SIZE - _HEADER.size, b"\0")
        fields = (attributes, last_delta, self.timestamp_ms, self.timestamp_ms, -1, -1, -1, count)
        return _signed(_HEADER.pack(self.base_offset, SIZE - 12, 0, 2, 0, *fields) + body)

    def sound(self) -> bytes:
        """As it should be."""
        return self.batch(self.body())


def _packed(record: Record) -> bytes:
    body = b"\0" + _varint(0) + _varint(record.delta) + _sized(record.key) + _sized(record.value) + _varint(0)
    return _varint(len(body)) + body


def _sized(content: bytes) -> bytes:
    return _varint(len(content)) + content


def _varint(value: int) -> bytes:
    packed = bytearray()
    encode_varint(value, packed.append)
    return bytes(packed)


def _signed(batch: bytes) -> bytes:
    return batch[:_CRC_AT] + struct.pack(">I", calc_crc32c(batch[_CRC_FROM:])) + batch[_CRC_FROM:]


def _wrong_checksum(sound: Sound) -> bytes:
    batch = bytearray(sound.sound())
    batch[-1] ^= 1
    return bytes(batch)


def _unknown_codec(sound: Sound) -> bytes:
    return sound.batch(sound.body(), attributes=5)


def _not_packed(codec: str) -> Callable[[Sound], bytes]:
    return lambda sound: sound.batch(sound.body(), attributes=_CODECS[codec])


def _cut_off(codec: str) -> Callable[[Sound], bytes]:
    """The beginning of something longer."""
    noise = random.Random(1).randbytes(4 * SIZE)
    packed = {
        "gzip": gzip.compress(noise),
        "snappy": bytes(cramjam.snappy.compress_raw(noise)),
        "lz4": bytes(cramjam.lz4.compress(noise)),
        "zstd": bytes(cramjam.zstd.compress(noise)),
    }[codec]
    assert len(packed) > SIZE
    return lambda sound: sound.batch(packed[: SIZE - _HEADER.size], attributes=_CODECS[codec])


def _bomb(sound: Sound) -> bytes:
    return sound.batch(bytes(cramjam.zstd.compress(bytes(BOMB_BYTES))), attributes=_CODECS["zstd"])


def _format(magic: int) -> Callable[[Sound], bytes]:
    def make(sound: Sound) -> bytes:
        batch = bytearray(sound.sound())
        batch[16] = magic
        return bytes(batch)

    return make


def _count(count: int) -> Callable[[Sound], bytes]:
    return lambda sound: sound.batch(sound.body(), count=count)


def _nonsense(sound: Sound) -> bytes:
    return sound.batch(b"\xff" * (SIZE - _HEADER.size))


def _many_headers(sound: Sound) -> bytes:
    """The last record says that it has headers beyond the end of the batch."""
    return sound.batch(sound.body()[:-1] + b"\x20")


def _out_of_order(sound: Sound) -> bytes:
    first, second, third = sound.records
    mixed = sound._replace(records=[first, second._replace(delta=third.delta), third._replace(delta=second.delta)])
    return sound.batch(mixed.body())


def _beyond_its_end(sound: Sound) -> bytes:
    first, second, third = sound.records
    return sound.batch(sound._replace(records=[first, second, third._replace(delta=RECORDS + 5)]).body())


def _damaged_marker(sound: Sound) -> bytes:
    marker = sound._replace(records=[Record(0, b"\0", b""), *sound.records[1:]])
    return sound.batch(marker.body(), attributes=_CONTROL)


def _strange_marker(sound: Sound) -> bytes:
    """Of a kind that a later broker may write: no record, and nobody's to decide."""
    marker = sound._replace(records=[Record(0, struct.pack(">hh", 0, 77), b""), *sound.records[1:]])
    return sound.batch(marker.body(), attributes=_CONTROL)


def _length(length: int) -> Callable[[Sound], bytes]:
    def make(sound: Sound) -> bytes:
        batch = bytearray(sound.sound())
        batch[8:12] = struct.pack(">i", length)
        return bytes(batch)

    return make


def _later(sound: Sound) -> bytes:
    """The batch begins one offset later than it did, and ends where it ended."""
    moved = [record._replace(delta=record.delta - 1) for record in sound.records[1:]]
    later = sound._replace(base_offset=sound.base_offset + 1, records=moved)
    return later.batch(later.body(range(RECORDS - 1)), count=RECORDS - 1, last_delta=RECORDS - 2)


def _without(number: int) -> Callable[[Sound], bytes]:
    """As compaction leaves a batch: a record is gone, and the batch says where it ended all the same."""
    kept = [other for other in range(RECORDS) if other != number]
    return lambda sound: sound.batch(sound.body(kept), count=RECORDS - 1)


def _legacy(magic: int) -> Callable[[Sound], bytes]:
    """Messages of before Kafka 0.11, one behind another, each of which is a batch of its own."""

    def make(sound: Sound) -> bytes:
        made = b""
        for number, record in enumerate(sound.records):
            is_last = number == RECORDS - 1
            made += _message(magic, sound, record, SIZE - len(made) if is_last else None)
        return made

    return make


def _message(magic: int, sound: Sound, record: Record, size: int | None) -> bytes:
    time = struct.pack(">q", sound.timestamp_ms) if magic else b""
    overhead = 12 + 4 + 2 + len(time) + 4 + len(record.key) + 4
    value = record.value if size is None else record.value.ljust(size - overhead)
    content = bytes((magic, 0)) + time
    content += struct.pack(">i", len(record.key)) + record.key + struct.pack(">i", len(value)) + value
    checked = struct.pack(">I", zlib.crc32(content)) + content
    return struct.pack(">qi", sound.base_offset + record.delta, len(checked)) + checked


# Which error a broker answers depends on how it happens to read: alone, or with other partitions.
_BROKERS_ERROR: Final = "the broker has answered (UnknownError|InvalidRecord|CorruptRecordException) for"

UNREADABLE: Final = (
    Poison("checksum", _wrong_checksum, "its checksum is wrong"),
    Poison("codec", _unknown_codec, "its compression codec 5 is unknown"),
    *(Poison(f"{codec}-not", _not_packed(codec), f"its {codec} data is damaged") for codec in _CODECS),
    *(Poison(f"{codec}-cut", _cut_off(codec), f"its {codec} data is damaged") for codec in _CODECS),
    Poison("bomb", _bomb, "it holds more than 64 MiB once it is unpacked"),
    Poison("format-3", _format(3), f"its format 3 is unknown|{_BROKERS_ERROR}"),
    Poison("format-1", _format(1), f"its header is damaged|its checksum is wrong|{_BROKERS_ERROR}"),
    Poison("count-absurd", _count(2**31 - 1), "it says that it holds 2147483647 records"),
    Poison("count-negative", _count(-1), "it says that it holds -1 records"),
    Poison("count-more", _count(RECORDS + 1), "its records are damaged"),
    Poison("count-less", _count(RECORDS - 1), "its records are damaged"),
    Poison("nonsense", _nonsense, "its records are damaged"),
    Poison("headers", _many_headers, "its records are damaged"),
    Poison("order", _out_of_order, "its records do not lie within it, one after another"),
    Poison("beyond", _beyond_its_end, "its records do not lie within it, one after another"),
    Poison("marker", _damaged_marker, "it is a damaged transaction marker"),
    Poison("length-nothing", _length(0), f"its length of 0 bytes is too small|{_BROKERS_ERROR}"),
    Poison("length-absurd", _length(2**30), "the broker has answered nothing, although more lies there, for"),
)
"""The worker must end on each of these."""

HOLES: Final = (
    Poison("gap", _later, read=(1, 2)),
    Poison("hole-first", _without(0), read=(1, 2)),
    Poison("hole-middle", _without(1), read=(0, 2)),
    Poison("hole-last", _without(2), read=(0, 1)),
)
"""Records are missing; the others are there."""

READABLE: Final = (
    Poison("format-0-messages", _legacy(0), read=(0, 1, 2)),
    Poison("format-1-messages", _legacy(1), read=(0, 1, 2)),
    Poison("strange-marker", _strange_marker),
)
"""Old, or strange, and no harm."""
