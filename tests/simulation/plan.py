"""A seed's history before it happens: what upstream publishes and when, what fails and when, how slow everything is.

Invariants
1. Everything follows from the seed. A plan is data: events and faults can be taken out of it, and it stays a plan.
2. At least two workers and fifty records; nine plans in ten have a crash, a freeze or a rebalance.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

import orjson

from streams.oracle.model import decision_id
from streams.testing.records import intent, murmur2_partition, outcome, preference
from tests.simulation import clients, consumer
from tests.simulation.network import ANSWERED, BEFORE, SERVED

if TYPE_CHECKING:
    from streams.testing.records import OutgoingRecord

PARTITIONS: Final = 2
BASE_MS: Final = 1_767_607_200_000
"""The broker's clock at the beginning: 2026-01-05 10:00 UTC."""

RECORDS_LEAST: Final = 50
RECORDS_MOST: Final = 70
BURSTS: Final = (3, 7)
BURST_RATES: Final = (1.5, 8.0, 40.0)
"""Records a second in a burst: from one in a batch to many."""

LONGEST_SECONDS: Final = 55.0
"""Longer than any window of the policy, so that what a burst filled is empty again for another."""

CUSTOMERS: Final = tuple(f"c{number}" for number in range(5))
CHANNELS: Final = ("sms", "email")
CALM_SHARE: Final = 0.06
"""Of plans: nobody crashes, nothing is rebalanced."""

URGENT_TOPIC: Final = "urgent-intent"
INTENT_TOPIC: Final = "outbound-intent"


@dataclass(frozen=True)
class Published:
    """One record of an upstream system. `open_seconds`: it is written in a transaction that stays open so long, and is
    aborted if `is_aborted`."""

    at_seconds: float
    record: OutgoingRecord
    open_seconds: float | None = None
    is_aborted: bool = False


@dataclass(frozen=True)
class Fault:
    """Something goes wrong: at a time, or when worker `slot` passes a point for the n-th time."""

    kind: str
    slot: int = 0
    at_seconds: float | None = None
    point: str = ""
    moment: str = ""
    passing: int = 0
    seconds: float = 0.0
    """How long it lasts; of a kill, until the worker is started again."""


@dataclass(frozen=True)
class Plan:
    """One history to be."""

    seed: int
    published: tuple[Published, ...]
    faults: tuple[Fault, ...]
    workers: int = 2
    lanes: int = 1
    batch_records_max: int = 8_000
    clock_step_ms: int = 1
    clock_offsets_ms: tuple[int, ...] = (0, 0, 0)
    slow_share: float = 0.1
    stuck_share: float = 0.0
    slow_markers_seconds: float = 0.0
    transaction_timeout_seconds: float = 10.0
    session_timeout_seconds: float = 10.0

    @property
    def ends_at(self) -> float:
        """When the last thing of the plan happens, about."""
        times = [one.at_seconds + (one.open_seconds or 0.0) for one in self.published]
        times += [(fault.at_seconds or 0.0) + fault.seconds for fault in self.faults]
        return max(times, default=0.0)

    @property
    def disturbs(self) -> bool:
        """Whether it crashes or rebalances anything."""
        return any(fault.kind in DISTURBANCES for fault in self.faults)


SETTINGS: Final = (
    "workers",
    "lanes",
    "batch_records_max",
    "clock_step_ms",
    "clock_offsets_ms",
    "slow_share",
    "stuck_share",
    "slow_markers_seconds",
    "transaction_timeout_seconds",
    "session_timeout_seconds",
)
"""What a history is run with, beside its records and faults."""

# kind of fault: how likely one is of it
FAULTS: Final = {
    "kill": 8,
    "freeze": 5,
    "stop": 2,
    "rebalance": 4,
    "broker_down": 2,
    "refuse": 3,
    "clock": 2,
}
DISTURBANCES: Final = frozenset({"kill", "freeze", "stop", "rebalance"})
AT_POINTS: Final = frozenset({"kill", "freeze"})
_POINTS: Final = {
    clients.PRODUCE: (4, 12),
    clients.OFFSETS: (4, 12),
    clients.END: (4, 12),
    clients.START_PRODUCER: (1, 3),
    clients.LIST_OFFSETS: (1, 12),
    clients.READ_CHANGELOG: (1, 2),
    consumer.JOIN: (1, 2),
    consumer.HEARTBEAT: (1, 12),
    consumer.FETCH: (1, 12),
    consumer.COMMITTED: (1, 2),
}
"""Point: how likely it is, and within how many passings; a worker passes some only a few times."""


