"""Answers do not change from version to version: recorded digests, and that a difference is found.

The long comparison of two source trees is `make versions` (see `campaign.py`).
"""

from __future__ import annotations

import base64
import json
from hashlib import blake2b
from typing import TYPE_CHECKING

import pytest

from tests.versions import adapter, recorded
from tests.versions.campaign import REPOSITORY, Pair, compare, tree_of
from tests.versions.coverage import DEAD_LETTERS, EXPECTED, SUPPRESSIONS, WITHDRAWALS, missing
from tests.versions.histories import HISTORIES, RECORDS_MIN, world_of
from tests.versions.keys import decision_id, murmur2, partition_of
from tests.versions.mistakes import MISTAKES, plant
from tests.versions.side import Side

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

SCHEMAS = REPOSITORY / "schemas"
FEW = range(8)
# What comes to pass about once in five thousand histories. The long comparison must have met it.
RARE = {"suppressed: closing", "suppressed: holiday", "withdrawal: consent_withdrawn", "ledger: ledgers_removed"}


@pytest.fixture(scope="module")
def given() -> tuple[dict[str, str], Counter[str]]:
    """What this version answers to the recorded worlds, and what came to pass."""
    return recorded.answers(Side())


def test_recorded_answers_are_given_again(given: tuple[dict[str, str], Counter[str]]) -> None:
    found = recorded.read()
    assert found["packages"] == recorded.packages(), (
        f"recorded with {found['packages']}: the hash of every policy rests on these. Compare with `make versions`, "
        "then record anew: make versions-record"
    )
    assert sorted(map(int, found["worlds"])) == sorted(recorded.WORLDS)
    different = [number for number in recorded.WORLDS if given[0][str(number)] != found["worlds"][str(number)]]
    assert not different, (
        f"{len(different)} of {len(recorded.WORLDS)} worlds are answered otherwise than by {found['version']}: "
        f"{different[:20]}. To see where: {recorded.command(found['version'], different[0])}. "
        "If it is meant: make versions-record"
    )


def test_another_answer_is_not_taken_for_the_recorded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side()
    number = recorded.WORLDS[0]
    wanted = recorded.read()["worlds"][str(number)]
    assert recorded.digest(side.answer(world_of(number))[0]) == wanted
    apply = adapter.Version.apply

    def one_more_blank(self: adapter.Version, *arguments: object) -> object:
        outputs, changes, tally = apply(self, *arguments)  # type: ignore[arg-type]
        return [(*each[:2], (each[2] or b"") + b" ", *each[3:]) for each in outputs], changes, tally

    monkeypatch.setattr(adapter.Version, "apply", one_more_blank)
    assert recorded.digest(side.answer(world_of(number))[0]) != wanted


@pytest.mark.parametrize("mistake", sorted(MISTAKES))
def test_every_planted_mistake_makes_a_difference(mistake: str) -> None:
    side = Side()
    before = [side.answer(world_of(number))[0] for number in FEW]
    undo = plant(mistake)
    try:
        after = [side.answer(world_of(number))[0] for number in FEW]
    finally:
        undo()
    assert after != before
    assert [side.answer(world_of(number))[0] for number in FEW] == before


def test_a_difference_is_shown_down_to_the_first_thing_that_differs() -> None:
    with Pair(REPOSITORY, REPOSITORY, "changed-byte") as pair:
        (number, *_) = [world.number for world, before, after in pair.answers(FEW) if before[0] != after[0]]
        told = pair.difference(number)
    assert told.startswith(f"world {number} ")
    assert "\n  output " in told
    assert "\n    before: " in told
    assert "\n    after:  " in told
    assert "\n    record (" in told


@pytest.mark.parametrize("mistake", ["", "changed-byte"])
def test_the_campaign_counts_what_it_compares(mistake: str) -> None:
    compared, _ = compare(REPOSITORY, REPOSITORY, FEW, 1, mistake)
    assert bool(compared.different) == bool(mistake)
    assert compared.worlds == len(FEW)
    assert compared.histories == len(FEW) * HISTORIES
    assert compared.records >= compared.histories * RECORDS_MIN
    assert compared.least_records >= RECORDS_MIN
    assert compared.counts["said: outputs"]


