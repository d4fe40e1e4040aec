"""The latest records of every input: whether they can be read, and whether their producers hash keys as Kafka does.

Rules of this module
1. They are read by the gate's own reader, with its limits: what it cannot read, the gate cannot.
2. Of a record only the key is looked at, and only for where it belongs.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final

import aiokafka
from aiokafka.structs import TopicPartition

from streams.contracts.routing import expected_partition
from streams.doctor.finding import Finding, State
from streams.exactly_once.clients import close
from streams.exactly_once.fetched_records import read_as_records

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.doctor.subject import Subject
    from streams.exactly_once.fetched_records import FetchedRecords

RECORDS: Final = 200
"""Of each partition, the latest. With several partitions another partitioner misplaces every second record or more, so
a few would do; but several producers share a partition. With one partition nothing can be misplaced."""

POLL_MS: Final = 200

PUBLISH_FIRST: Final = "Run doctor again when producers have published."


def look_at_recent_records(subject: Subject) -> Iterator[Finding]:
    """Whether batches are readable (`batches`) and keys are where they belong (`partitioner`)."""
    names = subject.names
    published = (*names.intents, names.preferences, names.outcomes)
    counts = {
        name: len(topic.partitions) for name, topic in subject.topics.items() if name in {*published, names.rerouted}
    }
    yield from subject.unseen("batches", (*published, names.rerouted))
    looked_at: Counter[str] = Counter()
    misplaced: Counter[str] = Counter()
    unreadable = []
    for fetched in asyncio.run(_latest(subject, counts)):
        if fetched.unreadable is not None:
            unreadable.append(str(fetched.unreadable))
        for record in fetched.records if fetched.topic in published else ():
            looked_at[fetched.topic] += 1
            is_placed = record.key is not None and expected_partition(record.key, counts[fetched.topic]) == (
                fetched.partition
            )
            misplaced[fetched.topic] += not is_placed
    for sentence in unreadable:
        yield Finding("batches", State.FAILURE, sentence, "See docs/operations.md, Unreadable records.")
    if not unreadable:
        yield Finding("batches", State.OK, f"The latest batches of {len(counts)} input topics can be read.")
    yield from _partitioners(subject, looked_at, misplaced)


def _partitioners(subject: Subject, looked_at: Counter[str], misplaced: Counter[str]) -> Iterator[Finding]:
    for name, count in looked_at.items():
        if misplaced[name]:
            says_no = name == subject.names.preferences
            harm = "a no among them counts late" if says_no else "they take a detour"
            yield Finding(
                "partitioner",
                State.FAILURE if says_no else State.WARNING,
                f"Of the latest {count} records of {name}, {misplaced[name]} have no key or are not on the partition "
                f"that murmur2 of their key gives: {harm}.",
                "Set partitioner=murmur2_random in producers built on librdkafka, and give the customer's id as key. "
                "See MesuraMisroutedRecords.",
            )
    sound = sum(count for name, count in looked_at.items() if not misplaced[name])
    if not looked_at:
        yield Finding("partitioner", State.NOT_POSSIBLE, "There are no records in the input topics yet.", PUBLISH_FIRST)
    elif not misplaced.total():
        yield Finding("partitioner", State.OK, f"The latest {sound} records are where their keys belong.")


async def _latest(subject: Subject, counts: dict[str, int]) -> list[FetchedRecords]:
    settings = subject.engine
    consumer = aiokafka.AIOKafkaConsumer(
        bootstrap_servers=settings.bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        fetch_max_wait_ms=POLL_MS,
        **settings.client_options,
    )
    try:
        await consumer.start()
        read_as_records(consumer)
        places = [TopicPartition(name, number) for name, count in counts.items() for number in range(count)]
        consumer.assign(places)
        firsts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        for place in places:
            consumer.seek(place, max(firsts[place], ends[place] - RECORDS))
        found: list[FetchedRecords] = []
        left = {place for place in places if firsts[place] < ends[place]}
        while left:
            answers = await consumer.getmany(*left, timeout_ms=POLL_MS)
            for place, several in answers.items():
                found += several
                if any(each.unreadable for each in several):
                    left.discard(place)
            left = {place for place in left if await consumer.position(place) < ends[place]}
        return found
    finally:
        await close(consumer)
