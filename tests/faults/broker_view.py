"""What the broker knows of transactions: DescribeTransactions and ListTransactions, asked over a plain socket.

Neither client library of the tests has these two requests. One question takes well under a millisecond, so it can be
asked at the moment of a kill, and often enough to draw a line over time. Of several brokers only a transactional id's
coordinator knows it: all that answer are asked.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from aiokafka.errors import for_code
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, String, TaggedFields

if TYPE_CHECKING:
    from collections.abc import Sequence

OPEN: Final = "Ongoing"
COMMITTING: Final = "PrepareCommit"
COMMITTED: Final = "CompleteCommit"
ABORTING: Final = ("PrepareAbort", "PrepareEpochFence")
ABORTED: Final = "CompleteAbort"
EMPTY: Final = "Empty"
"""A successor has taken the transactional id over; whatever was open has been aborted before."""
UNKNOWN: Final = "none"
"""The broker has never heard of the transactional id."""

LOOK_SECONDS: Final = 0.005
"""Between two looks of a watch: a fraction of what ending a transaction takes, and little work for the broker."""

ANSWER_SECONDS: Final = 20.0
NOT_COORDINATOR: Final = 16
NOT_FOUND: Final = 105

_TEXT: Final = CompactString("utf-8")
_HEADER: Final = Schema(
    ("api_key", Int16), ("version", Int16), ("correlation", Int32), ("client", String("utf-8")), ("tags", TaggedFields)
)
_ANSWER_HEADER: Final = Schema(("correlation", Int32), ("tags", TaggedFields))
_DESCRIBE: Final = Schema(("ids", CompactArray(_TEXT)), ("tags", TaggedFields))
_DESCRIBED: Final = Schema(
    ("throttled_ms", Int32),
    (
        "transactions",
        CompactArray(
            ("error", Int16),
            ("id", _TEXT),
            ("state", _TEXT),
            ("timeout_ms", Int32),
            ("start_ms", Int64),
            ("producer_id", Int64),
            ("epoch", Int16),
            ("topics", CompactArray(("topic", _TEXT), ("partitions", CompactArray(Int32)), ("tags", TaggedFields))),
            ("tags", TaggedFields),
        ),
    ),
    ("tags", TaggedFields),
)
_LIST: Final = Schema(("states", CompactArray(_TEXT)), ("producers", CompactArray(Int64)), ("tags", TaggedFields))
_LISTED: Final = Schema(
    ("throttled_ms", Int32),
    ("error", Int16),
    ("unknown_states", CompactArray(_TEXT)),
    (
        "transactions",
        CompactArray(("id", _TEXT), ("producer_id", Int64), ("state", _TEXT), ("tags", TaggedFields)),
    ),
    ("tags", TaggedFields),
)


class Transaction(NamedTuple):
    """One transactional id as the coordinator has it."""

    state: str
    start_ms: int = -1
    epoch: int = -1
    partitions: int = 0
    holds_group: bool = False
    """Whether the consumer group is part of it: offsets may have been added, or are still to come."""

    @property
    def is_open(self) -> bool:
        """Whether it can still end either way, or is about to be committed."""
        return self.state in (OPEN, COMMITTING)

    def __str__(self) -> str:
        if not self.partitions:
            return self.state
        return f"{self.state}, {self.partitions} partitions{' and the group' if self.holds_group else ''}"


class BrokerView:
    """A connection to each broker that answers when it is opened. Not safe to share between threads."""

    def __init__(self, addresses: str) -> None:
        self._each: list[_OneBroker] = []
        refused: OSError | None = None
        for address in addresses.split(","):
            try:
                self._each.append(_OneBroker(address))
            except OSError as error:  # it is down: its coordinators move to the others
                refused = error
        if not self._each:
            assert refused is not None
            raise refused

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._each:
            one.close()

    def describe(self, ids: Sequence[str]) -> dict[str, Transaction]:
        """The state of each transactional id now."""
        found: dict[str, Transaction] = {}
        for one in self._each:
            answer = one.describe(ids)
            found |= {name: each for name, each in answer.items() if name not in found or each.state != _ELSEWHERE}
        return found

    def list(self, prefix: str) -> dict[str, str]:
        """The state of every transactional id that begins so."""
        return {name: state for one in self._each for name, state in one.list(prefix).items()}


class _OneBroker:
    """One connection to one broker."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=ANSWER_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def describe(self, ids: Sequence[str]) -> dict[str, Transaction]:
        _, transactions, _ = self._ask(65, _DESCRIBE.encode((list(ids), {})), _DESCRIBED)
        return {
            transactional_id: Transaction(
                _state(error, state),
                start_ms,
                epoch,
                sum(len(partitions) for topic, partitions, _ in topics if topic != "__consumer_offsets"),
                any(topic == "__consumer_offsets" for topic, _, _ in topics),
            )
            for error, transactional_id, state, _, start_ms, _, epoch, topics, _ in transactions
        }

    def list(self, prefix: str) -> dict[str, str]:
        _, _, _, transactions, _ = self._ask(66, _LIST.encode(([], [], {})), _LISTED)
        return {name: state for name, _, state, _ in transactions if name.startswith(prefix)}

    def _ask(self, api_key: int, body: bytes, answer: Schema) -> Any:  # noqa: ANN401 - as the schema says
        message = _HEADER.encode((api_key, 0, 1, "mesura-faults", {})) + body
        self._socket.sendall(struct.pack(">i", len(message)) + message)
        [size] = struct.unpack(">i", self._read(4))
        buffer = BytesIO(self._read(size))
        _ANSWER_HEADER.decode(buffer)
        return answer.decode(buffer)

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise ConnectionError("the broker closed the connection")
            data += more
        return data


