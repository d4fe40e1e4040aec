"""Records of any topic, key, place and headers to what the gate makes of them.

What must hold
1. Nothing is raised, whatever the record: each leaves exactly one trace, and applied again the batch gives the same.
2. A dead letter is the record byte for byte, or says what it lost; what the gate adds says no word of the record.
3. Whatever goes out is JSON, and whatever is stored can be read.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import msgspec
import orjson

from streams.contracts.header_names import (
    ERROR_DETAIL,
    ERROR_HEADERS_BYTES,
    ERROR_KEY_BYTES,
    ERROR_REASON,
    ERROR_VALUE_BYTES,
    ORIGIN_OFFSET,
    ORIGIN_PARTITION,
    ORIGIN_TIMESTAMP,
    ORIGIN_TOPIC,
)
from streams.decision.ledger.codec import decode_ledger, encode_ledger
from streams.decision.ledger.state import EMPTY_LEDGER, Contact, LabelSet
from streams.decision.ledger.transitions import with_contact, with_identity
from streams.exactly_once.changelog import CUSTOMER_PREFIX
from streams.exactly_once.interfaces import Batch
from streams.gate import Gate, GateSettings
from streams.records import InputRecord
from streams.topics import TopicNames
from tests.contracts.hostile import document
from tests.fuzz import events
from tests.fuzz.frames import Frame, number, piece, value
from tests.fuzz.ledgers import DAY_MS, NOW, policy
from tests.fuzz.mutators import framed, json_mutator
from tests.fuzz.telling import TOKEN, assert_tells_nothing

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator, Mapping

    from streams.exactly_once.interfaces import BatchResult
    from streams.records import OutputRecord
    from streams.telemetry.tally import Tally
    from tests.fuzz.mutators import Bytewise

TOPICS: Final = TopicNames()
PARTITIONS: Final = 4
OFFSET: Final = 1_000
LIMITS: Final = (1_000_000, 400, 20)
"""Bytes of a dead letter: the real limit, and two at which values, headers and keys have to go."""

_INPUTS: Final = (TOPICS.intents[0], TOPICS.preferences, TOPICS.outcomes, TOPICS.rerouted)
_ORIGINS: Final = (*_INPUTS, TOKEN)
_OPTIONS: Final = 9
"""Bytes at the front of a frame that are no part of the record: see `record`."""

_COUNTED: Final = ("decisions", "dead_letters", "rerouted", "preferences", "outcomes")


@cache
def _gate(limit: int, *, is_bounded: bool) -> Gate:
    settings = GateSettings(TOPICS, PARTITIONS, b"k" * 32, is_bounded, limit)
    return Gate(policy(), settings)


def record(data: bytes) -> None:
    """The target. The frame: topic, partition, limit, whether bounded, whether the answer is too large, timestamp,
    first topic of a forwarded record, how its headers say where it stood, what is known of the customer; the key; the
    record's value and headers.
    """
    frame = Frame(data)
    topic = _INPUTS[frame.byte() % len(_INPUTS)]
    partition = frame.byte() % PARTITIONS
    gate = _gate(LIMITS[frame.byte() % len(LIMITS)], is_bounded=bool(frame.byte() & 1))
    is_too_large = frame.byte() & 1
    timestamp_ms = (NOW, NOW - 400 * DAY_MS, -1, 2**62)[frame.byte() % 4]
    first, said = _ORIGINS[frame.byte() % len(_ORIGINS)], frame.byte()
    known = _known()[frame.byte() % len(_known())]
    key = frame.piece()
    content, headers = frame.value()
    if topic == TOPICS.rerouted and said & 1:
        headers = (*headers, *_origin(first, said >> 1))
    one = InputRecord(topic, OFFSET, timestamp_ms, key, content, headers)  # type: ignore[arg-type]  # null headers too
    records = (one, one._replace(offset=OFFSET + 1))
    too_large = frozenset({(topic, OFFSET)}) if is_too_large else frozenset()
    batch = Batch(partition, records, (NOW, NOW + 1), {TOPICS.preferences: 5}, too_large=too_large)
    store = _applied(gate, batch, {} if known is None else {CUSTOMER_PREFIX + b"c-1": known}, one)
    due_ms = NOW + (40 if said & 16 else 801) * DAY_MS
    later = Batch(partition, records[:1], (NOW + 2,), {}, due=(CUSTOMER_PREFIX + b"c-1", *store), due_ms=due_ms)
    store = _applied(gate, later, store, one)


@cache
def _known() -> tuple[bytes | None, ...]:
    """What the partition may know of the customer `c-1`: nothing, open approvals, too much, what is past."""
    open_ones = EMPTY_LEDGER
    for place in range(3):
        contact = Contact(bytes((place,)) * 12, NOW - 9, NOW + 200_000, 0, 16 if place else 0)
        open_ones = with_contact(open_ones, contact, LabelSet("sms", "marketing"), NOW - 10)
    full = msgspec.structs.replace(open_ones, preference_refused=True)
    past = with_identity(EMPTY_LEDGER, b"\7" * 12, NOW - 6 * DAY_MS)
    mark = msgspec.structs.replace(EMPTY_LEDGER, forgotten_ms=NOW - 10 * DAY_MS)
    return None, *map(encode_ledger, (open_ones, full, past, mark))


def _origin(topic: str, numbers: int) -> tuple[tuple[str, bytes], ...]:
    offset = (b"7", b"-1", b"9" * 19, b"x")[numbers & 3]
    place = ((ORIGIN_TOPIC, topic.encode()), (ORIGIN_PARTITION, b"1"), (ORIGIN_OFFSET, offset))
    return (*place, (ORIGIN_TIMESTAMP, b"5")) if numbers & 4 else place


def _applied(gate: Gate, batch: Batch, store: Mapping[bytes, bytes], one: InputRecord) -> dict[bytes, bytes]:
    """The store after the batch, which has been looked at from all sides."""
    result = gate.apply(batch, store)
    if batch.due:  # the second batch of two is looked at twice: that costs as much as all the rest
        again = gate.apply(batch, store)
        assert (result.outputs, result.changes) == (again.outputs, again.changes), "applied again it is otherwise"
    for key, changed in result.changes.items():
        due_ms = None if changed is None else gate.due_at(key, changed)
        known = None if key not in store else gate.due_at(key, store[key])
        is_earlier = due_ms is not None and (known is None or due_ms < known)
        assert result.due_at_ms.get(key) == (due_ms if is_earlier else None), "its work would be forgotten"
    tally: Tally = result.tally
    traces = sum(sum(getattr(tally, name).values()) for name in _COUNTED)
    assert traces == len(batch.records), f"{len(batch.records)} records left {traces} traces"
    for output in result.outputs:
        if output.topic == TOPICS.dead_letter:
            _is_whole_dead_letter(one, output)
        elif output.topic != TOPICS.rerouted:
            assert orjson.loads(output.value or b"")["customer_id"]
    return _stored(result, store)


def _stored(result: BatchResult, store: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    after = dict(store)
    for key, stored in result.changes.items():
        if stored is None:
            assert key in store, "what is not there is deleted"
            del after[key]
        else:
            ledger = decode_ledger(stored)
            assert key.startswith(CUSTOMER_PREFIX) or ledger.erased_ms is not None
            after[key] = stored
    return after


def _is_whole_dead_letter(one: InputRecord, letter: OutputRecord) -> None:
    names = [name for name, _ in letter.headers]
    added = dict(letter.headers[-names[::-1].index(ERROR_REASON) - 1 :])
    assert_tells_nothing(f"{added[ERROR_REASON]!r} {added[ERROR_DETAIL]!r}")
    assert letter.key == one.key or ERROR_KEY_BYTES in added
    assert letter.value == one.value or ERROR_VALUE_BYTES in added
    original = tuple(letter.headers[: len(one.headers)])
    assert original == tuple(one.headers) or ERROR_HEADERS_BYTES in added


FIELDS: Final = {
    "intent_id": ["i-1", "i-2"],
    "event_id": ["e"],
    "customer_id": ["c-1", TOKEN, "hostile-intent-shape"],
    "channel": ["sms", "voice", "fax"],
    "type": ["opt_out", "opt_in", "erasure", "profile", "consent_granted", "reply", "sent", "pause"],
    "created_at": [NOW, NOW - 1, NOW + 400_000, NOW - 20 * DAY_MS],
    "occurred_at": [NOW, NOW - 1],
    "effective_at": [NOW, NOW + 400_000, NOW - DAY_MS],
    "decision_id": ["0" * 24],
    "detail": ["stop", " STOP "],
    "purpose": ["otp", "service", "marketing"],
    "country": ["CO", "US"],
    "attributes": [{}, {"a": TOKEN}, {"a": 1.5, "b": None}],
}
_value_mutator = framed(json_mutator(tuple(FIELDS), FIELDS))


def mutate(data: bytes, chance: random.Random, bytewise: Bytewise) -> bytes:
    """The record's value and headers mostly; else what stands before them."""
    frame = Frame(data)
    options = bytes(frame.byte() for _ in range(_OPTIONS))
    key = frame.piece()
    rest = frame.rest()
    if chance.random() < 0.7:
        return options + piece(key) + _value_mutator(rest, chance, bytewise)
    if chance.random() < 0.5:
        at = chance.randrange(_OPTIONS)
        options = options[:at] + bytes((chance.randrange(16),)) + options[at + 1 :]
        return options + piece(key) + rest
    key = chance.choice((None, b"", b"c-1", TOKEN.encode(), b"hostile-intent-shape", b"\xff", bytes(50)))
    return options + piece(key) + rest


