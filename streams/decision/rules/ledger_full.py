"""A ledger without room for one more contact approves nothing: what could not be counted is not sent.

Counted is only what is still inside its horizon, so the moment of pruning is never visible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.decision.ledger.state import (
    CONTACTS_MAX,
    IDENTITIES_MAX,
    LABEL_SETS_MAX,
    VALUES_PER_LABEL_SET,
    LabelSet,
    Ledger,
)
from streams.decision.ledger.transitions import knows_tag
from streams.decision.rules.rule import PASS, Answer, denial

if TYPE_CHECKING:
    from streams.decision.policy import Policy


def ask_ledger_full(ledger: Ledger, label_set: LabelSet, policy: Policy, now: int) -> Answer:
    """Is there room for one more contact of this label set, and for its identity?"""
    if ledger.preference_refused:
        return denial("ledger_full")
    if not _is_full(ledger, label_set):
        return PASS
    return denial("ledger_full") if _is_full(policy.prune(ledger, now), label_set) else PASS


def with_room(ledger: Ledger, label_set: LabelSet, policy: Policy, now: int) -> Ledger:
    """The ledger a contact of this label set is added to once the check has passed: where there was room only without
    what is past its horizon, without it. Label sets are numbered by one byte, so there is no place for one too many.
    """
    return policy.prune(ledger, now) if _is_full(ledger, label_set) else ledger


def _is_full(ledger: Ledger, label_set: LabelSet) -> bool:
    return (
        len(ledger.assumed_sent) >= CONTACTS_MAX
        or (len(ledger.created) >= IDENTITIES_MAX and len(ledger.identities) >= IDENTITIES_MAX)
        or (
            len(ledger.label_value_numbers) >= LABEL_SETS_MAX * VALUES_PER_LABEL_SET
            and not knows_tag(ledger, label_set)
        )
    )
