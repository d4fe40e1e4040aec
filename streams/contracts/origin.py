"""Headers of every output: where its record came from, and what had been applied when it was decided.

Rules of this module
1. `mesura.origin.*` is the place where the upstream system's record stands, also if the gate forwarded it meanwhile;
   `mesura.rerouted.*` is then the place at which the deciding lane read it.
2. `mesura.applied.<topic>` is the next offset of that topic on the same partition: everything before it was applied.
3. With `decided_at` this is all an auditor needs to repeat a decision.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from streams.contracts.header_names import (
    APPLIED_PREFIX,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TOPIC,
    REROUTED_OFFSET,
    REROUTED_PARTITION,
    REROUTED_TOPIC,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.contracts.routing import OriginalPosition
    from streams.records import Header


@lru_cache(maxsize=4096)  # topics times partitions of one worker; beyond it only time is lost
def _place(topic: str, partition: int) -> tuple[Header, Header]:
    return (ORIGIN_TOPIC, topic.encode()), (ORIGIN_PARTITION, b"%d" % partition)


def applied_headers(next_offsets: Mapping[str, int]) -> tuple[Header, ...]:
    """How far preferences and outcomes have been applied: topic to next offset. The same for many decisions."""
    return tuple((APPLIED_PREFIX + topic, b"%d" % offset) for topic, offset in sorted(next_offsets.items()))


def origin_headers(
    topic: str, partition: int, offset: int, applied: tuple[Header, ...], first: OriginalPosition | None = None
) -> tuple[Header, ...]:
    """The headers of an output whose record was read at `topic`, `partition`, `offset`; `first` if it was forwarded."""
    if first is None:
        topic_header, partition_header = _place(topic, partition)
        return (topic_header, partition_header, (ORIGIN_OFFSET, b"%d" % offset), *applied)
    topic_header, partition_header = _place(first.topic, first.partition)
    return (
        topic_header,
        partition_header,
        (ORIGIN_OFFSET, b"%d" % first.offset),
        (REROUTED_TOPIC, topic.encode()),
        (REROUTED_PARTITION, b"%d" % partition),
        (REROUTED_OFFSET, b"%d" % offset),
        *applied,
    )
