"""What the stored ledgers say of the time whose records were deleted: there the replay begins, instead of at nothing.

Invariant: what is taken from a ledger is the gate's own word. It lets the replay agree where the gate was right; it
never makes a finding, because nothing that old is certain (`completeness`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.testing.oracle.model import TAGS, Contact, Preference, ProfileValue

if TYPE_CHECKING:
    from streams.testing.audit.ledgers import ContactMeaning, Meaning
    from streams.testing.oracle.model import Customer


def seed(customer: Customer, meaning: Meaning, said_before_ms: int, decided_before_ms: int) -> None:
    """Give a customer what was said, and what was approved, before these moments, as far as it is still remembered."""
    customer.preferences += [
        Preference(
            type=said.type,
            scope=said.scope,
            order=said.order,
            effective_at=said.effective_at,
            end=said.end,
            evidence=said.has_evidence,
            source=said.source,
        )
        for said in meaning.preferences
        if said.order < said_before_ms
    ]
    customer.profile += [
        ProfileValue(name, value, order) for name, (value, order) in meaning.profile.items() if order < said_before_ms
    ]
    if meaning.erased_at is not None and meaning.erased_at < said_before_ms:
        customer.erased_at = meaning.erased_at
    customer.contacts += [_contact(each) for each in meaning.contacts if each.decided_at < decided_before_ms]


def _contact(said: ContactMeaning) -> Contact:
    return Contact(
        decision_id=said.decision_id,
        decided_at=said.decided_at,
        valid_until=said.latest,
        tags=dict(zip(TAGS, said.tags, strict=True)),
        counts_at_all=not said.uncounted,
        exempt_from_opt_out=said.exempt,
        under_consent=said.under_consent,
        reported=[said.latest] if said.confirmed else [],
        withdrawn=said.withdrawn,
    )
