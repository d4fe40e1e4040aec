"""What ends the engine, as a tree.

    EngineError
     ├── RefusalError           starting again would not help; the sentence says what to do first
     │    ├── StartupRefusedError    what was found would break a promise
     │    ├── RecordsMissingError    an input topic lost records before they were decided
     │    └── StateUnreadableError   a value of the changelog is damaged, or of another version
     ├── BatchUnreadableError   a record batch is not what was written; the process ends and is started again
     ├── RestoreStalledError    the changelog could not be read to its end; likewise
     └── LaneError              a lane met something it cannot go on from; likewise
          └── TransactionRefusedError   the broker refused a record of a transaction, again and again

Texts name topics, partitions and offsets; never a key or a value. Where an error knows its place, it says so in
`topic`, `partition` and `offset` too.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka.structs import TopicPartition

PLACES_SHOWN: Final = 20
"""Innermost calls named of an error."""


class EngineError(Exception):
    """Anything the engine ends with."""

    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


class RefusalError(EngineError):
    """Starting again would find the same. The text says what somebody has to do first."""


class StartupRefusedError(RefusalError):
    """Starting (or taking over a partition) would break a promise. The text says what to do."""


class RecordsMissingError(RefusalError):
    """Records of an input topic are gone although nobody decided them, and the settings do not accept that."""

    def __init__(self, topic: str, partition: int, first_offset: int, count: int) -> None:
        super().__init__(
            f"{count} records of {topic}-{partition} from offset {first_offset} on are gone before they were decided "
            "(retention, deletion or an unclean leader election). Find out what they were; to go on without them, "
            "start with accept_missing_records."
        )
        self.topic = topic
        self.partition = partition
        self.offset = first_offset
        self.count = count


class StateUnreadableError(RefusalError):
    """A value of the changelog cannot be read. To go on would forget what it held, the opt-outs of a customer among it.

    `why` says what is wrong with the value; never what it holds. `offset` is None where its record was not found.
    """

    def __init__(self, topic: str, partition: int, offset: int | None, why: str) -> None:
        where = f"offset {offset} of {topic}-{partition}" if offset is not None else f"{topic}-{partition}"
        super().__init__(
            f"The state at {where} cannot be read: {why} Nothing of this partition is decided, because what customers "
            "said would be forgotten. Run the version that wrote it, or restore the topic from a backup."
        )
        self.topic = topic
        self.partition = partition
        self.offset = offset


class BatchUnreadableError(EngineError):
    """A record batch cannot be read, and nobody knows what it holds: not even whether there is a no in it.

    Starting again is tried: another replica may have it sound. `offset` is the first one that was not read.
    """

    def __init__(self, topic: str, partition: int, offset: int, why: str) -> None:
        super().__init__(
            f"The record batch at offset {offset} of {topic}-{partition} cannot be read: {why}. Nothing after it is "
            "decided. If it stays so, restore it from another replica or a backup, or give it up: "
            "docs/operations.md, Unreadable records."
        )
        self.topic = topic
        self.partition = partition
        self.offset = offset


class RestoreStalledError(EngineError):
    """Nothing of the changelog has arrived for too long. The process ends; the next one begins anew."""

    def __init__(self, unread: Sequence[TopicPartition], seconds: float) -> None:
        named = ", ".join(f"{each.topic}-{each.partition}" for each in unread[:PLACES_SHOWN])
        super().__init__(
            f"Nothing of {named} has arrived for {seconds:.0f} s although there is more to restore. Is the partition "
            "without a leader, or does another program hold a transaction open on it?"
        )
        self.topic, self.partition = unread[0].topic, unread[0].partition


class LaneError(EngineError):
    """A lane cannot go on. The process ends; the next one restores the committed state."""


class TransactionRefusedError(LaneError):
    """The broker refused a record of the transaction every time it was tried."""


def diagnosis(error: BaseException) -> dict[str, object]:
    """What a log may say of an error: its type, where it happened, what caused it.

    The text only of this package's own errors: any other might quote a record.
    """
    frames = traceback.extract_tb(error.__traceback__)[-PLACES_SHOWN:]
    told: dict[str, object] = {
        "error": _name(error),
        "error_at": [f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno}" for frame in frames],
    }
    if isinstance(error, EngineError):
        told["error_message"] = str(error)
    if error.__cause__ is not None:
        told["why"] = f"caused by {_name(error.__cause__)}"
    return told


def _name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"
