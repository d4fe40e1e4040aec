"""A gate's topics in memory: one partition, decided batch by batch, with everything that a broker would keep of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from streams.audit.log import PartitionLog, Record
from streams.audit.settings import Topics
from streams.contracts.control import encode_policy
from streams.decision.policy import compile_policy
from streams.exactly_once.batch_log import encode_batch, served_batch
from streams.exactly_once.changelog import Meta
from streams.exactly_once.control import POLICY_KEY, policy_text_key
from streams.exactly_once.interfaces import Batch
from streams.gate import Gate, GateSettings
from streams.oracle.model import decision_id
from streams.policy.loader import load_policy
from streams.records import InputRecord
from streams.recovery.policies import Gates
from streams.recovery.replay import Counts, Ledgers, Replay
from streams.service.published_policy import policy_record
from streams.testing.records import OutgoingRecord, intent, outcome, preference
from streams.topics import TopicNames
from tests.recovery.scenes import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NOW: Final = 1_793_000_000_000
HOUR: Final = 3_600_000
TOPICS: Final = Topics()
SETTINGS: Final = GateSettings(TopicNames(), 1, bytes(range(32)), is_bounded=False, dead_letter_bytes_max=10_000)
CUSTOMERS: Final = 12


@dataclass
class Played:
    """What one run has left behind."""

    policy: str = POLICY
    records: dict[str, list[Record]] = field(default_factory=dict)
    store: dict[bytes, bytes] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    latest_ms: int = 0
    control: dict[bytes, bytes] = field(default_factory=dict)
    states: list[Ledgers] = field(default_factory=list)
    """After each batch."""

    def __post_init__(self) -> None:
        self.positions = dict.fromkeys(TOPICS.inputs, 0)
        self.records = {topic: [] for topic in TOPICS.partitioned}
        self.put_in_force(self.policy)

    def put_in_force(self, text: str) -> str:
        """Decide by this policy from now on; its hash."""
        loaded = load_policy(text)
        policy = compile_policy(loaded.specification)
        self.gate = Gate(policy, SETTINGS)
        published = policy_record(loaded, policy)
        self.control |= {
            policy_text_key(published.hash): encode_policy(published),
            POLICY_KEY: published.hash.encode(),
        }
        return published.hash

    def batch(self, sent: Sequence[OutgoingRecord], at: int, too_large: frozenset[int] = frozenset()) -> None:
        """Publish these and decide them in one batch. `too_large`: of the intents, by offset, those refused for it."""
        for each in sent:
            self._append(each.topic, each.key, each.value, each.timestamp_ms, tuple(each.headers))
        served = [
            (topic, record)
            for topic in TOPICS.inputs
            for record in self.records[topic]
            if record.offset >= self.positions[topic]
        ]
        batch = Batch(
            0,
            [
                InputRecord(topic, each.offset, each.timestamp_ms, each.key, each.value, tuple(each.headers))  # type: ignore[arg-type]
                for topic, each in served
            ],
            [at] * len(served),
            dict(self.positions),
            too_large=frozenset((TOPICS.intents[0], offset) for offset in too_large),
        )
        result = self.gate.apply(batch, self.store)
        for output in result.outputs:
            self._append(output.topic, output.key, output.value, at, tuple(output.headers))
        for key, value in result.changes.items():
            if value is None:
                self.store.pop(key, None)
            else:
                self.store[key] = value
        after = {topic: len(self.records[topic]) for topic in TOPICS.inputs if topic != TOPICS.rerouted}
        self._append(TOPICS.batches, None, encode_batch(served_batch(self.positions, after, at)), at, ())
        self.positions |= after
        self.latest_ms = at
        self.states.append(self.state())

    def state(self) -> Ledgers:
        """What a backup would hold now."""
        return Ledgers(dict(self.store), Meta(dict(self.positions), self.latest_ms))

    def log(self, *, starts: Mapping[str, int] | None = None, without: Sequence[str] = ()) -> PartitionLog:
        """What the topics hold: from these offsets on, and nothing of those topics."""
        starts = starts or {}
        return PartitionLog(
            0,
            {
                topic: [] if topic in without else [each for each in records if each.offset >= starts.get(topic, 0)]
                for topic, records in self.records.items()
            },
            {topic: starts.get(topic, 0) for topic in self.records},
            {topic: len(records) for topic, records in self.records.items()},
        )

    def replayed(
        self,
        log: PartitionLog | None = None,
        *,
        control: Mapping[bytes, bytes] | None = None,
        beginning: Ledgers | None = None,
    ) -> tuple[Ledgers, Counts]:
        """What a replay makes of it. The group's offsets are those of the end."""
        gates = Gates(self.control if control is None else control, (), SETTINGS)
        replay = Replay(log or self.log(), TOPICS, gates, committed=self.positions, beginning=beginning)
        return replay.run(), replay.counts

    def _append(
        self, topic: str, key: bytes | None, value: bytes | None, at: int, headers: tuple[tuple[str, bytes], ...]
    ) -> None:
        records = self.records[topic]
        records.append(Record(len(records), at, key, value, headers))


def some_records(chance: random.Random, at: int, number: int, customers: int) -> Iterator[OutgoingRecord]:
    """Any of everything, around this moment."""
    for each in range(chance.randrange(1, 12)):
        customer = f"c{chance.randrange(customers)}"
        name = f"{number}-{each}"
        kind = chance.random()
        if kind < 0.6:
            yield intent(
                customer,
                name if kind < 0.5 else f"{number - 1}-{each}",
                channel=chance.choice(["sms", "email", "voice", "telex"]),
                purpose=chance.choice(["service", "marketing", "otp"]),
                topic=chance.choice(["loans", "accounts"]),
                created_at=at - chance.randrange(5_000),
            )
        elif kind < 0.75:
            what = chance.choice(["opt_out", "opt_in", "pause", "resume", "objection", "consent_withdrawn"])
            scope = chance.choice([{}, {"channel": "sms"}, {"purpose": "marketing"}])
            yield preference(customer, name, what, at=at, **scope)
        elif kind < 0.82:
            yield preference(customer, name, "consent_granted", at=at, purpose="marketing", evidence_ref="form")
        elif kind < 0.85:
            yield preference(customer, name, "erasure", at=at)
        elif kind < 0.97:
            identity = decision_id(customer, f"{number - 1}-{each}")
            yield outcome(customer, identity, chance.choice(["delivered", "failed", "complaint"]), occurred_at=at)
        else:
            yield OutgoingRecord(chance.choice(TOPICS.inputs[:2]), customer.encode(), b"{", at)


def random_run(seed: int, batches: int = 12, hours: int = 60, customers: int = CUSTOMERS) -> Played:
    """A run over some days, so that much is forgotten on the way."""
    chance = random.Random(seed)
    played = Played()
    at = NOW
    for number in range(batches):
        at += chance.randrange(1_000, hours * HOUR)
        if number == batches // 2:
            played.put_in_force(POLICY.replace('"1"', '"2"').replace("limit: 4,", "limit: 2,"))
        played.batch(list(some_records(chance, at, number, customers)), at)
    return played
