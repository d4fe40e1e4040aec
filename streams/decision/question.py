"""One intent put to the rules that look at the ledger: contacts and preferences, worked out at most once.

Rules of this module
1. What depends on the ledger or the intent alone is worked out on first use and kept; what depends on the moment
   is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.decision.ledger import UNCOUNTED, WORDS_PER_TAG, Preference
from streams.decision.preferences import covering_by_track
from streams.decision.tables import NEVER

if TYPE_CHECKING:
    from streams.decision.intent import Intent
    from streams.decision.ledger import Ledger, Tag
    from streams.decision.policy import Policy
    from streams.decision.situation import Situation

_NOTHING_SAID: Final[list[Preference]] = []

# Pairs of channel and purpose with a number of their own: a byte, of which one value is taken. Policies with a larger
# vocabulary count by looking at tags.
PAIRS_NUMBERED_MAX: Final = 255
# The number of what counts for nobody.
UNCOUNTED_PAIR: Final = 255
_UNCOUNTED_FLAGS: Final = bytes(1 if flags & UNCOUNTED else 0 for flags in range(256))


class Question:
    """An intent, its situation, its customer's ledger and the policy."""

    __slots__ = (
        "_after_ms",
        "_after_places",
        "_covering",
        "_pairs",
        "_pairs_known",
        "intent",
        "ledger",
        "pair",
        "policy",
        "situation",
        "tag",
    )

    def __init__(
        self, intent: Intent, tag: Tag, pair: int, situation: Situation, ledger: Ledger, policy: Policy
    ) -> None:
        self.intent = intent
        self.tag = tag
        # The number of the intent's channel and purpose.
        self.pair = pair
        self.situation = situation
        self.ledger = ledger
        self.policy = policy
        self._pairs_known = False
        self._pairs: bytes | None = None
        self._after_ms = NEVER
        self._after_places = 0
        self._covering: dict[str, list[Preference]] | None = None

    def covering(self, track: str) -> list[Preference]:
        """The customer's preference events of a track that are about contacts like this one."""
        if self._covering is None:
            self._covering = covering_by_track(self.ledger.preferences, self.tag)
        return self._covering.get(track, _NOTHING_SAID)

    def contacts_after(self, after_ms: int) -> int:
        """How many contacts have a latest moment > `after_ms`; they are the first. The last answer is kept."""
        if after_ms != self._after_ms:
            after, places = after_ms - self.ledger.base_ms, 0
            for latest in self.ledger.latest:
                if latest <= after:
                    break
                places += 1
            self._after_ms, self._after_places = after_ms, places
        return self._after_places

    def contact_pairs(self) -> bytes | None:
        """The number of channel and purpose of every contact, `UNCOUNTED_PAIR` for those that count for nobody.

        None if there are contacts with a pair the policy does not declare, or too many pairs to number.
        """
        if not self._pairs_known:
            self._pairs = self._contact_pairs()
            self._pairs_known = True
        return self._pairs

    def _contact_pairs(self) -> bytes | None:
        ledger, numbers = self.ledger, self.policy.pair_numbers
        words, tag_words = ledger.words, ledger.tag_words
        by_tag: list[int] = []
        for place in range(0, len(tag_words), WORDS_PER_TAG):
            number = numbers.get((words[tag_words[place] - 1], words[tag_words[place + 1] - 1]))
            if number is None or number >= PAIRS_NUMBERED_MAX:
                return None
            by_tag.append(number)
        pairs = ledger.tag_numbers.translate(bytes(by_tag).ljust(256, b"\0"))
        uncounted = ledger.flags.translate(_UNCOUNTED_FLAGS)
        if 1 in uncounted:
            return bytes([UNCOUNTED_PAIR if uncounted[n] else pair for n, pair in enumerate(pairs)])
        return pairs
