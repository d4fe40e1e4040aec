"""A ledger without room for one more contact approves nothing: what could not be counted is not sent.

Counted is only what is still inside its horizon, so the moment of pruning is never visible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.decision.ledger import CONTACTS_MAX, IDENTITIES_MAX, TAGS_MAX, WORDS_PER_TAG, Ledger, Tag
from streams.decision.ledger_changes import knows_tag
from streams.decision.rules.rule import PASS, Answer, denial

if TYPE_CHECKING:
    from streams.decision.policy import Policy


def ask_ledger_full(ledger: Ledger, tag: Tag, policy: Policy, now: int) -> Answer:
    """Is there room for one more contact of this tag, and for its identity?"""
    if ledger.preference_refused:
        return denial("ledger_full")
    if not _is_full(ledger, tag):
        return PASS
    return denial("ledger_full") if _is_full(policy.prune(ledger, now), tag) else PASS


def with_room(ledger: Ledger, tag: Tag, policy: Policy, now: int) -> Ledger:
    """The ledger a contact of this tag is added to once the check has passed: where there was room only without what
    is past its horizon, without it. Tags are numbered by one byte, so there is no place for one too many.
    """
    return policy.prune(ledger, now) if _is_full(ledger, tag) else ledger


def _is_full(ledger: Ledger, tag: Tag) -> bool:
    return (
        len(ledger.latest) >= CONTACTS_MAX
        or (len(ledger.created) >= IDENTITIES_MAX and len(ledger.identities) >= IDENTITIES_MAX)
        or (len(ledger.tag_words) >= TAGS_MAX * WORDS_PER_TAG and not knows_tag(ledger, tag))
    )
