"""Which batches there were, from two topics of which one forgets."""

from __future__ import annotations

import json

from streams.audit.log import Record
from streams.audit.timeline import Batch, Timeline, read_batches, read_metas

LEDGER, BATCHES = "ledger", "batches"


def meta(offset: int, latest_ms: int, **positions: int) -> Record:
    value = json.dumps({"positions": positions, "latest_ms": latest_ms, "version": 1}).encode()
    return Record(offset, latest_ms, b"m", value)


def recorded(offset: int, latest_ms: int, **served: tuple[int, int]) -> Record:
    value = json.dumps({"served": served, "latest_ms": latest_ms, "version": 1}).encode()
    return Record(offset, latest_ms, None, value, appended_ms=latest_ms + 1)


def timeline(metas: list[Record], batches: list[Record]) -> list[Batch]:
    return list(Timeline(BATCHES, read_metas(LEDGER, metas)[0], read_batches(batches)[0]).batches())


def told(batches: list[Batch]) -> list[tuple[str, dict[str, int], int, bool]]:
    return [(each.topic, each.positions, each.latest_ms, each.is_whole) for each in batches]


FIRST, SECOND, THIRD = (
    recorded(0, 10, no=(0, 1), intent=(0, 0)),
    recorded(2, 20, no=(1, 1), intent=(0, 4)),
    recorded(4, 30, no=(1, 3), intent=(4, 4)),
)


def test_batches_that_follow_one_another_are_whole_whatever_is_left_of_the_ledger() -> None:
    for metas in ([], [meta(9, 30, no=3, intent=4)], [meta(1, 10, no=1), meta(9, 30, no=3, intent=4)]):
        assert told(timeline(metas, [FIRST, SECOND, THIRD])) == [
            (BATCHES, {"no": 1, "intent": 0}, 10, True),
            (BATCHES, {"no": 1, "intent": 4}, 20, True),
            (BATCHES, {"no": 3, "intent": 4}, 30, True),
        ]


def test_a_gap_is_a_stretch_of_which_nothing_is_known_but_its_end() -> None:
    assert told(timeline([meta(9, 30, no=3, intent=4)], [FIRST, THIRD])) == [
        (BATCHES, {"no": 1, "intent": 0}, 10, True),
        (BATCHES, {"no": 1, "intent": 4}, 30, False),
        (BATCHES, {"no": 3, "intent": 4}, 30, True),
    ]


def test_meta_records_tell_of_a_gap_as_far_as_they_are_left() -> None:
    """A gate that wrote no batch records yet: of its last transactions the ledger topic still has everything."""
    metas = [meta(0, 10, no=1, intent=0), meta(2, 20, no=1, intent=4), meta(4, 30, no=3, intent=4)]
    assert told(timeline(metas, [THIRD])) == [
        (LEDGER, {"no": 1, "intent": 0}, 10, True),
        (LEDGER, {"no": 1, "intent": 4}, 20, True),
        (BATCHES, {"no": 3, "intent": 4}, 30, True),
    ]
    assert told(timeline([metas[0], metas[2]], [THIRD])) == [
        (LEDGER, {"no": 1, "intent": 0}, 10, True),
        (BATCHES, {"no": 1, "intent": 4}, 30, False),
        (BATCHES, {"no": 3, "intent": 4}, 30, True),
    ]


def test_what_only_the_ledger_tells_comes_behind() -> None:
    """The end of the batches topic is taken first: a gate that runs has written more to the ledger since."""
    assert told(timeline([meta(0, 10, no=1, intent=0), meta(2, 20, no=1, intent=4)], [FIRST])) == [
        (BATCHES, {"no": 1, "intent": 0}, 10, True),
        (LEDGER, {"no": 1, "intent": 4}, 20, True),
    ]


def test_a_gate_that_began_in_the_middle_of_its_topics_has_a_stretch_of_nothing_before_it() -> None:
    found = timeline([], [recorded(0, 10, no=(7, 9), intent=(5, 5))])
    assert told(found) == [
        (BATCHES, {"no": 7, "intent": 5}, 10, False),
        (BATCHES, {"no": 9, "intent": 5}, 10, True),
    ]


def test_what_is_no_batch_record_is_named() -> None:
    broken = [Record(3, 0, None, value) for value in (None, b"", b"{", b"[]", b"{}", b'{"served": {"no": 1}}')]
    assert read_batches([FIRST, *broken]) == (read_batches([FIRST])[0], [3] * len(broken))
