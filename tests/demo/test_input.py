"""The demonstration's input: the same to the byte, in order, small enough, and with something of everything in it."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from streams.decision.reasons import REASONS
from streams.demo.input import PARTITIONS, Live, demo_input
from streams.demo.records import DemoRecord
from streams.demo.timeline import RECORDED_END_MS, RECORDED_START_MS
from streams.gate import Gate
from streams.testing.embedded_broker import KEPT_BYTES
from tests.demo.decided import Answers, decide_all

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streams.exactly_once.interfaces import Batch, BatchResult
    from streams.telemetry.tally import Tally

INTENTS = 3_000
# What the starter policy cannot say: it has no campaign in shadow.
NOT_OF_THE_STARTER = {"campaign_shadow"}
# A few customers' doing, and of kinds that should be rare: a ledger without room, an opt-out nobody could read.
RARE = {"ledger_full", "not_understood"}
WEDNESDAY_MS = int(datetime(2026, 11, 25, 15, tzinfo=UTC).timestamp() * 1000)
SUNDAY_MS = int(datetime(2026, 11, 22, 18, 30, tzinfo=UTC).timestamp() * 1000)
RECORD_OVERHEAD_BYTES = 70


def is_of_a_mistake(tally: Tally) -> bool:
    """Whether something was counted that has an alert."""
    return bool(
        tally.dead_letters
        or tally.rerouted
        or tally.not_understood
        or tally.permissions_refused
        or tally.unreadable_opt_outs
        or tally.unreadable_outcomes
        or tally.ledger_full
    )


def digest(records: list[DemoRecord]) -> str:
    return hashlib.sha256(repr(records).encode()).hexdigest()


@pytest.fixture(scope="module")
def recorded() -> list[DemoRecord]:
    return demo_input(intents=INTENTS)


@pytest.fixture(scope="module")
def whole() -> list[DemoRecord]:
    return demo_input()


@pytest.fixture(scope="module")
def answers(whole: list[DemoRecord]) -> Answers:
    return decide_all(whole)


def test_the_same_seed_gives_the_same_bytes(recorded: list[DemoRecord]) -> None:
    assert digest(demo_input(intents=INTENTS)) == digest(recorded)
    assert digest(demo_input(intents=INTENTS, seed=8)) != digest(recorded)
    live = Live(WEDNESDAY_MS, 30_000)
    assert digest(demo_input(intents=500, live=live)) == digest(demo_input(intents=500, live=live))


def test_time_only_goes_forward_and_stays_within_its_weeks(recorded: list[DemoRecord]) -> None:
    moments = [record.timestamp_ms for record in recorded]
    assert moments == sorted(moments)
    assert moments[0] >= RECORDED_START_MS
    assert moments[-1] <= RECORDED_END_MS


def test_there_are_as_many_intents_as_asked_for_and_a_few_that_go_wrong(recorded: list[DemoRecord]) -> None:
    kinds = Counter(record.kind for record in recorded)
    assert INTENTS <= kinds["intents"] <= INTENTS * 1.04
    assert kinds["preferences"] > 300
    assert kinds["outcomes"] > INTENTS / 3


def test_partitions_are_chosen_and_never_by_chance(recorded: list[DemoRecord]) -> None:
    assert {record.partition_of(PARTITIONS) for record in recorded} == set(range(PARTITIONS))
    assert any(record.key is None for record in recorded)
    assert all(record.partition is not None for record in recorded if record.key is None)


@pytest.mark.parametrize("partitions", [1, 3])
def test_other_numbers_of_partitions(partitions: int) -> None:
    for record in demo_input(intents=300, partitions=partitions):
        assert 0 <= record.partition_of(partitions) < partitions


def test_what_the_gate_makes_of_it(answers: Answers) -> None:
    assert 0.4 <= answers.approved / answers.decided <= 0.8
    assert answers.policy_rules_asked / answers.decided >= 8
    expected = {reason.code for reason in REASONS} - NOT_OF_THE_STARTER
    assert set(answers.suppressed) == expected
    suppressed = answers.suppressed.total()
    shares = {reason: count / suppressed for reason, count in answers.suppressed.items() if reason not in RARE}
    assert min(shares.values()) >= 0.01, shares
    assert answers.matched[True] > answers.matched[False]
    assert answers.withdrawn
    assert {"misrouted", "not_json", "no_value", "from_the_future", "repeated_field"} <= set(answers.dead_letters)


@pytest.mark.parametrize("now_ms", [WEDNESDAY_MS, SUNDAY_MS], ids=["a workday", "a Sunday"])
def test_what_the_gate_makes_of_a_live_run(now_ms: int) -> None:
    answers = decide_all(demo_input(intents=3_000, live=Live(now_ms, 10_000)), now_ms=now_ms)
    assert 0.4 <= answers.approved / answers.decided <= 0.8
    assert len(answers.suppressed) >= 15


def test_without_mishaps_nobody_makes_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever raises an alert is what somebody would have to look at."""
    tallies: list[Tally] = []
    apply = Gate.apply

    def applied(gate: Gate, batch: Batch, store: Mapping[bytes, bytes]) -> BatchResult:
        result = apply(gate, batch, store)
        tallies.append(result.tally)
        return result

    monkeypatch.setattr(Gate, "apply", applied)
    records = {
        mishaps: demo_input(intents=3_000, live=Live(WEDNESDAY_MS, 10_000), mishaps=mishaps)
        for mishaps in (False, True)
    }
    answers = decide_all(records[False], now_ms=WEDNESDAY_MS)
    assert len(answers.suppressed) >= 15
    assert [tally for tally in tallies if is_of_a_mistake(tally)] == []
    tallies.clear()
    decide_all(records[True], now_ms=WEDNESDAY_MS)
    assert any(tally.dead_letters for tally in tallies)
    assert any(tally.ledger_full for tally in tallies)


def test_a_live_run_is_of_now_and_its_background_is_of_before() -> None:
    live = Live(WEDNESDAY_MS, 10_000)
    for record in demo_input(intents=500, live=live):
        assert record.timestamp_ms <= live.start_ms + live.duration_ms
        if record.kind != "preferences":
            assert record.timestamp_ms >= live.start_ms


def test_two_live_runs_do_not_meet() -> None:
    first, second = (demo_input(intents=200, live=Live(WEDNESDAY_MS + delay, 5_000)) for delay in (0, 60_000))
    values = [{record.value for record in records if record.kind == "intents"} for records in (first, second)]
    assert not {value for value in values[0] & values[1] if value is not None and value[:1] == b"{"}


def test_a_broker_in_memory_keeps_all_of_it(whole: list[DemoRecord], answers: Answers) -> None:
    written = Counter[tuple[str, int]]()
    for record in whole:
        size = len(record.key or b"") + len(record.value or b"") + RECORD_OVERHEAD_BYTES
        written[record.kind, record.partition_of(PARTITIONS)] += size
    assert max(written.values()) < KEPT_BYTES / 2
    assert max(answers.bytes_out.values()) < KEPT_BYTES / 2
