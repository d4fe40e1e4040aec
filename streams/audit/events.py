"""Records of the input topics, read from docs/contracts.md and `schemas/` by a reader of the audit's own.

Invariants
1. A record is either an event whose times are epoch milliseconds, or bad, with the reason the documents give. Of a
   record with several faults any one may be named.
2. An event that restricts is read as far as it can be read, and one that permits only if all of it can be read
   (docs/semantics.md, 0). A preference that cannot be read is bad. It still names the event that protects its customer.

Fields, kinds and the lenient reading stay in one module: each kind's reading is a row of the same table of checks, and
what is read leniently falls back on the same rows.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from streams.audit.documents import NUMBER_MAX, BadRecord, Document, Repeating, document_of
from streams.oracle.model import PERMISSIVE, STOP_CODES, STOP_CODES_OF_REPLIES
from streams.oracle.words import SCOPE_FIELDS, folded

if TYPE_CHECKING:
    from collections.abc import Sequence

Event = dict[str, Any]
_Check = "Callable[[Any], Any]"

WORD_MAX: Final = 128
ZONE_MAX: Final = 64
TIME_MAX: Final = 96
MOMENT_MAX: Final = 253_402_300_799_999
ATTRIBUTES_MAX: Final = 16
ATTRIBUTE_MAX: Final = 256

PREFERENCE_TYPES: Final = frozenset(
    {
        *("opt_out", "opt_in", "pause", "resume", "consent_granted", "consent_withdrawn", "objection", "restriction"),
        *("restriction_lifted", "clarification", "profile", "erasure"),
    }
)
RESTRICTIVE_TYPES: Final = PREFERENCE_TYPES - PERMISSIVE - {"profile"}
SPELLINGS: Final = {name.replace("_", ""): name for name in RESTRICTIVE_TYPES} | dict.fromkeys(
    ("unsubscribe", "unsubscribed", "stop"), "opt_out"
)
NO_WORD: Final = "*"
"""What a word of a restrictive event is read as that is none: nobody understands it, so it covers everything."""
OUTCOME_TYPES: Final = frozenset(
    {
        *("sent", "delivered", "read", "clicked", "failed", "bounced", "answered", "no_answer", "conversation"),
        *("refusal", "reply", "complaint", "expired"),
    }
)

_TIME = re.compile(
    r"""
    (?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)
    [T\ ]
    (?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d)
    (?: :(?P<second>[0-5]\d) (?:[.,](?P<fraction>\d+))? )?
    (?: Z | (?-i:\ UTC) | \ ?(?P<sign>[+-])(?P<ahead_hours>[01]\d|2[0-3]):?(?P<ahead_minutes>[0-5]\d)?(?<!:) )
    (?: \[ [a-z_.+-] [a-z0-9_.+:/=-]* \] )*
    """,
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
_EPOCH_DAY: Final = dt.date(1970, 1, 1).toordinal()


# ---- fields ---------------------------------------------------------------------------------------------------------


def moment(value: object) -> int:
    """Epoch milliseconds of a time as it may be written."""
    if type(value) is int:
        if not 0 <= value <= MOMENT_MAX:
            raise BadRecord("out_of_range")
        return value
    if not isinstance(value, str):
        raise BadRecord("wrong_type")
    if len(value) > TIME_MAX:
        raise BadRecord("out_of_range")
    found = _TIME.fullmatch(value)
    if found is None:
        raise BadRecord("bad_time")
    year, month, day, hour, minute = map(int, found.group("year", "month", "day", "hour", "minute"))
    second, sign, ahead_hours, ahead_minutes = found.group("second", "sign", "ahead_hours", "ahead_minutes")
    try:
        days = dt.date(year, month, day).toordinal() - _EPOCH_DAY
    except ValueError:
        raise BadRecord("bad_time") from None
    seconds = days * 86_400 + hour * 3_600 + minute * 60 + int(second or 0)
    if sign is not None:
        ahead = int(ahead_hours) * 3_600 + int(ahead_minutes or 0) * 60
        seconds += -ahead if sign == "+" else ahead
    moment_ms = seconds * 1_000 + int(((found["fraction"] or "") + "000")[:3])
    if year < 1970 or not 0 <= moment_ms <= MOMENT_MAX:
        raise BadRecord("out_of_range")
    return moment_ms


def _word(value: object, longest: int = WORD_MAX) -> str:
    if not isinstance(value, str):
        raise BadRecord("wrong_type")
    if not 1 <= len(value) <= longest:
        raise BadRecord("out_of_range")
    return value


def _matching(pattern: re.Pattern[str], value: object) -> str:
    if not isinstance(value, str):
        raise BadRecord("wrong_type")
    if pattern.fullmatch(value) is None:
        raise BadRecord("out_of_range")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadRecord("wrong_type")
    return value


def _priority(value: object) -> int:
    if type(value) is not int:
        raise BadRecord("wrong_type")
    if not 0 <= value <= 100:
        raise BadRecord("out_of_range")
    return value


def _one_of(words: frozenset[str], reason: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadRecord("wrong_type")
    if value not in words:
        raise BadRecord(reason)
    return value


def _attributes(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRecord("wrong_type")
    if isinstance(value, Repeating):
        raise BadRecord("repeated_field")
    if len(value) > ATTRIBUTES_MAX:
        raise BadRecord("out_of_range")
    for name, content in value.items():
        _word(name)
        if isinstance(content, str):
            if len(content) > ATTRIBUTE_MAX:
                raise BadRecord("out_of_range")
        elif isinstance(content, (dict, list)):
            raise BadRecord("wrong_type")
        elif content is not None and not -NUMBER_MAX <= content <= NUMBER_MAX:
            raise BadRecord("out_of_range")
    return value


_zone = partial(_word, longest=ZONE_MAX)
_country = partial(_matching, re.compile("[A-Z]{2}"))
_region = partial(_matching, re.compile("[A-Z0-9]{1,3}"))
_decision_id = partial(_matching, re.compile("[0-9a-f]{24}"))

_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "intent": {
        **dict.fromkeys(("intent_id", "customer_id", "channel", "purpose", "topic", "brand", "campaign_id"), _word),
        **dict.fromkeys(("template_id", "holiday_calendar", "address_hash", "sender_id", "consent_ref"), _word),
        **dict.fromkeys(("collapse_key", "retry_of"), _word),
        "created_at": moment,
        "expires_at": moment,
        "priority": _priority,
        "country": _country,
        "region": _region,
        "timezone": _zone,
        "automated": _truth,
        "on_suppress": partial(_one_of, frozenset({"drop", "hold"}), "out_of_range"),
        "attributes": _attributes,
    },
    "preference": {
        **dict.fromkeys(("event_id", "customer_id", "channel", "purpose", "topic", "brand", "sender_id"), _word),
        **dict.fromkeys(("source", "evidence_ref"), _word),
        "attributes": _attributes,
        **dict.fromkeys(("effective_at", "until", "expires_at"), moment),
        "type": partial(_one_of, PREFERENCE_TYPES, "unknown_type"),
        "timezone": _zone,
        "country": _country,
        "region": _region,
        "minor": _truth,
    },
    "outcome": {
        **dict.fromkeys(("customer_id", "channel", "detail"), _word),
        "type": partial(_one_of, OUTCOME_TYPES, "unknown_type"),
        "occurred_at": moment,
        "decision_id": _decision_id,
    },
}
_REQUIRED: Final = {
    "intent": ("intent_id", "customer_id", "channel", "created_at"),
    "preference": ("event_id", "customer_id", "type"),
    "outcome": ("customer_id", "type", "occurred_at"),
}

_SAID_BY_ALL: Final = frozenset(
    {"event_id", "customer_id", "type", "effective_at", "source", "evidence_ref", "attributes"}
)
_SAID_OF_PROFILES: Final = frozenset({"timezone", "country", "region", "minor"})
_SAID_OF_SCOPES: Final = frozenset({*SCOPE_FIELDS, "until", "expires_at"})
_SAID_BY: Final = {
    **dict.fromkeys(PERMISSIVE, _SAID_BY_ALL | _SAID_OF_SCOPES),
    "clarification": _SAID_BY_ALL,
    "profile": _SAID_BY_ALL | _SAID_OF_PROFILES,
}
"""The fields that say something in an event that permits or changes the profile: any other is a mistake."""
_RESTRICTS: Final = (*SCOPE_FIELDS, "effective_at", "until", "source", "evidence_ref")


def read_event(
    kind: str, value: bytes | None, headers: Sequence[tuple[str, bytes | None]], key: bytes | None = None
) -> Event:
    """The event of a record: its known fields, nulls left out.

    Raises:
        BadRecord: it cannot be read.
    """
    if kind == "preference":
        return _preference(value, headers, key)
    document = document_of(value, headers)
    members = _members(document)
    code = _code_of(members) if kind == "outcome" else None
    if code is not None:
        return _stop(members, code, key)
    return _where_all_is_read(document, _read_whole(kind, members))


def _members(document: Document) -> dict[str, Any]:
    if not isinstance(document.content, dict):
        raise BadRecord("wrong_type")
    return document.content


def _where_all_is_read(document: Document, event: Event) -> Event:
    if document.only_what_restricts:
        raise BadRecord("bad_envelope")
    return event


def _repeated(document: dict[str, Any]) -> frozenset[str]:
    return document.repeated if isinstance(document, Repeating) else frozenset()


def _read_whole(kind: str, document: dict[str, Any]) -> Event:
    """Every known field, which must all be readable."""
    known = _FIELDS[kind]
    if not _repeated(document).isdisjoint(known):
        raise BadRecord("repeated_field")
    required = _REQUIRED[kind]
    for name in required:
        if name not in document:
            raise BadRecord("missing_field")
    event: Event = {}
    for name, content in document.items():
        check = known.get(name)
        if check is None:
            continue
        if content is None and name not in required:
            continue
        event[name] = check(content)
    if kind == "outcome" and "decision_id" not in event and (event["type"] != "reply" or "channel" not in event):
        raise BadRecord("missing_field")
    return event


# ---- what customers said --------------------------------------------------------------------------------------------


def _preference(value: bytes | None, headers: Sequence[tuple[str, bytes | None]], key: bytes | None) -> Event:
    members: dict[str, Any] = {}
    try:
        document = document_of(value, headers)
        members = _members(document)
        if not _repeated(members).isdisjoint(_FIELDS["preference"]):
            raise BadRecord("repeated_field")
        said = _type_said(members)
    except BadRecord as bad:
        # READING: nothing at all is a tombstone, however it is wrapped.
        customer_id = _customer(members, key)
        if bad.reason != "no_value" and customer_id is not None:
            bad.unread = {"type": "unread", "customer_id": customer_id}
        raise
    if said in RESTRICTIVE_TYPES:
        return _restrictive(said, members, key)
    return _where_all_is_read(document, _permissive(said, members))


def _type_said(document: dict[str, Any]) -> str:
    """The type of an event; a restrictive one in whatever spelling.

    READING: a permissive type in another spelling is known, and a dead letter only.
    """
    if "type" not in document:
        raise BadRecord("missing_field")
    written = document["type"]
    if not isinstance(written, str):
        raise BadRecord("wrong_type")
    plain = _plain(written)
    if plain in SPELLINGS:
        return SPELLINGS[plain]
    if plain not in {name.replace("_", "") for name in PREFERENCE_TYPES}:
        raise BadRecord("unknown_type")
    return written


def _plain(word: str) -> str:
    return folded(word).replace("-", "").replace("_", "")


def _customer(document: dict[str, Any], key: bytes | None) -> str | None:
    """Who an event is about: the customer it names, else the record's key, if that is text."""
    named = None if "customer_id" in _repeated(document) else document.get("customer_id")
    with contextlib.suppress(BadRecord):
        return _word(named)
    with contextlib.suppress(BadRecord, UnicodeDecodeError):
        return _word(_written_in(key or b""))
    return None


