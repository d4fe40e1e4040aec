"""Forwarded records, matched over all partitions: each misrouted record once, whole, to where its customer lives.

Invariant: needs every partition's verdict; each misrouted and each forwarded record is accounted for once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.testing.audit.report import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.testing.audit.judge import Forwarded, Verdict
    from streams.testing.audit.report import Place


def match_forwarded(verdicts: Sequence[Verdict]) -> list[Finding]:
    """What was forwarded wrongly."""
    arrived: dict[Place, list[Forwarded]] = {}
    for verdict in verdicts:
        for forwarded in verdict.forwarded:
            arrived.setdefault(forwarded.first, []).append(forwarded)
    findings: list[Finding] = []
    for verdict in verdicts:
        for misrouted in verdict.misrouted:
            found = arrived.pop(misrouted.place, [])
            hashed, places = misrouted.customer_hash, tuple(each.place for each in found)
            if not found:
                findings.append(Finding("forward_lost", hashed, (misrouted.place,)))
                continue
            if len(found) > 1:
                findings.append(Finding("forward_doubled", hashed, (misrouted.place, *places)))
            first = found[0]
            if first.place.partition != misrouted.wanted_partition or first.key != misrouted.key:
                findings.append(Finding("forward_misplaced", hashed, (misrouted.place, first.place)))
            elif first.digest != misrouted.digest:
                findings.append(Finding("forward_altered", hashed, (misrouted.place, first.place)))
    undecided = {place for verdict in verdicts for place in verdict.undecided}
    for place, found in arrived.items():
        if place not in undecided:  # of those it is said elsewhere
            findings.append(Finding("forward_needless", None, (place, *(each.place for each in found))))
    return findings
