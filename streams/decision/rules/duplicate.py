"""One answer per identity: a repetition is suppressed, and names the first answer.

The name needs no store: a decision's id is derived from the identity, `(customer_id, intent_id)`.
"""

from __future__ import annotations

from hashlib import blake2b

from streams.decision.ledger.state import DECISION_ID_BYTES, Ledger
from streams.decision.ledger.transitions import created_of
from streams.decision.rules.rule import PASS, Answer, denial


def decision_id(customer_id: str, intent_id: str) -> bytes:
    """The id of the one decision on this identity (docs/semantics.md, 6)."""
    customer = customer_id.encode()
    return blake2b(b"%d:%b%b" % (len(customer), customer, intent_id.encode()), digest_size=DECISION_ID_BYTES).digest()


def ask_duplicate(ledger: Ledger, identity: bytes, identities_ms: int, now: int) -> Answer:
    """Answered before, and still remembered?"""
    created_ms = created_of(ledger, identity)
    return PASS if created_ms is None or created_ms < now - identities_ms else denial("duplicate")
