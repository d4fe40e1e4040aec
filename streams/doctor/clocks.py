"""Whether our clock and the brokers' agree, as far as reading can tell.

The gate compares them at each commit: the broker stamps what the gate wrote. Doctor writes nothing, and no request of
Kafka's tells a broker's time. But brokers have stamped the records of some topics (`LogAppendTime`). A stamp that lies
ahead of our clock is a difference. One from just now shows that our clock is not ahead of the broker's; whether it is
behind shows only with the next record. An older stamp shows nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, TopicPartition

from streams.doctor.finding import LOOK_AT_BROKERS, Finding, NotPossible, State
from streams.doctor.subject import ANSWER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.doctor.subject import Subject

RECORDS: Final = 5
"""Of each partition, the latest: one of them is a record also behind transaction markers."""

FETCH_MS: Final = 50
"""How long a broker may wait for more at the end of a partition."""


def look_at_clocks(subject: Subject) -> Iterator[Finding]:
    """Compare our clock with the latest moment that a broker has stamped."""
    yield from subject.unseen("clocks", _stamped(subject))
    stamp_ms = _latest_stamp_ms(subject)
    if stamp_ms is None:
        raise NotPossible(
            "No record carries the broker's time.",
            "Run doctor while the gate decides. The gate itself compares the clocks at each commit.",
        )
    limit_seconds = subject.engine.clock_difference_limit_seconds
    ahead_seconds = (stamp_ms - subject.now_ms()) / 1000
    if ahead_seconds > limit_seconds:
        yield Finding(
            "clocks",
            State.FAILURE,
            f"A broker's clock is at least {ahead_seconds:.0f} s ahead of ours. Beyond {limit_seconds:.0f} s the gate "
            "commits nothing.",
            "Synchronise the clocks of this machine and of the brokers (NTP).",
        )
    elif -ahead_seconds <= limit_seconds:
        yield Finding("clocks", State.OK, f"The latest stamp of a broker is {-ahead_seconds:.1f} s old by our clock.")
    else:
        yield Finding(
            "clocks",
            State.NOT_POSSIBLE,
            f"The latest stamp of a broker is {-ahead_seconds:.0f} s old by our clock: our clock is ahead, or nothing "
            "was written since.",
            "Run doctor while the gate decides. The gate itself compares the clocks at each commit.",
        )


def _stamped(subject: Subject) -> tuple[str, ...]:
    """The topics that the gate may read and that are planned to have the brokers' time."""
    return subject.names.ledger, subject.names.preferences, subject.names.outcomes


def _latest_stamp_ms(subject: Subject) -> int | None:
    places = [
        TopicPartition(name, number)
        for name, topic in subject.topics.items()
        if name in _stamped(subject)
        for number in topic.partitions
    ]
    consumer = Consumer(
        {
            **subject.client_settings(),
            # Required, and asked for its coordinator. It is not joined: partitions are assigned by hand.
            "group.id": subject.application_id,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": FETCH_MS,
            "isolation.level": "read_uncommitted",
        }
    )
    latest = None
    try:
        for place in places:
            first, end = consumer.get_watermark_offsets(place, timeout=ANSWER_SECONDS)
            place.offset = max(first, end - RECORDS)
        consumer.assign(places)
        left = {(place.topic, place.partition) for place in places}
        while left:
            message = consumer.poll(ANSWER_SECONDS)
            if message is None:
                raise NotPossible("A broker stopped answering.", LOOK_AT_BROKERS)
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
                raise KafkaException(error)
            if error is not None:
                left.discard((message.topic(), message.partition()))
                continue
            kind, at_ms = message.timestamp()
            if kind == TIMESTAMP_LOG_APPEND_TIME:
                latest = max(at_ms, latest or 0)
    finally:
        consumer.close()
    return latest
