"""Work that no record asks for: a lane walks over its stores, a little at a time, and asks what has become due.

Rules of this module
1. The walk only looks. What it finds due is applied as part of a batch, in the batch's transaction, and is found again
   if it was not committed: it follows from the store and the moment alone, so nothing can be lost or done twice.
2. A step looks at a bounded number of keys and ends with the first portion in which something is due, so that both
   looking and applying take a moment only. Steps keep a distance, however many records wait, and a round over all
   stores is spread over its time: an idle worker stays idle.
3. A store changes between two steps, so no iterator over it is kept. A round copies the keys of one partition when it
   comes to it: 8 bytes a key, of one partition at a time. Keys removed since are passed over; new ones have nothing due
   that could not wait for the next round. (Skipping to where the last step ended would cost more with every step.)
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from streams.exactly_once.clients import loop_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from streams.exactly_once.interfaces import Clock, Observer, StateMachine
    from streams.exactly_once.partition import PartitionState

KEYS_PER_STEP: Final = 200
"""Looking at one takes three microseconds if nothing is due, so a step takes under a millisecond: what a decision may
wait unnoticed."""

KEYS_PER_PORTION: Final = 20
"""Asked about at once, hence the most that becomes due at once. Applying one costs up to a hundred microseconds."""

PAUSE_LEAST_SECONDS: Final = 0.1
"""Between two steps, a hundred times what one takes. Two thousand keys a second are seven million an hour: beyond that
a round takes longer than it should rather than more of the lane."""


class DueScan:
    """The walk of one lane."""

    def __init__(
        self,
        clock: Clock,
        observer: Observer,
        *,
        round_seconds: float,
        monotonic: Callable[[], float] = loop_seconds,
    ) -> None:
        self._clock = clock
        self._observer = observer
        self._round_seconds = round_seconds
        self._monotonic = monotonic
        self._partitions: list[PartitionState] = []
        self._latest_partition = -1
        self._portions: Iterator[tuple[PartitionState, Sequence[bytes]]] = iter(())
        self._next_at = 0.0
        self._round_began_at: float | None = None

    def restart(self, partitions: Iterable[PartitionState]) -> None:
        """Walk over these from now on. Begins behind the partition where the walk was, so that none is always last."""
        in_order = sorted(partitions, key=lambda state: state.partition)
        self._partitions = [state for state in in_order if state.partition > self._latest_partition]
        self._partitions += [state for state in in_order if state.partition <= self._latest_partition]
        self._portions = iter(())
        self._round_began_at = None
        self._next_at = self._monotonic() + PAUSE_LEAST_SECONDS

    def seconds_to_next(self) -> float:
        """Until the next step may be taken."""
        return max(0.0, self._next_at - self._monotonic())

    def step(self, state_machine: StateMachine) -> None:
        """Take the next step if its time has come: what it finds is left in the partition's `due`."""
        began_at = self._monotonic()
        if began_at < self._next_at:
            return
        self._next_at = began_at + PAUSE_LEAST_SECONDS
        if any(state.due.keys for state in self._partitions):
            return  # what was found last is not committed yet
        examined = self._look(state_machine, began_at)
        self._observer.examined(examined)
        self._next_at = began_at + self._pause_seconds(examined)

    def _look(self, state_machine: StateMachine, began_at: float) -> int:
        """Ask portion by portion until something is due, the step is over, or the round. Returns how many keys."""
        examined = 0
        while examined < KEYS_PER_STEP:
            portion = next(self._portions, None)
            if portion is None and not examined:
                self._end_round(began_at)
                portion = next(self._portions, None)
            if portion is None:
                break
            state, keys = portion
            examined += len(keys)
            self._latest_partition = state.partition
            state.due = state_machine.due(keys, state.store, max(self._clock.now_ms(), state.latest_ms))
            if state.due.keys:
                break
        return examined

    def _end_round(self, now: float) -> None:
        if self._round_began_at is not None:
            self._observer.round_finished(now - self._round_began_at)
        self._round_began_at = now
        self._portions = self._walk()

    def _walk(self) -> Iterator[tuple[PartitionState, Sequence[bytes]]]:
        for state in self._partitions:
            keys = iter(list(state.store))
            while portion := list(islice(keys, KEYS_PER_PORTION)):
                yield state, portion

    def _pause_seconds(self, examined: int) -> float:
        """The share of the round's time that so many keys have, so that its steps fill it."""
        keys = sum(len(state.store) for state in self._partitions)
        share = examined / keys if examined < keys else 1.0
        return max(PAUSE_LEAST_SECONDS, self._round_seconds * share)
