"""Forwarded records, matched over all partitions: each misrouted record once, whole, to its customer's partition.

Invariants
1. It needs the verdicts of all partitions. Each misrouted and each forwarded record is accounted for once.
2. What retention may have deleted is not reported as missing: it is counted as not verifiable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.audit.report import Finding

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from streams.audit.report import Place
    from streams.audit.settings import Topics
    from streams.audit.verdict import Forwarded, Misrouted, Verdict


def match_forwarded(verdicts: Sequence[Verdict], topics: Topics, not_verifiable: Counter[str]) -> list[Finding]:
    """What was forwarded wrongly; what can no longer be known is counted."""
    begins = {(topic, verdict.partition): start for verdict in verdicts for topic, start in verdict.starts.items()}
    arrived: dict[Place, list[Forwarded]] = {}
    for verdict in verdicts:
        for forwarded in verdict.forwarded:
            arrived.setdefault(forwarded.first, []).append(forwarded)
    findings: list[Finding] = []
    for misrouted in (each for verdict in verdicts for each in verdict.misrouted):
        found = arrived.pop(misrouted.place, [])
        if not found and begins.get((topics.rerouted, misrouted.wanted_partition), 0) > 0:
            not_verifiable["forward_lost"] += 1
        else:
            findings += _faults(misrouted, found)
    undecided = {place for verdict in verdicts for place in verdict.undecided}
    for place, found in arrived.items():
        if place.offset < begins.get((place.topic, place.partition), 0):
            not_verifiable["forward_needless"] += 1
        elif place not in undecided:  # of those it is said elsewhere
            findings.append(Finding("forward_needless", None, (place, *(each.place for each in found))))
    return findings


def _faults(misrouted: Misrouted, found: Sequence[Forwarded]) -> Iterator[Finding]:
    hashed = misrouted.customer_hash
    if not found:
        yield Finding("forward_lost", hashed, (misrouted.place,))
        return
    if len(found) > 1:
        yield Finding("forward_doubled", hashed, (misrouted.place, *(each.place for each in found)))
    first = found[0]
    if first.place.partition != misrouted.wanted_partition or first.key != misrouted.key:
        yield Finding("forward_misplaced", hashed, (misrouted.place, first.place))
    elif first.digest != misrouted.digest:
        yield Finding("forward_altered", hashed, (misrouted.place, first.place))