def plan_of(seed: int, faults: tuple[str, ...] | None = None) -> Plan:
    """The plan of a seed; with `faults`, of these kinds instead of those the seed would draw."""
    random = Random(seed)
    coarse = random.choice((1, 1, 10, 250, 1_000))
    return Plan(
        seed=seed,
        published=tuple(_Upstream(random).events()),
        faults=tuple(_faults(random) if faults is None else (_fault(random, kind) for kind in faults)),
        workers=random.choice((2, 2, 2, 3)),
        lanes=random.choice((1, 1, 2)),
        batch_records_max=random.choice((3, 8, 8_000)),
        clock_step_ms=coarse,
        clock_offsets_ms=tuple(random.choice((0, 0, random.randint(-300, 300))) for _ in range(3)),
        slow_share=random.choice((0.05, 0.3)),
        stuck_share=random.choice((0.0, 0.0, 0.01, 0.05)),
        slow_markers_seconds=random.choice((0.0, 0.05, 0.8)),
        transaction_timeout_seconds=random.choice((4.0, 10.0)),
        session_timeout_seconds=random.choice((4.0, 10.0)),
    )


def _faults(random: Random) -> list[Fault]:
    if random.random() < CALM_SHARE:
        return []
    kinds = random.choices(list(FAULTS), list(FAULTS.values()), k=random.randint(1, 4))
    if not DISTURBANCES & set(kinds):
        kinds.append(random.choice(sorted(DISTURBANCES)))
    return [_fault(random, kind) for kind in kinds]


def _fault(random: Random, kind: str) -> Fault:
    seconds = {
        "kill": random.choice((0.05, 1.0, 6.0)),
        "freeze": random.choice((0.3, 2.5, 5.0, 12.0)),
        "stop": random.choice((0.5, 5.0)),
        "broker_down": random.choice((0.2, 3.0)),
        "clock": random.choice((0.005, 0.02, 0.3, 3.0, 12.0)),
    }.get(kind, 0.0)
    slot = random.randrange(2)
    if kind in AT_POINTS and random.random() < 0.7:
        point = random.choices(list(_POINTS), [weight for weight, _ in _POINTS.values()])[0]
        moment = random.choice((BEFORE, SERVED, ANSWERED))
        return Fault(kind, slot, None, point, moment, random.randint(1, _POINTS[point][1]), seconds)
    return Fault(kind, slot, random.uniform(0.0, LONGEST_SECONDS), seconds=seconds)


