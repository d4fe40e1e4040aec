"""The settings of the engine, and the limits it keeps. Frozen; unsafe combinations are refused here.

Every limit that is not a setting is a constant beside the code it guards. Units are in the names.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streams.exactly_once.errors import StartupRefusedError
from streams.exactly_once.interfaces import InputTopic

STOP_LIMIT_SECONDS: Final = 5.0
"""A worker that is asked to stop finishes or abandons its batch within this. Supervisors would not wait longer."""


CHANGELOG_RECORD_BYTES: Final = 4 * 1024 * 1024
"""The largest changelog record that must be able to commit, hence to be restored. One value is one customer's state."""

COMMIT_MARK: Final = "mesura"
"""Written with every offset the engine commits, in Kafka's field for metadata. Tools that move a group's offsets leave
that field empty, which distinguishes our offsets from those that somebody else has set."""


class ClockMode(enum.Enum):
    """Where `now` comes from."""

    WALL = "wall"
    """Service: the moment of decision."""
    RECORD = "record"
    """A bounded run over what the topics hold at start: the running maximum of the records' timestamps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Settings of one worker process. Every worker of an application has the same, but for `worker_slot`."""

    bootstrap_servers: str
    """`host:port`, several separated by commas."""
    input_topics: tuple[InputTopic, ...]
    """In any order; barrier topics must have the lowest ranks."""
    application_id: str = "mesura"
    """Consumer group, and prefix of the transactional ids."""
    changelog_topic: str = "mesura-ledger"
    batches_topic: str | None = "mesura-batches"
    """Where each transaction says what it served. None: nowhere, and once the changelog has been compacted no decision
    can be repeated."""
    output_topics: tuple[str, ...] = ()
    """Topics whose existence and partition count are checked at start."""
    control_topic: str | None = "mesura-control"
    """None: no control topic, so the recorded partition count is not checked."""
    program_version: str = ""
    """Recorded in the control topic, so that a refusal can say which version reads what is stored."""
    worker_slot: str = "0"
    """Names this worker among those running at once. A restarted worker must come back under the same slot: it then
    ends its predecessor's open transaction at once instead of waiting for its timeout."""
    lanes: int = 1
    """Transactions that may be under way at once. One gives the lowest latency; a second uses the waits of the
    first."""
    clock_mode: ClockMode = ClockMode.WALL
    accept_missing_records: bool = False
    """Continue where records were deleted before they were decided, and count them. False: the worker ends."""
    transaction_timeout_ms: int = 10_000
    """How long a dead worker's open transaction may hold up readers and its successor."""
    session_timeout_ms: int = 10_000
    """How long nobody decides on a dead worker's partitions. If it is smaller, shorter stalls cost a rebalance."""
    heartbeat_interval_ms: int = 3_000
    group_instance_id: str | None = None
    """Static membership: a restart within the session timeout then causes no rebalance."""
    fetch_max_wait_ms: int = 10
    """How long a record may wait on the broker for others to be fetched with it. Part of every decision's latency."""
    fetch_min_bytes: int = 100_000
    """A fetch is answered earlier once this much is there. With 1 byte the consumer spins: 80 % of a core at 2 000
    records/s."""
    max_batch_records: int = 8_000
    """Records of one transaction, over all partitions of the lane. More means longer transactions, hence latency."""
    max_batch_bytes: int = 4 * 1024 * 1024
    due_look_seconds: float = 1.0
    """In service, the longest time between two looks at the clock for what has become due without a record: it may be
    set forward."""
    clock_difference_limit_seconds: float = 5.0
    """Beyond this between the broker's clock and ours nothing is committed. A partition whose latest decision is
    further ahead of our clock than this decides nothing until the clock has caught up."""
    compression_type: str | None = None
    """Of what the lanes write: None, `gzip`, `snappy`, `lz4` or `zstd`."""
    check_crcs: bool = True
    """Off only for the embedded broker, whose transaction markers carry no checksum."""
    client_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """Given to every Kafka client: `security_protocol`, `ssl_context`, `sasl_…`. Never printed. They are such that a
    client that lives long connects by what is on disk then."""

    def __post_init__(self) -> None:
        if not self.input_topics:
            raise StartupRefusedError("No input topic is configured: name at least one.")
        names = [topic.name for topic in self.input_topics]
        if len(set(names)) != len(names):
            raise StartupRefusedError("An input topic is configured twice: give every topic one role.")
        barrier_ranks = [topic.rank for topic in self.input_topics if topic.barrier]
        other_ranks = [topic.rank for topic in self.input_topics if not topic.barrier]
        if barrier_ranks and other_ranks and max(barrier_ranks) >= min(other_ranks):
            raise StartupRefusedError(
                "A barrier topic has a higher rank than another topic: barrier topics come first."
            )
        if self.lanes < 1:
            raise StartupRefusedError("A worker needs at least one lane.")

    @property
    def ranked_topics(self) -> tuple[InputTopic, ...]:
        """The input topics in the order in which a batch applies them."""
        return tuple(sorted(self.input_topics, key=lambda topic: (topic.rank, topic.name)))

    def transactional_id(self, lane: int, turn: int) -> str:
        """Fixed over restarts, so that a restarted worker fences what is left of its predecessor."""
        return f"{self.application_id}-{self.worker_slot}-{lane}-{turn}"
