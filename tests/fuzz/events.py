"""Values and headers of input records to the three decoders of events.

What must hold beside "refused or read"
1. What is read is what the decision core declares, and if it is written as plain JSON it reads the same.
2. A refusal has a reason of the list, and says no word of the record.
3. Decoder and published schema agree about the document, but for the listed differences. (One input in 64: a validator
   in Python takes longer than all the rest.)
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import msgspec

from streams.contracts.decode import decode_intent, decode_outcome, decode_preference
from streams.contracts.errors import REFUSALS, RecordRefused
from streams.decision.intent import Intent
from streams.decision.outcome import Outcome
from streams.decision.preference import PreferenceEvent
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

Decoder = Any  # of one of three kinds of event


def _target(decode: Decoder, core: type[Any], kind: str) -> Callable[[bytes], None]:
    def run(data: bytes) -> None:
        content, headers = Frame(data).value()
        try:
            event, unknown = decode(content, headers)
        except RecordRefused as refused:
            assert refused.reason in REFUSALS
            assert_tells_nothing(f"{refused} {refused.args}")
            assert refused.__cause__ is None
        else:
            _is_the_cores(decode, core, event, unknown)
        if content is not None and crc32(data) % SCHEMA_EVERY == 0:
            _agrees_with_schema(decode, kind, content)

    return run


def _is_the_cores(decode: Decoder, core: type[Any], event: Any, unknown: int) -> None:  # noqa: ANN401 - three kinds
    assert event.__class__ is core
    assert unknown >= 0
    written = msgspec.json.encode(event)
    assert decode(written) == (event, 0), "written again it reads otherwise"
    assert msgspec.json.decode(written, type=core) == event, "not what the core declares"


def _agrees_with_schema(decode: Decoder, kind: str, content: bytes) -> None:
    try:
        document = json.loads(content)
        again = json.dumps(document, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return
    try:
        decode(again)
    except RecordRefused as refused:
        if refused.reason in _BEYOND_DOCUMENTS:
            return
    assert_they_agree(kind, document, ascii_only=True)


intent: Final = _target(decode_intent, Intent, "intent")
preference: Final = _target(decode_preference, PreferenceEvent, "preference-event")
outcome: Final = _target(decode_outcome, Outcome, "outcome")


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
