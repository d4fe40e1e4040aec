"""Look at a partition's log as it is stored, batch by batch, to tell a hole from a transaction marker.

A consumer cannot: it is shown neither markers nor aborted records, so that offsets jump for good and for bad reasons
alike. In the stored log everything has its offset, markers included. A jump there means that records are gone.

`overwrite` changes what a broker has stored, as a damaged disk does: no producer can write such a batch.
"""

from __future__ import annotations

import asyncio
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.structs import TopicPartition

from streams.testing.errors import DeadlineError, OffsetGapError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

_FETCH_BYTES: Final = 8 * 1024 * 1024
_READ_UNCOMMITTED: Final = 0
_EARLIEST: Final = -2
_LATEST: Final = -1

# Kafka's record batch, format 2: base offset, length, leader epoch, magic, checksum, attributes, last offset delta,
# first and last time, producer.
_HEAD: Final = struct.Struct(">qiibihi16xq")
_RECORDS_AT: Final = 61
_LENGTH_COUNTS_FROM: Final = 12
_IS_CONTROL: Final = 0x20
_CODEC: Final = 0x07


class StoredBatch(NamedTuple):
    """Where a stored batch begins and ends. A marker is a batch of one."""

    first_offset: int
    last_offset: int
    is_marker: bool
    codec: int = 0
    """0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."""
    producer_id: int = -1
    """Whose it is; −1: of a producer that is not idempotent."""
    commits: bool = False
    """Of a marker: whether the transaction is committed."""


class PartitionLog(NamedTuple):
    """What one partition holds now. Offsets before `start_offset` are gone, even inside the first batch."""

    start_offset: int
    end_offset: int
    batches: list[StoredBatch]

    def first_hole(self) -> tuple[int, int] | None:
        """The first offset that is missing since the topic was created, and how many are from there on."""
        if self.start_offset > 0:
            return 0, self.start_offset
        expected = 0
        for batch in self.batches:
            if batch.first_offset > expected:
                return expected, batch.first_offset - expected
            expected = batch.last_offset + 1
        return None if expected >= self.end_offset else (expected, self.end_offset - expected)


def refuse_holes(bootstrap_servers: str, topics: Sequence[str], *, deadline_seconds: float) -> None:
    """Make sure that nothing was deleted from these topics: neither at the start nor in between.

    Not for compacted topics: compaction makes holes.

    Raises:
        OffsetGapError: says where what is missing.
        DeadlineError: the end was not reached in time.
        RefusedError: a topic does not exist, or the broker answered with an error.
    """
    for topic, logs in read_logs(bootstrap_servers, topics, deadline_seconds=deadline_seconds).items():
        for partition, log in logs.items():
            hole = log.first_hole()
            if hole is not None:
                raise OffsetGapError(f"{topic}[{partition}]: {hole[1]} offsets are missing from {hole[0]} on")


def read_logs(
    bootstrap_servers: str,
    topics: Sequence[str],
    *,
    deadline_seconds: float,
    since: Mapping[TopicPartition, int] | None = None,
) -> dict[str, dict[int, PartitionLog]]:
    """What every partition of these topics holds now.

    Of partitions in `since` only the batches from that offset on; do not look for holes in these.

    Raises:
        DeadlineError: the end was not reached in time.
        RefusedError: a topic does not exist, or the broker answered with an error.
    """

    def run() -> dict[str, dict[int, PartitionLog]]:
        return asyncio.run(asyncio.wait_for(_read(bootstrap_servers, topics, since or {}), deadline_seconds))

    # In a thread of its own: the caller may be inside an event loop.
    with ThreadPoolExecutor(1, "raw-log") as executor:
        try:
            return executor.submit(run).result()
        except TimeoutError as error:
            raise DeadlineError(f"{', '.join(topics)}: not read within {deadline_seconds} s") from error


