"""A dead letter has a line with the place of its record and the reason, and a flood of them has a few."""

from __future__ import annotations

import io
import json
from typing import Any

from streams.telemetry.dead_letter_log import DeadLetterLog
from streams.telemetry.repetition import AGAIN_SECONDS, BURST, Repetition
from streams.telemetry.tally import DEAD_LETTERS_NAMED_MAX, DeadLetterPlace, Tally
from tests.telemetry.test_repetition import Time


def tally_of(places: list[DeadLetterPlace]) -> Tally:
    tally = Tally(dead_letter_places=places[:DEAD_LETTERS_NAMED_MAX])
    for place in places:
        tally.dead_letters[place.topic, place.reason] += 1
    return tally


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_names_the_place_and_the_reason(out: io.StringIO) -> None:
    places = [DeadLetterPlace("opt-out", 3, 17, "not_json"), DeadLetterPlace("outbound-intent", 3, 4, "too_large")]
    DeadLetterLog().committed(tally_of(places))
    found = [(line["topic"], line["partition"], line["offset"], line["reason"], line["times"]) for line in lines(out)]
    assert found == [("opt-out", 3, 17, "not_json", 1), ("outbound-intent", 3, 4, "too_large", 1)]
    assert {line["level"] for line in lines(out)} == {"warning"}


def test_of_a_flood_every_dead_letter_is_counted_in_some_line(out: io.StringIO) -> None:
    now = Time()
    log = DeadLetterLog(Repetition(now))
    for batch in range(20):
        log.committed(tally_of([DeadLetterPlace("opt-out", 3, batch * 100 + n, "not_json") for n in range(100)]))
    assert len(lines(out)) == BURST
    now.seconds += AGAIN_SECONDS
    log.committed(tally_of([DeadLetterPlace("opt-out", 3, 2_000, "not_json")]))
    assert sum(line["times"] for line in lines(out)) == 2_001


def test_another_reason_is_seen_beside_a_flood(out: io.StringIO) -> None:
    log = DeadLetterLog()
    for batch in range(20):
        log.committed(tally_of([DeadLetterPlace("opt-out", 3, batch * 100 + n, "not_json") for n in range(100)]))
    log.committed(tally_of([DeadLetterPlace("opt-out", 1, 5, "not_utf8")]))
    assert lines(out)[-1]["reason"] == "not_utf8"
