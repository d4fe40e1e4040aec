"""What an audit says: findings, counts, and both in text and JSON.

Invariant: nothing here names a customer or quotes a record. A finding names places in topics, a rule, and what differs.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

FINDINGS_KEPT_MAX: Final = 10_000
"""Kept of one partition. A gate broken through and through would otherwise fill the memory; all are counted."""

FINDINGS_SHOWN_MAX: Final = 50
"""Shown of one kind in text; JSON has all that are kept."""

NOT_VERIFIABLE: Final = "Not verifiable, because what could explain it was deleted or has lost its order:"

KINDS: Final[Mapping[str, str]] = {
    # answers
    "lost": "an intent has no answer",
    "doubled": "one record has two answers",
    "invented": "an answer, a withdrawal or a dead letter of a record that is not there",
    "unreadable_answer": "what stands on an output topic is no answer",
    "wrong_verdict": "approved or suppressed against the policy",
    "cap_exceeded": "approved although a cap or a gap denies",
    "approved_despite_no": "approved although the customer had said no, or consent was missing",
    "approved_expired": "approved although the intent had expired",
    "wrong_reason": "suppressed for another reason or by another rule",
    "wrong_bounds": "another validity, next moment, remainder or obligation",
    "wrong_explanation": "another explanation or zone",
    "wrong_contents": "ids, attributes, key or origin are not those of the intent",
    "wrong_moment": "decided at another moment than its batch",
    "wrong_applied": "says that more or less was applied before it than was",
    "out_of_order": "stands on its topic before one that was decided earlier",
    "committed_late": "an approval became readable after its end",
    "barrier_broken": "approved although an opt-out was acknowledged before",
    "unknown_policy": "decided under a policy that was not given",
    # withdrawals
    "withdrawal_missing": "an approval still open was not taken back",
    "withdrawal_invented": "an approval was taken back without reason",
    "withdrawal_doubled": "an approval was taken back twice",
    "wrong_withdrawal": "taken back for another reason or at another moment",
    # records
    "dead_letter_missing": "a record that cannot be read left no dead letter",
    "dead_letter_needless": "a sound record is a dead letter",
    "dead_letter_altered": "a dead letter is not its record, byte for byte",
    "dead_letter_reason": "a dead letter for another reason",
    "misrouted_decided": "decided on a partition that is not its customer's",
    "forward_lost": "a misrouted record was not forwarded",
    "forward_doubled": "a record was forwarded twice",
    "forward_misplaced": "forwarded to another partition, or under another key, than its customer's",
    "forward_needless": "forwarded although it was at home, could not be read, or is not there",
    "forward_altered": "forwarded with another value, headers or timestamp",
    # ledgers and positions
    "preference_not_applied": "a preference is missing from its customer's ledger",
    "outcome_not_applied": "an outcome is missing from its customer's ledger",
    "ledger_differs": "a ledger is not what the committed decisions leave",
    "ledger_missing": "a customer has no ledger",
    "ledger_invented": "a ledger of nobody the records know",
    "ledger_unreadable": "a ledger or meta record cannot be read",
    "position_back": "a position went back: records are decided again",
    "position_behind": "decided, but no meta record covers it",
    "position_beyond": "a position beyond the end of its topic",
    "moment_back": "the clock of a partition went back",
}
"""Every kind of finding, and what it means."""


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True)
class Finding:
    """One broken promise."""

    kind: str
    customer_hash: str | None
    places: tuple[Place, ...]
    rule: str | None = None
    detail: str = ""

    def as_text(self) -> str:
        """In one line."""
        parts = [self.kind, " ".join(map(str, self.places))]
        if self.customer_hash:
            parts.append(f"customer {self.customer_hash}")
        if self.rule:
            parts.append(f"rule {self.rule}")
        if self.detail:
            parts.append(self.detail)
        return "  ".join(parts)


@dataclass
class AuditReport:
    """What was found, and how much was looked at."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    """Findings by kind, those not kept included."""
    not_verifiable: Counter[str] = field(default_factory=Counter)
    """Differences, by kind, that something which is no longer there could explain."""
    seconds: float = 0.0

    @property
    def is_clean(self) -> bool:
        """Whether every promise was kept."""
        return not self.found

    def as_text(self) -> str:
        """For people: the verdict, the counts, the findings by kind."""
        counted = ", ".join(f"{name.replace('_', ' ')} {number}" for name, number in self.counts.items())
        lines = [
            self._verdict(),
            f"Looked at: {counted}; {self.seconds:.1f} s.",
        ]
        if self.not_verifiable:
            kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(self.not_verifiable.items()))
            lines.append(f"{NOT_VERIFIABLE} {self.not_verifiable.total()}: {kinds}.")
        for kind, number in sorted(self.found.items()):
            lines.append(f"\n{kind}: {KINDS[kind]} ({number})")
            of_kind = [finding for finding in self.findings if finding.kind == kind]
            lines += [f"  {finding.as_text()}" for finding in of_kind[:FINDINGS_SHOWN_MAX]]
            if number > min(len(of_kind), FINDINGS_SHOWN_MAX):
                lines.append(f"  … and {number - min(len(of_kind), FINDINGS_SHOWN_MAX)} more")
        return "\n".join(lines)

    def _verdict(self) -> str:
        if not self.is_clean:
            return f"{self.found.total()} broken promises."
        return "Clean: every promise was kept" + (", as far as can still be known." if self.not_verifiable else ".")

    def as_json(self) -> str:
        """For tools: one object."""
        document: dict[str, Any] = {
            "is_clean": self.is_clean,
            "seconds": round(self.seconds, 3),
            "counts": dict(self.counts),
            "found": dict(self.found),
            "not_verifiable": dict(self.not_verifiable),
            "findings": [
                {
                    "kind": finding.kind,
                    "customer_hash": finding.customer_hash,
                    "places": [place._asdict() for place in finding.places],
                    "rule": finding.rule,
                    "detail": finding.detail,
                }
                for finding in self.findings
            ],
        }
        return json.dumps(document)
