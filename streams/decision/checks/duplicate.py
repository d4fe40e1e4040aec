"""One answer per identity: a repetition is suppressed, and names the first answer.

The name needs no store: a decision's id is derived from the identity, `(customer_id, intent_id)`.
"""

from __future__ import annotations

from hashlib import blake2b

from streams.decision.answer import PASS, Answer, denial
from streams.decision.checks.check import CheckContext
from streams.decision.ledger.state import DECISION_ID_BYTES
from streams.decision.ledger.transitions import created_of


def decision_id(customer_id: str, intent_id: str) -> bytes:
    """The id of the one decision on this identity (docs/semantics.md, 6)."""
    customer = customer_id.encode()
    return blake2b(b"%d:%b%b" % (len(customer), customer, intent_id.encode()), digest_size=DECISION_ID_BYTES).digest()


def ask_duplicate(context: CheckContext) -> Answer:
    """Answered before, and still remembered?"""
    ledger, identity = context.ledger, context.identity
    if identity not in ledger.ids:
        return PASS
    created_ms = created_of(ledger, identity)
    is_remembered = created_ms is not None and created_ms >= context.now - context.tables.identities_ms
    return denial("duplicate") if is_remembered else PASS
