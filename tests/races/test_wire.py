"""When an answer arrived: the kernel's word, or a moment before it."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest

from tests.races.wire import SO_TIMESTAMPNS, Connection

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER = b"written"


@pytest.fixture
def ends() -> Iterator[tuple[Connection, socket.socket]]:
    """A connection and its other end."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = Connection(server.getsockname())
        other, _ = server.accept()
        with other:
            yield connection, other
        connection.close()


def _answered(connection: Connection, other: socket.socket) -> tuple[int, tuple[bytes, int]]:
    sent_ns = connection.send(b"asked")
    other.sendall(struct.pack(">i", len(ANSWER)) + ANSWER)
    while (received := connection.receive()) is None:
        pass
    return sent_ns, received


def test_the_kernel_says_when_an_answer_arrived(ends: tuple[Connection, socket.socket]) -> None:
    """Not from its first word on: stamping begins a moment after it is asked for."""
    while True:
        sent_ns, (answer, arrived_ns) = _answered(*ends)
        assert answer == ANSWER
        assert sent_ns <= arrived_ns <= time.time_ns()
        if arrived_ns > sent_ns:
            return


def test_without_the_kernels_word_it_is_a_moment_before(ends: tuple[Connection, socket.socket]) -> None:
    connection, other = ends
    plain = socket.socket(fileno=connection.fileno())
    plain.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 0)
    plain.detach()
    sent_ns, received = _answered(connection, other)
    assert received == (ANSWER, sent_ns)
