"""Kafka's wire protocol, as much of it as a race needs: write one record, ask a group's state.

A client library puts queues and threads between an acknowledgement and the next send. Here both are one system call on
a socket of our own, so that what lies between them can be measured, and is as short as it can be.

Rules of this module
1. A request is bytes, made before the race begins. During the race nothing is encoded.
2. A refusal is an error of the test: nothing is tried again.
3. When an acknowledgement arrived is said by the kernel, not by whoever gets round to reading it. Where the kernel says
   nothing (it begins to stamp a moment after the first socket asks for it) it is the moment the request was sent: too
   early, so that a race never counts as closer than it was.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING, Final

from aiokafka.record.default_records import DefaultRecordBatchBuilder

if TYPE_CHECKING:
    from streams.testing.records import OutgoingRecord

PRODUCE: Final = 0
PRODUCE_VERSION: Final = 3
"""The oldest that Kafka 4 takes, and the last without compact encodings."""
DESCRIBE_GROUPS: Final = 15
DESCRIBE_GROUPS_VERSION: Final = 0

ALL_IN_SYNC: Final = -1
"""`acks=all`."""
TIMEOUT_MS: Final = 20_000

SO_TIMESTAMPNS: Final = 35
"""Linux: give with what was received the moment at which it was."""
_TIMESPEC: Final = struct.Struct("@qq")
_LENGTH: Final = struct.Struct(">i")
_CORRELATION: Final = 1
_RECEIVE_BYTES: Final = 4096


def _text(value: str) -> bytes:
    encoded = value.encode()
    return struct.pack(">h", len(encoded)) + encoded


def _request(api: int, version: int, body: bytes) -> bytes:
    whole = struct.pack(">hhi", api, version, _CORRELATION) + _text("mesura-races") + body
    return _LENGTH.pack(len(whole)) + whole


def produce_request(record: OutgoingRecord) -> bytes:
    """The request that writes this one record to its partition and is answered by all in-sync replicas."""
    assert record.partition is not None
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    builder.append(0, record.timestamp_ms, record.key, record.value, [])
    batch = bytes(builder.build())
    body = struct.pack(">hhi", -1, ALL_IN_SYNC, TIMEOUT_MS)  # no transaction
    body += struct.pack(">i", 1) + _text(record.topic)
    body += struct.pack(">iii", 1, record.partition, len(batch)) + batch
    return _request(PRODUCE, PRODUCE_VERSION, body)


def written_at(answer: bytes) -> int:
    """The offset at which the record of a produce answer stands."""
    topic_bytes = struct.unpack_from(">h", answer, 8)[0]
    error, offset = struct.unpack_from(">hq", answer, 10 + topic_bytes + 8)
    assert error == 0, f"the broker refused a record with error {error}"
    return int(offset)


def group_request(group: str) -> bytes:
    """The request that asks for the state of one consumer group."""
    return _request(DESCRIBE_GROUPS, DESCRIBE_GROUPS_VERSION, struct.pack(">i", 1) + _text(group))


def group_state(answer: bytes) -> str:
    """`Stable`, `PreparingRebalance`, `CompletingRebalance`, `Empty` or `Dead`."""
    error, group_bytes = struct.unpack_from(">hh", answer, 8)
    assert error == 0, f"the coordinator answers with error {error}"
    begin = 12 + group_bytes
    state_bytes = struct.unpack_from(">h", answer, begin)[0]
    return answer[begin + 2 : begin + 2 + state_bytes].decode()


class Connection:
    """One connection with at most one request under way."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, timeout=TIMEOUT_MS / 1000)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._received = bytearray()
        self._sent_ns = 0

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def send(self, request: bytes) -> int:
        """Hand the request to the kernel; returns the moment (epoch nanoseconds) at which it had taken it."""
        self._socket.sendall(request)
        self._sent_ns = time.time_ns()
        return self._sent_ns

    def receive(self) -> tuple[bytes, int] | None:
        """The answer, without its length, and the moment its last byte arrived, or an earlier one (rule 3); None while
        it is not complete.
        """
        arrived, said, _, _ = self._socket.recvmsg(_RECEIVE_BYTES, 64)
        assert arrived, "the broker has closed the connection"
        self._received += arrived
        if len(self._received) < 4 or len(self._received) < 4 + _LENGTH.unpack_from(self._received)[0]:
            return None
        answer = bytes(self._received[4:])
        self._received.clear()
        if not said:
            return answer, self._sent_ns
        seconds, nanoseconds = _TIMESPEC.unpack(said[0][2])
        return answer, seconds * 1_000_000_000 + nanoseconds

    def ask(self, request: bytes) -> bytes:
        """Send, and wait for the answer."""
        self.send(request)
        while (answer := self.receive()) is None:
            pass
        return answer[0]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
