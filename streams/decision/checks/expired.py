"""Intents that come too late: past their deadline, past what the gate remembers, or from before an erasure.

Rules of this module (docs/semantics.md, 3)
1. What was created before the horizon of remembered identities cannot be told from a repetition, so it is not decided
   anew: forgetting can never approve twice.
"""

from __future__ import annotations

from streams.decision.answer import PASS, VALIDITY_MIN_MS, Answer, denial
from streams.decision.checks.check import CheckContext
from streams.decision.reasons import PASSED


def ask_horizon(context: CheckContext) -> Answer:
    """Created before the gate's memory of identities begins?"""
    created_at = context.intent.created_at
    is_remembered = (
        created_at >= context.now - context.tables.identities_ms and created_at >= context.ledger.forgotten_ms
    )
    return PASS if is_remembered else denial("expired")


def ask_erasure(context: CheckContext) -> Answer:
    """Created before the customer was erased?"""
    erased_ms = context.ledger.erased_ms
    return denial("expired") if erased_ms is not None and context.intent.created_at <= erased_ms else PASS


def ask_deadline(context: CheckContext) -> Answer:
    """Number: the time left. Denies if less than the minimal validity is left."""
    expires_at = context.intent.expires_at
    if expires_at is None:
        return PASS
    left_ms = expires_at - context.now
    if left_ms - 1 < VALIDITY_MIN_MS:
        return denial("expired", left_ms)
    return PASSED, expires_at, (left_ms,)
