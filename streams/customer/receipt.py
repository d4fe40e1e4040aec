"""What an erasure did, and what stays until when: as a document, and in lines for a person.

Rules of this module
1. A receipt does not name the customer. It has the hash by which the access log names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from streams.customer.document import moment, preference_document
from streams.customer.words import preference_in_words
from streams.decision.preference_event import RESTRICTIVE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.customer.deadlines import Stay
    from streams.customer.publishing import Published
    from streams.decision.ledger.state import Ledger, Preference

HOW_LONG: Final = "under a keyed hash of the id, for good"
NO_BECAUSE: Final = "a no outlives the erasure, or it would let the customer be contacted again"
YES_BECAUSE: Final = "it says how far a no goes that outlives the erasure"
MARK_BECAUSE: Final = "intents created before the erasure must not be decided after it"
OUT_OF_REACH: Final = (
    "Copies outside of these topics (backups, mirrors, what upstream systems and gateways keep, the access log) are "
    "not touched."
)


@dataclass(frozen=True)
class Receipt:
    """One erasure. `left` is what the gate kept; None while no gate has applied the event."""

    customer_hash: str
    event_id: str
    published: Published
    left: Ledger | None
    stays: Sequence[Stay]

    @property
    def is_applied(self) -> bool:
        """Whether the gate has answered."""
        return self.left is not None

    def as_document(self) -> dict[str, Any]:
        """For machines."""
        left = self.left
        return {
            "type": "erasure-receipt",
            "customer_hash": self.customer_hash,
            "event_id": self.event_id,
            "published": {
                "topic": self.published.topic,
                "partition": self.published.partition,
                "offset": self.published.offset,
                "timestamp": moment(self.published.timestamp_ms),
            },
            "is_applied": self.is_applied,
            "erased_at": None if left is None or left.erased_ms is None else moment(left.erased_ms),
            "kept": [] if left is None else [preference_document(each) for each in surviving(left)],
            "stays": [
                {
                    "topic": each.topic,
                    "what": each.what,
                    "until": None if each.until_ms is None else moment(each.until_ms),
                    "why": each.why,
                }
                for each in self.stays
            ],
        }

    def in_words(self) -> Iterator[str]:
        """For a person."""
        place = f"{self.published.topic}-{self.published.partition}-{self.published.offset}"
        yield f"Customer      {self.customer_hash} (the hash by which the access log names them)"
        yield f"Erasure       event {self.event_id} at {place}, {moment(self.published.timestamp_ms)}"
        if self.left is None:
            yield "Not applied   no gate has come to the event yet. It is applied as soon as one decides."
        else:
            yield "Applied       the ledger is deleted: contacts, intents, consents, profile"
            yield from kept_in_words(self.left)
        for each in self.stays:
            until = "no deadline" if each.until_ms is None else f"until {moment(each.until_ms)} at the latest"
            yield f"Stays         {each.what} in {each.topic}: {until} ({each.why})"
        yield OUT_OF_REACH


def surviving(ledger: Ledger) -> list[Preference]:
    """What the customer said that outlives an erasure: all but consents."""
    return [each for each in ledger.preferences if not each.type.startswith("consent")]


def kept_in_words(left: Ledger) -> Iterator[str]:
    """What an erasure leaves, and why."""
    if left.erased_ms is not None:
        yield f"Kept          the moment of the erasure, {moment(left.erased_ms)}, {HOW_LONG}: {MARK_BECAUSE}"
    for each in surviving(left):
        why = NO_BECAUSE if each.type in RESTRICTIVE else YES_BECAUSE
        yield f"Kept          {preference_in_words(each)}, {HOW_LONG}: {why}"