def test_a_version_is_taken_from_its_own_tree(tmp_path: Path) -> None:
    """Whatever is installed: a tree without its gate cannot answer by somebody else's."""
    (tmp_path / "streams").mkdir()
    (tmp_path / "streams" / "__init__.py").write_text("")
    tree, _ = tree_of(str(tmp_path), tmp_path)
    with pytest.raises(RuntimeError, match="ended"):
        Pair(tree, REPOSITORY)
    with pytest.raises(RuntimeError, match="ended"):
        compare(tree, REPOSITORY, FEW, 1)


def test_what_is_in_no_place_ends_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(adapter._PLACES, "Gate", ("streams.nowhere:Gate", "streams.gate:Gateway"))
    with pytest.raises(adapter.VersionDiffers, match=r"streams\.nowhere:Gate, streams\.gate:Gateway"):
        adapter.found("Gate")


# ---- the generator --------------------------------------------------------------------------------------------------


def test_nearly_everything_comes_to_pass_in_the_recorded_histories(given: tuple[dict[str, str], Counter[str]]) -> None:
    assert set(missing(given[1])) <= RARE


def test_what_must_come_to_pass_is_every_reason_there_is() -> None:
    reasons = json.loads((SCHEMAS / "reasons.json").read_text("utf-8"))
    assert {each["code"] for each in reasons["verdicts"]} == {"passed", "exempt", *SUPPRESSIONS}
    assert set(reasons["withdrawals"]) == set(WITHDRAWALS)
    assert {each["code"] for each in reasons["dead_letters"]} == set(DEAD_LETTERS)
    for schema, prefix in (("preference-event", "preference: "), ("outcome", "outcome: ")):
        types = json.loads((SCHEMAS / f"{schema}.schema.json").read_text("utf-8"))["properties"]["type"]["enum"]
        assert {prefix + each for each in types} == {each for each in EXPECTED if each.startswith(prefix)}


def test_what_is_missing_is_named() -> None:
    counts = dict.fromkeys(EXPECTED, 1)
    assert not missing(counts)
    assert missing({**counts, "suppressed: gap": 0}) == ["suppressed: gap"]


def test_a_world_follows_from_its_number() -> None:
    assert world_of(7) == world_of(7)
    assert world_of(7) != world_of(8)


def test_every_history_is_as_long_as_it_is_counted() -> None:
    world = world_of(25)  # with a full ledger
    records = [record for batch in world.batches for record in batch.records]
    assert len(records) == sum(world.lengths)
    assert min(world.lengths) >= RECORDS_MIN
    assert len(world.customers) == HISTORIES == len(world.lengths)
    for batch in world.batches:
        assert len(batch.records) == len(batch.moments_ms)
        assert batch.moments_ms == sorted(batch.moments_ms)
    moments = [moment for batch in world.batches for moment in batch.moments_ms]
    assert moments == sorted(moments), "a partition's clock never goes back"


def test_partitions_are_those_of_the_contract() -> None:
    for line in (SCHEMAS / "conformance" / "murmur2.jsonl").read_text("utf-8").splitlines():
        known = json.loads(line)
        key = known["key"].encode() if "key" in known else base64.b64decode(known["key_base64"])
        assert murmur2(key) == known["murmur2"] % 2**32
        for partitions, partition in known["partition"].items():
            assert partition_of(key, int(partitions)) == partition


def test_a_decision_is_called_as_the_contract_says() -> None:
    """BLAKE2b-96 of the customer's length, a colon, the customer and the intent (docs/semantics.md, 6)."""
    assert decision_id(b"c-1", b"i-1") == blake2b(b"3:c-1i-1", digest_size=12).hexdigest()
    assert decision_id("é".encode(), b"i") == blake2b("2:éi".encode(), digest_size=12).hexdigest()
