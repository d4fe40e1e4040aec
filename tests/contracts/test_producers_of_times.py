"""The times that other languages write, as the table of docs/contracts.md has them, before everybody who reads times:
the gate's decoder, the published schemas, and the audit's own reader.
"""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest

from streams.audit.documents import BadRecord
from streams.audit.events import read_event
from streams.contracts.errors import RecordRefused
from tests.contracts.decoders import read
from tests.contracts.schema_files import INPUTS, validator

DOCUMENT = Path(__file__).parents[2] / "docs" / "contracts.md"
WHOLE_MS = 1_795_532_400_000
"""2026-11-24T15:00:00Z, ten o'clock in Bogota."""
PARTS_MS = (0, 123, 250)

# Each kind of event, with a field that is a time. The preference permits: of a no, a time that is none is left out.
FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "intent": ("created_at", {"intent_id": "i", "customer_id": "c", "channel": "sms"}),
    "preference-event": ("effective_at", {"event_id": "e", "customer_id": "c", "type": "opt_in"}),
    "outcome": ("occurred_at", {"customer_id": "c", "type": "sent", "decision_id": "0" * 24}),
}

JAVA = """
import java.text.SimpleDateFormat;
import java.time.*;
import java.time.format.DateTimeFormatter;
import java.util.*;

public class Times {
  public static void main(String[] arguments) {
    TimeZone.setDefault(TimeZone.getTimeZone("America/Bogota"));
    ZonedDateTime whole = ZonedDateTime.of(2026, 11, 24, 10, 0, 0, 0, ZoneId.of("America/Bogota"));
    for (int nanos : new int[] {0, 250_000_000, 123_456_789}) {
      ZonedDateTime time = whole.plusNanos(nanos);
      Date date = Date.from(time.toInstant());
      System.out.println("Instant\\t" + time.toInstant());
      System.out.println("OffsetDateTime\\t" + time.toOffsetDateTime());
      System.out.println("ZonedDateTime\\t" + time);
      System.out.println("ZonedDateTime\\t" + time.withZoneSameInstant(ZoneOffset.UTC));
      System.out.println("ZonedDateTime\\t" + time.withZoneSameInstant(ZoneId.of("UTC")));
      System.out.println("ZonedDateTime\\t" + time.withZoneSameInstant(ZoneId.of("UTC-05:00")));
      System.out.println("ISO_OFFSET_DATE_TIME\\t" + DateTimeFormatter.ISO_OFFSET_DATE_TIME.format(time));
      System.out.println("`Z`\\t" + new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ss.SSSZ", Locale.ROOT).format(date));
      System.out.println("`X`\\t" + new SimpleDateFormat("yyyy-MM-dd'T'HH:mm:ssX", Locale.ROOT).format(date));
      System.out.println("LocalDateTime\\t" + time.toLocalDateTime());
      System.out.println("RFC_1123_DATE_TIME\\t" + DateTimeFormatter.RFC_1123_DATE_TIME.format(time));
    }
  }
}
"""


class Row(NamedTuple):
    """A line of the table: who writes, what (JSON), and the moment, or the reason of the dead letter."""

    producer: str
    written: str
    read_as: int | str


def rows() -> list[Row]:
    section = DOCUMENT.read_text().partition("| producer | writes | read as |")[2].partition("\n\n")[0]
    found: list[Row] = []
    for line in section.splitlines()[2:]:
        producer, written, read_as = (cell.strip() for cell in line.strip("|").split(" | "))
        no = re.match(r"no: `(\w+)`", read_as)
        moment = no[1] if no else int(read_as.strip("`"))
        found += [Row(producer, each, moment) for each in re.findall("`([^`]+)`", written)]
    return found


ROWS = rows()


def readings(kind: str, written: str) -> list[int | str]:
    """What the gate and the audit read, the moment or the reason."""
    field, event = FIELDS[kind]
    value = f'{json.dumps(event)[:-1]}, "{field}": {written}}}'.encode()
    found: list[int | str] = []
    try:
        found.append(getattr(read(kind, value)[0], field))
    except RecordRefused as refused:
        found.append(refused.reason)
    try:
        found.append(read_event(kind.removesuffix("-event"), value, ())[field])
    except BadRecord as bad:
        found.append(bad.reason)
    is_valid = validator(kind).is_valid(json.loads(value))
    assert is_valid == isinstance(found[0], int), "the schema and the decoder"
    return found


def test_the_table_is_long() -> None:
    assert len({row.producer for row in ROWS}) >= 40
    assert sum(isinstance(row.read_as, int) for row in ROWS) >= 20
    assert all(row.read_as - WHOLE_MS in PARTS_MS for row in ROWS if isinstance(row.read_as, int))


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.producer} {row.written}")
def test_everybody_reads_what_the_table_says(row: Row, kind: str) -> None:
    assert readings(kind, row.written) == [row.read_as, row.read_as]


def in_the_table(producer: str) -> list[Row]:
    found = [row for row in ROWS if producer in row.producer]
    assert found, producer
    return found


def assert_as_in_the_table(producer: str, text: str) -> None:
    """Read as the table says of this producer: as a moment, or not at all for the same reason."""
    expected = in_the_table(producer)
    [first, second] = readings("intent", json.dumps(text))
    assert first == second
    if isinstance(expected[0].read_as, int):
        assert isinstance(first, int)
        assert first - WHOLE_MS in PARTS_MS, f"{producer} writes {text}"
    else:
        assert first == expected[0].read_as, f"{producer} writes {text}"


def test_python_writes_what_the_table_says() -> None:
    written = set()
    for microseconds in (0, 250_000):
        time = datetime(2026, 11, 24, 10, 0, 0, microseconds, ZoneInfo("America/Bogota"))
        for producer, text in (
            ("Python `isoformat`", time.isoformat()),
            ("Python `isoformat`", time.astimezone(UTC).isoformat()),
            ("Python `str(datetime)`", str(time)),
            ("Python `str(datetime)`", str(time.astimezone(UTC))),
            ("`strftime` with `%z`", time.strftime("%Y-%m-%dT%H:%M:%S%z")),
            ("`isoformat` without a zone", time.replace(tzinfo=None).isoformat()),
        ):
            assert_as_in_the_table(producer, text)
            written.add(json.dumps(text))
    assert written >= {row.written for row in in_the_table("Python") if row.written.startswith('"')}


@pytest.mark.kafka  # for its Java
def test_java_writes_what_the_table_says(tmp_path: Path) -> None:
    source = tmp_path / "Times.java"
    source.write_text(JAVA)
    done = subprocess.run(["java", "-Xshare:auto", str(source)], capture_output=True, text=True, check=True)
    written = set()
    for line in done.stdout.splitlines():
        producer, text = line.split("\t")
        assert_as_in_the_table(producer, text)
        written.add(json.dumps(text))
    assert len(written) >= 25
    assert written >= {
        row.written for row in ROWS if row.producer.startswith("Java ") and "calendar" not in row.producer
    }
