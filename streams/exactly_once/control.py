"""The control topic: one compacted partition that every worker of an application reads whole at start.

    b"partitions"      the partition count the application was first started with
    b"policy"          the policy in force
    b"policy:<hash>"   a policy text that was ever in force
    b"erasure-key"     a fingerprint of the key under which erased customers are kept

Rules of this module
1. The latest value of a key wins. Nothing is deleted here.
2. A write counts once the broker has acknowledged it to all in-sync replicas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import aiokafka
from aiokafka.structs import TopicPartition

from streams.exactly_once.clients import close
from streams.exactly_once.fetched_records import read_as_entries

if TYPE_CHECKING:
    from streams.exactly_once.settings import EngineSettings

PARTITIONS_KEY: Final = b"partitions"
POLICY_KEY: Final = b"policy"
POLICY_TEXT_PREFIX: Final = b"policy:"

POLL_MS: Final = 100
PARTITION: Final = 0


def policy_text_key(policy_hash: str) -> bytes:
    """Where the text of a policy is kept."""
    return POLICY_TEXT_PREFIX + policy_hash.encode()


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

    async def __aenter__(self) -> ControlTopic:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connect and read everything there is.

        Raises:
            BatchUnreadableError: a record batch of the topic cannot be read.
        """
        self._consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=self._settings.bootstrap_servers,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=POLL_MS,
            **self._settings.client_options,
        )
        try:
            await self._consumer.start()
            read_as_entries(self._consumer)
            self._consumer.assign([self._partition])
            await self.refresh()
        except BaseException:  # `__aexit__` is not called if `__aenter__` fails
            await self.stop()
            raise

    async def stop(self) -> None:
        """Disconnect. What was read stays readable. Idempotent."""
        consumer, self._consumer = self._consumer, None
        producer, self._producer = self._producer, None
        for client in (consumer, producer):
            if client is not None:
                await close(client)

    def get(self, key: bytes) -> bytes | None:
        """The latest value as of the last refresh or own write."""
        return self._values.get(key)

    async def refresh(self) -> None:
        """Read up to the topic's end."""
        assert self._consumer is not None, "not started"
        end = (await self._consumer.end_offsets([self._partition]))[self._partition]
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
                **self._settings.client_options,
            )
            await producer.start()
            self._producer = producer
        await self._producer.send_and_wait(self._partition.topic, value, key, partition=PARTITION)
        self._values[key] = value
