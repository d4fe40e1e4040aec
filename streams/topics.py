"""The topics of the gate: which there are, with how many partitions, and which settings, each with its reason.

Rules of this module
1. A plan says what must be true; nothing here talks to a broker (`mesura topics create` and `check` do).
2. Every topic but `mesura-control` has the same number of partitions: a customer's intents, opt-outs and ledger meet on
   one partition, or promises would be broken silently. Changing the number later moves keys; see the documented repair.
3. A setting is in the plan only if something breaks without it. Everything else is the operator's.
4. What breaks a promise outright is a rule of the engine (`exactly_once.topic_rules`), which refuses to run with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from streams.exactly_once.interfaces import InputTopic
from streams.exactly_once.topic_rules import CHANGELOG, CONTROL, RECORDS, TopicRule

if TYPE_CHECKING:
    from collections.abc import Mapping

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS

DEFAULT_PARTITIONS: Final = 8
"""Enough for eight worker processes, few enough that a transaction touching all of them stays cheap."""

DEFAULT_REPLICATION_FACTOR: Final = 3
"""Three, so that one broker may be down for maintenance and another may fail."""

PARTITIONS_MAX: Final = 1024
"""Above it one transaction of a lane would touch hundreds of partitions and take seconds."""

RETENTION_MS: Final = 35 * _DAY_MS
"""The default history horizon. Inputs kept as long as the ledger remembers let an auditor repeat every decision."""

INPUT_BYTES: Final = 1_048_588
"""Kafka's own default, stated so that a cluster's other default cannot break the relation to the two below."""

REROUTED_BYTES: Final = 4 * INPUT_BYTES
"""Inputs are measured compressed: a record may unpack to several times this limit, and gets headers added."""

DEAD_LETTER_BYTES: Final = 8 * INPUT_BYTES
"""Larger than anything that can become a dead letter, rerouted records with their headers among it."""

LEDGER_BYTES: Final = 4 * 1024 * 1024
"""One record holds a customer's whole ledger: twice what a ledger at its declared limits takes (1.8 MB)."""

LEDGER_SEGMENT_MS: Final = 10 * _MINUTE_MS
"""Only closed segments are compacted, and a restore reads everything. Shorter means more files."""

TOMBSTONE_MS: Final = 7 * _DAY_MS
"""How long a deletion stays readable. Longer than the longest outage: a restore that began before the deletion must
still meet it, or an erased customer would come back."""

ERASURE_LAG_MS: Final = _DAY_MS
"""An erased ledger leaves the log within this time, not whenever compaction finds it worthwhile."""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """The names of the topics. Several intent topics: in order of priority, the most urgent first."""

    intents: tuple[str, ...] = ("outbound-intent",)
    preferences: str = "opt-out"
    outcomes: str = "contact-outcome"
    approved: str = "approved-send"
    suppressed: str = "suppressed"
    dead_letter: str = "mesura-dead-letter"
    rerouted: str = "mesura-rerouted"
    ledger: str = "mesura-ledger"
    batches: str = "mesura-batches"
    control: str = "mesura-control"

    def __post_init__(self) -> None:
        if not self.intents:
            raise ValueError("at least one intent topic is needed")
        names = self.all()
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"every topic needs a name of its own; used twice: {', '.join(repeated)}")

    def all(self) -> tuple[str, ...]:
        """Every name, intents first."""
        return (*self.intents, *(getattr(self, each.name) for each in fields(self) if each.name != "intents"))

    def with_prefix(self, prefix: str) -> TopicNames:
        """The same names, each behind a prefix: a test or a tenant of its own on a shared cluster."""
        changed = {each.name: prefix + getattr(self, each.name) for each in fields(self) if each.name != "intents"}
        return TopicNames(intents=tuple(prefix + name for name in self.intents), **changed)