def seeds() -> Iterator[bytes]:
    """Every kind of event on every topic and partition, and the hostile records."""
    for kind, topic in (("intent", 0), ("preference", 1), ("outcome", 2)):
        for partition in range(PARTITIONS):
            more = {"purpose": "service", **({"attributes": {"a": 1}} if partition & 2 else {})} if topic == 0 else {}
            content = orjson.dumps(document(kind, "x", NOW, customer_id="c-1", **more))  # type: ignore[arg-type]
            yield bytes((topic, partition, 0, partition & 1, 0, 0, 0, 16, partition)) + piece(b"c-1") + value(content)
            yield bytes((3, partition, 0, 0, 0, 0, topic, 0b1001, partition)) + piece(b"c-1") + value(content)
            yield bytes((topic, partition, 0, 0, 1, 0, 0, 0, partition)) + piece(b"c-1") + value(content)
    for topic in range(len(_ORIGINS)):
        for numbers in range(8):
            content = orjson.dumps(document("preference", "x", NOW, customer_id="c-1"))
            options = bytes((3, numbers % PARTITIONS, numbers % 3, 0, 0, numbers, topic, numbers << 1 | 1, 0))
            yield options + piece(b"c-1") + value(content)
    for place, hostile in enumerate(events.hostile()):
        topic = ("intent", "preference", "outcome").index(hostile.topic_kind)
        options = bytes((topic, place % PARTITIONS, place % len(LIMITS), 0, 0, 0, 0, 0, place % 4))
        yield options + piece((hostile.key or b"")[:250]) + value(hostile.value, hostile.headers)
    ahead = orjson.dumps({"event_id": "e", "customer_id": "c-1", "type": "opt_in", "effective_at": NOW + 400_000})
    yield bytes((1, 2, 0, 0, 0, 3, 0, 0, 1)) + piece(b"c-1") + value(ahead)
    for kind in ("erasure", "profile", "consent_withdrawn"):
        content = orjson.dumps({"event_id": "e", "customer_id": "c-1", "type": kind, "country": "CO"})
        for known in range(5):
            yield bytes((1, 2, 0, 0, 0, 0, 0, 16 * (known & 1), known)) + piece(b"c-1") + value(content)
    yield number(0)
