"""That the campaign's own count tells what is lost, doubled, and approved after a no."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from streams.contracts import header_names as names
from streams.testing.kafka_io import StoredRecord
from streams.topics import TopicNames
from tests.cluster.counts import Counts, count

if TYPE_CHECKING:
    from tests.cluster.races import Races
    from tests.system.harness import World

NAMES = TopicNames()
INTENTS = NAMES.intents[0]


def stored(topic: str, offset: int, key: str, value: bytes, **headers: str) -> StoredRecord:
    found: dict[str, Any] = dict.fromkeys(StoredRecord._fields, 0)
    found |= {"topic": topic, "partition": 0, "offset": offset, "key": key.encode(), "value": value}
    found["headers"] = [(name, text.encode()) for name, text in headers.items()]
    return StoredRecord(**found)


def answer(topic: str, offset: int, key: str, of: int, kind: str) -> StoredRecord:
    origin = {names.ORIGIN_TOPIC: INTENTS, names.ORIGIN_PARTITION: "0", names.ORIGIN_OFFSET: str(of)}
    return stored(topic, offset, key, b'{"type": "%s"}' % kind.encode(), **origin)


INTENDED = [stored(INTENTS, number, key, b"{}") for number, key in enumerate(("race-0", "race-1", "customer-1"))]
ANSWERED = [
    answer(NAMES.approved, 0, "race-0", 0, "approved"),
    answer(NAMES.suppressed, 0, "race-1", 1, "suppressed"),
    answer(NAMES.approved, 1, "customer-1", 2, "approved"),
]


def counted(answers: list[StoredRecord]) -> Counts:
    def read(*topics: str) -> list[StoredRecord]:
        return [record for record in (*INTENDED, *answers) if record.topic in topics]

    world = SimpleNamespace(
        names=NAMES, read=read, read_outputs=lambda: read(NAMES.approved, NAMES.suppressed), partitions=1
    )
    races = SimpleNamespace(silent={"race-0"}, sent={"race-1"})
    return count(cast("World", world), cast("Races", races))


def test_an_answer_to_each_intent_is_clean() -> None:
    found = counted(ANSWERED)
    assert (found.intents, found.decisions, found.races, found.approved_silent) == (3, 3, 1, 1)
    assert found.are_clean


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        (ANSWERED[:2], "lost"),
        ([*ANSWERED, answer(NAMES.suppressed, 1, "customer-1", 2, "suppressed")], "doubled"),
        ([*ANSWERED[::2], answer(NAMES.approved, 2, "race-1", 1, "approved")], "approved_after_no"),
    ],
)
def test_what_is_not_is_told(answers: list[StoredRecord], what: str) -> None:
    found = counted(answers)
    assert getattr(found, what) == 1
    assert not found.are_clean


def test_races_that_nobody_could_lose_prove_nothing() -> None:
    assert not counted([answer(NAMES.suppressed, 1, "race-0", 0, "suppressed"), *ANSWERED[1:]]).are_clean
