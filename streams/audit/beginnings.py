"""What the stored ledgers say of the time whose records were deleted. The replay begins with it, not with nothing.

Invariant: what is taken from a ledger is the gate's own statement. It lets the replay agree if the gate was right. It
never makes a finding, because nothing that old is certain (`completeness`).
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from streams.audit.ledger_check import CUSTOMER, latest_ledgers
from streams.audit.ledgers import UnreadableLedger, read_ledger
from streams.oracle.model import TAGS, Contact, Preference, ProfileValue

if TYPE_CHECKING:
    from streams.audit.judgement import Judgement
    from streams.audit.ledgers import ContactMeaning, Meaning
    from streams.oracle.model import Customer


def begin(judgement: Judgement) -> None:
    """Where records are missing, give the customers of a partition what their ledgers remember of that time."""
    said_before_ms, decided_before_ms = judgement.completeness.said_before_ms, judgement.completeness.decided_before_ms
    if not said_before_ms and not decided_before_ms:
        return
    for key, record in latest_ledgers(judgement.log.of(judgement.topics.ledger)).items():
        if key.startswith(CUSTOMER):
            with contextlib.suppress(UnreadableLedger, UnicodeDecodeError):  # said when ledgers are compared
                meaning = read_ledger(record.value or b"")
                seed(judgement.models.any.customer(key[1:].decode()), meaning, said_before_ms, decided_before_ms)


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