@dataclass(frozen=True, slots=True)
class Setting:
    """One topic setting and why it must have this value."""

    key: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class PlannedTopic:
    """One topic as it must be."""

    name: str
    purpose: str
    partitions: int
    replication_factor: int
    settings: tuple[Setting, ...]
    rules: tuple[TopicRule, ...] = RECORDS
    """What `mesura run` refuses to run with."""

    @property
    def config(self) -> Mapping[str, str]:
        """The settings as Kafka takes them."""
        return MappingProxyType({setting.key: setting.value for setting in self.settings})


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """Every topic of one gate.

    Args:
        partitions: of every topic but `mesura-control`, which has one.
        replication_factor: copies of each partition. With 3 or more a write is acknowledged by at least two.
        retention_ms: how long inputs, outputs and dead letters are kept.
        recorded_times: preferences and outcomes keep the times their producers gave them, as a replay of recorded
            history needs (`--clock record`). In service the broker's time is safer.
    """

    names: TopicNames = field(default_factory=TopicNames)
    partitions: int = DEFAULT_PARTITIONS
    replication_factor: int = DEFAULT_REPLICATION_FACTOR
    retention_ms: int = RETENTION_MS
    recorded_times: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.partitions <= PARTITIONS_MAX:
            raise ValueError(f"partitions must be between 1 and {PARTITIONS_MAX}, not {self.partitions}")
        if self.replication_factor < 1:
            raise ValueError(f"replication factor must be at least 1, not {self.replication_factor}")
        if self.retention_ms < 1:
            raise ValueError("retention must be positive: a topic kept for ever is the operator's own decision")

    @property
    def min_insync_replicas(self) -> int:
        """Copies that must have a write before it is acknowledged: one less than there are, at most two."""
        return max(1, min(2, self.replication_factor - 1))

    def topics(self) -> tuple[PlannedTopic, ...]:
        """Every topic: inputs, outputs, internal ones."""
        names = self.names
        many = self.partitions
        said = _CREATE_TIME if self.recorded_times else _APPEND_TIME
        inputs = [
            *((name, "intents: what upstream systems want to send", _CREATE_TIME) for name in names.intents),
            (names.preferences, "preference events: what customers say about being contacted", said),
            (names.outcomes, "outcomes: what became of approved sends, replies among them", said),
        ]
        outputs = [
            (names.approved, "approvals and withdrawals, for gateways"),
            (names.suppressed, "suppressions, each with its explanation"),
        ]
        return (
            *(self._topic(name, purpose, many, [*self._kept(), _INPUT_LIMIT, time]) for name, purpose, time in inputs),
            *(self._topic(name, purpose, many, self._kept()) for name, purpose in outputs),
            self._topic(
                names.dead_letter,
                "records that could not be read, byte for byte, and why",
                many,
                [*self._kept(), _largest(DEAD_LETTER_BYTES, "holds any input whole, unpacked, with headers added")],
            ),
            self._topic(
                names.rerouted,
                "records that arrived on the wrong partition, forwarded once",
                many,
                [
                    *self._kept(),
                    _largest(REROUTED_BYTES, "holds any input whole, unpacked, with headers added"),
                    _CREATE_TIME,
                ],
            ),
            self._topic(names.ledger, "changelog of every customer's ledger", many, [*_COMPACTED, *_LEDGER], CHANGELOG),
            self._topic(
                names.batches,
                "what each transaction served and when: the order in which decisions can be repeated",
                many,
                [*self._kept(), _COMMIT_TIME],
            ),
            self._topic(
                names.control, "partition count, policy in force, every policy text by hash", 1, _COMPACTED, CONTROL
            ),
        )

    def _topic(
        self,
        name: str,
        purpose: str,
        partitions: int,
        settings: list[Setting],
        rules: tuple[TopicRule, ...] = RECORDS,
    ) -> PlannedTopic:
        durable = [
            Setting(
                "min.insync.replicas",
                str(self.min_insync_replicas),
                "what was acknowledged is on this many brokers: an acknowledged opt-out must survive the loss of one",
            ),
            Setting(
                "unclean.leader.election.enable",
                "false",
                "a broker that fell behind must not become leader and forget acknowledged records",
            ),
        ]
        return PlannedTopic(name, purpose, partitions, self.replication_factor, (*durable, *settings), rules)

    def _kept(self) -> list[Setting]:
        return [
            Setting("cleanup.policy", "delete", "compaction would keep only a customer's latest record"),
            Setting("retention.ms", str(self.retention_ms), "decisions can be repeated and proven for this long"),
        ]


def _largest(size_bytes: int, reason: str) -> Setting:
    return Setting("max.message.bytes", str(size_bytes), reason)


_CREATE_TIME: Final = Setting(
    "message.timestamp.type", "CreateTime", "what is decided by the record clock is ordered by the producers' times"
)
_APPEND_TIME: Final = Setting(
    "message.timestamp.type",
    "LogAppendTime",
    "what customers say is dated by the broker: a producer's wrong clock or unit cannot make a no older than a yes",
)
_COMMIT_TIME: Final = Setting(
    "message.timestamp.type",
    "LogAppendTime",
    "an auditor holds the moment of a decision against the broker's clock, which only the append time shows",
)
_INPUT_LIMIT: Final = _largest(INPUT_BYTES, "anything larger could not become a dead letter")
_COMPACTED: Final = [
    Setting("cleanup.policy", "compact", "deletion by age would forget customers, and with them their opt-outs"),
    Setting("segment.ms", str(LEDGER_SEGMENT_MS), "only closed segments are compacted; a restore reads everything"),
    Setting("delete.retention.ms", str(TOMBSTONE_MS), "a restore that began before a deletion must still meet it"),
]
_LEDGER: Final = [
    _largest(LEDGER_BYTES, "one record holds a customer's whole ledger, also one at its declared limits"),
    Setting(
        "message.timestamp.type",
        "LogAppendTime",
        "every commit compares the worker's clock with the broker's, which only the append time shows",
    ),
    Setting("max.compaction.lag.ms", str(ERASURE_LAG_MS), "an erased ledger must leave the log within a declared time"),
    Setting(
        "min.cleanable.dirty.ratio",
        "0.2",
        "a restore reads at most a quarter more than what is alive, not twice as much (0.5, the default)",
    ),
]


def input_topics(
    *,
    intents: tuple[str, ...] = ("outbound-intent",),
    opt_out: str = "opt-out",
    outcome: str = "contact-outcome",
    rerouted: str | None = "mesura-rerouted",
) -> tuple[InputTopic, ...]:
    """The gate's input topics with their ranks; intent topics in order of priority.

    With the record clock pass `rerouted=None`: a misrouted record is a dead letter there.
    """
    topics = [
        InputTopic(opt_out, 0, barrier=True, agent="opt_outs"),
        InputTopic(outcome, 1, barrier=True, agent="outcomes"),
    ]
    if rerouted is not None:
        topics.append(InputTopic(rerouted, 2, barrier=False, agent="rerouted"))
    topics += [InputTopic(name, rank, barrier=False, agent="intents") for rank, name in enumerate(intents, start=3)]
    return tuple(topics)
