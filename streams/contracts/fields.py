"""What each field of the contract is to hold, in words for people who write producers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from streams.contracts.advice import A_TIME
from streams.contracts.wire import ATTRIBUTE_NUMBER_MAX, DECISION_ID_CHARACTERS
from streams.decision.intent import (
    ATTRIBUTE_CHARACTERS_MAX,
    ATTRIBUTES_MAX,
    TEXT_CHARACTERS_MAX,
    ZONE_CHARACTERS_MAX,
)

if TYPE_CHECKING:
    from streams.contracts.wire import Wire

# May be left out only of a reply, which is a question of its own.
_NEEDED: Final = frozenset({"decision_id"})

_TEXT: Final = f"text of 1 to {TEXT_CHARACTERS_MAX} characters"
_TRUTH: Final = "true or false, without quotes"
_PLACES: Final = {
    "attributes": f"an object of at most {ATTRIBUTES_MAX} members",
    "a name in `attributes`": _TEXT,
    "a value in `attributes`": f"text of at most {ATTRIBUTE_CHARACTERS_MAX} characters, a number between "
    f"-{ATTRIBUTE_NUMBER_MAX} and {ATTRIBUTE_NUMBER_MAX}, true, false or null",
    "timezone": f"the name of a time zone, text of 1 to {ZONE_CHARACTERS_MAX} characters, America/Bogota",
    "country": "two capital letters, CO",
    "region": "what stands behind the hyphen in ISO 3166-2: one to three capital letters or digits, DC",
    "decision_id": f"the {DECISION_ID_CHARACTERS} lower-case hexadecimal digits of the approval",
    "priority": "a whole number from 0 to 100",
    "automated": _TRUTH,
    "minor": _TRUTH,
    **dict.fromkeys(("created_at", "expires_at", "effective_at", "until", "occurred_at"), A_TIME),
}


def what_to_write(wire: Wire[Any], place: str) -> str:
    """What the contract wants there: in a field of the event, or at a place that has words for a name."""
    words = wire.words.get(place)
    wanted = _PLACES.get(place, _TEXT) if words is None else f"one of {', '.join(words)}"
    may_be_absent = place in wire.fields and place not in wire.required | _NEEDED
    return f"{wanted}, or leave the field out" if may_be_absent else wanted
