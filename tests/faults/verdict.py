"""The verdict on a scene: the outside check, which shares no code with the gate.

Every record left exactly one trace; every decision, withdrawal and dead letter is the independent model's; every
ledger in the changelog is that of a replay of the committed decisions; no opt-out was acknowledged before an approval
and not heeded by it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.audit import AuditSettings, audit
from tests.system.aging import AS_IT_IS, Stage, aged, unsound
from tests.system.harness import ERASURE_KEY, ends_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.scene import Scene


@dataclass
class Verdict:
    """What was looked at, all of it in order."""

    counts: dict[str, int]
    acknowledged_within_ms: int
    """The longest time from a preference or outcome being made to its acknowledgement, as the load saw it."""
    seconds: float
    stages: list[Stage] = field(default_factory=list)
    """What the audit said as time went by."""


def judge(scene: Scene, load: Mapping[str, float], *, ages: bool = False) -> Verdict:
    """Fails where a promise was broken, or where the topics do not hold what the load published.

    `ages`: look again after compaction, a restore and retention.
    """
    names = scene.world.names
    stored = ends_of(scene.world, *names.intents)
    assert sum(stored.values()) == load["intents"], (
        f"{load['intents']} intents published, {sum(stored.values())} stored"
    )
    acknowledged_within_ms = int(load["acknowledged_within_ms"])
    settings = AuditSettings(
        scene.entrance.address if scene.entrance else scene.world.address,
        topics=scene.world.prefix,
        policies=[scene.policy],
        application_id=scene.settings().application_id,
        acknowledged_within_ms=acknowledged_within_ms,
        erasure_key=ERASURE_KEY,
        client_settings=scene.entrance.client_settings("auditor") if scene.entrance else {},
    )
    report = audit(settings)
    stages = [Stage.of(AS_IT_IS, report)]
    if ages:
        stages += aged(scene.world, scene.directory, scene.policy, lambda: audit(settings))
    assert not unsound(stages), "\n".join(unsound(stages))
    return Verdict(dict(Counter(report.counts)), acknowledged_within_ms, report.seconds, stages)