def _written_in(key: bytes) -> str:
    """The id in a key, without what a serializer puts around it: a registry's id, quotes.

    READING: the key is asked only where the value does not say who it is about.
    """
    if key[:1] == b"\0":
        size = 9 if key[:6] == bytes(6) else 5
        key = key[size:] or key
    text = key.decode()
    with contextlib.suppress(ValueError):
        found = json.loads(text) if text.startswith('"') else None
        if isinstance(found, str) and found:
            return found
    return text


def _restrictive(said: str, document: dict[str, Any], key: bytes | None) -> Event:
    customer_id = _customer(document, key)
    if customer_id is None:
        raise BadRecord("wrong_type" if "customer_id" in document else "missing_field")
    event: Event = {"type": said, "customer_id": customer_id}
    for name in ("effective_at",) if said == "erasure" else _RESTRICTS:
        content = document.get(name)
        if content is None:
            continue
        try:
            event[name] = _FIELDS["preference"][name](content)
        except BadRecord:
            if name in {*SCOPE_FIELDS, "source"}:
                event[name] = NO_WORD
            if name != "evidence_ref":
                event["is_garbled"] = True
    if event.pop("is_garbled", False):
        event.pop("until", None)
    return event


def _permissive(said: str, document: dict[str, Any]) -> Event:
    event = _read_whole("preference", document)
    known = _FIELDS["preference"]
    if not {name for name, content in document.items() if name not in known or content is not None} <= _SAID_BY[said]:
        raise BadRecord("unknown_field")
    return event


