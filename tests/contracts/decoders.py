"""The three decoders behind one face: an event and its unknown fields, or the refusal raised."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from streams.contracts.decode import OutcomeReading, PreferenceReading, decode_intent, decode_outcome, decode_preference

if TYPE_CHECKING:
    from streams.records import Headers

Kind = Literal["intent", "preference-event", "outcome"]


def reading(
    kind: str, value: bytes | None, headers: Headers = (), key: bytes | None = None
) -> PreferenceReading | OutcomeReading:
    """What was read; an intent as an outcome is, since nothing of one is ever left out.

    Raises:
        RecordRefused: an intent or an outcome is refused.
    """
    if kind == "preference-event":
        return decode_preference(value, headers, key)
    if kind == "outcome":
        return decode_outcome(value, headers, key)
    event: Any = decode_intent(value, headers)
    return OutcomeReading(*event)


def read(kind: str, value: bytes | None, headers: Headers = (), key: bytes | None = None) -> tuple[Any, int]:
    """The event, and how many unknown fields its record had.

    Raises:
        RecordRefused: there is none.
    """
    found = reading(kind, value, headers, key)
    if isinstance(found, PreferenceReading) and found.refusal is not None:
        raise found.refusal
    return found.event, found.unknown_fields
