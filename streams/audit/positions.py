"""Positions and moments in the two topics that every transaction writes: they only go forward.

Invariant: one step back is one finding, whichever of the two topics shows it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from streams.audit.report import Place

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from streams.audit.judgement import Judgement
    from streams.audit.timeline import Batch, Recorded


class _Step(NamedTuple):
    """One transaction: from where it went on, and to where."""

    offset: int
    begins: Mapping[str, int]
    ends: Mapping[str, int]
    latest_ms: int


def check_positions(judgement: Judgement, metas: Sequence[Batch], recorded: Sequence[Recorded]) -> None:
    """Look at both accounts, and at whether the last meta record is the last batch's: a restore goes on from there."""
    by_meta = _walk(
        judgement, judgement.topics.ledger, (_Step(m.offset, m.positions, m.positions, m.latest_ms) for m in metas)
    )
    steps = (
        _Step(
            each.offset,
            {topic: first for topic, (first, _) in each.served.items()},
            {topic: end for topic, (_, end) in each.served.items()},
            each.latest_ms,
        )
        for each in recorded
    )
    by_batch = _walk(judgement, judgement.topics.batches, steps)
    if not metas or not recorded or by_meta is None or by_batch is None:
        return
    last = metas[-1]
    place = Place(judgement.topics.ledger, judgement.log.partition, last.offset)
    behind = sorted(topic for topic, end in by_batch.items() if last.positions.get(topic, 0) < end)
    if behind:
        judgement.find("position_back", None, place, detail=f"{', '.join(behind)}: batches were recorded beyond it")
    elif last.latest_ms < recorded[-1].latest_ms:
        judgement.find("moment_back", None, place, detail=f"{recorded[-1].latest_ms} recorded, then {last.latest_ms}")


def _walk(judgement: Judgement, topic: str, steps: Iterable[_Step]) -> dict[str, int] | None:
    """The positions in the end; None if something was found."""
    reached: dict[str, int] = {}
    latest_ms = 0
    is_sound = True
    for step in steps:
        faults = [
            ("position_back", f"{name}: {reached[name]}, then {begin}")
            for name, begin in step.begins.items()
            if begin < reached.get(name, 0)
        ]
        ends = judgement.log.ends
        faults += [
            ("position_beyond", f"{name}: {end}, the topic ends at {ends[name]}")
            for name, end in step.ends.items()
            if end > ends.get(name, end)
        ]
        if step.latest_ms < latest_ms:
            faults.append(("moment_back", f"{latest_ms}, then {step.latest_ms}"))
        for kind, detail in faults:
            judgement.find(kind, None, Place(topic, judgement.log.partition, step.offset), detail=detail)
        is_sound = is_sound and not faults
        reached |= {name: max(reached.get(name, 0), end) for name, end in step.ends.items()}
        latest_ms = max(latest_ms, step.latest_ms)
    return reached if is_sound else None
