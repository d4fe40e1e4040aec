"""Which contacts a cap or gap counts, and the greatest of their moments.

Rules of this module (docs/semantics.md, 5)
1. "Obeys" and "counts toward" are two switches: this is the second.
2. A missing value shares every scope: what cannot be told apart is counted together.
3. A contact counts as if sent at the latest moment it can have been.
4. Where channel and purpose settle what counts, a rule has a table from the number of that pair to 0 or 1, and the
   question has the pair of every contact as a byte: counting is then one translation, whatever the number of contacts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import Final

from streams.decision.ledger import CONTACTS_MAX, UNCOUNTED, Tag
from streams.decision.question import PAIRS_NUMBERED_MAX, Question
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
        "_open_scope",
        "_scope",
        "_selector",
        "tables",
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
        pairs = tuple(vocabulary)
        is_settled = not self._open_scope and excepting is None and not _names_more(selector)
        # For each pair an intent may have: 1 for the pairs whose contacts count. None: a contact's pair is not enough.
        self.tables: list[bytes] | None = None
        if is_settled and len(pairs) <= PAIRS_NUMBERED_MAX:
            self.tables = [bytes(self._pair_counts(pair, own) for pair in pairs).ljust(256, b"\0") for own in pairs]

    def counts(self, tag: Tag, own: Tag) -> bool:
        """Whether contacts with the tag count for an intent with its own tag."""
        return (
            self._pair_counts((tag.channel, tag.purpose), (own.channel, own.purpose))
            and self.selects(tag)
            and all(_shares(value(tag), value(own)) for value in self._open_scope)
        )

    def counts_own(self, pair: int, tag: Tag) -> bool:
        """Whether a contact of the pair of channel and purpose, with that tag, would count for an intent of its own
        kind.
        """
        return bool(self.tables[pair][pair]) if self.tables is not None else self.selects(tag)

    def selectors(self) -> list[Selector]:
        """What names the words it tells apart."""
        return [self._selector] if self._excepting is None else [self._selector, self._excepting]

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

    def count_after(self, question: Question, after_ms: int) -> int:
        """How many counted contacts have a latest moment > `after_ms`."""
        inside = question.contacts_after(after_ms)
        if not inside:
            return 0
        verdicts = self._verdicts(question)
        if verdicts is None:
            return len(self._moments(question, after_ms, CONTACTS_MAX))
        return verdicts.count(1, 0, inside)

    def _verdicts(self, question: Question) -> bytes | None:
        """1 for every contact that counts, 0 for the others; None if that takes a look at each contact's tag."""
        pairs = question.contact_pairs()
        if self.tables is None or pairs is None:
            return None
        return pairs.translate(self.tables[question.pair])

    def _moments(self, question: Question, after_ms: int, most: int) -> list[int]:
        """The latest moments > `after_ms` of the counted contacts, newest first, `most` of them at most."""
        ledger = question.ledger
        tags, verdicts, found = ledger.tags, dict[int, bool](), list[int]()
        for place in range(question.contacts_after(after_ms)):
            if ledger.flags[place] & UNCOUNTED:
                continue
            number = ledger.tag_numbers[place]
            verdict = verdicts.get(number)
            if verdict is None:
                verdict = verdicts[number] = self.counts(tags[number], question.tag)
            if verdict:
                found.append(ledger.base_ms + ledger.latest[place])
                if len(found) == most:
                    break
        return found

    def count_ever(self, question: Question) -> int:
        """How many counted contacts there ever were, those beyond the history included."""
        ledger = question.ledger
        beyond = 0
        if ledger.archived:
            tags = ledger.tags
            beyond = sum(count for tag, count in ledger.archived.items() if self.counts(tags[tag], question.tag))
        return beyond + self.count_after(question, -1)

    def greatest(self, question: Question, nth: int) -> int | None:
        """The n-th greatest latest moment of the counted contacts (1 = the newest), or None if there are fewer."""
        verdicts = self._verdicts(question)
        if verdicts is None:
            found = self._moments(question, -1, nth)
            return found[-1] if len(found) == nth else None
        place = -1
        for _ in range(nth):
            place = verdicts.find(1, place + 1)
            if place < 0:
                return None
        return question.ledger.base_ms + question.ledger.latest[place]


def _names_more(selector: Selector) -> bool:
    """Whether the selector needs more of a tag than its pair."""
    return any(value is not None for value in (selector.topics, selector.brands, selector.campaigns))


def _shares(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other
