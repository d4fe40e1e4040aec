"""Questions to the broker and its answers, each on its way for as long as the seed says; and where faults strike.

Invariants
1. A question that was sent is served, whatever becomes of who sent it; an answer reaches only a living process.
2. While the broker is down nothing is served. Clients ask until it is back: what was asked is served then, once.
3. Faults strike at a passing of a point (before sending, when served, when answered) or at a time, never elsewhere.
"""

from __future__ import annotations

import asyncio
import types
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from random import Random

    from tests.simulation.loop import Process, SimulatedLoop

Answer = TypeVar("Answer")

BEFORE: Final = "before"
SERVED: Final = "served"
ANSWERED: Final = "answered"

QUICK_SECONDS: Final = 0.002
SLOW_SECONDS: Final = 0.03
STUCK_SECONDS: Final = 1.5
"""Ends of the three ranges a delay is drawn from: a healthy local broker, a busy one, one that hangs."""


class Network:
    """The wires between processes and the broker."""

    def __init__(self, loop: SimulatedLoop, random: Random, *, slow_share: float, stuck_share: float) -> None:
        self.is_down = False
        self.passed: Callable[[Process, str, str, int], None] = lambda *_: None
        """Told of every passing: process, point, moment and the how-manieth of this process's slot."""
        self._loop = loop
        self._random = random
        self._slow_share = slow_share
        self._stuck_share = stuck_share
        self._waiting: list[Callable[[], None]] = []
        self._passings: Counter[tuple[str, str, str]] = Counter()

    def delay(self) -> float:
        """Seconds on the way."""
        drawn = self._random.random()
        if drawn < self._stuck_share:
            return self._random.uniform(SLOW_SECONDS, STUCK_SECONDS)
        if drawn < self._stuck_share + self._slow_share:
            return self._random.uniform(QUICK_SECONDS, SLOW_SECONDS)
        return self._random.uniform(0.0, QUICK_SECONDS)

    def up(self) -> None:
        """The broker is back."""
        self.is_down = False
        waiting, self._waiting = self._waiting, []
        for begin in waiting:
            self._loop.call_later(self.delay(), begin, context=self._loop.outside)

    async def ask(self, process: Process, point: str, serve: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """Ask, and wait for the answer. Raises what serving raised."""
        loop = self._loop
        self._pass(process, point, BEFORE)
        if process.is_frozen or not process.is_alive:
            await asyncio.sleep(0)  # never comes back to a killed process
        answered: asyncio.Future[tuple[Answer | None, Exception | None]] = loop.create_future()

        def begin() -> None:
            if self.is_down:
                self._waiting.append(begin)
                return
            serving = serve()
            try:
                waited_for = serving.send(None)
            except StopIteration as done:  # most questions wait for nothing, and need no task
                served((done.value, None))
            except Exception as error:  # noqa: BLE001 - it is the answer
                served((None, error))
            else:
                loop.create_task(_rest_of(serving, waited_for, served), context=loop.outside)

        def served(outcome: tuple[Answer | None, Exception | None]) -> None:
            self._pass(process, point, SERVED)
            loop.call_later(self.delay(), _deliver, answered, outcome, context=process.context)

        loop.call_later(self.delay(), begin, context=loop.outside)
        value, error = await answered
        self._pass(process, point, ANSWERED)
        if process.is_frozen or not process.is_alive:
            await asyncio.sleep(0)
        if error is not None:
            raise error
        return cast("Answer", value)

    def _pass(self, process: Process, point: str, moment: str) -> None:
        slot = process.name
        self._passings[slot, point, moment] += 1
        self.passed(process, point, moment, self._passings[slot, point, moment])


async def _rest_of(
    serving: Coroutine[Any, Any, Any],
    waited_for: asyncio.Future[Any],
    served: Callable[[tuple[Any, Exception | None]], None],
) -> None:
    """Goes on with what has begun, from the future it waits for."""
    try:
        served((await _from(serving, waited_for), None))
    except Exception as error:  # noqa: BLE001 - it is the answer
        served((None, error))


@types.coroutine
def _from(serving: Coroutine[Any, Any, Any], waited_for: asyncio.Future[Any]) -> Generator[Any, Any, Any]:
    while True:
        yield waited_for
        try:
            waited_for = serving.send(None)
        except StopIteration as done:
            return done.value


def _deliver(answered: asyncio.Future[Any], outcome: tuple[Any, Exception | None]) -> None:
    if not answered.done():  # else nobody waits any more
        answered.set_result(outcome)
