"""From the bytes of a record to a typed event of the decision core.

Rules of this module
1. What is returned is exactly what `streams.decision` declares: its class, its limits, times as integers.
2. Unknown fields are skipped and counted, except in an event that permits: there they make the record a dead letter.
   Counting costs nothing for a record that has none.
3. An event that restricts is read leniently (`lenient.py`) if the strict reading has refused it.
4. The answer depends on value, headers and key alone. Every refusal is a `RecordRefused`; nothing else is raised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from msgspec.structs import astuple

from streams.contracts.advice import amiss
from streams.contracts.bare_envelopes import find_bare_envelope
from streams.contracts.duplicate_fields import duplicated_values, refuse_duplicate_fields
from streams.contracts.envelope import payload_of
from streams.contracts.errors import PermissionRefused, RecordRefused
from streams.contracts.fields import what_to_write
from streams.contracts.lenient import lenient_outcome, lenient_preference, type_meant, unread_preference
from streams.contracts.prefixes import INPUT_VALUE_BYTES_MAX
from streams.contracts.refusals import check_text, refusal_of
from streams.contracts.times import moment_ms
from streams.contracts.wire import INTENT, OUTCOME, PREFERENCE, Wire, decode_members
from streams.decision.intent import ON_SUPPRESS_DEFAULT, PRIORITY_DEFAULT, Intent
from streams.decision.ledger.outcomes import is_stop
from streams.decision.outcome_event import Outcome
from streams.decision.preference_event import RESTRICTIVE, PreferenceEvent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from msgspec import Raw

    from streams.records import Headers

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

_EVERY_TYPE: Final = frozenset(
    {"event_id", "customer_id", "type", "effective_at", "source", "evidence_ref", "attributes"}
)
_SCOPED: Final = _EVERY_TYPE | {"channel", "purpose", "topic", "brand", "sender_id", "until", "expires_at"}
# What says something in an event that permits, or changes the profile, by type. Anything else in it may be a limit of
# the permission that nobody here would keep.
_SPEAKING: Final = {
    "opt_in": _SCOPED,
    "resume": _SCOPED,
    "restriction_lifted": _SCOPED,
    "consent_granted": _SCOPED,
    "clarification": _EVERY_TYPE,
    "profile": _EVERY_TYPE | {"timezone", "country", "region", "minor"},
}


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
        intent, unknown = _tolerant_or_enveloped(INTENT, payload)
    else:
        # A default may have been written or not: at least so many different names were there.
        attributes = len(intent.attributes) if intent.attributes else 0
        members = (
            _INTENT_FIELDS
            - astuple(intent).count(None)
            - (intent.priority == PRIORITY_DEFAULT)
            - (intent.on_suppress == ON_SUPPRESS_DEFAULT)
        )
        if payload.count(b":") > members + attributes:
            refuse_duplicate_fields(payload, members, attributes, INTENT.fields)
    intent.__class__ = Intent
    # Null says the same as absent, as in every field that may be absent.
    if intent.priority is None:
        intent.priority = PRIORITY_DEFAULT
    if intent.on_suppress is None:
        intent.on_suppress = ON_SUPPRESS_DEFAULT
    if intent.created_at.__class__ is str:
        intent.created_at = moment_ms(intent.created_at, "created_at")
    if intent.expires_at.__class__ is str:
        intent.expires_at = moment_ms(intent.expires_at, "expires_at")
    if intent.country is not None and intent.country not in _COUNTRIES:
        raise _of_another_form(INTENT, "country")
    if intent.region is not None and intent.region.strip(_REGION_CHARACTERS):
        raise _of_another_form(INTENT, "region")
    return intent, unknown


class PreferenceReading(NamedTuple):
    """What was read of a record of the preference topic.

    `event` is what is to be applied: the event as it stands, what could be read of one that restricts, or an `unread`
    event. None: nothing is. `refusal` is set if the record is a dead letter, which one with an `unread` event is, too.
    `not_understood` has a word (`time`, `field`, `event`) for each thing that was left out.
    """

    event: PreferenceEvent | None
    unknown_fields: int = 0
    not_understood: tuple[str, ...] = ()
    refusal: RecordRefused | None = None


class OutcomeReading(NamedTuple):
    """The outcome, how many unknown fields its record had, and a word (`time`, `field`) for each thing left out."""

    event: Outcome
    unknown_fields: int = 0
    not_understood: tuple[str, ...] = ()


def decode_preference(value: bytes | None, headers: Headers = (), key: bytes | None = None) -> PreferenceReading:
    """What the record says, read leniently if it restricts and strictly if not. Never raises for what it contains."""
    payload: bytes | None = None
    try:
        plain = value and not headers and value[0] == _BRACE and len(value) <= INPUT_VALUE_BYTES_MAX
        payload = value if plain else payload_of(value, headers)
        assert payload is not None
        return PreferenceReading(_whole_preference(payload))
    except RecordRefused as refusal:
        return _refused_preference(payload, key, refusal)


def _refused_preference(payload: bytes | None, key: bytes | None, refusal: RecordRefused) -> PreferenceReading:
    """What the strict reading refused; perhaps it stands in an envelope that no header announces."""
    try:
        envelope = None if payload is None else find_bare_envelope(payload)
    except RecordRefused as cannot_be_opened:
        payload, envelope, refusal = None, None, cannot_be_opened
    if refusal.reason == "no_value":  # a tombstone says nothing
        return PreferenceReading(None, refusal=refusal)
    if envelope is None:
        return _doubtful_preference(payload, key, refusal)
    try:
        reading = PreferenceReading(_whole_preference(envelope.payload))
    except RecordRefused as refused_inside:
        reading = _doubtful_preference(envelope.payload, key, envelope.inside(refused_inside))
    if envelope.remedy and reading.event is not None and reading.event.type not in RESTRICTIVE:
        return PreferenceReading(None, refusal=envelope.does_not_restrict(PermissionRefused))
    return reading


def _whole_preference(payload: bytes) -> PreferenceEvent:
    """The event, if there is nothing wrong with any of it.

    Raises:
        RecordRefused: there is.
    """
    try:
        event: Any = _strict_preference(payload)
    except (ValueError, RecursionError) as error:
        check_text(payload)
        raise _refusal(PREFERENCE, payload, error) from None
    attributes = len(event.attributes) if event.attributes else 0
    members = _PREFERENCE_FIELDS - astuple(event).count(None)
    if payload.count(b":") > members + attributes:
        refuse_duplicate_fields(payload, members, attributes, PREFERENCE.fields)
    event.__class__ = PreferenceEvent
    if event.effective_at.__class__ is str:
        event.effective_at = moment_ms(event.effective_at, "effective_at")
    if event.until.__class__ is str:
        event.until = moment_ms(event.until, "until")
    if event.expires_at.__class__ is str:
        event.expires_at = moment_ms(event.expires_at, "expires_at")
    if event.country is not None and event.country not in _COUNTRIES:
        raise _of_another_form(PREFERENCE, "country")
    if event.region is not None and event.region.strip(_REGION_CHARACTERS):
        raise _of_another_form(PREFERENCE, "region")
    if event.type not in RESTRICTIVE and _has_other_fields(event.type, decode_members(payload)):
        raise _refuse_other_fields(event.type)
    return cast("PreferenceEvent", event)


def _refusal(wire: Wire[Any], payload: bytes, error: Exception) -> RecordRefused:
    """What is wrong with it, but that it has an unknown field only if nothing else is."""
    try:
        wire.tolerant.decode(payload)
    except (ValueError, RecursionError) as worse:
        return refusal_of(worse, wire)
    return refusal_of(error, wire)


def _doubtful_preference(payload: bytes | None, key: bytes | None, refusal: RecordRefused) -> PreferenceReading:
    """What the strict reading refused."""
    members = None if payload is None else _members(payload)
    has_duplicates = refusal.reason == "repeated_field"
    if members is not None and payload is not None and not has_duplicates:
        try:  # whatever else is wrong: of a field that stands twice nobody can say what was meant
            refuse_duplicate_fields(payload, len(members), 0, PREFERENCE.fields)
        except RecordRefused as duplicates:
            has_duplicates, refusal = True, duplicates
    event_type = None if members is None or has_duplicates else type_meant(members)
    if members is not None and event_type in RESTRICTIVE:
        read = lenient_preference(event_type, members, key)
        if read is None:
            return PreferenceReading(None, refusal=refusal)
        return PreferenceReading(read.event, len(members.keys() - PREFERENCE.fields), read.not_understood)
    if members is not None and event_type is not None:
        says_more = event_type in _SPEAKING and _has_other_fields(event_type, members)
        permission = (
            _refuse_other_fields(event_type) if says_more else PermissionRefused(refusal.reason, refusal.detail)
        )
        return PreferenceReading(None, refusal=permission)
    if has_duplicates and payload is not None and "customer_id" in duplicated_values(payload, PREFERENCE.fields):
        members = None  # nobody can say which of them was meant
    return PreferenceReading(unread_preference(members, key), 0, ("event",), refusal)


def _has_other_fields(event_type: str, members: Mapping[str, Raw]) -> bool:
    """Whether there is a field that says nothing in this type; null in one of another type says that it is absent."""
    more = members.keys() - _SPEAKING[event_type]
    return not more <= PREFERENCE.fields or any(bytes(members[name]) != b"null" for name in more)


def _refuse_other_fields(event_type: str) -> PermissionRefused:
    names = ", ".join(sorted(_SPEAKING[event_type]))
    return PermissionRefused(
        "unknown_field",
        f"a field that says nothing in this `type`; only these do: {names}. Put what is your own into `attributes`",
    )


def _members(payload: bytes) -> dict[str, Raw] | None:
    """The members of an object, or None if it is none."""
    try:
        check_text(payload)
        return decode_members(payload)
    except (ValueError, RecursionError, RecordRefused):
        return None


def decode_outcome(value: bytes | None, headers: Headers = (), key: bytes | None = None) -> OutcomeReading:
    """The outcome; if it carries a STOP, whatever is wrong with the rest of it.

    Raises:
        RecordRefused: the record cannot be read, or names neither a decision nor, being a reply, a channel.
    """
    if not value or headers or value[0] != _BRACE or len(value) > INPUT_VALUE_BYTES_MAX:
        payload = payload_of(value, headers)
    else:
        payload = value
    try:
        return _whole_outcome(payload)
    except RecordRefused as refused:
        refusal = refused
        envelope = find_bare_envelope(payload)
    if envelope is not None:
        payload = envelope.payload
        try:
            reading = _whole_outcome(payload)
        except RecordRefused as refused_inside:
            refusal = envelope.inside(refused_inside)
        else:
            if not envelope.remedy or is_stop(reading.event.type, reading.event.detail):
                return reading
            raise envelope.does_not_restrict()
    return _stop(payload, key, refusal)


def _stop(payload: bytes, key: bytes | None, refusal: RecordRefused) -> OutcomeReading:
    """The STOP in an outcome that was refused.

    Raises:
        RecordRefused: the refusal, if it carries none.
    """
    members = _members(payload)
    stop = None if members is None else lenient_outcome(members, key, duplicated_values(payload, OUTCOME.fields))
    if members is None or stop is None:
        raise refusal
    return OutcomeReading(stop.event, len(members.keys() - OUTCOME.fields), stop.not_understood or ("field",))


def _whole_outcome(payload: bytes) -> OutcomeReading:
    unknown = 0
    try:
        outcome: Any = _strict_outcome(payload)
    except (ValueError, RecursionError):
        outcome, unknown = _tolerant(OUTCOME, payload)
    else:
        members = _OUTCOME_FIELDS - astuple(outcome).count(None)
        if payload.count(b":") > members:
            refuse_duplicate_fields(payload, members, 0, OUTCOME.fields)
    outcome.__class__ = Outcome
    if outcome.occurred_at.__class__ is str:
        outcome.occurred_at = moment_ms(outcome.occurred_at, "occurred_at")
    if outcome.decision_id is None:
        if outcome.type != "reply":
            found = "absent; only a reply may lack it"
            raise RecordRefused("missing_field", amiss("decision_id", found, what_to_write(OUTCOME, "decision_id")))
        if outcome.channel is None:
            found = "absent in a reply that has no `decision_id`"
            raise RecordRefused("missing_field", amiss("channel", found, "the channel on which it came"))
    elif outcome.decision_id.strip(_HEXADECIMAL):
        raise _of_another_form(OUTCOME, "decision_id")
    return OutcomeReading(outcome, unknown)


def _tolerant_or_enveloped(wire: Wire[Any], payload: bytes) -> tuple[Any, int]:
    """As `_tolerant`; of what it refuses, what stands in an envelope that no header announces."""
    try:
        return _tolerant(wire, payload)
    except RecordRefused:
        envelope = find_bare_envelope(payload)
        if envelope is None:
            raise
    try:
        read = _tolerant(wire, envelope.payload)
    except RecordRefused as refusal:
        raise envelope.inside(refusal) from None
    if envelope.remedy:
        raise envelope.does_not_restrict()
    return read


def _tolerant(wire: Wire[Any], payload: bytes) -> tuple[Any, int]:
    """What the strict decoder would not read: the event, and how many unknown fields it has."""
    check_text(payload)
    try:
        event = wire.tolerant.decode(payload)
        names = decode_members(payload).keys()
    except (ValueError, RecursionError) as error:
        raise refusal_of(error, wire) from None
    attributes = getattr(event, "attributes", None)
    refuse_duplicate_fields(payload, len(names), len(attributes) if attributes else 0, wire.fields)
    return event, len(names - wire.fields)


def _of_another_form(wire: Wire[Any], field: str) -> RecordRefused:
    return RecordRefused("out_of_range", amiss(field, "text of another form", what_to_write(wire, field)))