class _Upstream:
    """Draws what is published."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._intents: list[tuple[str, dict[str, Any]]] = []
        self._number = 0

    def events(self) -> list[Published]:
        """In time order: bursts with quiet between them, so that windows open again."""
        random = self._random
        count = random.randint(RECORDS_LEAST, RECORDS_MOST)
        bursts = sorted(random.uniform(0.0, LONGEST_SECONDS) for _ in range(random.randint(*BURSTS)))
        per_second = random.choice(BURST_RATES)
        times = sorted(random.choice(bursts) + random.expovariate(per_second) for _ in range(count))
        found: list[Published] = []
        for at_seconds in times:
            found += self._at(at_seconds)
        return sorted(found, key=lambda one: one.at_seconds)

    def _at(self, at_seconds: float) -> list[Published]:
        drawn = self._random.random()
        now_ms = BASE_MS + int(at_seconds * 1000)
        if drawn < 0.12:
            return self._says_no(at_seconds, now_ms)
        if drawn < 0.20:
            return [self._published(at_seconds, self._preference(now_ms, "opt_in"))]
        if drawn < 0.28 and self._intents:
            return [self._published(at_seconds, self._outcome(now_ms))]
        if drawn < 0.38 and self._intents:
            customer, fields = self._random.choice(self._intents)
            return [self._published(at_seconds, _intent_again(customer, fields))]
        if drawn < 0.40:
            return [self._published(at_seconds, intent("c0", "unreadable", created_at=now_ms)._replace(value=b"{"))]
        if drawn < 0.42:
            erasure = preference(self._random.choice(CUSTOMERS), self._next("erasure"), "erasure", at=now_ms)
            return [self._published(at_seconds, erasure)]
        return [self._published(at_seconds, self._intent(now_ms))]

    def _says_no(self, at_seconds: float, now_ms: int) -> list[Published]:
        """An opt-out, and often an intent right behind its acknowledgement: the race that the opt-out must win."""
        said = self._preference(now_ms, "opt_out")
        found = [self._published(at_seconds, said)]
        if self._random.random() < 0.7:
            asked = self._intent(now_ms, customer=(said.key or b"").decode())
            found.append(Published(at_seconds + self._random.choice((0.0005, 0.02, 0.3)), asked))
        return found

    def _intent(self, now_ms: int, customer: str | None = None) -> OutgoingRecord:
        random = self._random
        customer = customer or random.choice(CUSTOMERS)
        late_ms = random.choice((0, 0, 0, random.randint(0, 90_000)))
        fields: dict[str, Any] = {
            "channel": random.choice(CHANNELS),
            "purpose": random.choice(("service", "marketing")),
            "created_at": now_ms - late_ms,
            "to": URGENT_TOPIC if random.random() < 0.2 else INTENT_TOPIC,
        }
        fields["intent_id"] = self._next("i")
        self._intents.append((customer, fields))
        made = _intent_again(customer, fields)
        if random.random() < 0.06:
            return made._replace(partition=1 - murmur2_partition(customer.encode(), PARTITIONS))
        return made._replace(key=b"elsewhere") if random.random() < 0.02 else made

    def _preference(self, now_ms: int, kind: str) -> OutgoingRecord:
        random = self._random
        more = {} if random.random() < 0.3 else {"channel": random.choice(CHANNELS)}
        made = preference(random.choice(CUSTOMERS), self._next("p"), kind, at=now_ms, **more)
        if random.random() < 0.04:
            return made._replace(partition=1 - murmur2_partition(made.key or b"", PARTITIONS))
        return made

    def _outcome(self, now_ms: int) -> OutgoingRecord:
        customer, fields = self._random.choice(self._intents)
        of = decision_id(customer, fields["intent_id"])
        if self._random.random() < 0.3:
            return outcome(customer, of, "reply", occurred_at=now_ms, detail="STOP")
        kind = self._random.choice(("sent", "delivered", "failed"))
        return outcome(customer, of, kind, occurred_at=now_ms)

    def _published(self, at_seconds: float, record: OutgoingRecord) -> Published:
        random = self._random
        if random.random() < 0.03:
            return Published(at_seconds, record, random.uniform(0.0, 1.5), random.random() < 0.5)
        return Published(at_seconds, record)

    def _next(self, prefix: str) -> str:
        self._number += 1
        return f"{prefix}{self._number}"


def _intent_again(customer: str, fields: dict[str, Any]) -> OutgoingRecord:
    more = dict(fields)
    return intent(customer, more.pop("intent_id"), **more)


def as_text(plan: Plan) -> str:
    """For people: what happens, in order."""
    lines = [f"seed {plan.seed}: {len(plan.published)} records, {len(plan.faults)} faults"]
    lines += [f"  {name} = {getattr(plan, name)}" for name in SETTINGS]
    lines += [f"  {fault}" for fault in plan.faults]
    for one in plan.published:
        value = one.record.value or b""
        text = orjson.loads(value) if value.endswith(b"}") else value
        extra = "" if one.open_seconds is None else f" open {one.open_seconds:.3f} s, aborted {one.is_aborted}"
        lines.append(f"  {one.at_seconds:9.4f} {one.record.topic} {one.record.partition} {text}{extra}")
    return "\n".join(lines)
