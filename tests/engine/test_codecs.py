"""What is compressed is unpacked as it was, whoever packed it, and never without limit."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import cramjam
import pytest
from aiokafka import codec as packed_by

from streams.exactly_once import codecs
from streams.exactly_once.codecs import UNPACKED_BYTES_MAX, DamagedError

if TYPE_CHECKING:
    from collections.abc import Callable

PACKED: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    "gzip": (packed_by.gzip_encode, codecs.gunzip),
    "gzip in two members": (lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:]), codecs.gunzip),
    "snappy in blocks": (packed_by.snappy_encode, codecs.unsnappy),
    "snappy as one block": (lambda data: bytes(cramjam.snappy.compress_raw(data)), codecs.unsnappy),
    "lz4": (packed_by.lz4_encode, codecs.unlz4),
    "lz4 with linked blocks": (lambda data: _lz4(data, linked=True), codecs.unlz4),
    "lz4 with a checksum": (lambda data: _lz4(data, checksum=True), codecs.unlz4),
    "zstd": (packed_by.zstd_encode, codecs.unzstd),
}
CONTENTS = {
    "little": b"x" * 8,
    "intents": b'{"intent_id":"i-1","channel":"sms"}' * 3_000,
    "all bytes": bytes(range(256)) * 1_000,
    "more than was thought": b"\0" * 5_000_000,
}


def _lz4(data: bytes, *, linked: bool = False, checksum: bool = False) -> bytes:
    packer = cramjam.lz4.Compressor(level=1, content_checksum=checksum, block_linked=linked)
    packer.compress(data)
    return bytes(packer.finish())


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("codec", PACKED)
def test_what_was_packed_is_unpacked(codec: str, content: str) -> None:
    pack, unpack = PACKED[codec]
    packed = bytes(pack(CONTENTS[content]))
    assert unpack(packed) == CONTENTS[content]
    assert unpack(memoryview(packed)) == CONTENTS[content]


@pytest.mark.parametrize("codec", PACKED)
def test_what_is_cut_off_or_no_such_thing_is_damaged(codec: str) -> None:
    pack, unpack = PACKED[codec]
    packed = bytes(pack(CONTENTS["all bytes"]))
    name = codec.split(maxsplit=1)[0]
    for damaged in (packed[:-1], packed[: len(packed) // 2], packed[:9], b"", b"\x82SNAPPY\0", b"no such thing " * 9):
        with pytest.raises(DamagedError, match=f"^its {name} data is damaged$"):
            unpack(damaged)


@pytest.mark.parametrize("codec", ["gzip", "snappy as one block", "lz4", "zstd"])
def test_more_than_the_limit_is_refused_before_it_takes_the_memory(codec: str) -> None:
    pack, unpack = PACKED[codec]
    assert len(unpack(bytes(pack(b"\0" * UNPACKED_BYTES_MAX)))) == UNPACKED_BYTES_MAX
    with pytest.raises(DamagedError, match="more than 64 MiB"):
        unpack(bytes(pack(b"\0" * (UNPACKED_BYTES_MAX + 1))))


def test_a_block_of_snappy_that_claims_gigabytes_is_not_believed() -> None:
    with pytest.raises(DamagedError, match="more than 64 MiB"):
        codecs.unsnappy(b"\xff\xff\xff\xff\x0f" + b"abc")


@pytest.mark.parametrize("length", [-4, 0, 2**31 - 1])
def test_blocks_of_snappy_with_lengths_of_nonsense(length: int) -> None:
    packed = bytes(packed_by.snappy_encode(b"sound")) + length.to_bytes(4, "big", signed=True) + b"more"
    with pytest.raises(DamagedError, match="snappy data is damaged"):
        codecs.unsnappy(packed)
