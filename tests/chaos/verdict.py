"""The verdict on a storm: the outside check under every policy that was loaded, and what only the campaign can see.

A worker's clock may lie ahead of the broker's without being told, so a decision that says it was made after a no was
acknowledged may have been made before. So while a clock was ahead within the limit, and for as long after as moments
that never go back may stay ahead, exactly that much is added to the moments of acknowledgement. At all other times, and
for clocks beyond the limit, nothing is.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from streams.audit import AuditSettings, audit
from tests.chaos.follower import CLOCK_LIMIT_MS
from tests.chaos.plan import CLOCK_OFF
from tests.system.aging import AS_IT_IS, Stage, aged, unsound
from tests.system.harness import ERASURE_KEY, ends_of

if TYPE_CHECKING:
    from tests.chaos.storm import Storm


ROUNDING_MS: Final = 100.0
"""Between a step of the campaign and the file of a clock that it writes in it."""


@dataclass
class Verdict:
    """What was looked at, and everything that is wrong with it."""

    counts: dict[str, int]
    noes_acknowledged: int
    """Of so many noes the audit knew the moment of their acknowledgement."""
    audit_seconds: float
    audit: str
    """The audit's own words."""
    wrong: list[str]
    stages: list[Stage] = field(default_factory=list)
    """What the audit said as time went by."""

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.wrong


def own_findings(storm: Storm) -> list[str]:
    """What the campaign itself has seen that no fault explains."""
    unexplained = [
        f"worker {ended.slot} ended with {ended.exit_code} at {ended.at_seconds:.0f} s, unexplained: {ended.said}"
        for ended in storm.workers.unexplained
    ]
    return [*unexplained, *storm.follower.beyond_limit]


def judge(storm: Storm, *, ages: bool = False) -> Verdict:
    """Look at everything; nothing is asserted here. `ages`: look again after compaction, a restore and retention."""
    wrong = own_findings(storm)
    names = storm.world.names
    stored = sum(ends_of(storm.world, *names.intents).values())
    if stored != storm.load["intents"]:
        wrong.append(f"{storm.load['intents']:.0f} intents published, {stored} stored")
    began = time.monotonic()
    acknowledged = _acknowledged(storm)
    settings = AuditSettings(
        storm.world.address,
        topics=storm.world.prefix,
        policies=storm.policies.versions,
        application_id=storm.workers[0].settings.application_id,
        acknowledged_within_ms=None,
        acknowledged_ms=acknowledged,
        clock_difference_ms=CLOCK_LIMIT_MS,
        erasure_key=ERASURE_KEY,
    )
    report = audit(settings)
    seconds = time.monotonic() - began
    stages = [Stage.of(AS_IT_IS, report)]
    if ages:
        stages += aged(storm.world, storm.directory, storm.policies.in_force, lambda: audit(settings))
    return Verdict(
        dict(report.counts), len(acknowledged), seconds, report.as_text(), [*wrong, *unsound(stages)], stages
    )


class Ahead(NamedTuple):
    """While moments may lie so far ahead."""

    from_ms: float
    until_ms: float
    by_ms: int


def ahead(storm: Storm) -> list[Ahead]:
    """What the campaign has done to clocks within the limit."""
    return [
        Ahead(
            storm.began_ms + each.began_at_seconds * 1000 - ROUNDING_MS,
            storm.began_ms + each.ended_at_seconds * 1000 + 2 * each.shift_ms + ROUNDING_MS,
            each.shift_ms,
        )
        for each in storm.survived
        if each.kind == CLOCK_OFF.name and each.shift_ms > 0
    ]


def _acknowledged(storm: Storm) -> dict[tuple[str, int, int], int]:
    """When noes were acknowledged, as a worker's clock may have shown it at the latest."""
    found, spells = orjson.loads(storm.acknowledged_path.read_bytes()), ahead(storm)
    return {
        (topic, partition, offset): moment_ms
        + max((spell.by_ms for spell in spells if spell.from_ms <= moment_ms <= spell.until_ms), default=0)
        for topic, partition, offset, moment_ms in found
    }