def _state(error: int, state: str) -> str:
    """The state, or why the coordinator cannot say: after a broker's start it reads its log first."""
    if error == NOT_FOUND:
        return UNKNOWN
    return state if not error else for_code(error).__name__


_ELSEWHERE: Final = _state(NOT_COORDINATOR, "")
"""Another broker coordinates it."""


class Change(NamedTuple):
    """One transactional id seen in another state than before."""

    at: float
    """Seconds since the watch began."""
    transactional_id: str
    transaction: Transaction


class Watch:
    """Looks at transactional ids all the time, in a thread, and keeps what changed."""

    def __init__(self, address: str, ids: Sequence[str]) -> None:
        self.changes: list[Change] = []
        self.notes: list[tuple[float, str]] = []
        self._ids = list(ids)
        self._address = address
        self._began = time.monotonic()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._look, name="transactions", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def note(self, what: str) -> float:
        """Something done to the workers, for the line over time; returns when."""
        at = time.monotonic() - self._began
        self.notes.append((at, what))
        return at

    def of(self, transactional_id: str, *states: str, after: float = 0.0) -> list[Change]:
        """What was seen of one id, in one of the states, after a moment."""
        return [
            change
            for change in self.changes
            if change.transactional_id == transactional_id and change.transaction.state in states and change.at >= after
        ]

    def story(self, since: float = 0.0) -> list[str]:
        """Everything in order of time, one line each."""
        lines = [(at, what) for at, what in self.notes if at >= since]
        lines += [(c.at, f"`…{c.transactional_id[-5:]}` {c.transaction}") for c in self.changes if c.at >= since]
        return [f"{at - since:6.2f} s  {what}" for at, what in sorted(lines)]

    def _look(self) -> None:
        known: dict[str, Transaction] = {}
        try:
            with BrokerView(self._address) as view:
                while not self._ended.wait(LOOK_SECONDS):
                    at = time.monotonic() - self._began
                    for name, found in view.describe(self._ids).items():
                        before = known.get(name)
                        known[name] = found
                        if before is None or (before.state, before.start_ms, before.epoch) != found[:3]:
                            self.changes.append(Change(at, name, found))
        except BaseException as error:  # noqa: BLE001 - told to whoever waits for the thread
            self._failure = error
