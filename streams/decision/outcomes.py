"""What outcomes do to a ledger: they say when a contact really happened, and a STOP in a reply is an opt-out.

Rules of this module (docs/semantics.md, 1 and 2)
1. The earliest of a contact's reported times stays, so repeated and reordered outcomes leave the same ledger.
2. A reported time never lies before the decision, nor after both the approval's end and the gate's own clock.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from streams.decision.ledger import CONFIRMED, Contact, Ledger
from streams.decision.ledger_changes import with_changed_contact
from streams.decision.outcome import NOT_CONFIRMING, Outcome
from streams.decision.preference import PreferenceEvent
from streams.decision.preferences import Withdrawal, apply_preference

# The code of a reply that says no, in whatever case a gateway writes it.
STOP: Final = "stop"


class OutcomeResult(NamedTuple):
    """The new ledger, whether the outcome named a contact the ledger knows, and approvals to withdraw."""

    ledger: Ledger
    matched: bool
    withdrawals: tuple[Withdrawal, ...] = ()


def apply_outcome(outcome: Outcome, ledger: Ledger, *, recorded_ms: int, now: int) -> OutcomeResult:
    """Apply one outcome whose record carries `recorded_ms`, at `now`. Total."""
    position = _position(ledger, outcome.decision_id)
    channel = outcome.channel
    if position is not None:
        contact = ledger.contacts[position]
        channel = ledger.tags[contact.tag].channel
        if outcome.type not in NOT_CONFIRMING:
            ledger = with_changed_contact(ledger, position, _confirmed(contact, outcome.occurred_at, now))
    matched = position is not None
    if outcome.type != "reply" or outcome.detail is None or outcome.detail.strip().casefold() != STOP:
        return OutcomeResult(ledger, matched)
    # Neither contact nor channel known: the customer said no, so it is a no to everything.
    stop = PreferenceEvent(
        event_id=f"reply:{outcome.decision_id or channel}",
        customer_id=outcome.customer_id,
        type="opt_out",
        channel=channel,
        effective_at=outcome.occurred_at,
    )
    result = apply_preference(stop, ledger, recorded_ms=recorded_ms, now=now)
    return OutcomeResult(result.ledger, matched, result.withdrawals)


def _position(ledger: Ledger, decision_id: str | None) -> int | None:
    """Where the contact is; of two with one identity (named again after its horizon) the one decided last."""
    if decision_id is None:
        return None
    wanted = bytes.fromhex(decision_id)
    if wanted not in ledger.ids:
        return None
    found = [position for position, contact in enumerate(ledger.contacts) if contact.decision_id == wanted]
    return max(found, key=lambda position: ledger.decided[position], default=None)


def _confirmed(contact: Contact, occurred_ms: int, now: int) -> Contact:
    if contact.flags & CONFIRMED:
        moment_ms = min(contact.latest_ms, max(occurred_ms, contact.decided_ms))
    else:
        moment_ms = min(max(occurred_ms, contact.decided_ms), max(contact.latest_ms, now))
    return replace(contact, latest_ms=moment_ms, flags=contact.flags | CONFIRMED)
