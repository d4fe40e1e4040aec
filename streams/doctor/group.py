"""How far the gate's consumer group is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import OffsetSpec

from streams.doctor.finding import Finding, NotPossible, State
from streams.doctor.subject import ANSWER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.doctor.subject import Subject

_NONE: Final = 0
"""Kafka's offsets are not negative; what is below stands for none."""


def look_at_group(subject: Subject) -> Iterator[Finding]:
    """How many records the group has not committed."""
    inputs = {each.name for each in subject.engine.input_topics}
    places = [
        TopicPartition(name, number)
        for name, topic in subject.topics.items()
        if name in inputs
        for number in topic.partitions
    ]
    yield from subject.unseen("group", inputs)
    committed = _committed(subject, places)
    if all(offset < _NONE for offset in committed.values()):
        raise NotPossible(
            f"The group {subject.application_id} has never committed anything.",
            "Give the --application-id of the gate, unless it was never started.",
        )
    admin = subject.admin()
    firsts, ends = (
        {
            (place.topic, place.partition): future.result().offset
            for place, future in admin.list_offsets(
                {TopicPartition(each.topic, each.partition): spec for each in places}, request_timeout=ANSWER_SECONDS
            ).items()
        }
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
    )
    lags = {place: max(0, ends[place] - max(offset, firsts[place])) for place, offset in committed.items()}
    longest = max(lags, key=lambda place: lags[place])
    limit = subject.engine.max_batch_records
    told = f"The group {subject.application_id} has {sum(lags.values())} records before it"
    if lags[longest] > limit:
        yield Finding(
            "group",
            State.WARNING,
            f"{told}, of which {lags[longest]} on {longest[0]}-{longest[1]}, more than one transaction takes.",
            "Run doctor again. If they become no fewer, see MesuraLagGrowing.",
        )
    else:
        yield Finding("group", State.OK, f"{told}, transaction markers included.")


def _committed(subject: Subject, places: list[TopicPartition]) -> dict[tuple[str, int], int]:
    """Asked for without joining the group."""
    consumer = Consumer({**subject.client_settings(), "group.id": subject.application_id, "enable.auto.commit": False})
    try:
        found = consumer.committed(places, timeout=ANSWER_SECONDS)
    finally:
        consumer.close()
    return {(place.topic, place.partition): place.offset for place in found}
