"""What happens when: from a seed and a number of minutes to the list of timed faults.

Invariants
1. The same seed, minutes and rate of faults give the same plan, to the last parameter.
2. Every kind occurs at least once, however short the campaign.
3. One worker, one link, the broker and the policy each suffer one fault at a time; different ones overlap freely.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import Enum
from typing import Final

FAULTS_PER_MINUTE: Final = 8
"""More than 200 in half an hour; closer together than a killed worker takes to be back, so that they overlap."""

MINUTES_PER_BROKER_KILL: Final = 5
"""Everything stands still for some ten seconds meanwhile: more of them would hide the others."""

SETTLE_SECONDS: Final = 5.0
"""Of load without a fault at the beginning, so that there is something to lose."""

CALM_SECONDS: Final = 10.0
"""Without a new fault at the end: the longest of them are over when the campaign is."""

PAUSE_SECONDS: Final = 3.0
"""Between two faults of one target: a worker is to do something in between."""


class Target(Enum):
    """What a fault strikes."""

    WORKER = "one of the workers"
    LINK = "one of the workers behind a proxy"
    GUEST = "a worker that is not there otherwise"
    BROKER = "the broker"
    POLICY = "the policy file"
    UPSTREAM = "what is published"


@dataclass(frozen=True)
class Kind:
    """One kind of fault: how often relative to the others, how long, how much."""

    name: str
    target: Target
    weight: int
    seconds: tuple[float, float] = (0.0, 0.0)
    amounts: tuple[int, int] = (0, 0)
    """Between these; what they count is said by the kind's own function."""


WORKER_KILLED: Final = Kind("worker killed", Target.WORKER, 6)
WORKER_FROZEN: Final = Kind("worker frozen", Target.WORKER, 4, (0.5, 9.0))
WORKER_LEAVES: Final = Kind("worker leaves and comes back", Target.WORKER, 3, (0.5, 5.0))
WORKER_JOINS: Final = Kind("another worker joins and leaves", Target.GUEST, 2, (5.0, 15.0))
BROKER_KILLED: Final = Kind("broker killed", Target.BROKER, 0, (0.0, 3.0))
NETWORK_SLOW: Final = Kind("network slow", Target.LINK, 3, (3.0, 10.0), (5, 250))
"""Amount: milliseconds more each way. With the longest of them no transaction ends within its two seconds."""
NETWORK_NARROW: Final = Kind("network narrow", Target.LINK, 2, (3.0, 10.0), (20_000, 500_000))
"""Amount: bytes a second each way, of each connection."""
NETWORK_STALLED: Final = Kind("network stalled", Target.LINK, 3, (0.5, 9.0))
NETWORK_CUT: Final = Kind("network cut", Target.LINK, 4, (0.0, 5.0))
CLOCK_OFF: Final = Kind("clock off within the limit", Target.WORKER, 3, (2.0, 10.0), (1_000, 3_000))
"""Amount: milliseconds; odd ones are behind."""
CLOCK_WRONG: Final = Kind("clock off beyond the limit", Target.WORKER, 3, (4.0, 10.0), (8_000, 120_000))
"""Amount: as above."""
CLOCK_TREMBLES: Final = Kind("clock jumps to and fro", Target.WORKER, 2, (2.0, 6.0), (8_000, 120_000))
"""Amount: as above, every other moment. Wrong when a batch's moment is read and right when it is written, or the other
way round."""
POLICY_RELOADED: Final = Kind("policy reloaded", Target.POLICY, 4)
DUPLICATED: Final = Kind("records duplicated", Target.UPSTREAM, 3, amounts=(100, 2_000))
LATE: Final = Kind("records late", Target.UPSTREAM, 3, amounts=(50, 500))
MISROUTED: Final = Kind("records misrouted", Target.UPSTREAM, 3, amounts=(50, 500))
OPT_OUTS: Final = Kind("burst of opt-outs", Target.UPSTREAM, 4, amounts=(100, 1_000))
"""Amounts of the last four: records."""

