"""Corrections of what is stored of a customer: ordinary preference events, and what the gate will make of them.

Rules of this module
1. An event is read as the gate reads it. What the gate would refuse, or understand only in part, is refused here.
2. What will follow is worked out by the gate's own code, on the ledger as it was read and under the policy in force.
   What is said later than the correction still wins.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import orjson

from streams.contracts.decode import decode_preference
from streams.customer.document import PROFILE, profile_value
from streams.customer.words import preference_in_words
from streams.decision.ledger.preferences import apply_preference

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streams.customer.mention import CustomerId
    from streams.decision.ledger.state import Ledger
    from streams.decision.vocabulary import Vocabulary


class CorrectionRefused(Exception):
    """An event that cannot be a correction. The message says which, and why; it quotes nothing of it."""


def profile_event(values: Mapping[str, object]) -> dict[str, Any]:
    """The event that sets these values of the profile."""
    return {"type": "profile", **values}


def completed(document: object, customer: CustomerId, number: int) -> bytes:
    """The event as it is published, with the customer's id and an id of its own.

    Raises:
        CorrectionRefused: it is no event, is somebody else's, is an erasure, or the gate would not take it whole.
    """
    if not isinstance(document, dict):
        raise CorrectionRefused(f"Event {number} is not a JSON object.")
    if document.get("customer_id", customer.text) != customer.text:
        raise CorrectionRefused(f"Event {number} names another customer. Leave `customer_id` out, or mend it.")
    if document.get("type") == "erasure":
        raise CorrectionRefused(f"Event {number} is an erasure. Use `mesura customer forget`.")
    event = {"event_id": f"correct-{uuid.uuid4()}", **document, "customer_id": customer.text}
    value = orjson.dumps(event)
    reading = decode_preference(value, (), customer.key)
    if reading.refusal is not None:
        raise CorrectionRefused(f"Event {number}: {reading.refusal}")
    if reading.not_understood or reading.unknown_fields:
        raise CorrectionRefused(
            f"Event {number} has something in it that the gate does not understand and would leave out. "
            "schemas/preference-event.schema.json describes the fields."
        )
    return value


def applied(ledger: Ledger, values: Sequence[bytes], *, now_ms: int, vocabulary: Vocabulary) -> Ledger:
    """The ledger as it will be.

    Raises:
        CorrectionRefused: the gate would refuse an event.
    """
    for number, value in enumerate(values, 1):
        event = decode_preference(value).event
        assert event is not None, "it was read before"
        result = apply_preference(event, ledger, recorded_ms=now_ms, now=now_ms, vocabulary=vocabulary)
        if result.refused is not None or result.not_understood:
            why = result.refused or f"a {result.not_understood[0].replace('_', ' ')} that it does not understand"
            raise CorrectionRefused(f"Event {number}: the gate would not take it whole ({why}).")
        ledger = result.ledger
    return ledger


def changes_in_words(before: Ledger, after: Ledger) -> Iterator[str]:
    """What differs: what goes with a minus, what comes with a plus."""
    for each in before.preferences:
        if each not in after.preferences:
            yield f"- {preference_in_words(each)}"
    for each in after.preferences:
        if each not in before.preferences:
            yield f"+ {preference_in_words(each)}"
    for name in PROFILE:
        old, new = profile_value(before, name), profile_value(after, name)
        if old != new:
            yield f"- profile {name} {'unknown' if old is None else old.value}"
            yield f"+ profile {name} {'unknown' if new is None else new.value}"
    withdrawn = sum(a.flags != b.flags for a, b in zip(before.contacts, after.contacts, strict=False))
    if withdrawn:
        yield f"- {withdrawn} approvals that are still open; they are withdrawn"
