"""The words a customer's event is about: spellings, other names, and what they mean under a policy.

Rules of this module (docs/semantics.md, 1)
1. Words are compared folded: without regard to letter case, white space and invisible characters.
2. What a word means is asked anew each time, so that declaring a word narrows what it covers.
3. A word that means nothing covers everything where it restricts, and nothing where it permits.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

ScopeName = str

# The fields a scope may name, as the events call them.
SCOPE_FIELDS: Final = ("channel", "purpose", "topic", "brand", "sender_id")

# Folded words that are remembered: those of thousands of brands, topics and senders, at a hundred bytes each.
FOLDED_KEPT_MAX: Final = 8_192

# What people write into a field that names one thing when they mean all of them; the empty word is one of blanks alone.
EVERYTHING: Final = frozenset({"all", "any", "every", "everything", "*", ""})
_INVISIBLE: Final = "Cf"


@lru_cache(maxsize=FOLDED_KEPT_MAX)
def fold(word: str) -> str:
    """The word as it is compared. Folding what is folded changes nothing.

    Compatibility forms and letter case go as in Unicode's NFKC_Casefold (Unicode Standard, section 3.13), and with
    them white space and invisible characters (general category Cf).
    """
    while True:
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", word).casefold())
        if not folded.isascii():
            folded = "".join([c for c in folded if unicodedata.category(c) != _INVISIBLE])
        folded = "".join(folded.split())
        if folded == word:
            return folded
        word = folded


def code(text: str) -> str:
    """A code as it is compared: folded, and without hyphens and underscores."""
    return fold(text).replace("-", "").replace("_", "")


class Vocabulary:
    """What scope words mean under a policy.

    Args:
        channels: every channel with its group, or None.
        purposes: every purpose.
        other_names: by field of a scope, the word that each folded other name stands for.
    """

    __slots__ = ("_named", "_permitted", "_purposes", "_restricted")

    def __init__(
        self,
        channels: Mapping[str, str | None],
        purposes: frozenset[str],
        other_names: Mapping[ScopeName, Mapping[str, str]],
    ) -> None:
        self._named = {field: {fold(name): fold(word) for name, word in other_names.get(field, {}).items()}
                       for field in SCOPE_FIELDS}  # fmt: skip
        grouped: dict[str, set[str]] = {}
        for channel, group in channels.items():
            if group is not None:
                grouped.setdefault(fold(group), set()).add(channel)
        single = {fold(channel): frozenset((channel,)) for channel in channels}
        groups = {group: frozenset(members) for group, members in grouped.items()}
        # A word that names a channel and a group: the wider where it restricts, the narrower where it permits.
        self._restricted = {**single, **groups}
        self._permitted = {**groups, **single}
        self._purposes = {fold(purpose): purpose for purpose in purposes}

    def word(self, field: ScopeName, named: str) -> str:
        """The folded word, under the one name that stands for all its other names."""
        folded = fold(named)
        return self._named[field].get(folded, folded)

    def understands(self, field: ScopeName, named: str) -> bool:
        """Whether the word means something in this field."""
        word = self.word(field, named)
        if field == "channel":
            return word in self._restricted
        if field == "purpose":
            return word in self._purposes
        return word not in EVERYTHING

    def covers_channel(self, named: str, channel: str, *, restricts: bool) -> bool:
        """Whether a scope's channel word takes in this channel."""
        word = self.word("channel", named)
        meant = (self._restricted if restricts else self._permitted).get(word)
        return (restricts if meant is None else channel in meant) or fold(channel) in (word, fold(named))

    def covers_purpose(self, named: str, purpose: str, *, restricts: bool) -> bool:
        """Whether a scope's purpose word takes in this purpose."""
        word = self.word("purpose", named)
        meant = self._purposes.get(word)
        return (restricts if meant is None else purpose == meant) or fold(purpose) in (word, fold(named))

    def covers_open(self, field: ScopeName, named: str, value: str | None, *, restricts: bool) -> bool:
        """Whether a scope's topic, brand or sender takes in this one, or the lack of one."""
        if value is None:
            return restricts
        word = self.word(field, named)
        return word == self.word(field, value) or (restricts and word in EVERYTHING)
