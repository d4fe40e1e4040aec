"""Small policies, intents and ledgers for unit tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from streams.decision.decide import decide
from streams.decision.decision import Decision
from streams.decision.intent import Intent
from streams.decision.ledger.outcomes import OutcomeResult, apply_outcome
from streams.decision.ledger.preferences import PreferenceResult, apply_preference
from streams.decision.ledger.state import EMPTY_LEDGER, Contact, LabelSet, Ledger
from streams.decision.ledger.transitions import with_rows
from streams.decision.outcome_event import Outcome
from streams.decision.policy import Policy
from streams.decision.preference_event import PreferenceEvent
from streams.decision.vocabulary import Vocabulary
from tests.golden.cases import policy
from tests.golden.sides import compiled

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
# Tuesday 2026-07-07 15:00 UTC, 10:00 in Bogota.
NOW = 1_783_436_400_000
# Those of the base policy.
WORDS = Vocabulary(
    {"sms": "text", "whatsapp": "text", "voice": "phone", "email": None},
    frozenset({"marketing", "service", "collections", "otp"}),
    {},
)


def policy_of(*rules: dict[str, Any], **header: Any) -> Policy:  # noqa: ANN401 - parts of the policy file
    """The base policy of the golden cases with these rules."""
    return compiled(json.dumps(policy({"rules": list(rules), **header})))


def intent_of(number: int = 1, **fields: Any) -> Intent:  # noqa: ANN401 - fields of the intent
    """An SMS to c-1, created now."""
    wanted = {"intent_id": f"i-{number}", "customer_id": "c-1", "channel": "sms", "created_at": NOW}
    return Intent(**{**wanted, **fields})


def contact(assumed_sent_ms: int, *, label_set: int = 0, flags: int = 0, number: int = 0) -> Contact:
    """A contact that was decided five minutes before its latest moment."""
    return Contact(number.to_bytes(12, "big"), assumed_sent_ms - 5 * MINUTE, assumed_sent_ms, label_set, flags)


def ledger_of(*contacts: Contact, label_sets: tuple[LabelSet, ...] = (LabelSet("sms", "marketing"),)) -> Ledger:
    """A ledger of contacts, newest first."""
    return ledger_with(contacts=sorted(contacts, key=lambda c: -c.assumed_sent_ms), label_sets=label_sets)


def ledger_with(
    *,
    contacts: Sequence[Contact] = (),
    identities: Mapping[bytes, int] | None = None,
    label_sets: Sequence[LabelSet] = (),
    **fields: Any,  # noqa: ANN401 - fields of the ledger
) -> Ledger:
    """A ledger written down by rows; identities may be named by any short bytes."""
    known = {name.rjust(12, b"."): created_ms for name, created_ms in (identities or {}).items()}
    return with_rows(Ledger(**fields), contacts=contacts, identities=known, label_sets=label_sets)


class _Words(NamedTuple):
    """What outcomes ask of a policy."""

    vocabulary: Vocabulary


def decided(policy: Policy, ledger: Ledger = EMPTY_LEDGER, now: int = NOW, **fields: Any) -> Decision:  # noqa: ANN401
    """The decision on an SMS to c-1."""
    return decide(intent_of(**{"created_at": now, **fields}), ledger, policy, now)


def heard(event: PreferenceEvent, ledger: Ledger = EMPTY_LEDGER, *, at: int = NOW, now: int = NOW) -> PreferenceResult:
    """The event, applied now under the words of the base policy; `at` is its record's time."""
    return apply_preference(event, ledger, recorded_ms=at, now=now, vocabulary=WORDS)


def reported(outcome: Outcome, ledger: Ledger = EMPTY_LEDGER, *, at: int = NOW, now: int = NOW) -> OutcomeResult:
    """The outcome, applied now under the words of the base policy; `at` is its record's time."""
    return apply_outcome(outcome, ledger, recorded_ms=at, now=now, policy=_Words(WORDS))
