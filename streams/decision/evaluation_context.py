"""One intent put to the rules that look at the ledger: contacts and preferences, worked out at most once.

Rules of this module
1. What depends on the ledger or the intent alone is worked out on first use and kept; what depends on the moment
   is not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from operator import attrgetter
from typing import Final

from streams.decision.ledger.precedence import covering_by_track
from streams.decision.ledger.state import UNCOUNTED, VALUES_PER_LABEL_SET, LabelSet, Ledger, Preference
from streams.decision.request_context import RequestContext
from streams.decision.tables import NEVER
from streams.decision.vocabulary import Vocabulary

# Pairs of channel and purpose with a number of their own: a byte, of which one value is taken. Policies with a larger
# vocabulary count by looking at label sets.
PAIRS_NUMBERED_MAX: Final = 255
# The number of what counts for nobody.
UNCOUNTED_PAIR: Final = 255
_COUNTED_FLAGS: Final = bytes(0 if flags & UNCOUNTED else 1 for flags in range(256))


class OpenField:
    """What a scope may name beside channel and purpose: a contact or an intent may lack it."""

    __slots__ = ("of", "place")

    def __init__(self, name: str) -> None:
        # The field of a label set, and its place among the words of one.
        self.of: Callable[[LabelSet], str | None] = attrgetter(name)
        self.place = LabelSet.__struct_fields__.index(name)


OPEN_FIELDS: Final = {name: OpenField(name) for name in ("topic", "campaign", "brand")}


class EvaluationContext:
    """The label set of an intent, its request, and its customer's ledger.

    Args:
        label_set: the intent's own, every word of it; that of the request has only the words that the plan names.
        request: what is settled of the intent beside its customer's history.
        ledger: the customer's.
        vocabulary: what the words of preferences mean.
        pair_numbers: the number of every channel and purpose.
    """

    __slots__ = (
        "_after_ms",
        "_after_places",
        "_counted",
        "_covering",
        "_label_sets",
        "_pair_numbers",
        "_pairs",
        "_pairs_known",
        "_sharing",
        "label_set",
        "ledger",
        "pair",
        "request",
        "verdicts",
        "vocabulary",
    )

    def __init__(
        self,
        label_set: LabelSet,
        request: RequestContext,
        ledger: Ledger,
        vocabulary: Vocabulary,
        pair_numbers: Mapping[tuple[str, str], int],
    ) -> None:
        self.label_set = label_set
        # The number of the intent's channel and purpose.
        self.pair = request.channel_purpose.number
        self.request = request
        self.ledger = ledger
        self.vocabulary = vocabulary
        self._pair_numbers = pair_numbers
        self._pairs_known = False
        self._pairs: bytes | None = None
        self._after_ms = NEVER
        self._after_places = 0
        self._covering: dict[str, list[Preference]] | None = None
        self._counted: bytes | None = None
        self._sharing: dict[OpenField, bytes] = {}
        self._label_sets: tuple[LabelSet, ...] | None = None
        # 1 for every contact that counts, kept by who says so.
        self.verdicts: dict[Hashable, bytes] = {}

    def covering(self) -> dict[str, list[Preference]]:
        """The customer's preference events that are about contacts like this one, by track; tracks without any are
        absent.
        """
        if self._covering is None:
            self._covering = covering_by_track(self.ledger.preferences, self.label_set, self.vocabulary)
        return self._covering

    def contacts_after(self, after_ms: int) -> int:
        """How many contacts have a latest moment > `after_ms`; they are the first. The last answer is kept."""
        if after_ms != self._after_ms:
            after, places = after_ms - self.ledger.base_ms, 0
            for latest in self.ledger.assumed_sent:
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
        ledger, numbers = self.ledger, self._pair_numbers
        words, label_value_numbers = ledger.label_values, ledger.label_value_numbers
        by_label_set: list[int] = []
        for place in range(0, len(label_value_numbers), VALUES_PER_LABEL_SET):
            number = numbers.get((words[label_value_numbers[place] - 1], words[label_value_numbers[place + 1] - 1]))
            if number is None or number >= PAIRS_NUMBERED_MAX:
                return None
            by_label_set.append(number)
        pairs = ledger.label_set_numbers.translate(bytes(by_label_set).ljust(256, b"\0"))
        counted = self.counted()
        if 0 in counted:
            return bytes([pair if counted[n] else UNCOUNTED_PAIR for n, pair in enumerate(pairs)])
        return pairs

    def counted(self) -> bytes:
        """1 for every contact that counts for anybody."""
        if self._counted is None:
            self._counted = self.ledger.flags.translate(_COUNTED_FLAGS)
        return self._counted

    def label_sets(self) -> tuple[LabelSet, ...]:
        """What the contacts were about, by number."""
        if self._label_sets is None:
            self._label_sets = self.ledger.label_sets
        return self._label_sets

    def sharing(self, field: OpenField) -> bytes:
        """1 for every contact that shares this field of a label set (`OPEN_FIELDS`) with the intent, or may: where
        either lacks it.
        """
        found = self._sharing.get(field)
        if found is None:
            found = self._sharing[field] = self._shares(field)
        return found

    def _shares(self, field: OpenField) -> bytes:
        ledger, own = self.ledger, field.of(self.label_set)
        if own is None:
            return b"\1" * len(ledger.label_set_numbers)
        # 0: it lacks it. A word that the ledger does not have is nobody's.
        shared = (0, ledger.label_values.index(own) + 1) if own in ledger.label_values else (0,)
        by_label_set = bytes(
            [1 if word in shared else 0 for word in ledger.label_value_numbers[field.place :: VALUES_PER_LABEL_SET]]
        )
        return ledger.label_set_numbers.translate(by_label_set.ljust(256, b"\0"))


def both(one: bytes, other: bytes) -> bytes:
    """1 where both rows, as long as each other, say 1."""
    return (int.from_bytes(one, "little") & int.from_bytes(other, "little")).to_bytes(len(one), "little")
