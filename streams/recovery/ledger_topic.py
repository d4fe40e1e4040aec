"""The ledger topic: read whole, and written in one transaction a partition.

Rules of this module
1. Of a gate that runs, what is read ends with a meta record: a transaction is seen whole or not at all. Reading goes on
   to the end that the topic has when everything before it has been read. Of a stopped gate everything is read, as the
   gate itself would read it, also what another program has put behind the last transaction.
2. What is written becomes visible at once, with its positions, or not at all. It is written only while nobody is a
   member of the gate's group, which is looked at again right before the commit.
3. What was written is read back and compared.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError as AiokafkaError
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient

from streams.connection.aiokafka_client import aiokafka_options
from streams.exactly_once.changelog import META_KEY, decode_meta, encode_meta
from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.settings import COMMIT_MARK
from streams.recovery.errors import RecoveryRefused
from streams.recovery.replay import Ledgers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka.structs import OffsetAndMetadata
    from aiokafka.structs import TopicPartition as AiokafkaTopicPartition
    from confluent_kafka import Message

    from streams.connection.cluster import Cluster

ANSWER_SECONDS: Final = 30.0
"""For one answer of the cluster."""

STALLED_SECONDS: Final = 120.0
"""Longer than any transaction may stay open: what does not come by then does not come."""

REST_SECONDS: Final = 10.0
"""How long the rest of a transaction is waited for. It is there as soon as its beginning can be read. What has no meta
record behind it after that was not written by a gate."""

TRANSACTION_SECONDS: Final = 600
"""For the records of one partition. Kafka's default limit (`transaction.max.timeout.ms`) is 900."""

_READ_BATCH: Final = 10_000
_READ_WAIT_SECONDS: Final = 0.1
_NOT_RUNNING: Final = frozenset({ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD})


