"""The narrow seams between the exactly-once engine and everything else.

Rules of this module
1. The engine moves bytes. It knows topics, partitions, offsets, transactions; never a rule, a customer or a channel.
2. What decides is a `StateMachine`: bytes in, bytes out, no clock, no I/O, nothing remembered outside the store. It may
   be asked to apply the same batch again (an aborted transaction), and must then answer the same for the same moments.
3. What the engine tells the outside world goes through an `Observer`, and tallies reach it only after the commit.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from streams.exactly_once.key_kinds import KeyKind
from streams.records import InputRecord, OutputRecord


@dataclass(frozen=True, slots=True)
class InputTopic:
    """One input topic of the gate.

    `rank`: within a batch, records of a lower rank are applied first (preferences before outcomes before intents).
    `barrier`: everything acknowledged on this topic before the batch is decided must be applied first.
    `agent`: the agent that reads it, a module of `streams.agents`. The engine itself treats all alike.
    """

    name: str
    rank: int
    barrier: bool
    agent: str = "intents"


class Batch(NamedTuple):
    """What one partition contributes to one transaction, already in the order in which it is to be applied.

    `moments_ms[i]` is the `now` of `records[i]`; it never decreases, also across batches and restarts.
    `positions` are the next offsets per input topic *before* this batch.
    `due` are keys whose moment (`StateMachine.due_at`) has come; they come after the records, at `due_ms`, which is no
    earlier than any moment before it. By then a key may be gone, changed, or not due any more.
    `too_large` are topic and offset of records whose answer no topic takes. They are to be dead-lettered and to change
    nothing, unless what they say must not be lost.
    """

    partition: int
    records: Sequence[InputRecord]
    moments_ms: Sequence[int]
    positions: Mapping[str, int]
    due: Sequence[bytes] = ()
    due_ms: int = 0
    too_large: frozenset[tuple[str, int]] = frozenset()


class Due(NamedTuple):
    """Keys of a store whose time has come.

    `needs_barrier`: applying them may approve something, so everything acknowledged on the barrier topics comes first.
    """

    keys: Sequence[bytes] = ()
    needs_barrier: bool = False


NOTHING_DUE: Final = Due()


@dataclass(slots=True)
class BatchResult:
    """What applying a batch gave: all of it becomes visible in one transaction, or none of it.

    `changes` are changelog keys (see `changelog.py`) to their new values; None deletes.
    `due_at_ms` says when, for each of the changed keys that may have work (`StateMachine.due_at`) earlier than before.
    `tally` is handed to `Observer.committed` untouched, once the transaction has committed.
    """

    outputs: list[OutputRecord] = field(default_factory=list)
    changes: dict[bytes, bytes | None] = field(default_factory=dict)
    due_at_ms: dict[bytes, int] = field(default_factory=dict)
    tally: Any = None


class StoredValueUnreadable(Exception):
    """A value of the store is not what the state machine has written. `why` is a sentence that quotes nothing.

    `key` is the changelog key, never to be shown.
    """

    def __init__(self, partition: int, key: bytes, why: str) -> None:
        super().__init__(why)
        self.partition = partition
        self.key = key


class StateMachine(Protocol):
    """The domain, seen from the engine."""

    def apply(self, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        """Apply the batch to the partition's store (changelog key to value) without changing it.

        Raises:
            StoredValueUnreadable: to continue would forget what the value held.
        """
        ...

    @property
    def due_horizons(self) -> Hashable:
        """What `due_at` rests on beside the store. State machines with equal ones give the same moments."""
        ...

    @property
    def approving_kinds(self) -> frozenset[KeyKind]:
        """The kinds of keys whose due work may approve something, so that it passes the barrier first."""
        ...

    def due_at(self, key: bytes, value: bytes) -> int | None:
        """The moment from which this key of a store has work that no record will ask for; None: it never has.

        Total, and quick: it is asked once for every key that was restored.
        """
        ...


class Clock(Protocol):
    """Wall time in epoch milliseconds."""

    def now_ms(self) -> int: ...


class Observer(Protocol):
    """Told what happened. Must not raise and must not block."""

    def committed(self, partition: int, tally: Any, *, decided_at_ms: int, committed_at_ms: int) -> None: ...  # noqa: ANN401
    def batch_aborted(self, reason: str) -> None: ...
    def barrier_waited(self, seconds: float) -> None: ...
    def barrier_unanswered(self, seconds: float) -> None: ...
    def commit_unanswered(self, seconds: float) -> None: ...
    def restore_progress(self, partition: int, restored_records: int, remaining_records: int) -> None: ...
    def assigned(self, partitions: frozenset[int]) -> None: ...
    def ready(self, is_ready: bool, why: str) -> None: ...
    def lag(self, topic: str, partition: int, records: int, seconds: float) -> None: ...
    def records_missing(self, topic: str, partition: int, count: int) -> None: ...
    def clock_difference(self, seconds: float) -> None: ...
    def examined(self, keys: int) -> None: ...
    def round_finished(self, seconds: float) -> None: ...
