"""The verdict on a storm: the outside check under every policy that was loaded, and what only the campaign can see.

A worker's clock may lie ahead of the broker's without being told, so a decision that says it was made after a no was
acknowledged may have been made before: by no more than the largest jump within the limit that a campaign makes. Exactly
that much is added to the moments of acknowledgement, and nothing to anything else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from streams.testing.audit import AuditSettings, audit
from tests.chaos.plan import CLOCK_OFF
from tests.system.harness import ERASURE_KEY, ends_of

if TYPE_CHECKING:
    from tests.chaos.storm import Storm


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


def judge(storm: Storm) -> Verdict:
    """Look at everything; nothing is asserted here."""
    wrong = own_findings(storm)
    names = storm.world.names
    stored = sum(ends_of(storm.world, *names.intents).values())
    if stored != storm.load["intents"]:
        wrong.append(f"{storm.load['intents']:.0f} intents published, {stored} stored")
    began = time.monotonic()
    acknowledged = _acknowledged(storm)
    report = audit(
        AuditSettings(
            storm.world.address,
            topics=storm.world.prefix,
            policies=storm.policies.versions,
            application_id=storm.workers[0].settings.application_id,
            acknowledged_within_ms=None,
            acknowledged_ms=acknowledged,
            erasure_key=ERASURE_KEY,
        )
    )
    if not report.is_clean:
        wrong.append(report.as_text())
    seconds = time.monotonic() - began
    return Verdict(dict(report.counts), len(acknowledged), seconds, report.as_text(), wrong)


def _acknowledged(storm: Storm) -> dict[tuple[str, int, int], int]:
    found = orjson.loads(storm.acknowledged_path.read_bytes())
    _, ahead_ms = CLOCK_OFF.amounts
    return {(topic, partition, offset): moment_ms + ahead_ms for topic, partition, offset, moment_ms in found}
