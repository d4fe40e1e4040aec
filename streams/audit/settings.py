"""What an audit is asked to look at.

Invariant: everything an audit depends on is here, so that it can be handed to another process as it is.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Final, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

DEFAULT_PROCESSES: Final = 2
"""Partitions judged at once. Each process holds the raw records of one partition."""

ACKNOWLEDGED_WITHIN_MS: Final = 5_000
"""A record's timestamp is when its producer made it; the broker's acknowledgement came later, by at most a second where
nothing is wrong."""

CLOCK_DIFFERENCE_MS: Final = 500
"""How far the clock of a gate and that of its brokers lie apart where clocks are kept by NTP. A gate goes on up to five
seconds; who knows of such a difference says so."""

ANSWER_BYTES_MAX: Final = 1_048_588
"""Kafka's default of `max.message.bytes`, which the plan of topics leaves as it is for answers."""


class AuditError(Exception):
    """The audit could not be carried out. The message says why, and what to do."""


class NamedTopics(Protocol):
    """The names of a gate's topics."""

    @property
    def intents(self) -> Sequence[str]: ...
    @property
    def preferences(self) -> str: ...
    @property
    def outcomes(self) -> str: ...
    @property
    def approved(self) -> str: ...
    @property
    def suppressed(self) -> str: ...
    @property
    def dead_letter(self) -> str: ...
    @property
    def rerouted(self) -> str: ...
    @property
    def ledger(self) -> str: ...
    @property
    def batches(self) -> str: ...
    @property
    def control(self) -> str: ...


@dataclass(frozen=True)
class Topics:
    """The names of a gate's topics; without others the documented ones."""

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

    @classmethod
    def of(cls, named: NamedTopics | str) -> Topics:
        """From names however they are given; a text is a prefix of the documented ones."""
        if not isinstance(named, str):
            others = {each.name: getattr(named, each.name) for each in fields(cls) if each.name != "intents"}
            return cls(intents=tuple(named.intents), **others)
        default = cls()
        others = {each.name: named + getattr(default, each.name) for each in fields(cls) if each.name != "intents"}
        return cls(intents=tuple(named + name for name in default.intents), **others)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What a gate reads, in the order in which it serves them."""
        return (self.preferences, self.outcomes, self.rerouted, *self.intents)

    @property
    def partitioned(self) -> tuple[str, ...]:
        """Every topic of which each partition is judged by itself; what tells of batches first, see `kafka_log`."""
        return (self.batches, self.ledger, self.approved, self.suppressed, self.dead_letter, *self.inputs)


@dataclass(frozen=True)
class AuditSettings:
    """What to look at, and how.

    `topics` are names (a `TopicNames`) or a prefix of the default ones. `policies` are the files that may have decided;
    each decision is judged by the one it names. Without any, the texts of the control topic are taken.
    """

    bootstrap_servers: str
    topics: NamedTopics | str
    policies: Sequence[Path]
    application_id: str = "mesura"
    check_ledgers: bool = True
    # What lies beyond the last committed position is counted as pending, not reported as lost.
    allow_undecided: bool = False
    # The clock the gate was run with.
    clock: Literal["wall", "record"] = "wall"
    processes: int = DEFAULT_PROCESSES
    # How long after a record's timestamp its acknowledgement is taken for granted. None: the barrier is not checked.
    acknowledged_within_ms: int | None = ACKNOWLEDGED_WITHIN_MS
    # How far a gate's clock may have been behind its brokers': an approval committed later than that after its last
    # moment is reported.
    clock_difference_ms: int = CLOCK_DIFFERENCE_MS
    # When opt-outs were acknowledged, by topic, partition and offset, where somebody knows it better than that.
    acknowledged_ms: Mapping[tuple[str, int, int], int] = field(default_factory=dict)
    # What the topics of answers take. An intent so long that its answer may not fit may be a dead letter for that.
    answer_bytes_max: int = ANSWER_BYTES_MAX
    # Up to which moment the ledgers were made on other topics, from which they were moved. 0: they were not.
    moved_until_ms: int = 0
    # Hexadecimal, as the gate has it. Without it the ledgers of erased customers are compared without telling whose.
    erasure_key: str = field(default="", repr=False)
    # Key of the customers' hashes in the report.
    salt: bytes = field(default_factory=lambda: os.urandom(16), repr=False)
    # What a client needs beside the address: how to encrypt, how to log in. It holds secrets.
    client_settings: Mapping[str, object] = field(default_factory=dict, repr=False)
