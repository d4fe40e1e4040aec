"""The counts of one batch, kept until its transaction has committed.

Rules of this module
1. It consists of plain dicts, lists and numbers, so that the hot path only adds to them once per decision.
2. Nothing here is a metric yet. An aborted batch discards its tally, which nobody has seen.
3. It contains only codes and moments. No field could hold a customer, an address or content.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeVar, get_args

DEAD_LETTERS_NAMED_MAX: Final = 20
"""Dead letters whose places are kept of a batch, for the log: it shows a few of each kind, and the others are counted.
A batch may consist of thousands."""

Verdict = Literal["approved", "suppressed"]
CountedField = Literal["campaign", "sender", "country"]
"""Fields that are counted only for the words that somebody listed: they may have any number of them."""

COUNTED_FIELDS: Final[tuple[CountedField, ...]] = get_args(CountedField)

Key = TypeVar("Key")


def _counts() -> defaultdict[Key, int]:
    return defaultdict(int)


class DeadLetterPlace(NamedTuple):
    """Where the record stands that became a dead letter, and why."""

    topic: str
    partition: int
    offset: int
    reason: str


@dataclass(slots=True)
class Tally:
    """The counts of one batch: `tally.decisions[(channel, verdict, reason)] += 1`.

    `duplicates` and `ledger_full` are suppressions too and are also counted in `decisions`. `permissions_refused`,
    `unreadable_opt_outs` and `unreadable_outcomes` are dead letters too and are also counted in `dead_letters`. The
    separate counts exist because each has an alert of its own.
    """

    decisions: defaultdict[tuple[str, str, str], int] = field(default_factory=_counts)
    """(channel, verdict, reason). An approval has no reason. Whatever is there is exported as `none`."""
    purposes: defaultdict[tuple[str, Verdict], int] = field(default_factory=_counts)
    """(purpose, verdict)."""
    rules: defaultdict[str, int] = field(default_factory=_counts)
    """Of suppressions: the rule that the answer names."""
    fields: defaultdict[tuple[CountedField, str, Verdict], int] = field(default_factory=_counts)
    """(field of the intent, what it says, verdict): only fields that somebody asked to have counted."""
    dead_letters: defaultdict[tuple[str, str], int] = field(default_factory=_counts)
    """(topic, reason)."""
    dead_letter_places: list[DeadLetterPlace] = field(default_factory=list)
    """The first `DEAD_LETTERS_NAMED_MAX`."""
    rerouted: defaultdict[str, int] = field(default_factory=_counts)
    """Topic on which the misrouted record had arrived."""
    withdrawals: defaultdict[str, int] = field(default_factory=_counts)
    """Reason."""
    preferences: defaultdict[str, int] = field(default_factory=_counts)
    """Type of the preference event."""
    outcomes: defaultdict[tuple[str, bool], int] = field(default_factory=_counts)
    """(type, whether it matched a contact in the ledger)."""
    unknown_fields: defaultdict[str, int] = field(default_factory=_counts)
    """Kind of event: intent, preference, outcome."""
    not_understood: defaultdict[str, int] = field(default_factory=_counts)
    """What was left out or taken for less than it says: time, scope_word, field, event, zone, reply_code."""
    duplicates: int = 0
    permissions_refused: int = 0
    unreadable_opt_outs: int = 0
    unreadable_outcomes: int = 0
    ledger_full: int = 0
    ledgers_pruned: int = 0
    """Ledgers made shorter or removed by retention; those in `ledgers_removed` are among them."""
    ledgers_removed: int = 0
    intent_timestamps_ms: list[int] = field(default_factory=list)
    """Record timestamp of each intent decided, for the latency from there to the commit."""
    preference_timestamps_ms: list[int] = field(default_factory=list)
    """Record timestamp of each preference event applied, for the time until it was in force."""
    decide_seconds: float = 0.0
    """Time spent deciding, over the whole batch."""

    @property
    def decided(self) -> int:
        """How many intents were answered."""
        return sum(self.decisions.values())

    @property
    def records(self) -> int:
        """How many input records this batch dealt with: each was decided, applied, forwarded or dead-lettered, once."""
        return (
            self.decided
            + sum(self.dead_letters.values())
            + sum(self.rerouted.values())
            + sum(self.preferences.values())
            + sum(self.outcomes.values())
        )
