"""What outcomes do to a ledger: they say when a contact really happened, and a STOP in any of them is an opt-out.

Rules of this module (docs/semantics.md, 1 and 2)
1. The earliest of a contact's reported times stays, so repeated and reordered outcomes leave the same ledger.
2. A reported time never lies before the decision, nor after both the approval's end and the gate's own clock. One that
   cannot be true confirms nothing: the contact stays where it counts longest.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from streams.decision.ledger.preferences import BELIEVED_FROM_MS, FUTURE_TOLERANCE_MS, Withdrawal, apply_preference
from streams.decision.ledger.state import CONFIRMED, Contact, Ledger
from streams.decision.ledger.transitions import with_changed_contact
from streams.decision.outcome_event import NOT_CONFIRMING, Outcome
from streams.decision.preference_event import PreferenceEvent
from streams.decision.vocabulary import Vocabulary, code, fold

# A no wherever it stands.
STOP_CODES: Final = frozenset({"stop", "stopall", "unsubscribe", "optout"})
# A no in a customer's own vocabulary, 47 CFR 64.1200(a)(10). Elsewhere a call may end and a send be cancelled.
STOP_REPLIES: Final = STOP_CODES | {"quit", "end", "revoke", "cancel"}
# Replies that are understood and change nothing; a yes is given as a preference event.
OTHER_REPLIES: Final = frozenset({"help", "info", "start", "unstop", "yes"})
REPLY: Final = "reply"


class OutcomeResult(NamedTuple):
    """The new ledger, whether the outcome named a contact the ledger knows, and approvals to withdraw.

    `not_understood` says once for each thing that was: `time`, `scope_word` or `reply_code`.
    """

    ledger: Ledger
    matched: bool
    withdrawals: tuple[Withdrawal, ...] = ()
    not_understood: tuple[str, ...] = ()


class OutcomePolicy(Protocol):
    """What outcomes ask of a compiled policy."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What scope words mean."""
        ...


def is_stop(outcome_type: str, detail: str | None) -> bool:
    """Whether the outcome's code is a no."""
    return detail is not None and code(detail) in (STOP_REPLIES if outcome_type == REPLY else STOP_CODES)


def apply_outcome(
    outcome: Outcome, ledger: Ledger, *, recorded_ms: int, now: int, policy: OutcomePolicy
) -> OutcomeResult:
    """Apply one outcome whose record carries `recorded_ms`, at `now`, under this policy. Total."""
    position = _position(ledger, outcome.decision_id)
    channels: list[str | None] = [] if outcome.channel is None else [outcome.channel]
    doubts: tuple[str, ...] = ()
    if position is not None:
        contact = ledger.contacts[position]
        contacted = ledger.label_sets[contact.label_set_number].channel
        if outcome.channel is None or fold(outcome.channel) != fold(contacted):
            channels.append(contacted)
        if outcome.type not in NOT_CONFIRMING:
            if _is_believed(outcome.occurred_at, contact):
                ledger = with_changed_contact(ledger, position, _confirmed(contact, outcome.occurred_at, now))
            else:
                doubts = ("time",)
    withdrawals: tuple[Withdrawal, ...] = ()
    if is_stop(outcome.type, outcome.detail):
        # Neither contact nor channel known: the customer said no, so it is a no to everything.
        for channel in channels or [None]:
            stop = PreferenceEvent(
                event_id=f"reply:{outcome.decision_id or channel}",
                customer_id=outcome.customer_id,
                type="opt_out",
                channel=channel,
                effective_at=outcome.occurred_at,
            )
            result = apply_preference(stop, ledger, recorded_ms=recorded_ms, now=now, vocabulary=policy.vocabulary)
            ledger = result.ledger
            withdrawals += result.withdrawals
            doubts += tuple(doubt for doubt in result.not_understood if doubt not in doubts)
    elif outcome.type == REPLY and outcome.detail is not None and code(outcome.detail) not in OTHER_REPLIES:
        doubts += ("reply_code",)
    return OutcomeResult(ledger, position is not None, withdrawals, doubts)


def _is_believed(occurred_ms: int, contact: Contact) -> bool:
    """Whether something can have been sent then: no earlier than it was decided, as far as clocks agree."""
    return occurred_ms >= BELIEVED_FROM_MS and occurred_ms >= contact.decided_ms - FUTURE_TOLERANCE_MS


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
        moment_ms = min(contact.assumed_sent_ms, max(occurred_ms, contact.decided_ms))
    else:
        moment_ms = min(max(occurred_ms, contact.decided_ms), max(contact.assumed_sent_ms, now))
    return replace(contact, assumed_sent_ms=moment_ms, flags=contact.flags | CONFIRMED)
