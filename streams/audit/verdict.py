"""What was found on one partition, and what has to be matched with the others."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streams.audit.report import FINDINGS_KEPT_MAX, Finding, Place


class Misrouted(NamedTuple):
    """A record that stands where its customer does not live, and how it must be forwarded."""

    place: Place
    customer_hash: str
    wanted_partition: int
    key: bytes
    digest: bytes


class Forwarded(NamedTuple):
    """A record of the rerouting topic that says where it first stood."""

    first: Place
    place: Place
    key: bytes | None
    digest: bytes


@dataclass
class Verdict:
    """What was found on one partition, and what has to be matched with others."""

    partition: int
    starts: dict[str, int]
    """Where each topic begins."""
    findings: list[Finding] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)
    not_verifiable: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    misrouted: list[Misrouted] = field(default_factory=list)
    forwarded: list[Forwarded] = field(default_factory=list)
    undecided: set[Place] = field(default_factory=set)
    """Records that no batch has served."""

    def add(self, finding: Finding) -> None:
        """Count a finding, and keep it if there are not too many."""
        self.found[finding.kind] += 1
        if len(self.findings) < FINDINGS_KEPT_MAX:
            self.findings.append(finding)


def digest_of(value: bytes | None, headers: Any, timestamp_ms: int | None) -> bytes:  # noqa: ANN401
    """What must be the same of a record before and after it was forwarded."""
    return hashlib.blake2b(repr((value, tuple(headers), timestamp_ms)).encode(), digest_size=16).digest()
