"""Work that no record asks for: a lane takes from its index what has become due, a little at a time.

Rules of this module
1. Looking changes nothing. What is due is applied as part of a batch, in the batch's transaction; its keys are filed
   again, from the store, once that has committed or has turned out to have nothing to do. So nothing is lost or done
   twice, whatever becomes of the batch: what is due follows from the store alone.
2. A step looks at a bounded number of keys and ends with the first portion in which something is due, so that both
   looking and applying take a moment only. Steps keep a distance, however many records wait.
3. Nothing is looked at before its time. A step that finds no open bucket costs a comparison for each partition.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from streams.exactly_once.clients import loop_seconds
from streams.exactly_once.due_index import HOUR_MS, DueIndex
from streams.exactly_once.interfaces import NOTHING_DUE, Due
from streams.exactly_once.key_kinds import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streams.exactly_once.interfaces import Clock, Observer, StateMachine
    from streams.exactly_once.partition import PartitionState

KEYS_PER_STEP: Final = 200
"""Looking at one takes a microsecond, so a step takes under a millisecond: what a decision may wait unnoticed."""

KEYS_PER_PORTION: Final = 20
"""Looked at at once, hence the most that becomes due at once. Applying one costs up to a hundred microseconds."""

PAUSE_LEAST_SECONDS: Final = 0.1
"""Between two steps, fifty times what applying a portion takes. Two hundred keys a second are due work for millions of
customers; beyond that due work is late rather than more of the lane."""

KEYS_FILED_PER_STEP: Final = 1_000
"""While an index is made: two or three milliseconds."""

FILING_PAUSE_SECONDS: Final = 0.02
"""Between two such steps. A million keys are filed within twenty seconds, with an eighth of the lane."""

AGAIN_MS: Final = HOUR_MS
"""When a key is looked at again that is called due and has nothing done to it. It would otherwise be so at once."""


class DueWork:
    """What becomes due in the partitions of one lane.

    `look_seconds`: the longest time between two looks at the clock, which may be set forward.
    """

    def __init__(
        self,
        clock: Clock,
        observer: Observer,
        *,
        look_seconds: float,
        monotonic: Callable[[], float] = loop_seconds,
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._look_seconds = look_seconds
        self._monotonic = monotonic
        self._partitions: list[PartitionState] = []
        self._given: tuple[PartitionState, Sequence[bytes]] | None = None
        self._filing_began_at: float | None = None
        self._next_at = 0.0

    def restart(self, partitions: Iterable[PartitionState]) -> None:
        """Serve these from now on. The index of one that is new is made in the steps that follow."""
        if self._given is not None:
            state, keys = self._given
            self._given = None
            if state.due_index is not None:
                for key in keys:
                    state.due_index.file(key, 0)
        self._partitions = sorted(partitions, key=lambda state: state.partition)
        for state in self._partitions:
            state.due = NOTHING_DUE
            if state.due_index is None:
                state.due_index = DueIndex()
        self._filing_began_at = None
        self._next_at = self._monotonic() + PAUSE_LEAST_SECONDS

    def seconds_to_next(self) -> float:
        """Until the next step may be taken."""
        return max(0.0, self._next_at - self._monotonic())

    def step(self, state_machine: StateMachine) -> None:
        """Take the next step if its time has come: what it finds is left in the partition's `due`."""
        began_at = self._monotonic()
        if began_at < self._next_at:
            return
        is_filing = self._file(state_machine, began_at)
        self._next_at = began_at + (FILING_PAUSE_SECONDS if is_filing else PAUSE_LEAST_SECONDS)
        if any(state.due.keys for state in self._partitions):
            return  # what was found last is not committed yet
        self._settle(state_machine)
        examined = self._look(state_machine)
        self._observer.examined(examined)
        if not is_filing and self._given is None and examined < KEYS_PER_STEP:
            self._next_at = began_at + self._pause_seconds()

    def _settle(self, state_machine: StateMachine) -> None:
        """File the keys whose work was done, by what they are now."""
        if self._given is None:
            return
        state, keys = self._given
        self._given = None
        now_ms = self._now_ms(state)
        for key in keys:
            value = state.store.get(key)
            due_ms = None if value is None else state_machine.due_at(key, value)
            if due_ms is not None:
                self._index(state).file(key, due_ms if due_ms > now_ms else now_ms + AGAIN_MS)

    def _file(self, state_machine: StateMachine, now: float) -> bool:
        """Go on making the indexes that are not whole. Returns whether there are any."""
        for state in self._partitions:
            index = self._index(state)
            if index.horizons != state_machine.due_horizons:
                index.begin(state_machine.due_horizons, state.store)
        unfinished = [state for state in self._partitions if not self._index(state).is_whole]
        if not unfinished:
            if self._filing_began_at is not None:
                self._observer.round_finished(now - self._filing_began_at)
                self._filing_began_at = None
            return False
        if self._filing_began_at is None:
            self._filing_began_at = now
        state = unfinished[0]
        index, store, due_at = self._index(state), state.store, state_machine.due_at
        keys = list(islice(index.unfiled(), KEYS_FILED_PER_STEP))
        for key in keys:
            value = store.get(key)
            due_ms = None if value is None else due_at(key, value)
            if due_ms is not None:
                index.file(key, due_ms)
        if len(keys) < KEYS_FILED_PER_STEP:
            index.finish()
        return True

    def _look(self, state_machine: StateMachine) -> int:
        """Look at keys whose time has come until some are due, or the step is over. Returns how many."""
        examined = 0
        while examined < KEYS_PER_STEP:
            state = min(self._partitions, key=_opens_ms, default=None)
            if state is None:
                break
            now_ms = self._now_ms(state)
            keys = self._index(state).take(now_ms, KEYS_PER_PORTION)
            if not keys:
                break
            examined += len(keys)
            due = self._due(state, state_machine, keys, now_ms)
            if due:
                needs_barrier = any(kind_of(key) in state_machine.approving_kinds for key in due)
                state.due = Due(due, needs_barrier)
                self._given = state, due
                break
        return examined

    def _due(self, state: PartitionState, state_machine: StateMachine, keys: list[bytes], now_ms: int) -> list[bytes]:
        """Those that are due. Of the others, those that will be are filed again."""
        due = []
        for key in dict.fromkeys(keys):
            value = state.store.get(key)
            due_ms = None if value is None else state_machine.due_at(key, value)
            if due_ms is None:
                continue
            if due_ms <= now_ms:
                due.append(key)
            else:
                self._index(state).file(key, due_ms)
        return due

    def _now_ms(self, state: PartitionState) -> int:
        return max(self._clock.now_ms(), state.latest_ms)

    def _pause_seconds(self) -> float:
        """Until the next bucket opens, and no longer than the clock may go unwatched."""
        opens_ms = min((_opens_ms(state) for state in self._partitions), default=_NEVER_MS)
        ahead_seconds = (opens_ms - self._clock.now_ms()) / 1000
        return max(PAUSE_LEAST_SECONDS, min(self._look_seconds, ahead_seconds))

    @staticmethod
    def _index(state: PartitionState) -> DueIndex:
        assert state.due_index is not None, "made when the partition was taken over"
        return state.due_index


_NEVER_MS: Final = 1 << 62


def _opens_ms(state: PartitionState) -> int:
    opens_ms = None if state.due_index is None else state.due_index.next_ms()
    return _NEVER_MS if opens_ms is None else opens_ms
