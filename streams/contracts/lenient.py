"""Events that restrict, read although something is wrong with their records.

Rules of this module (docs/semantics.md, 0)
1. Only what the strict reading has refused comes here, and nothing here permits. What cannot be read is left out where
   the event then restricts more, or as much; a word is read as one that nobody understands, and with a word or a time
   the end goes too, so that the event never takes the place of an older one that has none.
2. The customer is the one whom the record names, or else its key. Without either nobody can be protected, and the
   record is refused.
3. A record of the preference topic that cannot be read may have been an opt-out, so it becomes an `unread` event.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, get_args

import msgspec
from msgspec import Raw

from streams.contracts.errors import RecordRefused
from streams.contracts.times import moment_ms
from streams.contracts.wire import OUTCOME, PREFERENCE, Wire
from streams.decision.intent import TEXT_CHARACTERS_MAX
from streams.decision.ledger.outcomes import REPLY, STOP_CODES, is_stop
from streams.decision.outcome_event import Outcome
from streams.decision.preference_event import RESTRICTIVE, UNREAD, PreferenceEvent, PreferenceType
from streams.decision.vocabulary import SCOPE_FIELDS, code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# How restrictive types are spelled, folded and without hyphens and underscores. Permissive types have one spelling.
_SPELLINGS: Final = {
    **{name.replace("_", ""): name for name in RESTRICTIVE - {UNREAD}},
    "unsubscribe": "opt_out",
    "unsubscribed": "opt_out",
    "stop": "opt_out",
}
_PERMISSIVE: Final = frozenset(get_args(PreferenceType)) - RESTRICTIVE
_PERMISSIVE_SPELLINGS: Final = frozenset(name.replace("_", "") for name in _PERMISSIVE)
_TIMES: Final = frozenset({"effective_at", "until", "expires_at", "occurred_at"})
_TIMES_OF_A_NO: Final = frozenset({"effective_at", "until"})
_WORDS: Final = frozenset({*SCOPE_FIELDS, "source"})
# What stands for a word that is none.
NO_WORD: Final = "*"
# The identity of an event that has none; nothing depends on it.
_NAMELESS: Final = "unnamed"
_NOTHING: Final = b"null"
# What stands for a field that stands twice: no field is a list.
_UNREADABLE: Final = Raw(b"[]")

# Zero and an id of eight bytes, whose first half is zero, or of four; something stands behind it.
_UNPREFIXED: Final = re.compile(rb"\A(?:\x00{6}...|\x00....)(?=.)", re.DOTALL)

Event = TypeVar("Event", PreferenceEvent, Outcome)

_text_or_none = msgspec.json.Decoder(str | None).decode


class Reading(NamedTuple, Generic[Event]):
    """An event, and what of its record could not be read: `time` or `field`, once for each."""

    event: Event
    not_understood: tuple[str, ...]


def type_meant(members: Mapping[str, Raw]) -> str | None:
    """The type of the preference event; None if nobody knows it.

    A restrictive one in whatever spelling; a permissive one only in its own, but what is meant to permit is told from
    what nobody can read: then it is the spelling.
    """
    said = _text(members.get("type"))
    if said in _PERMISSIVE:
        return said
    spelled = _spelled(members.get("type"))
    return _SPELLINGS.get(spelled, spelled if spelled in _PERMISSIVE_SPELLINGS else None)


def lenient_preference(
    event_type: str, members: Mapping[str, Raw], key: bytes | None
) -> Reading[PreferenceEvent] | None:
    """The restrictive event of this type, or None if it names no customer and has no key."""
    fields, doubts = _readable(PREFERENCE, members)
    customer = fields.get("customer_id") or customer_of(key)
    if customer is None:
        return None
    if "customer_id" not in members:
        doubts += ("field",)
    unreadable = {name for name in _WORDS | _TIMES_OF_A_NO if _is_present(members, name) and name not in fields}
    if unreadable:
        fields |= dict.fromkeys(unreadable & _WORDS, NO_WORD) | {"until": None}
    fields |= {"customer_id": customer, "type": event_type, "event_id": fields.get("event_id", _NAMELESS)}
    return Reading(PreferenceEvent(**fields), doubts)


def unread_preference(members: Mapping[str, Raw] | None, key: bytes | None) -> PreferenceEvent | None:
    """What stands for a record nobody can read, or None if it names no customer and has no key."""
    named = None if members is None else _readable(PREFERENCE, members)[0].get("customer_id")
    customer = named or customer_of(key)
    return None if customer is None else PreferenceEvent(event_id=_NAMELESS, customer_id=customer, type=UNREAD)


def lenient_outcome(
    members: Mapping[str, Raw], key: bytes | None, twice: Mapping[str, Sequence[Any]]
) -> Reading[Outcome] | None:
    """The STOP that the outcome carries, or None if it carries none, or names no customer and has no key.

    `twice` holds what is said by fields that stand more than once. Nobody can read them, but one STOP is enough.
    """
    members = {**members, **dict.fromkeys(twice, _UNREADABLE)}
    fields, doubts = _readable(OUTCOME, members)
    details = twice.get("detail", [fields.get("detail")])
    types = twice.get("type", [_text(members.get("type"))])
    said_by_type = fields.get("type", REPLY)
    if not any(is_stop(said_by_type, _word(each)) for each in details) and not any(
        code(_word(each) or "") in STOP_CODES for each in types
    ):
        return None
    customer = fields.get("customer_id") or customer_of(key)
    if customer is None:
        return None
    fields = {"type": REPLY, "occurred_at": 0, **fields, "customer_id": customer, "detail": "stop"}
    if any(_is_present(members, name) and name not in fields for name in ("channel", "decision_id")):
        fields["channel"] = NO_WORD  # which channel was meant cannot be told
    return Reading(Outcome(**fields), doubts)


def customer_of(key: bytes | None) -> str | None:
    """The customer a record's key names, if it can name one.

    Of a key that a serializer wrote, in quotes or behind the id of a schema registry, what it wrote: nobody's id begins
    with zeros, and the no of somebody else would protect nobody.
    """
    try:
        text = _UNPREFIXED.sub(b"", key or b"").decode()
    except UnicodeDecodeError:
        return None
    if len(text) > 2 and text[0] == text[-1] == '"':
        text = _text(Raw(text.encode())) or text
    return text if 1 <= len(text) <= TEXT_CHARACTERS_MAX else None


def _readable(wire: Wire[Any], members: Mapping[str, Raw]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of the event that can be read, and what could not: `time` or `field`, once for each."""
    found: dict[str, Any] = {}
    doubts: list[str] = []
    for name, raw in members.items():
        decode = wire.each.get(name)
        if decode is None or bytes(raw) == _NOTHING:
            continue
        try:
            content = decode(raw)
            if name in _TIMES and isinstance(content, str):
                content = moment_ms(content, name)
        except (ValueError, RecursionError, RecordRefused):
            if name != "type":
                doubts.append("time" if name in _TIMES else "field")
        else:
            found[name] = content
    return found, tuple(doubts)


def _is_present(members: Mapping[str, Raw], name: str) -> bool:
    return bytes(members.get(name, Raw(_NOTHING))) != _NOTHING


def _word(said: object) -> str | None:
    return said if isinstance(said, str) and len(said) <= TEXT_CHARACTERS_MAX else None


def _text(raw: Raw | None) -> str | None:
    try:
        return None if raw is None else _text_or_none(raw)
    except (ValueError, RecursionError):
        return None


def _spelled(raw: Raw | None) -> str:
    """The word, without regard to letter case, blanks, hyphens and underscores."""
    return code(_text(raw) or "")
