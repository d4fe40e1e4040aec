"""The built-in checks, in the order in which they are asked.

Rules of this module
1. This table is all there is. Whether an intent plainly passes is compiled from it, and where it does not, all that
   stands here is asked: no check can be skipped on one of the two paths.
2. An intent is not remembered after the denial of a check that found it too old to be, or from before an erasure (which
   must leave nothing behind), or remembered already, or without room for it.
"""

from __future__ import annotations

from typing import Final

from streams.decision.answer import VALIDITY_MIN_MS
from streams.decision.checks.check import Check, compiled_conditions
from streams.decision.checks.declared import ask_vocabulary
from streams.decision.checks.duplicate import ask_duplicate
from streams.decision.checks.expired import ask_deadline, ask_erasure, ask_horizon
from streams.decision.checks.ledger_full import ask_ledger_full
from streams.decision.ledger.state import CONTACTS_MAX, IDENTITIES_MAX, LABEL_SETS_MAX, VALUES_PER_LABEL_SET

CHECKS: Final[tuple[Check, ...]] = (
    Check(
        "expired:horizon",
        ask_horizon,
        is_remembered=False,
        plainly_passes="intent.created_at >= now - tables.identities_ms and intent.created_at >= ledger.forgotten_ms",
    ),
    Check("expired:erasure", ask_erasure, is_remembered=False, plainly_passes="ledger.erased_ms is None"),
    Check(
        "expired:deadline",
        ask_deadline,
        is_remembered=True,
        plainly_passes=f"intent.expires_at is None or intent.expires_at - 1 - now >= {VALIDITY_MIN_MS}",
        notes=True,
    ),
    Check("duplicate", ask_duplicate, is_remembered=False, plainly_passes="identity not in ledger.ids"),
    Check(
        "vocabulary",
        ask_vocabulary,
        is_remembered=True,
        plainly_passes="label_set.channel in tables.channels and label_set.purpose in tables.purposes",
    ),
    Check(
        "ledger_full",
        ask_ledger_full,
        is_remembered=False,
        plainly_passes="not ledger.preference_refused"
        f" and len(ledger.assumed_sent) < {CONTACTS_MAX}"
        f" and len(ledger.created) < {IDENTITIES_MAX}"
        f" and len(ledger.label_value_numbers) < {LABEL_SETS_MAX * VALUES_PER_LABEL_SET}",
    ),
)
PLAINLY_PASSES: Final = compiled_conditions(CHECKS)
# The checks whose passes say something, with their numbers.
NOTING: Final = tuple((number, check) for number, check in enumerate(CHECKS) if check.notes)
