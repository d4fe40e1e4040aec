"""What ends the engine, as a tree.

    EngineError
     ├── StartupRefusedError    what was found at start would break a promise; the sentence says what to do
     ├── RecordsMissingError    an input topic lost records before they were decided; refused likewise
     ├── RestoreStalledError    the changelog could not be read to its end; the process ends and is started again
     └── LaneError              a lane met something it cannot go on from; the process ends and is started again
          └── TransactionRefusedError   the broker refused a record of a transaction, again and again

Texts name topics, partitions and offsets; never a key or a value.
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


class StartupRefusedError(EngineError):
    """Starting (or taking over a partition) would break a promise. The text says what to do."""


class RecordsMissingError(EngineError):
    """Records of an input topic are gone although nobody decided them, and the settings do not accept that."""

    def __init__(self, topic: str, partition: int, first_offset: int, count: int) -> None:
        super().__init__(
            f"{count} records of {topic}-{partition} from offset {first_offset} on are gone before they were decided "
            "(retention, deletion or an unclean leader election). Find out what they were; to go on without them, "
            "start with accept_missing_records."
        )
        self.topic = topic
        self.partition = partition
        self.first_offset = first_offset
        self.count = count


class RestoreStalledError(EngineError):
    """Nothing of the changelog has arrived for too long. The process ends; the next one begins anew."""

    def __init__(self, unread: Sequence[TopicPartition], seconds: float) -> None:
        named = ", ".join(f"{each.topic}-{each.partition}" for each in unread[:PLACES_SHOWN])
        super().__init__(
            f"Nothing of {named} has arrived for {seconds:.0f} s although there is more to restore. Is the partition "
            "without a leader, or does another program hold a transaction open on it?"
        )


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
