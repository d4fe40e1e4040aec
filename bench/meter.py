"""What processes cost and how far they are, looked at from outside.

Rules of this module
1. Nothing that is measured is asked to measure itself: progress is what is committed, cost is what the kernel counted.
2. A rate is taken between two samples of the same run, never from a start or to an end.
3. Whoever stands still is not waited for without end.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupState,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, ConsumerGroupDescription, OffsetSpec

SAMPLE_SECONDS: Final = 0.1
STANDSTILL_SECONDS: Final = 90.0
"""Longer than a start, a rebalance and a transaction timeout together."""

ANSWER_SECONDS: Final = 30.0
"""Of a broker that has just started and loads its coordinators."""

CORES: Final = 2
EDGE_SHARE: Final = 0.1


def use_two_cores() -> None:
    """This process and all it starts share two cores, whatever the machine has."""
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:CORES]))


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes that are running."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def resident_bytes(pids: Iterable[int]) -> int:
    """Resident memory of processes."""
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * resource.getpagesize()


def end_offsets(bootstrap_servers: str, topics: Iterable[str], *, committed: bool = False) -> int:
    """How many offsets the topics have been given, markers among them; or up to the last stable one."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    wanted = [
        TopicPartition(topic, partition)
        for topic in topics
        for partition in client.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic].partitions
    ]
    level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
    answers = client.list_offsets({each: OffsetSpec.latest() for each in wanted}, isolation_level=level)
    return sum(answer.result().offset for answer in answers.values())


class CommittedOffsets:
    """How many records of a topic a group has behind it, by what it committed."""

    def __init__(self, bootstrap_servers: str, group: str, topics: Sequence[str]) -> None:
        self._client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
        # A consumer that never joins. The admin client's question for offsets crashes while the coordinator loads.
        self._consumer = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group, "log_level": 0})
        found = [self._client.list_topics(topic, timeout=ANSWER_SECONDS).topics[topic] for topic in topics]
        self._partitions = [TopicPartition(topic.topic, number) for topic in found for number in topic.partitions]
        self._group = group
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                self()
                break
            except KafkaException:
                if time.monotonic() > until:
                    raise
                time.sleep(SAMPLE_SECONDS)

    def __call__(self) -> int:
        """Nothing committed yet counts as nothing."""
        committed = self._consumer.committed(self._partitions, timeout=ANSWER_SECONDS)
        return sum(max(0, partition.offset) for partition in committed)

    def members(self) -> int:
        """How many members of the group have something to do."""
        return sum(bool(member.assignment.topic_partitions) for member in self._described().members)

    def is_left(self) -> bool:
        """Whether the broker knows of no member any more: a killed one is gone after its session timeout."""
        return self._described().state in {ConsumerGroupState.EMPTY, ConsumerGroupState.DEAD}

    def _described(self) -> ConsumerGroupDescription:
        return next(iter(self._client.describe_consumer_groups([self._group]).values())).result()


@dataclass(frozen=True, slots=True)
class Sample:
    """One look."""

    seconds: float
    done: int
    cpu_seconds: float
    broker_cpu_seconds: float
    resident_bytes: int
    members: int


@dataclass(frozen=True, slots=True)
class Rate:
    """What lay between two looks."""

    per_second: float
    cpu_microseconds: float
    broker_cpu_microseconds: float
    megabytes: float
    seconds: float


def watch(
    done: Callable[[], int],
    members: Callable[[], int],
    *,
    total: int,
    pids: Sequence[int],
    broker_pid: int | None,
    still_running: Callable[[], None],
    members_wanted: int | None = None,
) -> list[Sample]:
    """Look until everything is done.

    Args:
        done: how much is done.
        members: how many members have something to do; asked until there are enough.
        total: how much there is.
        pids: whose cost is counted.
        broker_pid: likewise.
        still_running: raises if somebody has ended.
        members_wanted: as many as there are processes, if not given.

    Raises:
        RuntimeError: nothing has moved for `STANDSTILL_SECONDS`; or what `still_running` raises.
    """
    wanted = len(pids) if members_wanted is None else members_wanted
    samples: list[Sample] = []
    moved = time.perf_counter()
    while not samples or samples[-1].done < total:
        still_running()
        count = done()
        now = time.perf_counter()
        if not samples or count > samples[-1].done:
            moved = now
        if now - moved > STANDSTILL_SECONDS:
            raise RuntimeError(f"nothing has moved for {STANDSTILL_SECONDS:.0f} s; {count} of {total} are done")
        brokers = [] if broker_pid is None else [broker_pid]
        joined = samples[-1].members if samples and samples[-1].members >= wanted else members()
        samples.append(Sample(now, count, cpu_seconds(pids), cpu_seconds(brokers), resident_bytes(pids), joined))
        time.sleep(SAMPLE_SECONDS)
    return samples


def rate(samples: Sequence[Sample], total: int, processes: int, begin_share: float = EDGE_SHARE) -> Rate:
    """Between the first and the last tenth of the backlog, from when all processes had their share.

    Between two looks at which something had just moved: who commits every five seconds would otherwise be counted up to
    five seconds wrong. A backlog too short for that is taken whole, from when the first of it was done: rough, and
    never flattering.

    Args:
        samples: what was seen.
        total: how many there were.
        processes: how many members make it complete.
        begin_share: of the backlog, what is left out at the beginning; more than a tenth for who must warm up.
    """
    moved = [samples[0], *(now for before, now in pairwise(samples) if now.done > before.done)]
    low, high = total * begin_share, total * (1 - EDGE_SHARE)
    inside = [each for each in moved if low <= each.done <= high and each.members >= processes]
    if len(inside) < 2 or inside[-1].done == inside[0].done:
        begin = max(0, sum(each.done == 0 for each in samples) - 1)
        inside = list(samples[begin:])
    first, last = inside[0], inside[-1]
    done, seconds = last.done - first.done, last.seconds - first.seconds
    return Rate(
        per_second=done / seconds,
        cpu_microseconds=(last.cpu_seconds - first.cpu_seconds) / done * 1e6,
        broker_cpu_microseconds=(last.broker_cpu_seconds - first.broker_cpu_seconds) / done * 1e6,
        megabytes=max(each.resident_bytes for each in samples) / 1e6,
        seconds=seconds,
    )


def keys(bootstrap_servers: str, topic: str, partition: int) -> Iterator[bytes]:
    """The keys of the committed records of a partition."""
    for key, _ in sizes(bootstrap_servers, topic, partition):
        yield key


def sizes(bootstrap_servers: str, topic: str, partition: int) -> Iterator[tuple[bytes, int]]:
    """The key of each committed record of a partition, and how many bytes its value has."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "bench-keys",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING)])
    try:
        while True:
            for message in consumer.consume(10_000, timeout=1.0):
                if message.error() is None:
                    yield message.key(), len(message.value() or b"")
                elif message.error().code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
                    return
                else:
                    raise KafkaException(message.error())
    finally:
        consumer.close()


def delete_topics(bootstrap_servers: str, topics: Sequence[str]) -> None:
    """Free the disk before the next run; what is gone already is fine."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    for future in client.delete_topics(list(topics)).values():
        with contextlib.suppress(Exception):
            future.result()
