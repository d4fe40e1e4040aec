"""Which contacts a cap or gap counts, and the greatest of their moments.

Rules of this module (docs/semantics.md, 5)
1. "Obeys" and "counts toward" are two switches: this is the second.
2. A missing value shares every scope: what cannot be told apart is counted together.
3. A contact counts as if sent at the latest moment it can have been.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Final

from streams.decision.ledger import CONTACTS_MAX, UNCOUNTED, Tag
from streams.decision.question import Question
from streams.decision.selection import contact_matches
from streams.decision.specification import ScopeField, Selector

# Channel and purpose: what a policy's vocabulary makes finite, so that it is matched once, when the policy is compiled.
Pair = tuple[str, str]
# What else a scope may name; a contact or intent may lack it.
_OPEN_FIELDS: Final = {"topic": attrgetter("topic"), "campaign": attrgetter("campaign"), "brand": attrgetter("brand")}


class Counting:
    """Which contacts count, and what they must share with the intent."""

    __slots__ = (
        "_excepting",
        "_groups",
        "_is_settled_by_pair",
        "_open_scope",
        "_pairs",
        "_scope",
        "_selector",
    )

    def __init__(
        self,
        selector: Selector,
        excepting: Selector | None,
        scope: tuple[ScopeField, ...],
        groups: Mapping[str, str],
        vocabulary: Iterable[Pair],
    ) -> None:
        self._selector = selector
        self._excepting = excepting
        self._groups = groups
        self._scope = scope
        self._open_scope = tuple(_OPEN_FIELDS[field] for field in scope if field in _OPEN_FIELDS)
        self._is_settled_by_pair = not self._open_scope and excepting is None and not _names_more(selector)
        pairs = tuple(vocabulary)
        # For each pair an intent may have: does a contact's pair count? Pairs the policy no longer declares are absent.
        self._pairs = {own: {pair: self._pair_counts(pair, own) for pair in pairs} for own in pairs}

    def counts(self, tag: Tag, own: Tag) -> bool:
        """Whether contacts with the tag count for an intent with its own tag."""
        return (
            self._pair_counts((tag.channel, tag.purpose), (own.channel, own.purpose))
            and self.selects(tag)
            and all(_shares(value(tag), value(own)) for value in self._open_scope)
        )

    def selects_own(self, own: Tag) -> bool:
        """Whether a contact with the intent's own tag would count: `selects`, by its pair where that settles it."""
        pair = own.channel, own.purpose
        return self._pairs[pair][pair] if self._is_settled_by_pair else self.selects(own)

    def selects(self, tag: Tag) -> bool:
        """Whether contacts with the tag count at all."""
        if self._excepting is not None and contact_matches(self._excepting, tag, self._groups):
            return False
        return contact_matches(self._selector, tag, self._groups)

    def _pair_counts(self, pair: Pair, own: Pair) -> bool:
        """Whether contacts of the pair may count for intents of the other, as far as channel and purpose tell."""
        channel, purpose = pair
        selector, groups = self._selector, self._groups
        return (
            (selector.channels is None or channel in selector.channels)
            and (selector.groups is None or groups.get(channel, channel) in selector.groups)
            and (selector.purposes is None or purpose in selector.purposes)
            and ("channel" not in self._scope or channel == own[0])
            and ("purpose" not in self._scope or purpose == own[1])
            and ("channel_group" not in self._scope or groups.get(channel, channel) == groups.get(own[0], own[0]))
        )

    def moments(self, question: Question, after_ms: int, most: int = CONTACTS_MAX) -> list[int]:
        """The latest moments > `after_ms` of the counted contacts, newest first, `most` of them at most."""
        own, ledger = question.tag, question.ledger
        verdicts, tags, is_settled = self._pairs[own.channel, own.purpose], ledger.tags, self._is_settled_by_pair
        found: list[int] = []
        for contact in ledger.contacts:
            latest_ms = contact.latest_ms
            if latest_ms <= after_ms:
                break
            if contact.flags & UNCOUNTED:
                continue
            tag = tags[contact.tag]
            verdict = verdicts.get((tag.channel, tag.purpose)) if is_settled else None
            if self.counts(tag, own) if verdict is None else verdict:
                found.append(latest_ms)
                if len(found) == most:
                    break
        return found

    def count_after(self, question: Question, after_ms: int) -> int:
        """How many counted contacts have a latest moment > `after_ms`."""
        contacts = question.ledger.contacts
        if not contacts or contacts[0].latest_ms <= after_ms:
            return 0
        return len(self.moments(question, after_ms))

    def count_ever(self, question: Question) -> int:
        """How many counted contacts there ever were, those beyond the history included."""
        tags, archived = question.ledger.tags, question.ledger.archived
        beyond = sum(count for tag, count in archived.items() if self.counts(tags[tag], question.tag))
        return beyond + self.count_after(question, -1)

    def greatest(self, question: Question, nth: int) -> int | None:
        """The n-th greatest latest moment of the counted contacts (1 = the newest), or None if there are fewer."""
        found = self.moments(question, -1, nth)
        return found[-1] if len(found) == nth else None


def _names_more(selector: Selector) -> bool:
    """Whether the selector needs more of a tag than its pair."""
    return any(value is not None for value in (selector.topics, selector.brands, selector.campaigns))


def _shares(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other
