"""The bad network, without a broker: what it does to bytes and connections."""

from __future__ import annotations

import gc
import socket
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from streams.testing.network import HOST, Link, Network
from streams.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS = 20.0
LONG = bytes(range(256)) * 4_000


class Echo:
    """Sends back what it is sent."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connected,), daemon=True).start()

    @staticmethod
    def _answer(connected: socket.socket) -> None:
        with connected:
            try:
                while received := connected.recv(65_536):
                    connected.sendall(received)
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(SECONDS)


@pytest.fixture
def link() -> Iterator[Link]:
    echo = Echo()
    with Network() as network:
        yield network.link(echo.port)
    echo.close()


@contextmanager
def connected_to(link: Link) -> Iterator[socket.socket]:
    with socket.create_connection((HOST, link.port), timeout=SECONDS) as connected:
        yield connected


def exchanged(connected: socket.socket, sent: bytes) -> bytes:
    """What comes back of what is sent."""
    sender = threading.Thread(target=connected.sendall, args=(sent,))
    sender.start()
    answer = b""
    while len(answer) < len(sent):
        received = connected.recv(65_536)
        assert received, "closed"
        answer += received
    sender.join(SECONDS)
    return answer


def is_silent(connected: socket.socket) -> bool:
    """Whether nothing has come so far."""
    connected.setblocking(False)
    try:
        connected.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        connected.settimeout(SECONDS)
    return False


@pytest.mark.parametrize(
    "line", [{}, {"delay_seconds": 0.01}, {"bytes_per_second": 5_000_000}], ids=["good", "slow", "narrow"]
)
def test_whatever_the_line_is_like_bytes_arrive_whole_and_in_order(link: Link, line: dict[str, float]) -> None:
    link.set(**line)
    with connected_to(link) as connected:
        assert exchanged(connected, LONG) == LONG
    assert link.bytes_passed == 2 * len(LONG)


def test_of_a_stalled_line_nothing_comes_until_it_is_healed_and_then_everything(link: Link) -> None:
    with connected_to(link) as connected, connected_to(link) as other:
        assert exchanged(connected, b"before") == b"before"
        assert exchanged(other, b"before") == b"before"
        passed = link.bytes_passed
        link.set(is_stalled=True)
        connected.sendall(b"meanwhile")
        with connected_to(link) as new:
            new.sendall(b"meanwhile")
            wait_until(lambda: link.connections == 3, SECONDS, "the third connection")
            assert link.bytes_passed == passed
            assert is_silent(connected)
            assert is_silent(new)
            link.heal()
            assert connected.recv(100) == new.recv(100) == b"meanwhile"


def test_a_cut_resets_every_connection_and_takes_no_other_until_it_is_healed(link: Link) -> None:
    with connected_to(link) as connected:
        assert exchanged(connected, b"before") == b"before"
        link.cut(refuses=True)
        with pytest.raises(ConnectionResetError):
            connected.recv(1)
        assert is_refused(link)
        assert link.connections == 1
        link.heal()
        with connected_to(link) as again:
            assert exchanged(again, b"after") == b"after"


def is_refused(link: Link) -> bool:
    """Whether a new connection ends at once, be it while it is made."""
    try:
        with connected_to(link) as connected:
            return connected.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_network_that_ends_leaves_nothing_open(link: Link) -> None:
    with ExitStack() as clients, Network() as network:
        ending = network.link(link.port)
        for _ in range(50):  # some of them are still being taken when the network ends
            clients.enter_context(connected_to(ending))
    del network, ending
    gc.collect()  # what was left open says so now: warnings are errors


def test_connections_to_a_target_that_is_down_end_and_the_link_stays() -> None:
    down = socket.create_server((HOST, 0))
    port = int(down.getsockname()[1])
    down.close()
    with Network() as network:
        unreachable = network.link(port)
        for _ in range(2):
            assert is_refused(unreachable)