# ---- STOP -----------------------------------------------------------------------------------------------------------


def _type_of_outcome(document: dict[str, Any]) -> str:
    """The type; what is none, or is two, is taken for a reply."""
    said = document.get("type")
    is_one = isinstance(said, str) and said in OUTCOME_TYPES and "type" not in _repeated(document)
    return str(said) if is_one else "reply"


def _code_of(document: dict[str, Any]) -> str | None:
    """The code of an outcome that says STOP, in a detail or, by mistake, as a type."""
    found = STOP_CODES | (STOP_CODES_OF_REPLIES if _type_of_outcome(document) == "reply" else set())
    for name, codes in (("detail", found), ("type", STOP_CODES)):
        for said in _all_said(document, name):
            if isinstance(said, str) and len(said) <= WORD_MAX and _plain(said) in codes:
                return said
    return None


def _all_said(document: dict[str, Any], name: str) -> list[Any]:
    """Every content of a field, however often it stands there."""
    if isinstance(document, Repeating):
        return [content for each, content in document.everything if each == name]
    return [document[name]] if name in document else []


def _stop(document: dict[str, Any], code: str, key: bytes | None) -> Event:
    customer_id = _customer(document, key)
    if customer_id is None:
        raise BadRecord("wrong_type" if "customer_id" in document else "missing_field")
    event: Event = {"customer_id": customer_id, "type": _type_of_outcome(document), "detail": code}
    twice = _repeated(document)
    for name in ("occurred_at", "channel", "decision_id"):
        content = document.get(name)
        if content is None and name not in twice:
            continue
        try:
            event[name] = _FIELDS["outcome"][name]([] if name in twice else content)
        except BadRecord:
            if name != "occurred_at":  # which channel is meant cannot be told
                event["channel"] = NO_WORD
    return event
