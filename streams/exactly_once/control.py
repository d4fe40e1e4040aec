# ruff: noqa: SLF001 - one of the places for names of library_internals.py
"""The control topic: one compacted partition that every worker of an application reads whole at start.

    b"partitions"      the partition count the application was first started with
    b"policy"          the policy in force
    b"policy:<hash>"   a policy text that was ever in force
    b"erasure-key"     a fingerprint of the key under which erased customers are kept
    b"moved"           up to which moment ledgers were made on other topics, if they were moved from there
    b"format"          of these records, and the newest version of the program that has started on them

Rules of this module
1. The latest value of a key wins. Nothing is deleted here.
2. A write counts once the broker has acknowledged it to all in-sync replicas.
3. A topic of a newer format is refused before any of its records is believed. One without a format is of the first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiokafka
import msgspec
from aiokafka.structs import TopicPartition

from streams.exactly_once.clients import KafkaClients, close
from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.fetched_records import read_as_entries
from streams.exactly_once.witnesses import METADATA_MAX_AGE_MS, witnessed

if TYPE_CHECKING:
    from streams.exactly_once.clients import OffsetReader
    from streams.exactly_once.settings import EngineSettings

PARTITIONS_KEY: Final = b"partitions"
POLICY_KEY: Final = b"policy"
POLICY_TEXT_PREFIX: Final = b"policy:"
FORMAT_KEY: Final = b"format"
MOVED_KEY: Final = b"moved"

MOVE_UNDER_WAY: Final = b"0"
"""In place of the partition count, while ledgers are being moved to an application's topics: it must not start yet."""

CONTROL_FORMAT: Final = 1
"""Grows when a reader of the previous format would misunderstand a record of the topic."""

POLL_MS: Final = 100
PARTITION: Final = 0


def policy_text_key(policy_hash: str) -> bytes:
    """Where the text of a policy is kept."""
    return POLICY_TEXT_PREFIX + policy_hash.encode()


class ControlFormat(msgspec.Struct, frozen=True):
    """In which format the records of the control topic are, and who has written them.

    `newest_version` is the newest version of the program that has ever started here. It can read whatever is stored,
    so refusals name it.
    """

    format: int = CONTROL_FORMAT
    newest_version: str = ""


_encode_format: Final = msgspec.json.Encoder().encode
_decode_format: Final = msgspec.json.Decoder(ControlFormat).decode


def read_format(topic: str, value: bytes | None) -> ControlFormat:
    """What the record under `FORMAT_KEY` says; None: written before there was one, which is the first format.

    Raises:
        StartupRefusedError: the topic is of a newer format, or the record cannot be read.
    """
    if value is None:
        return ControlFormat()
    try:
        found = _decode_format(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise StartupRefusedError(
            f"The record with the key `format` in {topic} cannot be read, so it is not known in which format the other "
            "records are. Was it written by another program? Run the newest version that has run on this topic; "
            "docs/upgrade.md says how to find it."
        ) from None
    if found.format > CONTROL_FORMAT:
        raise StartupRefusedError(
            f"{topic} is of format {found.format}, and this version reads format {CONTROL_FORMAT}: its records would "
            f"be misunderstood. Run version {found.newest_version or 'that wrote it'} or a later one; going back "
            "behind it is not possible (docs/upgrade.md)."
        )
    return found


def is_newer(version: str, than: str) -> bool:
    """Whether one version of the program is newer than another. What is no version is older than any."""
    return _numbers(version) > _numbers(than)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


class ControlTopic:
    """The control topic of one application, as read at `start` and refreshed by `refresh`.

    Example:
        async with ControlTopic(settings, "mesura-control") as control:
            await control.put(b"policy", value)
    """

    def __init__(self, settings: EngineSettings, topic: str) -> None:
        self._settings = settings
        self._partition = TopicPartition(topic, PARTITION)
        self._values: dict[bytes, bytes] = {}
        self._consumer: aiokafka.AIOKafkaConsumer | None = None
        self._producer: aiokafka.AIOKafkaProducer | None = None
        self._bounds: OffsetReader | None = None

    async def __aenter__(self) -> ControlTopic:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect and read everything there is.

        Raises:
            BatchUnreadableError: a record batch of the topic cannot be read.
            StartupRefusedError: the topic is of a newer format.
        """
        self._consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=POLL_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
            **self._settings.client_options,
        )
        witnessed(self._consumer._client)
        try:
            self._bounds = await KafkaClients(self._settings).offset_reader()
            await self._consumer.start()
            read_as_entries(self._consumer)
            self._consumer.assign([self._partition])
            await self.refresh()
            self.format()
        except BaseException:  # `__aexit__` is not called if `__aenter__` fails
            await self.stop()
            raise

    async def stop(self) -> None:
        """Disconnect. What was read stays readable. Idempotent."""
        consumer, self._consumer = self._consumer, None
        producer, self._producer = self._producer, None
        bounds, self._bounds = self._bounds, None
        for client in (consumer, producer, bounds):
            if client is not None:
                await close(client)

    def get(self, key: bytes) -> bytes | None:
        """The latest value as of the last refresh or own write."""
        return self._values.get(key)

    def format(self) -> ControlFormat:
        """Of the topic's records.

        Raises:
            StartupRefusedError: it is a newer one.
        """
        return read_format(self._partition.topic, self.get(FORMAT_KEY))

    async def record_version(self, version: str) -> None:
        """This version of the program has started here. Written only if none as new has, so a rollback leaves it."""
        found = self.format()
        if self.get(FORMAT_KEY) is None or is_newer(version, found.newest_version):
            await self.put(FORMAT_KEY, _encode_format(ControlFormat(newest_version=version)))

    async def refresh(self) -> None:
        """Read up to the topic's end."""
        assert self._consumer is not None, "not started"
        assert self._bounds is not None, "not started"
        end = (await self._bounds.end_offsets([self._partition]))[self._partition]
        while await self._consumer.position(self._partition) < end:
            for batch in (await self._consumer.getmany(self._partition, timeout_ms=POLL_MS)).get(self._partition, ()):
                for key, value in batch.pairs():
                    if value is None:
                        self._values.pop(key, None)
                    else:
                        self._values[key] = value

    async def put(self, key: bytes, value: bytes) -> None:
        """Write a record; returns once all in-sync replicas have it."""
        if self._producer is None:
            producer = aiokafka.AIOKafkaProducer(
                bootstrap_servers=self._settings.bootstrap_servers,
                enable_idempotence=True,
                acks="all",
                metadata_max_age_ms=METADATA_MAX_AGE_MS,
                **self._settings.client_options,
            )
            witnessed(producer.client)
            await producer.start()
            self._producer = producer
        await self._producer.send_and_wait(self._partition.topic, value, key, partition=PARTITION)
        self._values[key] = value
