"""Two states of a partition's ledgers, compared by what they mean for decisions.

Rule of this module: what is past its horizon means nothing, so it is taken from both sides first. When it was taken
from one of them is no difference.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streams.decision.ledger.codec import LedgerUnreadable, decode_ledger
from streams.decision.ledger.retention import retained
from streams.decision.ledger.state import EMPTY_LEDGER, Ledger
from streams.exactly_once.key_kinds import KeyKind, kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.decision.policy import Policy

IDENTICAL = "identical"
SAME = "same"
OTHER_PREFERENCES = "other_preferences"
OTHER_CONTACTS = "other_contacts"
ONLY_BEFORE = "only_before"
ONLY_AFTER = "only_after"
UNREADABLE = "unreadable"

IN_WORDS: Mapping[str, str] = {
    IDENTICAL: "the same to the byte",
    SAME: "the same in meaning",
    OTHER_PREFERENCES: "with other preferences, profile or erasure",
    OTHER_CONTACTS: "with other contacts or identities",
    ONLY_BEFORE: "only in the ledger topic",
    ONLY_AFTER: "only in what was rebuilt",
    UNREADABLE: "unreadable in the ledger topic",
}
AGREE = frozenset({IDENTICAL, SAME})


@dataclass(slots=True)
class Comparison:
    """How many ledgers fall under which of the words above."""

    counts: Counter[str] = field(default_factory=Counter)

    @property
    def is_same(self) -> bool:
        """Whether both sides give the same decisions."""
        return not any(count for word, count in self.counts.items() if word not in AGREE)

    def add(self, other: Comparison) -> None:
        """Together."""
        self.counts.update(other.counts)


def compare(before: Mapping[bytes, bytes], after: Mapping[bytes, bytes], policy: Policy, now: int) -> Comparison:
    """What the ledger topic holds, and what was rebuilt, at the moment of the latest decision."""
    comparison = Comparison()
    for key in {**before, **after}:
        if kind_of(key) in (KeyKind.CUSTOMER, KeyKind.ERASED):
            word = _compare_one(before.get(key), after.get(key), policy, now)
            if word is not None:
                comparison.counts[word] += 1
    return comparison


def _compare_one(before: bytes | None, after: bytes | None, policy: Policy, now: int) -> str | None:
    """None: neither says anything."""
    if before == after:
        return IDENTICAL
    one, other = _left(before, policy, now), _left(after, policy, now)
    if one is None:
        return UNREADABLE
    if other is None or one is EMPTY_LEDGER or other is EMPTY_LEDGER:
        if one is other:
            return None
        return ONLY_AFTER if one is EMPTY_LEDGER else ONLY_BEFORE
    if _said(one) != _said(other):
        return OTHER_PREFERENCES
    return SAME if _done(one) == _done(other) else OTHER_CONTACTS


def _left(value: bytes | None, policy: Policy, now: int) -> Ledger | None:
    if value is None:
        return EMPTY_LEDGER
    try:
        return retained(policy.retention, decode_ledger(value), now)
    except LedgerUnreadable:
        return None


def _said(ledger: Ledger) -> object:
    return ledger.preferences, ledger.profile, ledger.erased_ms, ledger.preference_refused


def _done(ledger: Ledger) -> object:
    label_sets = ledger.label_sets
    contacts = sorted(
        (
            each.assumed_sent_ms,
            each.decision_id,
            each.decided_ms,
            each.flags,
            repr(label_sets[each.label_set_number]),
            each.outcomes,
        )
        for each in ledger.contacts
    )
    archived = {label_sets[number]: count for number, count in ledger.archived.items()}
    return contacts, ledger.identities, archived
