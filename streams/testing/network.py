"""A bad network on loopback: TCP proxies that delay, narrow, stall and cut, changed while connections are open.

    with Network() as network:
        link = network.link(broker_port)     # clients connect to link.port
        link.set(delay_seconds=0.2)
        link.cut(refuses=True)
        link.heal()

All proxies live on one event loop in a thread of their own. What a link is like holds for every connection through it,
open ones and new ones, in each direction by itself.

Invariant: bytes are delayed or, with their connection, lost; never reordered, altered or lost in the middle.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
import weakref
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

HOST: Final = "127.0.0.1"
CHUNK_BYTES: Final = 65_536
CHUNKS_UNDER_WAY_MAX: Final = 256
"""In one direction of a connection: what a slow line holds. Beyond it the sender waits, as with any full pipe."""

SLICE_BYTES: Final = 4_096
"""What a narrow line takes at once: its rate is kept on average over each."""

ANSWER_SECONDS: Final = 10.0
RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST, as from a machine that has forgotten the connection."""


@dataclass(frozen=True)
class Line:
    """What a link is like."""

    delay_seconds: float = 0.0
    bytes_per_second: int | None = None
    is_stalled: bool = False
    refuses: bool = False
    """New connections are closed at once."""


class Link:
    """One proxy in front of one address. Its methods may be called from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, target_port: int, host: str, port: int) -> None:
        self.port = port
        self.connections = 0
        """Taken so far."""
        self.bytes_passed = 0
        self._loop = loop
        self._target_port = target_port
        self._host = host
        self._line = Line()
        self._changed = asyncio.Event()
        self._transports: weakref.WeakSet[asyncio.WriteTransport] = weakref.WeakSet()
        """Those that are open, also when they only wait to be rid of their last bytes: their loop holds them."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._is_ended = False

    def set(self, **changes: Any) -> None:  # noqa: ANN401 - the fields of a line
        """Make the line so; what is not named is healed."""
        self._call(lambda: self._become(Line(**changes)))

    def cut(self, *, refuses: bool) -> None:
        """Reset every connection; with `refuses`, take no other one until healed."""

        def reset() -> None:
            self._become(replace(self._line, refuses=refuses))
            self._abort_all()

        self._call(reset)

    def heal(self) -> None:
        """An ordinary line."""
        self.set()

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._take, self._host, self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def end(self) -> None:
        """Take no other connection, and end what is open: bytes under way are lost.

        The listener stays until `close`: asyncio loses connections that it is still taking when theirs is closed.
        """
        assert self._server is not None
        self._is_ended = True
        for listener in self._server.sockets:
            self._loop.remove_reader(listener)
        for task in self._tasks:
            task.cancel()
        self._abort_all()

    def close(self) -> None:
        """After `end`, when no task is left: listen no more."""
        assert self._server is not None
        self._server.close()

    def _become(self, line: Line) -> None:
        self._line = line
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def _call(self, what: Callable[[], None]) -> None:
        done = threading.Event()

        def do() -> None:
            what()
            done.set()

        self._loop.call_soon_threadsafe(do)
        assert done.wait(ANSWER_SECONDS), "the network's loop does not answer"

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Not a coroutine: one that is cancelled before it begins could not close what it was given."""
        self._note(writer)
        if self._line.refuses or self._is_ended:
            writer.transport.abort()
            return
        self.connections += 1
        task = asyncio.create_task(self._join(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._part(task, writer))

    def _part(self, task: asyncio.Task[None], writer: asyncio.StreamWriter) -> None:
        self._tasks.discard(task)
        self._drop(writer)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, OSError):
            raise error  # an OSError: the target is down, and so this connection is

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(HOST, self._target_port)
        self._note(back)
        directions = [asyncio.create_task(self._pass(*way)) for way in ((reader, back), (there, writer))]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in directions:
                task.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            self._drop(back)

    def _note(self, writer: asyncio.StreamWriter) -> None:
        connected = writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transports.add(writer.transport)

    def _abort_all(self) -> None:
        for transport in list(self._transports):
            transport.abort()

    @staticmethod
    def _drop(writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction, until either end is closed and what was under way has arrived."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_UNDER_WAY_MAX)
        delivering = asyncio.create_task(self._deliver(under_way, writer))
        try:
            with contextlib.suppress(OSError):
                while chunk := await reader.read(CHUNK_BYTES):
                    await under_way.put((self._loop.time() + self._line.delay_seconds, chunk))
                    if delivering.done():
                        return
            await under_way.put((self._loop.time() + self._line.delay_seconds, b""))
            await delivering
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)

    async def _deliver(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, chunk = await under_way.get()
                if (early_seconds := due - self._loop.time()) > 0:
                    await asyncio.sleep(early_seconds)
                if not chunk:
                    return
                while chunk:
                    size = SLICE_BYTES if self._line.bytes_per_second else len(chunk)
                    part, chunk = chunk[:size], chunk[size:]
                    await self._flows(len(part))
                    self.bytes_passed += len(part)
                    writer.write(part)
                    await writer.drain()

    async def _flows(self, count: int) -> None:
        """Wait until the line takes so many bytes."""
        if self._line.bytes_per_second:
            await asyncio.sleep(count / self._line.bytes_per_second)
        while self._line.is_stalled:
            await self._changed.wait()


class Network:
    """The links of a campaign, for as long as the block runs."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait_for(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def link(self, target_port: int, host: str = HOST, port: int = 0) -> Link:
        """A new proxy in front of a port of this machine, which need not listen yet. Without a port: any free one."""
        link = Link(self._loop, target_port, host, port)
        self._wait_for(link.open())
        self.links.append(link)
        return link

    async def _end(self) -> None:
        for link in self.links:
            link.end()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)  # those that are taking a connection take it, and end it
        for link in self.links:
            link.close()

    def _wait_for(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(ANSWER_SECONDS)
