"""A ledger without room for one more contact approves nothing: what could not be counted is not sent.

Counted is only what is still inside its horizon, so the moment of pruning is never visible.
"""

from __future__ import annotations

from streams.decision.answer import PASS, Answer, denial
from streams.decision.checks.check import CheckContext
from streams.decision.ledger.state import (
    CONTACTS_MAX,
    IDENTITIES_MAX,
    LABEL_SETS_MAX,
    VALUES_PER_LABEL_SET,
    LabelSet,
    Ledger,
)
from streams.decision.ledger.transitions import knows_tag


def ask_ledger_full(context: CheckContext) -> Answer:
    """Is there room for one more contact of this label set, and for its identity?"""
    ledger, label_set = context.ledger, context.label_set
    if ledger.preference_refused:
        return denial("ledger_full")
    if not _is_full(ledger, label_set):
        return PASS
    left = context.tables.retention.prune(ledger, context.now)
    return denial("ledger_full") if _is_full(left, label_set) else PASS


def with_room(context: CheckContext) -> Ledger:
    """The ledger a contact is added to once the check has passed: where there was room only without what is past its
    horizon, without it. Label sets are numbered by one byte, so there is no place for one too many.
    """
    ledger = context.ledger
    if context.is_plain or not _is_full(ledger, context.label_set):
        return ledger
    return context.tables.retention.prune(ledger, context.now)


def _is_full(ledger: Ledger, label_set: LabelSet) -> bool:
    return (
        len(ledger.assumed_sent) >= CONTACTS_MAX
        or (len(ledger.created) >= IDENTITIES_MAX and len(ledger.identities) >= IDENTITIES_MAX)
        or (
            len(ledger.label_value_numbers) >= LABEL_SETS_MAX * VALUES_PER_LABEL_SET
            and not knows_tag(ledger, label_set)
        )
    )
