"""The conformance files of `schemas/conformance`, written from here: `python -m tests.contracts.conformance`.

Rules of this module
1. What becomes of a record is what `hostile.py` and the table of times in docs/contracts.md say, not what a decoder
   answers; only what a sound event holds is taken from the decoder. A test plays all of it through both readers.
2. Left out are records of which the clock decides, and those too long to be read by people.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import asdict

from streams.audit.murmur import murmur2
from streams.contracts.decode import decode_preference
from tests.contracts.decoders import reading
from tests.contracts.hostile import HostileRecord, document, hostile_records
from tests.contracts.test_producers_of_times import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRECTORY: Final = Path(__file__).parents[2] / "schemas" / "conformance"
TOPICS: Final = {"intent": "outbound-intent", "preference": "opt-out", "outcome": "contact-outcome"}
PARTITIONS: Final = (1, 2, 3, 6, 8, 12, 48, 100, 1024)
BYTES_MAX: Final = 1_500
CLOCK: Final = frozenset({"from_the_future", "implausible_time"})
UNNAMED: Final = ("unnamed", "*")

KEYS: Final[tuple[bytes, ...]] = (
    *(b"", b"0", b"21", b"foobar", b"abc", b"a-little-bit-long-string", b"a-little-bit-longer-string"),
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
    *(b"c-1", b"C-1", b" c-1", b'"c-1"', b"c-8f3a61d2b07e4c15", b"01912f5e-7c1e-7b6a-9c2e-5f1d2a3b4c5d"),
    *(b"573001234567", b"+573001234567", b"a\0b"),
    *("jos\u00e9".encode(), "jose\u0301".encode(), "\u65e5\u672c\u8a9e".encode(), "\U0001f600".encode()),
    *(bytes(range(1, length + 1)) for length in range(1, 10)),
    *(b"\x7f\x80\xff", b"\xff\xfe\xfd\xfc\xfb", "\u00e9".encode() * 64, b"x" * 128, b"k" * 1_000),
)


def records() -> Iterator[dict[str, Any]]:
    """The lines of `records.jsonl`."""
    for record in hostile_records():
        if record.reason not in CLOCK and len(record.value or b"") + len(record.key or b"") <= BYTES_MAX:
            yield _line(record)
    for number, row in enumerate(ROWS):
        name = f"time-{number:02}"
        value = json.dumps(document("intent", name, ..., created_at="TIME")).replace('"TIME"', row.written).encode()
        key = f"hostile-intent-{name}".encode()
        reason: Any = None if isinstance(row.read_as, int) else row.read_as
        fate: Any = "decided" if reason is None else "dead_letter"
        yield {**_line(HostileRecord(name, "intent", key, value, (), fate, reason)), "note": row.producer}


def _line(record: HostileRecord) -> dict[str, Any]:
    line: dict[str, Any] = {"name": record.name, "topic": TOPICS[record.topic_kind]}
    line |= _bytes("key", record.key) | _bytes("value", record.value)
    line["headers"] = [{"name": name, **_bytes("value", content)} for name, content in record.headers]
    if record.expected == "dead_letter":
        line |= {"becomes": "dead_letter", "reason": record.reason}
        if record.topic_kind == "preference":
            event = decode_preference(record.value, record.headers, record.key).event
            line["closes_customer"] = None if event is None else event.customer_id
        return line
    kind = "preference-event" if record.topic_kind == "preference" else record.topic_kind
    found: Any = reading(kind, record.value, record.headers, record.key)
    event = {name: said for name, said in asdict(found.event).items() if said is not None and said not in UNNAMED}
    if found.not_understood:
        event = {name: event[name] for name in ("customer_id", "type")}
    line["becomes"] = "read" if record.expected == "decided" else "forwarded"
    return {**line, "left_out": len(found.not_understood), "event": event}


def _bytes(name: str, content: bytes | None) -> dict[str, str | None]:
    """As text where it is UTF-8, else in base64."""
    try:
        return {name: None if content is None else content.decode()}
    except UnicodeDecodeError:
        assert content is not None
        return {f"{name}_base64": base64.b64encode(content).decode()}


def vectors() -> Iterator[dict[str, Any]]:
    """The lines of `murmur2.jsonl`."""
    for key in KEYS:
        digest = murmur2(key)
        signed = digest - 2**32 if digest >= 2**31 else digest
        homes = {str(count): (digest & 0x7FFF_FFFF) % count for count in PARTITIONS}
        yield {**_bytes("key", key), "murmur2": signed, "partition": homes}


def text_of(lines: Iterator[dict[str, Any]]) -> str:
    """As the file holds them."""
    return "".join(json.dumps(line, ensure_ascii=True) + "\n" for line in lines)


FILES: Final = {"records.jsonl": records, "murmur2.jsonl": vectors}

if __name__ == "__main__":
    for name, lines in FILES.items():
        (DIRECTORY / name).write_text(text_of(lines()))
