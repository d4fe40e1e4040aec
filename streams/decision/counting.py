"""Which contacts a cap or gap counts, and the greatest of their moments.

Rules of this module (docs/semantics.md, 5)
1. "Obeys" and "counts toward" are two switches: this is the second.
2. A missing value shares every scope: what cannot be told apart is counted together.
3. A contact counts as if sent at the latest moment it can have been.
4. No rule looks at contacts one by one. Where channel and purpose settle what counts, a rule has a table from the
   number of that pair to 0 or 1, and the question has the pair of every contact as a byte: one translation. What a
   scope names beside them (topic, campaign, brand) is one more such row, which the question makes once for all rules.
   Other rules ask once for each label set. Rules that count the same, in windows of their own, share the verdicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from streams.decision.evaluation_context import OPEN_FIELDS, PAIRS_NUMBERED_MAX, EvaluationContext, both
from streams.decision.ledger.state import LabelSet
from streams.decision.selection import contact_matches
from streams.decision.specification import ScopeField, Selector

# Channel and purpose: what a policy's vocabulary makes finite, so that it is matched once, when the policy is compiled.
Pair = tuple[str, str]


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
        self._open_scope = tuple(OPEN_FIELDS[name] for name in scope if name in OPEN_FIELDS)
        pairs = tuple(vocabulary)
        is_settled = excepting is None and not _names_more(selector)
        # For each pair an intent may have: 1 for the pairs whose contacts count, if they share the open scope.
        # None: a contact's pair is not enough.
        self.tables: list[bytes] | None = None
        if is_settled and len(pairs) <= PAIRS_NUMBERED_MAX:
            self.tables = [bytes(self._pair_counts(pair, own) for pair in pairs).ljust(256, b"\0") for own in pairs]

    def counts(self, label_set: LabelSet, own: LabelSet) -> bool:
        """Whether contacts with the label set count for an intent with its own label set."""
        return (
            self._pair_counts((label_set.channel, label_set.purpose), (own.channel, own.purpose))
            and self.selects(label_set)
            and all(_shares(field.of(label_set), field.of(own)) for field in self._open_scope)
        )

    def counts_own(self, pair: int, label_set: LabelSet) -> bool:
        """Whether a contact of the pair of channel and purpose, with that label set, would count for an intent of its
        own kind.
        """
        return bool(self.tables[pair][pair]) if self.tables is not None else self.selects(label_set)

    def selectors(self) -> list[Selector]:
        """What names the words it tells apart."""
        return [self._selector] if self._excepting is None else [self._selector, self._excepting]

    def selects(self, label_set: LabelSet) -> bool:
        """Whether contacts with the label set count at all."""
        if self._excepting is not None and contact_matches(self._excepting, label_set, self._groups):
            return False
        return contact_matches(self._selector, label_set, self._groups)

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

    def count_after(self, context: EvaluationContext, after_ms: int) -> int:
        """How many counted contacts have a latest moment > `after_ms`."""
        inside = context.contacts_after(after_ms)
        if not inside:
            return 0
        return self._verdicts(context).count(1, 0, inside)

    def _verdicts(self, context: EvaluationContext) -> bytes:
        """1 for every contact that counts, 0 for the others."""
        pairs = context.contact_pairs()
        if pairs is not None and self.tables is not None and not self._open_scope:
            return pairs.translate(self.tables[context.pair])  # as quick as to look up what is known
        found = context.verdicts.get(self)
        if found is None:
            found = context.verdicts[self] = self._all_verdicts(context, pairs)
        return found

    def _all_verdicts(self, context: EvaluationContext, pairs: bytes | None) -> bytes:
        if self.tables is None or pairs is None:
            return self._verdicts_by_tag(context)
        verdicts = pairs.translate(self.tables[context.pair])
        for field in self._open_scope:
            verdicts = both(verdicts, context.sharing(field))
        return verdicts

    def _verdicts_by_tag(self, context: EvaluationContext) -> bytes:
        own = context.label_set
        by_label_set = bytes(self.counts(label_set, own) for label_set in context.label_sets()).ljust(256, b"\0")
        return both(context.ledger.label_set_numbers.translate(by_label_set), context.counted())

    def count_ever(self, context: EvaluationContext) -> int:
        """How many counted contacts there ever were, those beyond the history included."""
        ledger = context.ledger
        beyond = 0
        if ledger.archived:
            label_sets = context.label_sets()
            beyond = sum(
                count
                for label_set, count in ledger.archived.items()
                if self.counts(label_sets[label_set], context.label_set)
            )
        return beyond + self.count_after(context, -1)

    def greatest(self, context: EvaluationContext, nth: int) -> int | None:
        """The n-th greatest latest moment of the counted contacts (1 = the newest), or None if there are fewer."""
        verdicts = self._verdicts(context)
        if verdicts.count(1) < nth:
            return None
        place = -1
        for _ in range(nth):
            place = verdicts.index(1, place + 1)
        return context.ledger.base_ms + context.ledger.assumed_sent[place]


def _names_more(selector: Selector) -> bool:
    """Whether the selector needs more of a label set than its pair."""
    return any(value is not None for value in (selector.topics, selector.brands, selector.campaigns))


def _shares(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other
