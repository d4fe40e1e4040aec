"""Intents that come too late: past their deadline, past what the gate remembers, or from before an erasure.

Rules of this module (docs/semantics.md, 3)
1. What was created before the horizon of remembered identities cannot be told from a repetition, so it is not decided
   anew: forgetting can never approve twice.
"""

from __future__ import annotations

from streams.decision.intent import Intent
from streams.decision.ledger.state import Ledger
from streams.decision.rules.rule import PASS, Answer, denial, too_short


def ask_horizon(intent: Intent, ledger: Ledger, identities_ms: int, now: int) -> Answer:
    """Created before the gate's memory of identities begins?"""
    return denial("expired") if intent.created_at < max(now - identities_ms, ledger.forgotten_ms) else PASS


def ask_erasure(intent: Intent, ledger: Ledger) -> Answer:
    """Created before the customer was erased?"""
    erased_ms = ledger.erased_ms
    return denial("expired") if erased_ms is not None and intent.created_at <= erased_ms else PASS


def ask_deadline(intent: Intent, now: int) -> Answer:
    """Number: the time left. Denies if less than the minimal validity is left."""
    expires_at = intent.expires_at
    if expires_at is None:
        return PASS
    if too_short(expires_at, now):
        return denial("expired", expires_at - now)
    return 0, expires_at, (expires_at - now,)
