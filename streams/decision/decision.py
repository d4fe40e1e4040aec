"""The answer to one intent, as a value."""

from __future__ import annotations

from msgspec import Struct, field

from streams.decision.ledger.state import Ledger

# One rule's entry: rule number, verdict number, then the kind's numbers (docs/semantics.md, 7).
Entry = tuple[int, ...]


class Decision(Struct, frozen=True, kw_only=True, gc=False):
    """The answer. Moments are epoch milliseconds; `valid_until` only if approved, the reason only if suppressed."""

    is_approved: bool
    decision_id: str
    ledger: Ledger
    entries: tuple[Entry, ...]
    zone: tuple[str, ...] | None
    valid_until: int = 0
    remaining: dict[str, int] = field(default_factory=dict)
    obligations: tuple[str, ...] = ()
    reason: str = ""
    rule_id: str = ""
    next_eligible_at: int | None = None

    @property
    def is_duplicate(self) -> bool:
        """Whether the intent was answered before."""
        return self.reason == "duplicate"