class LedgerTopic:
    """The ledger topic of one gate."""

    def __init__(self, cluster: Cluster, topic: str, application_id: str) -> None:
        self._cluster = cluster
        self._topic = topic
        self._application_id = application_id
        # Kept, because an answer never comes to a client that is gone.
        self._admin = AdminClient({**cluster.client_settings(), "log_level": 0, "error_cb": lambda _: None})

    def partitions(self) -> int:
        """How many there are.

        Raises:
            RecoveryRefused: the topic does not exist.
        """
        found = self._admin.list_topics(timeout=ANSWER_SECONDS).topics.get(self._topic)
        if found is None or found.error is not None:
            raise RecoveryRefused(
                f"There is no topic {self._topic}. Create it, empty and with the partition count of the others "
                "(mesura topics create), or give the --prefix of the gate."
            )
        return len(found.partitions)

    # ---- reading ----

    def read(self, partition: int, *, is_running: bool = False) -> Ledgers:
        """What a partition holds now. `is_running`: the gate may be writing it.

        Raises:
            RecoveryRefused: it cannot be read.
        """
        consumer = Consumer(self._configuration())
        where = TopicPartition(self._topic, partition)
        ledgers, pending = Ledgers(), dict[bytes, bytes | None]()
        try:
            start, end = consumer.get_watermark_offsets(where, timeout=ANSWER_SECONDS)
            position, heard_at = start, time.monotonic()
            consumer.assign([TopicPartition(self._topic, partition, start)])
            while position < end or (pending and is_running):
                messages = consumer.consume(_READ_BATCH, _READ_WAIT_SECONDS)
                for message in messages:
                    position = self._take(message, position, ledgers, pending)
                if messages:
                    heard_at = time.monotonic()
                elif time.monotonic() - heard_at > STALLED_SECONDS:
                    raise RecoveryRefused(
                        f"Nothing of {self._topic}-{partition} came for {STALLED_SECONDS:.0f} s. Does a program hold a "
                        "transaction open on it, or is its leader away?"
                    )
                if position >= end:
                    end = consumer.get_watermark_offsets(where, timeout=ANSWER_SECONDS)[1]
                    if position >= end and (not pending or time.monotonic() - heard_at > REST_SECONDS):
                        break
        except KafkaException as error:
            raise RecoveryRefused(f"{self._topic}-{partition} cannot be read: {error.args[0].str()}.") from None
        finally:
            consumer.close()
        if not is_running:
            _merge(ledgers.store, pending)
        return ledgers

    def _take(self, message: Message, position: int, ledgers: Ledgers, pending: dict[bytes, bytes | None]) -> int:
        error, offset = message.error(), message.offset()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                return max(position, offset or 0)
            if error.retriable() or error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
                return position
            raise RecoveryRefused(
                f"{message.topic()}-{message.partition()} cannot be read: {error.str()}. If no replica has it "
                "undamaged, delete the topic, create it again (mesura topics create), and rebuild it."
            )
        key, value = message.key(), message.value()
        if key == META_KEY:
            _merge(ledgers.store, pending)
            try:
                ledgers.meta = None if value is None else decode_meta(value)
            except StartupRefusedError as refused:
                raise RecoveryRefused(f"{message.topic()}-{message.partition()}, offset {offset}: {refused}") from None
        elif key is not None:
            pending[key] = value
        return int(offset) + 1

    # ---- the group ----

    def refuse_running(self) -> None:
        """Nobody may be a member of the gate's group.

        Raises:
            RecoveryRefused: somebody is.
        """
        try:
            described = self._admin.describe_consumer_groups([self._application_id], request_timeout=ANSWER_SECONDS)[
                self._application_id
            ].result()
        except KafkaException as error:
            if error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND:
                return
            raise RecoveryRefused(
                f"Whether a gate runs cannot be found out: {error.args[0].str()}. Nothing is written while that is so."
            ) from None
        if described.state not in _NOT_RUNNING:
            raise RecoveryRefused(
                f"The gate runs: its group {self._application_id} is {described.state.name} and has "
                f"{len(described.members)} members. Stop every worker (a killed one stays a member for ten seconds), "
                "then try again. If this is another gate's group, give --application-id."
            )

    def committed(self) -> dict[int, dict[str, int]]:
        """Next offsets that the gate itself has committed, by partition and input topic.

        aiokafka asks for them: librdkafka's Python client reads beyond the end of their metadata.

        Raises:
            RecoveryRefused: the brokers do not tell.
        """
        try:
            found = asyncio.run(self._committed())
        except AiokafkaError as error:
            raise RecoveryRefused(f"The group's offsets cannot be read: {type(error).__name__}.") from None
        committed: dict[int, dict[str, int]] = {}
        for where, of_partition in found.items():
            if of_partition.offset >= 0 and of_partition.metadata == COMMIT_MARK:
                committed.setdefault(where.partition, {})[where.topic] = of_partition.offset
        return committed

    async def _committed(self) -> Mapping[AiokafkaTopicPartition, OffsetAndMetadata]:
        options = aiokafka_options(self._cluster.connection)
        admin = AIOKafkaAdminClient(bootstrap_servers=self._cluster.bootstrap_servers, **options)
        try:
            await admin.start()
            found: Mapping[AiokafkaTopicPartition, OffsetAndMetadata]
            found = await admin.list_consumer_group_offsets(self._application_id)
            return found
        finally:
            await admin.close()

    # ---- writing ----

    def write(self, partition: int, before: Ledgers, after: Ledgers) -> int:
        """Turn one state into the other, in one transaction. Returns the number of records.

        Raises:
            RecoveryRefused: nothing was written.
        """
        changes = changes_between(before, after)
        if not changes:
            return 0
        failures: list[KafkaError] = []
        producer = Producer(self._producer_configuration(partition))
        try:
            producer.init_transactions(ANSWER_SECONDS)
            producer.begin_transaction()
            for key, value in changes:
                self._produce(producer, partition, key, value, failures)
            if producer.flush(TRANSACTION_SECONDS) or failures:
                raise KafkaException(failures[0] if failures else KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
            self.refuse_running()
            producer.commit_transaction(ANSWER_SECONDS)
        except KafkaException as error:
            raise RecoveryRefused(
                f"{self._topic}-{partition} was not written, and stays as it was: {error.args[0].str()}."
            ) from None
        if self.read(partition) != after:
            raise RecoveryRefused(
                f"{self._topic}-{partition} is not what was written: somebody else has written there at the same time. "
                "Stop every worker and run this again."
            )
        return len(changes)

    def _produce(
        self, producer: Producer, partition: int, key: bytes, value: bytes | None, failures: list[KafkaError]
    ) -> None:
        def told(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(error)

        while True:
            try:
                producer.produce(self._topic, value=value, key=key, partition=partition, on_delivery=told)
            except BufferError:
                producer.poll(_READ_WAIT_SECONDS)
            else:
                producer.poll(0)
                return

    # ---- clients ----

    def _configuration(self) -> dict[str, object]:
        return {
            **self._cluster.client_settings(),
            "group.id": "mesura-recovery",  # required, never used: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "check.crcs": True,
            "fetch.wait.max.ms": 20,
            "fetch.error.backoff.ms": 10,
            "allow.auto.create.topics": False,
            "log_level": 0,
            "error_cb": lambda _: None,
        }

    def _producer_configuration(self, partition: int) -> dict[str, object]:
        return {
            **self._cluster.client_settings(),
            # Below the prefix that the gate's own ids have, so that its permission is enough.
            "transactional.id": f"{self._application_id}-recovery-{partition}",
            "transaction.timeout.ms": TRANSACTION_SECONDS * 1000,
            "linger.ms": 20,
            "message.max.bytes": 8 * 1024 * 1024,
            "log_level": 0,
            "error_cb": lambda _: None,
        }


def changes_between(before: Ledgers, after: Ledgers) -> Sequence[tuple[bytes, bytes | None]]:
    """Keys and new values; the meta record last. Empty if both are the same."""
    changes: list[tuple[bytes, bytes | None]] = [
        (key, value) for key, value in after.store.items() if before.store.get(key) != value
    ]
    changes += [(key, None) for key in before.store if key not in after.store]
    if after.meta is not None and (changes or before.meta != after.meta):
        changes.append((META_KEY, encode_meta(after.meta)))
    return changes


def _merge(store: dict[bytes, bytes], pending: dict[bytes, bytes | None]) -> None:
    for key, value in pending.items():
        if value is None:
            store.pop(key, None)
        else:
            store[key] = value
    pending.clear()