def overwrite(log_directory: Path, topic: str, partition: int, offset: int, change: Callable[[bytes], bytes]) -> None:
    """Change the stored batch that begins at this offset, under a running broker on this machine.

    What a broker sends it reads from the file, so the change is seen by the next fetch. `change` keeps the length.

    Raises:
        ValueError: there is no such batch, or the change is longer or shorter.
    """
    [path] = sorted((log_directory / f"{topic}-{partition}").glob("*.log"))[-1:]
    stored = path.read_bytes()
    position = 0
    while position + _HEAD.size <= len(stored):
        first, length, *_ = _HEAD.unpack_from(stored, position)
        end = position + _LENGTH_COUNTS_FROM + length
        if first == offset:
            changed = change(stored[position:end])
            if len(changed) != end - position:
                raise ValueError(f"{len(changed)} bytes in the place of {end - position}")
            with path.open("r+b") as file:
                file.seek(position)
                file.write(changed)
            return
        position = end
    raise ValueError(f"no batch begins at offset {offset} of {topic}-{partition}")


async def _read(
    bootstrap_servers: str, topics: Sequence[str], since: Mapping[TopicPartition, int]
) -> dict[str, dict[int, PartitionLog]]:
    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers)
    await client.bootstrap()
    try:
        await client.set_topics(topics)
        return {topic: await _read_topic(client, topic, since) for topic in topics}
    finally:
        await client.close()


async def _read_topic(
    client: AIOKafkaClient, topic: str, since: Mapping[TopicPartition, int]
) -> dict[int, PartitionLog]:
    partitions = client.cluster.partitions_for_topic(topic)
    if not partitions:
        raise RefusedError(f"{topic}: there is no such topic")
    sources = [TopicPartition(topic, partition) for partition in sorted(partitions)]
    return {source.partition: await _read_partition(client, source, since.get(source, 0)) for source in sources}


async def _read_partition(client: AIOKafkaClient, source: TopicPartition, since: int) -> PartitionLog:
    start = await _offset(client, source, _EARLIEST)
    end = await _offset(client, source, _LATEST)
    batches: list[StoredBatch] = []
    position = max(start, since)
    while position < end:
        wanted = [(source.topic, [(source.partition, position, _FETCH_BYTES)])]
        response = await client.send(
            _leader(client, source), FetchRequest(0, 1, _FETCH_BYTES, _READ_UNCOMMITTED, wanted)
        )
        [(_, [(_, error_code, _, *_, data)])] = response.topics
        _refuse(source, error_code)
        fetched = list(_split(bytes(data or b"")))
        if not fetched:
            break  # what is missing shows as a hole before the end
        batches.extend(fetched)
        position = fetched[-1].last_offset + 1
    return PartitionLog(start, end, batches)


async def _offset(client: AIOKafkaClient, source: TopicPartition, which: int) -> int:
    request = OffsetRequest(-1, _READ_UNCOMMITTED, [(source.topic, [(source.partition, which)])])
    response = await client.send(_leader(client, source), request)
    [(_, [(_, error_code, _, offset)])] = response.topics
    _refuse(source, error_code)
    return int(offset)


def _leader(client: AIOKafkaClient, source: TopicPartition) -> int:
    node = client.cluster.leader_for_partition(source)
    if node is None or node < 0:
        raise RefusedError(f"{source.topic}[{source.partition}] has no leader")
    return int(node)


def _refuse(source: TopicPartition, error_code: int) -> None:
    if error_code:
        raise RefusedError(f"{source.topic}[{source.partition}]: {for_code(error_code).__name__}")


def _split(data: bytes) -> Iterator[StoredBatch]:
    """The batches of a fetch response; the last one may be cut off and is then left for the next request."""
    position = 0
    while position + _HEAD.size <= len(data):
        first, length, _epoch, _magic, _checksum, attributes, delta, producer_id = _HEAD.unpack_from(data, position)
        end = position + _LENGTH_COUNTS_FROM + length
        if end > len(data):
            return
        is_marker = bool(attributes & _IS_CONTROL)
        commits = is_marker and _commits(data[position + _RECORDS_AT : end])
        yield StoredBatch(first, first + delta, is_marker, attributes & _CODEC, producer_id, commits)
        position = end


def _commits(record: bytes) -> bool:
    """Whether a marker commits: the key of its only record is a version and a type, 0 abort and 1 commit (KIP-98).

    The record's length, attributes, time, offset and length of the key take a byte each before it.
    """
    _, kind = struct.unpack_from(">hh", record, 5)
    return bool(kind == 1)
