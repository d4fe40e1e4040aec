"""The headers by which a replayed record names its dead letter.

Rules of this module
1. They are one block, the last headers of the record, in one order. Anything else is the producer's own, and stays.
2. A record has one block at most: a further replay puts its own in the place of the one before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from streams.contracts.header_names import (
    REPLAY_COUNT,
    REPLAY_OFFSET,
    REPLAY_PARTITION,
    REPLAY_REASON,
    REPLAY_TIMESTAMP,
    REPLAY_TOPIC,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

OwnHeaders = tuple[tuple[str, bytes | None], ...]
"""Headers as Kafka has them: a value may be missing."""

REPLAYS_MAX: Final = 5
"""Who has mended the cause four times and was wrong each time needs the record's producer, and not another replay. Each
replay costs a dead letter, and of an opt-out that nobody can read also a page."""

_NAMES: Final = (REPLAY_COUNT, REPLAY_REASON, REPLAY_TOPIC, REPLAY_PARTITION, REPLAY_OFFSET, REPLAY_TIMESTAMP)


class Replayed(NamedTuple):
    """What a replayed record says of its replay. `topic`, `partition` and `offset` are those of the dead letter."""

    times: int
    reason: str
    topic: str
    partition: int
    offset: int
    timestamp_ms: int


def with_replay(own: OwnHeaders, replayed: Replayed) -> list[tuple[str, bytes | None]]:
    """The record's own headers, and the block behind them."""
    said = (str(part).encode() for part in replayed)
    return [*own, *zip(_NAMES, said, strict=True)]


def split_replay(headers: Sequence[tuple[str, bytes | None]]) -> tuple[OwnHeaders, Replayed | None]:
    """The record's own headers, and what the block behind them says, if there is one."""
    own, block = tuple(headers[: -len(_NAMES)]), headers[-len(_NAMES) :]
    if tuple(name for name, _ in block) == _NAMES:
        try:
            times, reason, topic, partition, offset, timestamp_ms = [(said or b"").decode() for _, said in block]
            found = Replayed(int(times), reason, topic, int(partition), int(offset), int(timestamp_ms))
        except ValueError:
            pass
        else:
            if found.times > 0:
                return own, found
    return tuple(headers), None
