# ruff: noqa: ANN401 - as asyncio declares them
"""An event loop whose time passes only when nothing else is left to do, and whose processes can be killed and frozen.

Invariants
1. What runs next follows from what was scheduled: ready callbacks in the order in which they came, as asyncio promises,
   then the earliest timer. Two runs of the same program are the same.
2. A callback belongs to the process in whose context it was scheduled. Of a killed process nothing runs any more, not
   even a `finally`; of a frozen one nothing runs until it is thawed, then everything in order.
3. What belongs to no process (broker, network, upstream) always runs.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

_PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)


class Process:
    """A simulated operating system process: what runs in its context."""

    def __init__(self, loop: SimulatedLoop, name: str) -> None:
        self.name = name
        self.is_alive = True
        self.is_frozen = False
        self.context: Context = copy_context()
        self.context.run(_PROCESS.set, self)
        self._loop = loop
        self.held: deque[Callback] = deque()
        self.tasks: list[asyncio.Task[Any]] = []
        loop.processes.append(self)

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run this in the process."""
        task = self._loop.create_task(work, context=self.context)
        self.tasks.append(task)
        return task

    def kill(self) -> None:
        """kill -9."""
        self.is_alive = False
        self._loop.drop(self.held)

    def freeze(self) -> None:
        """SIGSTOP."""
        self.is_frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        self.is_frozen = False
        while self.held:
            self._loop.make_ready(self.held.popleft())


class Callback:
    """What is to be run, as asyncio's own handles: it can be cancelled. Without their bookkeeping, because there are
    thousands in every history.
    """

    __slots__ = ("args", "context", "is_cancelled", "process", "run")

    def __init__(self, run: Callable[..., object], args: tuple[Any, ...], context: Context | None) -> None:
        self.run = run
        self.args = args
        self.context = copy_context() if context is None else context
        self.process: Process | None = self.context.get(_PROCESS)
        self.is_cancelled = False

    def cancel(self) -> None:
        """Do not run it."""
        self.is_cancelled = True

    def cancelled(self) -> bool:
        """Whether it is not to be run."""
        return self.is_cancelled


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Only what the engine and asyncio's own primitives need; anything else raises NotImplementedError."""

    def __init__(self) -> None:
        self.callbacks = 0
        """How many have run: a measure of work, and part of what must be the same when a history is repeated."""
        self.errors: list[dict[str, Any]] = []
        """What nobody caught."""
        self.outside = copy_context()
        """The context of what belongs to no process."""
        self.processes: list[Process] = []
        """All there ever were."""
        self._now = 0.0
        self._ready: deque[Callback] = deque()
        self._due_scan: list[tuple[float, int, Callback]] = []
        self._scheduled = 0
        self._dropped: list[Callback] = []

    # --- what asyncio asks for ----------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Callback:
        handle = Callback(callback, args, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Callback:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Callback:
        timer = Callback(callback, args, context)
        self._scheduled += 1
        heapq.heappush(self._due_scan, (when, self._scheduled, timer))
        return timer

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # killed processes leave theirs
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    # --- running ------------------------------------------------------------------------------------------------------

    def make_ready(self, handle: Callback) -> None:
        """Run this after what is ready already."""
        self._ready.append(handle)

    def run(self, is_over: Callable[[], bool], until: float) -> bool:
        """Run until it is over, until this time, or until nothing is left. Returns whether it is over."""
        with self._running():
            while not is_over():
                if not self._ready and not self._advance(until):
                    return is_over()
                self._run_ready()
                if self.callbacks > CALLBACKS_MOST:
                    return False
        return True

    def close_down(self) -> None:
        """End everything that still runs, alive or killed, without further events: nothing is left to be collected."""
        for process in self.processes:
            self.drop(process.held)
        with self._running():
            for _ in range(CLOSING_ROUNDS):
                tasks = [task for task in asyncio.all_tasks(self) if not task.done()]
                if not tasks:
                    break
                for task in tasks:
                    task.cancel()
                handles = [*self._ready, *self._dropped]
                self._ready.clear()
                self._dropped.clear()
                for handle in handles:
                    if not handle.is_cancelled:
                        self._run_one(handle)
        self._due_scan.clear()

    def drop(self, handles: deque[Callback]) -> None:
        """Never run these. They are kept until the end: what is collected would run its `finally`."""
        self._dropped.extend(handles)
        handles.clear()

    @contextmanager
    def _running(self) -> Iterator[None]:
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def _advance(self, until: float) -> bool:
        """Let time pass to the earliest timer. False if there is none before the end."""
        due_scan = self._due_scan
        while due_scan and due_scan[0][2].is_cancelled:
            heapq.heappop(due_scan)
        if not due_scan or due_scan[0][0] > until:
            return False
        self._now = max(self._now, due_scan[0][0])
        while due_scan and due_scan[0][0] <= self._now:
            timer = heapq.heappop(due_scan)[2]
            if not timer.is_cancelled:
                self._ready.append(timer)
        return True

    def _run_ready(self) -> None:
        """What was ready when we came; what becomes ready meanwhile comes next time."""
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if handle.is_cancelled:
                continue
            process = handle.process
            if process is None or (process.is_alive and not process.is_frozen):
                self.callbacks += 1
                self._run_one(handle)
            elif process.is_alive:
                process.held.append(handle)
            else:
                self._dropped.append(handle)

    def _run_one(self, handle: Callback) -> None:
        try:
            handle.context.run(handle.run, *handle.args)
        except Exception as error:  # noqa: BLE001 - as asyncio: told to the loop, and the loop continues
            self.call_exception_handler({"exception": error})


CALLBACKS_MOST = 300_000
"""In one history; an ordinary one has three to ten thousand. Who spins without letting time pass would never end."""

CLOSING_ROUNDS = 50
"""Far more than any task needs to end once it is cancelled."""
