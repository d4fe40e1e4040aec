"""Values and headers of input records to the three decoders of events.

What must hold beside "refused or read"
1. What is read is what the decision core declares, and if it is written as plain JSON it reads the same, however
   leniently it was read.
2. A refusal has a reason of the list, and says no word of the record. A preference nobody can read protects whom it is
   about.
3. Decoder and published schema agree about the document, but for the listed differences. (One input in 64: a validator
   in Python takes longer than all the rest.)
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import msgspec

from streams.contracts.bare_envelopes import find_bare_envelope
from streams.contracts.decode import PreferenceReading
from streams.contracts.errors import REFUSALS, PermissionRefused, RecordRefused
from streams.decision.intent import Intent
from streams.decision.outcome_event import Outcome
from streams.decision.preference_event import PreferenceEvent
from tests.contracts.decoders import read, reading
from tests.contracts.hostile import hostile_records
from tests.contracts.schema_files import SCHEMAS, examples
from tests.contracts.test_schema_and_decoder import assert_they_agree
from tests.fuzz.frames import HEADERS_MAX, PIECE_BYTES_MAX, Frame, value
from tests.fuzz.telling import assert_tells_nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.contracts.hostile import HostileRecord, TopicKind

SCHEMA_EVERY: Final = 64
SEED_BYTES_MAX: Final = 4_096
"""Larger hostile records are tests of their own; every mutation of them would cost a millisecond."""

STRUCTURED: Final = (("content-type", b"application/cloudevents+json"),)
# About bytes, not about documents: the schema cannot say them.
_BEYOND_DOCUMENTS: Final = frozenset({"too_large", "not_json", "not_utf8", "no_value"})

KEY: Final = b"c-key"
_LEFT_OUT: Final = frozenset({"time", "field"})


def _target(core: type[Any], kind: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        content, headers = Frame(data).value()
        for key in (None, KEY):
            try:
                found = reading(kind, content, headers, key)
            except RecordRefused as refused:
                _says_nothing(refused)
                continue
            refusal = found.refusal if isinstance(found, PreferenceReading) else None
            if refusal is not None:
                _says_nothing(refusal)
                _may_have_been_a_no(found, key, refusal)
            else:
                _is_the_cores(core, kind, found)
        if content is not None and crc32(data) % SCHEMA_EVERY == 0:
            _agrees_with_schema(kind, content)

    return run


def _says_nothing(refused: RecordRefused) -> None:
    assert refused.reason in REFUSALS
    assert_tells_nothing(f"{refused} {refused.args}")
    assert refused.__cause__ is None


def _may_have_been_a_no(found: Any, key: bytes | None, refusal: RecordRefused) -> None:  # noqa: ANN401 - a reading
    """Whom a record nobody can read is about is protected: somebody, if it has a key and is none that permits."""
    if found.event is None:
        assert key is None or isinstance(refusal, PermissionRefused) or refusal.reason == "no_value"
        return
    assert found.event == PreferenceEvent(event_id="unnamed", customer_id=found.event.customer_id, type="unread")
    assert found.not_understood == ("event",)


def _is_the_cores(core: type[Any], kind: str, found: Any) -> None:  # noqa: ANN401 - a reading
    event = found.event
    assert event.__class__ is core
    assert found.unknown_fields >= 0
    assert set(found.not_understood) <= _LEFT_OUT
    # Without what it does not say: a null, too, is a field that says nothing in some types.
    said = {name: value for name, value in msgspec.structs.asdict(event).items() if value is not None}
    written = msgspec.json.encode(said)
    assert read(kind, written) == (event, 0), "written again it reads otherwise"
    assert msgspec.json.decode(written, type=core) == event, "not what the core declares"


def _agrees_with_schema(kind: str, content: bytes) -> None:
    try:
        document = json.loads(content)
        again = json.dumps(document, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return
    try:
        if find_bare_envelope(again) is not None:  # what is around a document is no part of it
            return
        read(kind, again)
    except RecordRefused as refused:
        if refused.reason in _BEYOND_DOCUMENTS:
            return
    assert_they_agree(kind, document, ascii_only=True)


intent: Final = _target(Intent, "intent")
preference: Final = _target(PreferenceEvent, "preference-event")
outcome: Final = _target(Outcome, "outcome")


def hostile(kind: TopicKind | None = None) -> Iterator[HostileRecord]:
    """The hostile records that are small enough to be changed thousands of times a second."""
    for record in hostile_records():
        small = len(record.value or b"") <= SEED_BYTES_MAX and len(record.headers) <= HEADERS_MAX
        short = all(max(len(name.encode()), len(content)) <= PIECE_BYTES_MAX for name, content in record.headers)
        if small and short and kind in {None, record.topic_kind}:
            yield record


def seeds(kind: TopicKind) -> Iterator[bytes]:
    """The published examples, plain and in envelopes, and the hostile records of this kind."""
    name = "preference-event" if kind == "preference" else kind
    for path in examples(name):
        yield value(path.read_bytes())
    yield value(path.read_bytes(), padded=True)
    for path in sorted((SCHEMAS / "examples").glob(f"cloudevents.{name}*.json")):
        yield value(path.read_bytes(), STRUCTURED)
    for record in hostile(kind):
        yield value(record.value, record.headers)


FIELDS: Final[dict[str, tuple[str, ...]]] = {
    "intent": Intent.__struct_fields__,
    "preference": PreferenceEvent.__struct_fields__,
    "outcome": Outcome.__struct_fields__,
}
