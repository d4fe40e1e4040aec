"""Lines of a file, each read as the gate would read it: what kind of event it is, and whether it may be sent.

Rules of this module
1. The gate's own decoders judge every line, so that what passes here becomes no dead letter there.
2. Nothing is sent and nothing is printed: `publish` does that.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, get_args

import msgspec

from streams.cli.errors import Unreadable
from streams.contracts.advice import amiss
from streams.contracts.bare_envelopes import find_bare_envelope
from streams.contracts.decode import decode_intent, decode_outcome, decode_preference
from streams.contracts.errors import RecordRefused
from streams.contracts.lenient import type_meant
from streams.contracts.refusals import check_text, refusal_of
from streams.contracts.wire import decode_members
from streams.decision.outcome_event import OutcomeType
from streams.decision.preference_event import RESTRICTIVE, PreferenceType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Kind = Literal["intents", "preferences", "outcomes"]

LOOK_AHEAD_LINES: Final = 1_000
"""How far to look for the end of a document that begins on the first line. No event written by hand is longer."""

_PREFERENCE_TYPES: Final = get_args(PreferenceType)
_OUTCOME_TYPES: Final = get_args(OutcomeType)
_TIME_FIELDS: Final = {"intents": "created_at", "preferences": "effective_at", "outcomes": "occurred_at"}


class _KindFields(msgspec.Struct):
    """The fields that tell what a line is."""

    type: Any = None
    intent_id: Any = None


_decode_kind_fields: Final = msgspec.json.Decoder(_KindFields).decode


def _read_intent(line: bytes) -> tuple[Any, bool]:
    return decode_intent(line)[0], False


def _read_preference(line: bytes) -> tuple[Any, bool]:
    read = decode_preference(line)
    if read.refusal is not None:
        raise read.refusal
    return read.event, bool(read.not_understood)


def _read_outcome(line: bytes) -> tuple[Any, bool]:
    read = decode_outcome(line)
    return read.event, bool(read.not_understood)


_READERS: Final[Mapping[Kind, Callable[[bytes], tuple[Any, bool]]]] = {
    "intents": _read_intent,
    "preferences": _read_preference,
    "outcomes": _read_outcome,
}
"""The gate's decoders. They give the event, and whether something in it was not understood and is left out."""

UTF8_MARK: Final = b"\xef\xbb\xbf"
_UTF16_BEGINNINGS: Final = (b"\xff\xfe", b"\xfe\xff", b"{\0", b"\0{")


class CheckedLine(NamedTuple):
    """A line that may be sent."""

    kind: Kind
    key: bytes
    value: bytes
    timestamp_ms: int | None
    created_ms: int | None
    """When an intent was created; None for the other kinds."""
    customer_id: str
    is_doubtful: bool
    """Whether the gate leaves out something in it that it does not understand."""


class KindUnknown(Exception):
    """A JSON object that has neither of the fields that distinguish the kinds."""


def kind_of(line: bytes) -> Kind:
    """The kind of the line, by the fields that only one kind has. For an envelope, the kind of its content.

    Raises:
        RecordRefused: it is not a JSON object, or has a type that none of the three knows.
        KindUnknown: it has neither type nor intent id.
    """
    envelope = find_bare_envelope(line)
    line = line if envelope is None else envelope.payload
    try:
        found = _decode_kind_fields(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        check_text(line)
        raise refusal_of(error) from None
    if isinstance(found.type, str):
        if found.type in _PREFERENCE_TYPES:
            return "preferences"
        if found.type in _OUTCOME_TYPES:
            return "outcomes"
    if found.intent_id is not None:
        return "intents"
    if found.type is not None:
        if type_meant(decode_members(line)) in RESTRICTIVE:  # in another spelling, which the gate reads
            return "preferences"
        raise _unknown_type((*_PREFERENCE_TYPES, *_OUTCOME_TYPES))
    raise KindUnknown


def _unknown_type(known: Iterable[str]) -> RecordRefused:
    return RecordRefused(
        "unknown_type", amiss("type", "a word that the contract does not know", f"one of {', '.join(known)}")
    )


def checked(line: bytes, to: Kind | None, *, with_own_time: bool) -> CheckedLine:
    """The line as it may be sent. `with_own_time`: its record's timestamp is the event's own time, if it has one.

    Raises:
        RecordRefused: the gate could not read it.
        KindUnknown: `to` is None, and what it is cannot be told.
    """
    kind = to or kind_of(line)
    event, is_doubtful = _READERS[kind](line)
    own_time = getattr(event, _TIME_FIELDS[kind]) if with_own_time else None
    created_ms = event.created_at if kind == "intents" else None
    return CheckedLine(kind, event.customer_id.encode(), line, own_time, created_ms, event.customer_id, is_doubtful)


def one_event_a_line(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines as they are, without a byte order mark. A document that begins on the first of them and ends on a later
    one is no such file.

    Raises:
        Unreadable: it is one JSON document over several lines, or UTF-16; nothing was yielded.
    """
    rest = iter(lines)
    seen: list[bytes] = []
    for line in rest:
        seen.append(line if seen else line.removeprefix(UTF8_MARK))
        if seen[-1].strip():
            break
    if seen and seen[0].startswith(_UTF16_BEGINNINGS):
        raise Unreadable("The file is UTF-16 text. Save it as UTF-8, or convert it: iconv -f UTF-16 -t UTF-8.")
    if seen and _has_no_end(seen[-1]):
        for line in rest:
            seen.append(line)
            if len(seen) > LOOK_AHEAD_LINES or line.startswith((b"}", b"]")):
                break
        if _is_json(b"".join(seen)):
            raise Unreadable("This looks like one JSON document over several lines. Write one event per line.")
    yield from chain(seen, rest)


def _has_no_end(line: bytes) -> bool:
    return line.lstrip().startswith((b"{", b"[")) and not _is_json(line)


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
