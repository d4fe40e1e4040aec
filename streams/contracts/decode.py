"""Bytes of a record to a typed event of the decision core.

Rules of this module
1. What is returned is exactly what `streams.decision` declares: its class, its limits, times as integers.
2. Unknown fields are skipped and counted, never an error. A record without any pays nothing for the counting.
3. The answer depends on value and headers alone. Every refusal is a `RecordRefused`; nothing else is raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import astuple

from streams.contracts.envelope import INPUT_VALUE_BYTES_MAX, payload_of
from streams.contracts.errors import RecordRefused
from streams.contracts.refusals import check_text, refusal_of
from streams.contracts.repeated import refuse_repeated
from streams.contracts.times import moment_ms
from streams.contracts.wire import INTENT, OUTCOME, PREFERENCE, Wire, decode_members
from streams.decision.intent import Intent
from streams.decision.outcome import Outcome
from streams.decision.preference import PreferenceEvent

if TYPE_CHECKING:
    from streams.exactly_once.interfaces import Headers

_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_COUNTRIES: Final = frozenset(first + second for first in _LETTERS for second in _LETTERS)
_REGION_CHARACTERS: Final = _LETTERS + "0123456789"
_HEXADECIMAL: Final = "0123456789abcdef"
_BRACE: Final = ord("{")

_strict_intent: Final = INTENT.strict.decode
_strict_preference: Final = PREFERENCE.strict.decode
_strict_outcome: Final = OUTCOME.strict.decode
_INTENT_FIELDS: Final = len(INTENT.fields)
_PREFERENCE_FIELDS: Final = len(PREFERENCE.fields)
_OUTCOME_FIELDS: Final = len(OUTCOME.fields)


def decode_intent(value: bytes | None, headers: Headers = ()) -> tuple[Intent, int]:
    """The intent, and how many unknown fields its record had.

    Raises:
        RecordRefused: the record cannot be read; see `errors.REFUSALS`.
    """
    if not value or headers or value[0] != _BRACE or len(value) > INPUT_VALUE_BYTES_MAX:
        payload = payload_of(value, headers)
    else:
        payload = value
    unknown = 0
    try:
        intent: Any = _strict_intent(payload)
    except (ValueError, RecursionError):
        intent, unknown = _tolerant(INTENT, payload)
    else:
        # A default may have been written or not: at least so many different names were there.
        attributes = len(intent.attributes) if intent.attributes else 0
        members = (
            _INTENT_FIELDS - astuple(intent).count(None) - (intent.priority == 50) - (intent.on_suppress == "drop")
        )
        if payload.count(b":") > members + attributes:
            refuse_repeated(payload, members, attributes, INTENT.fields)
    intent.__class__ = Intent
    if intent.created_at.__class__ is str:
        intent.created_at = moment_ms(intent.created_at, "created_at")
    if intent.expires_at.__class__ is str:
        intent.expires_at = moment_ms(intent.expires_at, "expires_at")
    if intent.country is not None and intent.country not in _COUNTRIES:
        raise _not_a_country()
    if intent.region is not None and intent.region.strip(_REGION_CHARACTERS):
        raise _not_a_region()
    return intent, unknown


def decode_preference(value: bytes | None, headers: Headers = ()) -> tuple[PreferenceEvent, int]:
    """The preference event, and how many unknown fields its record had.

    Raises:
        RecordRefused: the record cannot be read; see `errors.REFUSALS`.
    """
    if not value or headers or value[0] != _BRACE or len(value) > INPUT_VALUE_BYTES_MAX:
        payload = payload_of(value, headers)
    else:
        payload = value
    unknown = 0
    try:
        event: Any = _strict_preference(payload)
    except (ValueError, RecursionError):
        event, unknown = _tolerant(PREFERENCE, payload)
    else:
        members = _PREFERENCE_FIELDS - astuple(event).count(None)
        if payload.count(b":") > members:
            refuse_repeated(payload, members, 0, PREFERENCE.fields)
    event.__class__ = PreferenceEvent
    if event.effective_at.__class__ is str:
        event.effective_at = moment_ms(event.effective_at, "effective_at")
    if event.until.__class__ is str:
        event.until = moment_ms(event.until, "until")
    if event.expires_at.__class__ is str:
        event.expires_at = moment_ms(event.expires_at, "expires_at")
    if event.country is not None and event.country not in _COUNTRIES:
        raise _not_a_country()
    if event.region is not None and event.region.strip(_REGION_CHARACTERS):
        raise _not_a_region()
    return event, unknown


def decode_outcome(value: bytes | None, headers: Headers = ()) -> tuple[Outcome, int]:
    """The outcome, and how many unknown fields its record had.

    Raises:
        RecordRefused: the record cannot be read, or names neither a decision nor, being a reply, a channel.
    """
    if not value or headers or value[0] != _BRACE or len(value) > INPUT_VALUE_BYTES_MAX:
        payload = payload_of(value, headers)
    else:
        payload = value
    unknown = 0
    try:
        outcome: Any = _strict_outcome(payload)
    except (ValueError, RecursionError):
        outcome, unknown = _tolerant(OUTCOME, payload)
    else:
        members = _OUTCOME_FIELDS - astuple(outcome).count(None)
        if payload.count(b":") > members:
            refuse_repeated(payload, members, 0, OUTCOME.fields)
    outcome.__class__ = Outcome
    if outcome.occurred_at.__class__ is str:
        outcome.occurred_at = moment_ms(outcome.occurred_at, "occurred_at")
    if outcome.decision_id is None:
        if outcome.type != "reply":
            raise RecordRefused("missing_field", "`decision_id` is required but for an unsolicited reply")
        if outcome.channel is None:
            raise RecordRefused("missing_field", "a reply without `decision_id` needs `channel`")
    elif outcome.decision_id.strip(_HEXADECIMAL):
        raise RecordRefused("out_of_range", "24 lower-case hexadecimal digits expected - at `$.decision_id`")
    return outcome, unknown


def _tolerant(wire: Wire[Any], payload: bytes) -> tuple[Any, int]:
    """What the strict decoder would not read: the event, and how many unknown fields it has."""
    check_text(payload)
    try:
        event = wire.tolerant.decode(payload)
        names = decode_members(payload).keys()
    except (ValueError, RecursionError) as error:
        raise refusal_of(error) from None
    attributes = getattr(event, "attributes", None)
    refuse_repeated(payload, len(names), len(attributes) if attributes else 0, wire.fields)
    return event, len(names - wire.fields)


def _not_a_country() -> RecordRefused:
    return RecordRefused("out_of_range", "two letters A to Z expected - at `$.country`")


def _not_a_region() -> RecordRefused:
    return RecordRefused("out_of_range", "one to three of A to Z and 0 to 9 expected - at `$.region`")
