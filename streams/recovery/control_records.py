"""The control topic of a stopped gate, as a recovery needs it: read, checked against what is given, and written."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from streams.erasure_key import ERASURE_KEY_KEY, fingerprint_of
from streams.exactly_once.control import FORMAT_KEY, PARTITIONS_KEY, read_format
from streams.exactly_once.errors import StartupRefusedError
from streams.recovery.errors import RecoveryRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.connection.cluster import Cluster
    from streams.recovery.settings import RecoverySettings

ANSWER_SECONDS: Final = 30.0
"""The control topic has one partition and a few records. A broker that takes longer is considered not to answer."""

_POLL_SECONDS: Final = 0.1


def read_control(cluster: Cluster, topic: str) -> dict[bytes, bytes]:
    """What the control topic holds, by key.

    Raises:
        RecoveryRefused: it does not exist, or cannot be read.
    """
    consumer = Consumer(
        {
            **cluster.client_settings(),
            "group.id": "mesura-recovery",  # required, never used: the partition is assigned by hand
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
    found: dict[bytes, bytes] = {}
    try:
        if topic not in consumer.list_topics(timeout=ANSWER_SECONDS).topics:
            raise RecoveryRefused(f"There is no topic {topic}. Create the topics first (mesura topics create).")
        position, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=ANSWER_SECONDS)
        consumer.assign([TopicPartition(topic, 0, position)])
        until = time.monotonic() + ANSWER_SECONDS
        while position < end:
            if time.monotonic() > until:
                raise RecoveryRefused(f"{topic} could not be read within {ANSWER_SECONDS:.0f} s. Try again.")
            message = consumer.poll(_POLL_SECONDS)
            if message is not None and message.error() is None:
                if message.value() is None:
                    found.pop(message.key(), None)
                else:
                    found[message.key()] = message.value()
            position = max(position, consumer.position([TopicPartition(topic, 0)])[0].offset)
    except KafkaException as error:
        raise RecoveryRefused(f"{topic} cannot be read: {error.args[0].str()}.") from None
    finally:
        consumer.close()
    return found


def write_control(cluster: Cluster, topic: str, records: Mapping[bytes, bytes]) -> None:
    """Write records in this order; they are acknowledged by all in-sync replicas when this returns.

    Raises:
        RecoveryRefused: some were not written.
    """
    failures: list[object] = []

    def told(error: object, _message: object) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(
        {
            **cluster.client_settings(),
            "acks": "all",
            "enable.idempotence": True,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
    try:
        for key, value in records.items():
            producer.produce(topic, value=value, key=key, partition=0, on_delivery=told)
        unsent = producer.flush(ANSWER_SECONDS)
    except KafkaException as error:
        raise RecoveryRefused(f"{topic} cannot be written: {error.args[0].str()}.") from None
    if unsent or failures:
        raise RecoveryRefused(f"{topic} cannot be written: {len(failures) + unsent} records were not acknowledged.")


def check_control(control: Mapping[bytes, bytes], settings: RecoverySettings, partitions: int) -> None:
    """It is of a format that is read, of this partition count, and of an application with this erasure key.

    Raises:
        RecoveryRefused: it is not.
    """
    topic = settings.names.control
    try:
        read_format(topic, control.get(FORMAT_KEY))
    except StartupRefusedError as refused:
        raise RecoveryRefused(str(refused)) from None
    recorded = control.get(PARTITIONS_KEY)
    if recorded is not None and recorded != b"%d" % partitions:
        raise RecoveryRefused(
            f"{topic} says that the gate was started with {recorded.decode(errors='replace')} partitions, and "
            f"{settings.names.ledger} has {partitions}. Create that one with the count of the other topics."
        )
    fingerprint = control.get(ERASURE_KEY_KEY)
    if fingerprint is not None and fingerprint != fingerprint_of(settings.erasure_key):
        raise RecoveryRefused(
            "The erasure key is not the one of this gate: what erased customers said would be stored where the gate "
            "never looks. Give the key that the gate has."
        )
