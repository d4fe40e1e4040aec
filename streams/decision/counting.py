"""Which contacts a cap or gap counts, and the greatest of their moments.

Rules of this module (docs/semantics.md, 5)
1. "Obeys" and "counts toward" are two switches: this is the second.
2. A missing value shares every scope: what cannot be told apart is counted together.
3. A contact counts as if sent at the latest moment it can have been.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from streams.decision.ledger import UNCOUNTED, Tag
from streams.decision.question import Question
from streams.decision.selection import contact_matches
from streams.decision.specification import ScopeField, Selector

_TAG_FIELD: Final = {
    "channel": "channel",
    "purpose": "purpose",
    "topic": "topic",
    "campaign": "campaign",
    "brand": "brand",
}


@dataclass(frozen=True, slots=True, eq=False)
class Counting:
    """Which contacts count, and what they must share with the intent. Rules that count alike share one, by `index`."""

    index: int
    selector: Selector
    excepting: Selector | None
    scope: tuple[ScopeField, ...]
    groups: Mapping[str, str]

    def counts(self, tag: Tag, own: Tag) -> bool:
        """Whether contacts with the tag count for an intent with its own tag."""
        return self.selects(tag) and all(self._shares(field, tag, own) for field in self.scope)

    def selects(self, tag: Tag) -> bool:
        """Whether contacts with the tag count at all."""
        if self.excepting is not None and contact_matches(self.excepting, tag, self.groups):
            return False
        return contact_matches(self.selector, tag, self.groups)

    def _shares(self, field: ScopeField, tag: Tag, own: Tag) -> bool:
        if field == "channel_group":
            return self.groups.get(tag.channel, tag.channel) == self.groups.get(own.channel, own.channel)
        name = _TAG_FIELD[field]
        one, other = getattr(tag, name), getattr(own, name)
        return one is None or other is None or bool(one == other)

    def count_after(self, question: Question, after_ms: int) -> int:
        """How many counted contacts have a latest moment > `after_ms`."""
        counted = question.counted(self)
        count = 0
        for contact in question.ledger.contacts:
            if contact.latest_ms <= after_ms:
                break
            if counted[contact.tag] and not contact.flags & UNCOUNTED:
                count += 1
        return count

    def count_ever(self, question: Question) -> int:
        """How many counted contacts there ever were, those beyond the history included."""
        counted = question.counted(self)
        archived = sum(count for tag, count in question.ledger.archived.items() if counted[tag])
        return archived + self.count_after(question, -1)

    def greatest(self, question: Question, nth: int) -> int | None:
        """The n-th greatest latest moment of the counted contacts (1 = the newest), or None if there are fewer."""
        counted = question.counted(self)
        for contact in question.ledger.contacts:
            if counted[contact.tag] and not contact.flags & UNCOUNTED:
                nth -= 1
                if nth == 0:
                    return contact.latest_ms
        return None
