"""What a scope word means: docs/semantics.md, section 1, "Words".

Invariant: words are kept as they were written, folded; what they mean is asked anew under the policy at hand.
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass, field

SCOPE_FIELDS = ("channel", "purpose", "topic", "brand", "sender_id")
LISTED_FIELDS = ("channel", "purpose")  # a policy lists their words
EVERYTHING = frozenset({"all", "any", "every", "everything", "*", ""})  # nothing is left of a word of blanks
OTHER_NAMES_OF = {
    "channels": "channel",
    "purposes": "purpose",
    "topics": "topic",
    "brands": "brand",
    "senders": "sender_id",
}


@functools.lru_cache(maxsize=50_000)
def folded(word: str) -> str:
    """The form in which words are compared."""
    before = None
    while word != before:
        before = word
        word = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
        word = "".join(c for c in word if not c.isspace() and unicodedata.category(c) != "Cf")
    return word


@dataclass(frozen=True)
class Words:
    """A policy's words."""

    channels: dict[str, str]  # channel to group, as written
    purposes: frozenset[str]  # folded
    other_names: dict[str, dict[str, str]] = field(default_factory=dict)  # by scope field; both names folded

    def itself(self, name: str, word: str) -> str:
        """The word that a folded word is, where it is another name of one."""
        return self.other_names.get(name, {}).get(word, word)

    @functools.cached_property
    def folded_channels(self) -> frozenset[str]:
        return frozenset(map(folded, self.channels))

    @functools.cached_property
    def folded_groups(self) -> frozenset[str]:
        return frozenset(map(folded, self.channels.values()))

    def understood(self, name: str, word: str) -> bool:
        """Whether this policy knows a folded word of a scope."""
        word = self.itself(name, word)
        if name == "channel":
            return word in self.folded_channels or word in self.folded_groups
        return word in self.purposes if name == "purpose" else word not in EVERYTHING

    def covers(self, name: str, word: str, actual: str, *, restrictive: bool) -> bool:
        """Whether a folded word of a scope covers an intent's word in this field."""
        if word == folded(actual):
            return True
        if not self.understood(name, word):
            return restrictive
        word = self.itself(name, word)
        if name != "channel":
            return word == self.itself(name, folded(actual))
        as_group = word in self.folded_groups
        if as_group and (restrictive or word not in self.folded_channels):
            return actual in self.channels and folded(self.channels[actual]) == word
        return actual in self.channels and folded(actual) == word

    def same(self, name: str, one: str, other: str) -> bool:
        """Whether two folded words of a scope are one word."""
        return one == other or self.itself(name, one) == self.itself(name, other)