KINDS: Final = (
    *(WORKER_KILLED, WORKER_FROZEN, WORKER_LEAVES, WORKER_JOINS, BROKER_KILLED),
    *(NETWORK_SLOW, NETWORK_NARROW, NETWORK_STALLED, NETWORK_CUT, CLOCK_OFF),
    *(CLOCK_WRONG, CLOCK_TREMBLES, POLICY_RELOADED, DUPLICATED, LATE, MISROUTED, OPT_OUTS),
)


@dataclass(frozen=True)
class Planned:
    """One fault that is to happen."""

    at_seconds: float
    kind: Kind
    slot: int | None
    """The worker it strikes, where it strikes one."""
    seconds: float
    amount: int

    @property
    def ends_at_seconds(self) -> float:
        """When it is to be over."""
        return self.at_seconds + self.seconds

    @property
    def shift_ms(self) -> int:
        """Of a clock: how far ahead; negative: behind."""
        if not self.kind.name.startswith("clock"):
            return 0
        return self.amount if self.amount % 2 == 0 else -self.amount

    def __str__(self) -> str:
        where = "" if self.slot is None else f" of worker {self.slot}"
        much = f", {self.amount}" if self.amount else ""
        lasting = f", {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.kind.name}{where}{much}{lasting}"


@dataclass(frozen=True)
class Crew:
    """The workers' slots."""

    direct: tuple[int, ...] = (0,)
    linked: tuple[int, ...] = (1, 2)
    """Behind a proxy."""
    guest: int = 3

    @property
    def steady(self) -> tuple[int, ...]:
        """Those that are always to be there."""
        return (*self.direct, *self.linked)


def make_plan(seed: int, minutes: float, crew: Crew | None = None) -> list[Planned]:
    """Every fault of a campaign, in order of time."""
    crew = crew or Crew()
    source = random.Random(seed)
    kinds = _kinds(source, minutes)
    span_seconds = minutes * 60.0 - SETTLE_SECONDS - CALM_SECONDS
    step_seconds = span_seconds / len(kinds)
    free_at: dict[object, float] = {}
    planned = []
    for number, kind in enumerate(kinds):
        at_seconds = SETTLE_SECONDS + step_seconds * (number + source.random())
        seconds = source.uniform(*kind.seconds)
        amount = source.randint(*kind.amounts)
        victim = _victim(source, kind, crew, free_at, at_seconds)
        at_seconds = max(at_seconds, free_at.get(victim, 0.0))
        if kind.target is not Target.UPSTREAM:
            free_at[victim] = at_seconds + seconds + PAUSE_SECONDS
        slot = victim if isinstance(victim, int) else None
        planned.append(Planned(at_seconds, kind, slot, seconds, amount))
    return sorted(planned, key=lambda each: each.at_seconds)


def _kinds(source: random.Random, minutes: float) -> list[Kind]:
    """Each kind once, the broker as often as it may be, the rest drawn by weight; in any order."""
    kinds = [*KINDS, *[BROKER_KILLED] * (int(minutes / MINUTES_PER_BROKER_KILL) - 1)]
    more = round(minutes * FAULTS_PER_MINUTE) - len(kinds)
    kinds += source.choices(KINDS, [kind.weight for kind in KINDS], k=max(0, more))
    source.shuffle(kinds)
    return kinds


def _victim(
    source: random.Random, kind: Kind, crew: Crew, free_at: dict[object, float], at_seconds: float
) -> int | Target:
    """Whom it strikes: somebody who is free then, else who is free first."""
    if kind.target in (Target.WORKER, Target.LINK):
        candidates = crew.steady if kind.target is Target.WORKER else crew.linked
        free = [slot for slot in candidates if free_at.get(slot, 0.0) <= at_seconds]
        return source.choice(free) if free else min(candidates, key=lambda slot: free_at[slot])
    return crew.guest if kind.target is Target.GUEST else kind.target
