"""The events as they stand on the wire, where they differ from the decision core's: times may be text.

Rules of this module
1. Fields, defaults and limits come from `streams.decision`; only what is named in `_LOOSER` differs, and `decode.py`
   brings that to the core's form, so that no looser value leaves this package.
2. Each event has two decoders: `strict` knows every field it meets, `tolerant` skips the others. The strict one is
   tried first: a record it reads has no unknown field, and counting them has cost nothing.
3. Patterns are checked in `decode.py`: one `Meta(pattern=...)` costs as much as decoding half an intent (measured).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Final, Generic, Literal, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Raw, Struct

from streams.contracts.times import TIME_CHARACTERS_MAX
from streams.decision.intent import (
    ATTRIBUTE_CHARACTERS_MAX,
    ATTRIBUTES_MAX,
    Intent,
    Moment,
    Word,
)
from streams.decision.outcome_event import Outcome
from streams.decision.preference_event import PreferenceEvent, PreferenceType

# Fits a signed 64-bit integer and is a double exactly, so that one limit holds for 9e18 however it is written.
ATTRIBUTE_NUMBER_MAX: Final = 9_000_000_000_000_000_000
DECISION_ID_CHARACTERS: Final = 24

_Time = Moment | Annotated[str, Meta(max_length=TIME_CHARACTERS_MAX)]
_AttributeValue = (
    Annotated[str, Meta(max_length=ATTRIBUTE_CHARACTERS_MAX)]
    | Annotated[int, Meta(ge=-ATTRIBUTE_NUMBER_MAX, le=ATTRIBUTE_NUMBER_MAX)]
    | Annotated[float, Meta(ge=-float(ATTRIBUTE_NUMBER_MAX), le=float(ATTRIBUTE_NUMBER_MAX))]
    | bool
    | None
)

_LOOSER: Final[dict[str, Any]] = {
    "created_at": _Time,
    "occurred_at": _Time,
    "expires_at": _Time | None,
    "effective_at": _Time | None,
    "until": _Time | None,
    "country": Annotated[str, Meta(min_length=2, max_length=2)] | None,
    "region": Annotated[str, Meta(min_length=1, max_length=3)] | None,
    "decision_id": Annotated[str, Meta(min_length=DECISION_ID_CHARACTERS, max_length=DECISION_ID_CHARACTERS)] | None,
    # Narrower, in truth: an integer beyond 64 bits could not be written again.
    "attributes": Annotated[dict[Word, _AttributeValue], Meta(max_length=ATTRIBUTES_MAX)] | None,
}
_PATTERNED: Final = frozenset({"country", "region", "decision_id"})

Event = TypeVar("Event", bound=Struct)


class Wire(Generic[Event]):
    """The decoders of one kind of event. What they return has the wire's class; `decode.py` gives it the core's."""

    def __init__(self, event: type[Event], **types: object) -> None:
        looser = {**_LOOSER, **types}
        self.fields: Final = frozenset(event.__struct_fields__)
        self.required: Final = frozenset(field.encode_name for field in msgspec.structs.fields(event) if field.required)
        # Of the fields that are one of a few words: the words.
        self.words: Final[Mapping[str, tuple[str, ...]]] = {
            field.encode_name: get_args(each)
            for field in msgspec.structs.fields(event)
            for each in _alternatives(types.get(field.encode_name, field.type))
            if get_origin(each) is Literal
        }
        # Of each field by itself, for what is read although the event as a whole cannot be. That is rare, so patterns
        # may be checked here.
        self.each: Final = {
            field.encode_name: msgspec.json.Decoder(
                field.type if field.encode_name in _PATTERNED else looser.get(field.encode_name, field.type)
            ).decode
            for field in msgspec.structs.fields(event)
        }
        self.strict: Final = msgspec.json.Decoder(_wire_class(event, looser, strict=True))
        self.tolerant: Final = msgspec.json.Decoder(_wire_class(event, looser, strict=False))


def _alternatives(field_type: object) -> tuple[object, ...]:
    """The types of a union, or the type by itself."""
    return (
        get_args(field_type) if isinstance(field_type, UnionType) or get_origin(field_type) is Union else (field_type,)
    )


def _wire_class(event: type[Struct], types: Mapping[str, Any], *, strict: bool) -> type[Any]:
    fields: list[Any] = [
        (field.encode_name, types[field.encode_name])
        if field.required
        else (field.encode_name, types[field.encode_name], field.default)
        for field in msgspec.structs.fields(event)
        if field.encode_name in types
    ]
    return msgspec.defstruct(
        event.__name__, fields, bases=(event,), kw_only=True, gc=False, forbid_unknown_fields=strict
    )


INTENT: Final = Wire(Intent)
PREFERENCE: Final = Wire(PreferenceEvent, type=PreferenceType)
OUTCOME: Final = Wire(Outcome)

decode_members: Final = msgspec.json.Decoder(dict[str, Raw]).decode
