"""The child's side of a promise: a process started for a test, a demo or a bench never outlives those who use it.

A process is held by *holders*. The first one is the process that started it: it owns the other end of our standard
input and is known by its process id. More may come over a Unix socket (several test workers that share one broker). A
holder is gone when its end of the pipe or socket is closed, or when its process has ended, whichever is noticed first:
the kernel does both even for `kill -9`, and the process id also covers a pipe that some forked stranger keeps open.

On Linux every one of these is an event, so the end is noticed at once; elsewhere the process id is polled.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import struct
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Command = dict[str, Any]
Answer = dict[str, Any]

POLL_SECONDS = 0.25
"""How often what cannot be waited for is looked at. Shorter burns processor time, longer delays the end."""

FIRST_HOLDER_SECONDS = 30.0
"""How long a process started for nobody in particular waits for its first holder, who connects at once."""

_PEER_CREDENTIALS = struct.Struct("3i")
_READ_BYTES = 65_536


def write_line(message: Answer) -> None:
    """Say something to the first holder, as one line of JSON. A holder that is gone is not told."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


@dataclass(slots=True)
class _Holder:
    """One who still needs this process. `descriptors` are what is watched on its behalf."""

    descriptors: set[int] = field(default_factory=set)
    process_descriptor: int | None = None
    process_id: int | None = None
    connection: socket.socket | None = None
    unread: bytes = b""


class ParentWatch:
    """Serves the holders' commands until nobody holds this process any more, or until it is finished by itself.

    Args:
        holder_process_id: who started us. Its end of our standard input must be a pipe. None: nobody in particular, the
            first holder comes over the socket within `FIRST_HOLDER_SECONDS`.
        on_command: answers one command of the first holder; what it raises is answered as `{"error": …}`.
        socket_path: where further holders may connect; each is greeted with `greeting` as one line of JSON.
    """

    def __init__(
        self,
        *,
        holder_process_id: int | None,
        on_command: Callable[[Command], Answer],
        socket_path: Path | None = None,
        greeting: Answer | None = None,
    ) -> None:
        self._on_command = on_command
        self._greeting = greeting or {}
        self._selector = selectors.DefaultSelector()
        self._holders: list[_Holder] = []
        self._listener: socket.socket | None = None
        self._expected_until = 0.0
        if holder_process_id is None:
            self._expected_until = time.monotonic() + FIRST_HOLDER_SECONDS
        else:
            first = _Holder()
            self._watch(first, sys.stdin.fileno(), self._read_commands)
            self._hold(first, holder_process_id)
            if os.getppid() != holder_process_id:
                self._release(first)  # it ended before we could watch it
        if socket_path is not None:
            self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._listener.bind(str(socket_path))
            self._listener.listen()
            self._selector.register(self._listener, selectors.EVENT_READ, (None, self._accept))

    def serve(self, is_finished: Callable[[], bool] = lambda: False) -> bool:
        """Return True once nobody holds this process any more, False if it finished by itself before that."""
        try:
            while self._holders or time.monotonic() < self._expected_until:
                if is_finished():
                    return False
                for key, _ in self._selector.select(POLL_SECONDS):
                    holder, react = key.data
                    if holder is None or holder in self._holders:
                        react(holder)
                if self._holders:
                    self._expected_until = 0.0
                for holder in [h for h in self._holders if self._has_ended(h)]:
                    self._release(holder)
            return True
        finally:
            # Closed before anything else is ended: who connects from now on is refused and knows it must start anew.
            if self._listener is not None:
                self._listener.close()
            self._selector.close()

    def notice_end_of(self, process_id: int) -> None:
        """Ask `is_finished` as soon as this process ends, where the system can say so."""
        if hasattr(os, "pidfd_open"):
            self._selector.register(os.pidfd_open(process_id), selectors.EVENT_READ, (None, lambda _: None))

    def _hold(self, holder: _Holder, process_id: int | None) -> None:
        self._holders.append(holder)
        if process_id is None:
            return
        if hasattr(os, "pidfd_open"):
            try:
                holder.process_descriptor = os.pidfd_open(process_id)
            except ProcessLookupError:
                self._release(holder)
                return
            self._watch(holder, holder.process_descriptor, self._release)
        else:
            holder.process_id = process_id

    def _watch(self, holder: _Holder, descriptor: int, react: Callable[[_Holder], None]) -> None:
        holder.descriptors.add(descriptor)
        self._selector.register(descriptor, selectors.EVENT_READ, (holder, react))

    def _has_ended(self, holder: _Holder) -> bool:
        return holder.process_id is not None and os.getppid() != holder.process_id

    def _release(self, holder: _Holder) -> None:
        if holder not in self._holders:
            return
        self._holders.remove(holder)
        for descriptor in holder.descriptors:
            self._selector.unregister(descriptor)
        if holder.process_descriptor is not None:
            os.close(holder.process_descriptor)
        if holder.connection is not None:
            holder.connection.close()

    def _accept(self, _: None) -> None:
        assert self._listener is not None
        connection, _address = self._listener.accept()
        process_id = None
        if hasattr(socket, "SO_PEERCRED"):
            credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
            process_id = int(_PEER_CREDENTIALS.unpack(credentials)[0])
        try:
            connection.sendall(json.dumps(self._greeting).encode() + b"\n")
        except OSError:
            connection.close()
            return
        holder = _Holder(connection=connection)
        self._watch(holder, connection.fileno(), self._read_end)
        self._hold(holder, process_id if hasattr(os, "pidfd_open") else None)

    def _read_end(self, holder: _Holder) -> None:
        assert holder.connection is not None
        try:
            data = holder.connection.recv(_READ_BYTES)
        except OSError:
            data = b""
        if not data:
            self._release(holder)

    def _read_commands(self, holder: _Holder) -> None:
        data = os.read(sys.stdin.fileno(), _READ_BYTES)
        if not data:
            self._release(holder)
            return
        # A holder sends few and short lines; what is unfinished stays here until the rest arrives.
        *lines, holder.unread = (holder.unread + data).split(b"\n")
        for line in lines:
            try:
                answer = self._on_command(json.loads(line))
            except Exception as error:  # noqa: BLE001  # whatever went wrong belongs to who asked
                answer = {"error": f"{type(error).__name__}: {error}"}
            write_line(answer)
