"""How long a policy keeps what a ledger holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from streams.decision.ledger.retention import Horizons, pruned
from streams.decision.ledger.state import LabelSet, Ledger


@dataclass(frozen=True, slots=True)
class Retention:
    """How long contacts and identities are kept, and which contacts are counted for ever."""

    horizons: Horizons
    # Whether contacts of a label set must be counted beyond the history.
    counts_for_life: Callable[[LabelSet], bool]

    def prune(self, ledger: Ledger, now: int) -> Ledger:
        """The ledger without what the horizons have passed. Changes no decision."""
        return pruned(
            ledger,
            now=now,
            history_ms=self.horizons.history_ms,
            identities_ms=self.horizons.identities_ms,
            counts_for_life=self.counts_for_life,
        )
