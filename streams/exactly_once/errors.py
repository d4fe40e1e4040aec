"""What ends the engine, as a tree.

    EngineError
     ├── RefusalError           starting again would not help; the sentence says what to do first
     │    ├── StartupRefusedError    what was found would break a promise
     │    │    ├── TopicUnfitError        a setting of a topic would lose records, or was changed to one that would
     │    │    └── StateUnreadableError   a value of the changelog is damaged, or of another version
     │    ├── RecordsMissingError    an input topic lost records before they were decided
     │    └── TopicShrunkError       an input topic lost records after they were decided
     ├── BatchUnreadableError   a record batch is not what was written; the process ends and is started again
     ├── RestoreStalledError    the changelog could not be read to its end; likewise
     └── LaneError              a lane met a condition it cannot continue from; likewise
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
"""How many of an error's innermost calls are named."""


class EngineError(Exception):
    """Anything the engine ends with."""

    topic: str | None = None
    partition: int | None = None
    offset: int | None = None


class RefusalError(EngineError):
    """Starting again would find the same. The text says what somebody has to do first."""


class StartupRefusedError(RefusalError):
    """Starting, or owning a partition, would break a promise. The text says what to do."""


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


class TopicShrunkError(RefusalError):
    """An input topic ends before what was read of it: it has lost its end, or was created anew.

    What is written there from now on would have the offsets of records that are decided.
    """

    def __init__(self, topic: str, partition: int, offset: int, start_offset: int) -> None:
        super().__init__(
            f"{topic}-{partition} was read up to offset {offset}, and now continues at {start_offset}: it has lost "
            "records that were decided (an unclean leader election), or was created anew. Restore the topic, or start "
            "a new application id."
        )
        self.topic = topic
        self.partition = partition
        self.offset = offset


class TopicUnfitError(StartupRefusedError):
    """A topic has settings with which something would be lost, or go wrong unnoticed. The text says which to set."""

    def __init__(self, topic: str, sentences: str) -> None:
        super().__init__(sentences)
        self.topic = topic


class StateUnreadableError(StartupRefusedError):
    """A value of the changelog cannot be read. To continue would forget what it held, perhaps a customer's opt-outs.

    `why` says what is wrong with the value; never what it holds. `offset` is None where its record was not found.
    `newest_version` is the newest version of the program that has run here, where that is known.
    """

    def __init__(self, topic: str, partition: int, offset: int | None, why: str, newest_version: str = "") -> None:
        where = f"offset {offset} of {topic}-{partition}" if offset is not None else f"{topic}-{partition}"
        newest = f" (the newest that has run here is {newest_version})" if newest_version else ""
        super().__init__(
            f"The state at {where} cannot be read: {why} Nothing of this partition is decided, because what customers "
            f"said would be forgotten. Run the version that wrote it{newest}, or, if it is damaged, rebuild the topic: "
            "docs/operations.md, A lost or emptied ledger."
        )
        self.topic = topic
        self.partition = partition
        self.offset = offset


class BatchUnreadableError(EngineError):
    """A record batch cannot be read, so nobody knows what it holds, perhaps an opt-out.

    The worker is started again, because another replica may hold the batch undamaged. `offset` is the first one that
    was not read, `why` a clause; `end_offset` is where the batch says that it ends, None where that cannot be believed.
    """

    def __init__(self, topic: str, partition: int, offset: int, why: str, end_offset: int | None = None) -> None:
        end = f" (it ends before offset {end_offset})" if end_offset is not None else ""
        super().__init__(
            f"The record batch at offset {offset} of {topic}-{partition}{end} cannot be read: {why}. Nothing behind it "
            "is decided. Make a replica with an undamaged copy the leader, or give the batch up: "
            "docs/operations.md, Unreadable records."
        )
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.end_offset = end_offset


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
    """A lane cannot continue. The process ends; the next one restores the committed state."""


class TransactionRefusedError(LaneError):
    """The broker refused a record of the transaction every time it was tried."""


def diagnosis(error: BaseException) -> dict[str, object]:
    """What a log may say about an error: its type, where it happened, what caused it.

    The text is included only for this package's own errors: any other might quote a record.
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
