"""Events in an envelope that no header announces.

Connectors write them unless they are configured not to: a CloudEvent whose `content-type` was lost, what Kafka
Connect's JSON converter writes with `schemas.enable`, a change event of Debezium, JSON in a JSON string. One may hold
an opt-out.

Rules of this module
1. It is asked only if a payload cannot be read as it is, so an event is never looked for inside an event.
2. An envelope is recognised by its own members, and has none of those by which an event is recognised. What it holds
   is found and never changed, and nothing that stands beside it is merged into it.
3. If the envelope says no more than "this is the event", any event is read from it. If it says more (a row was changed,
   a router has put members beside it), only an event that restricts is read, because what it permits would be a guess.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from streams.contracts.duplicate_fields import refuse_duplicate_fields
from streams.contracts.envelope import opened_cloud_event
from streams.contracts.errors import RecordRefused
from streams.contracts.refusals import check_text
from streams.contracts.text import MARK, as_utf8
from streams.contracts.wire import decode_members

LAYERS_MAX: Final = 5
"""The payload of an outbox's row, a string, in Debezium's envelope, in Connect's: four. One to spare."""

_CONNECT: Final = frozenset({"schema", "payload"})
_CHANGE: Final = frozenset({"op", "before", "after"})
_CLOUD_EVENT: Final = frozenset({"specversion", "data", "data_base64"})
_OF_ENVELOPES: Final = _CONNECT | _CHANGE | _CLOUD_EVENT
_OF_EVENTS: Final = frozenset({"customer_id", "intent_id", "event_id"})
# A row was created, changed, or read while a snapshot was made: `after` is how it stands. Not: deleted, cut off.
_ROW_STANDS: Final = frozenset({b'"c"', b'"u"', b'"r"'})
_BLANKS: Final = b" \t\r\n"

_FLATTEN: Final = "on the connector, set the transform ExtractNewRecordState (or EventRouter, for an outbox)"
_ALONE: Final = "publish what stands in `payload` alone"

_decode_string: Final = msgspec.json.Decoder(str).decode


class BareEnvelope(NamedTuple):
    """What was found. `around`: the envelopes, from the inside, in words. `remedy`: how to do without the one of which
    only what restricts may be read; empty if there is none.
    """

    payload: bytes
    around: str
    remedy: str

    def does_not_restrict(self, refusal: type[RecordRefused] = RecordRefused) -> RecordRefused:
        """The refusal of what was found, where only what restricts is read."""
        return refusal("bad_envelope", f"in {self.around}, of which only what restricts is read; {self.remedy}")

    def inside(self, refusal: RecordRefused) -> RecordRefused:
        """The refusal of what was found, with where it stood."""
        return RecordRefused(refusal.reason, f"{refusal.detail} (in {self.around})")


class _Layer(NamedTuple):
    content: bytes
    name: str
    remedy: str = ""


def find_bare_envelope(payload: bytes) -> BareEnvelope | None:
    """What the envelopes around it hold; None if it stands in none.

    Raises:
        RecordRefused: it stands in one that cannot be opened.
    """
    text = as_utf8(payload)
    around = [] if text is payload else ["text that was not plain UTF-8"]
    remedy = ""
    layers = 0
    while layer := _layer(text):
        if layers == LAYERS_MAX:
            raise RecordRefused(
                "bad_envelope", f"more than {LAYERS_MAX} envelopes, one in another; publish the event alone"
            )
        text = layer.content
        around.insert(0, layer.name)
        remedy = remedy or layer.remedy
        layers += 1
    return BareEnvelope(text, " in ".join(around), remedy) if around else None


def _layer(payload: bytes) -> _Layer | None:
    begins = payload.lstrip(_BLANKS)[:1]
    if begins not in {b"{", b'"'}:
        return None
    try:
        check_text(payload)
        if begins == b'"':
            return _Layer(_decode_string(payload).lstrip(MARK).encode(), "a JSON string")
        members = decode_members(payload)
    except (RecordRefused, ValueError, RecursionError):
        return None  # the refusal it was met with says more
    if members.keys().isdisjoint(_OF_ENVELOPES) or not members.keys().isdisjoint(_OF_EVENTS):
        return None
    refuse_duplicate_fields(payload, 0, 0, _OF_ENVELOPES)
    return _opened(payload, members)


def _opened(payload: bytes, members: dict[str, Raw]) -> _Layer | None:
    if "specversion" in members:
        return _Layer(opened_cloud_event(payload), "a CloudEvent")
    if "type" in members:
        return None  # the event's own, so that the rest is its own too
    if "payload" in members:
        content = _content(members, "payload")
        if members.keys() <= _CONNECT:
            return _Layer(content, "a Kafka Connect envelope")
        return _Layer(content, "`payload` beside other members", _ALONE)
    if "op" in members and "after" in members:
        if bytes(members["op"]) not in _ROW_STANDS:
            raise RecordRefused("bad_envelope", f"a Debezium change event of a row that is gone; {_FLATTEN}")
        return _Layer(_content(members, "after"), "a Debezium change event", _FLATTEN)
    return None


def _content(members: dict[str, Raw], name: str) -> bytes:
    content = bytes(members[name])
    if content == b"null":
        raise RecordRefused("no_value", f"`{name}` is null; publish the event in it, or nothing")
    return content
