"""Metrics: counted after the commit, bounded in number, exact, and free of customers."""

from __future__ import annotations

import bisect
import random
from typing import TYPE_CHECKING

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.telemetry import registry
from streams.telemetry.health import Health
from streams.telemetry.metrics import MAX_TEXT, MAX_WORDS, Telemetry
from streams.telemetry.observer import TelemetryObserver
from streams.telemetry.series import CounterSeries, HistogramSeries
from streams.telemetry.tally import Tally

if TYPE_CHECKING:
    from streams.exactly_once.interfaces import Observer

CUSTOMER = "customer-7f3a"
DECIDED_AT_MS = 1_700_000_000_000
COMMITTED_AT_MS = DECIDED_AT_MS + 40


def telemetry() -> Telemetry:
    return Telemetry(version="0.1.0", process_metrics=False)


def value(of: Telemetry, name: str, **labels: str) -> float | None:
    return of.registry.get_sample_value(name, labels)


def full_tally() -> Tally:
    tally = Tally()
    tally.decisions["sms", "approved", "whatever"] += 3
    tally.decisions["sms", "suppressed", "duplicate"] += 2
    tally.dead_letters["opt-out", "not_json"] += 1
    tally.rerouted["outbound-intent"] += 4
    tally.withdrawals["opt_out"] += 1
    tally.preferences["opt_out"] += 2
    tally.outcomes["sent", True] += 5
    tally.outcomes["sent", False] += 1
    tally.unknown_fields["intent"] += 6
    tally.duplicates = 2
    tally.unreadable_opt_outs = 1
    tally.unreadable_outcomes = 3
    tally.ledger_full = 1
    tally.intent_timestamps_ms += [DECIDED_AT_MS - 1000] * 5
    tally.preference_timestamps_ms += [DECIDED_AT_MS - 20_000, DECIDED_AT_MS]
    tally.decide_seconds = 0.0005
    return tally


def test_nothing_is_counted_before_the_commit() -> None:
    mine = telemetry()
    observer = TelemetryObserver(mine, Health())
    before = generate_latest(mine.registry)
    tally = full_tally()
    assert generate_latest(mine.registry) == before

    observer.batch_aborted("late")
    assert value(mine, "mesura_decisions_total", channel="sms", verdict="approved", reason="none") == 0
    assert value(mine, "mesura_decision_latency_seconds_count") == 0

    observer.committed(0, tally, decided_at_ms=DECIDED_AT_MS, committed_at_ms=COMMITTED_AT_MS)
    assert value(mine, "mesura_decisions_total", channel="sms", verdict="approved", reason="none") == 3
    assert value(mine, "mesura_decision_latency_seconds_count") == 5


def test_every_count_of_a_tally_arrives() -> None:
    mine = telemetry()
    mine.declare_dead_letter_reasons(["not_json"])
    mine.count(full_tally(), decided_at_ms=DECIDED_AT_MS, committed_at_ms=COMMITTED_AT_MS)
    expected: dict[str, tuple[float, dict[str, str]]] = {
        "mesura_dead_letters_total": (1, {"topic": "opt-out", "reason": "not_json"}),
        "mesura_rerouted_records_total": (4, {"topic": "outbound-intent"}),
        "mesura_withdrawals_total": (1, {"reason": "opt_out"}),
        "mesura_preference_events_total": (2, {"type": "opt_out"}),
        "mesura_outcomes_total": (5, {"type": "sent", "matched": "true"}),
        "mesura_unknown_fields_total": (6, {"event": "intent"}),
        "mesura_duplicates_total": (2, {}),
        "mesura_unreadable_opt_outs_total": (1, {}),
        "mesura_unreadable_outcomes_total": (3, {}),
        "mesura_ledger_full_total": (1, {}),
        "mesura_last_decision_timestamp_seconds": (COMMITTED_AT_MS / 1000, {}),
        "mesura_batch_records_sum": (5 + 1 + 4 + 2 + 6, {}),
        "mesura_opt_out_in_force_seconds_count": (2, {}),
        "mesura_decision_duration_seconds_count": (5, {}),
    }
    assert {name: (value(mine, name, **labels), labels) for name, (_, labels) in expected.items()} == expected
    assert value(mine, "mesura_opt_out_in_force_seconds_bucket", le="10.0") == 1
    assert value(mine, "mesura_commit_duration_seconds_sum") == pytest.approx(0.040)
    assert value(mine, "mesura_decision_duration_seconds_sum") == pytest.approx(0.0005)


def test_an_unknown_word_costs_one_series() -> None:
    mine = telemetry()
    mine.declare_channels(["kiosk"])
    tally = Tally()
    for number in range(500):
        tally.decisions[f"channel-{number}", "suppressed", f"reason-{number}"] += 1
        tally.dead_letters[f"topic-{number}", f"{CUSTOMER}-{number}"] += 1
        tally.preferences[CUSTOMER] += 1
        tally.outcomes[CUSTOMER, True] += 1
    tally.decisions["kiosk", "suppressed", "duplicate"] += 1
    lines_before = generate_latest(mine.registry).count(b"\n")
    mine.count(tally, decided_at_ms=DECIDED_AT_MS, committed_at_ms=COMMITTED_AT_MS)
    text = generate_latest(mine.registry)
    assert text.count(b"\n") - lines_before <= 4
    assert CUSTOMER.encode() not in text
    assert value(mine, "mesura_decisions_total", channel="other", verdict="suppressed", reason="other") == 500
    assert value(mine, "mesura_decisions_total", channel="kiosk", verdict="suppressed", reason="duplicate") == 1


def test_a_vocabulary_has_an_end() -> None:
    mine = telemetry()
    mine.declare_channels(f"channel-{number:03}" for number in range(1000))
    channels = {
        sample.labels["channel"]
        for family in mine.registry.collect()
        for sample in family.samples
        if sample.name == "mesura_decisions_total"
    }
    assert len(channels) == MAX_WORDS


def test_declaring_again_forgets_no_count() -> None:
    mine = telemetry()
    mine.count(full_tally(), decided_at_ms=DECIDED_AT_MS, committed_at_ms=COMMITTED_AT_MS)
    mine.declare_channels(["sms"])
    mine.declare_reasons(["cap_reached"])
    mine.declare_topics(["outbound-otp"])
    mine.declare_withdrawal_reasons(["paused"])
    assert value(mine, "mesura_decisions_total", channel="sms", verdict="suppressed", reason="duplicate") == 2
    assert value(mine, "mesura_decisions_total", channel="voice", verdict="suppressed", reason="cap_reached") == 0
    assert value(mine, "mesura_decisions_total", channel="voice", verdict="approved", reason="cap_reached") is None


def test_what_is_known_stands_at_zero_from_the_start() -> None:
    mine = telemetry()
    assert value(mine, "mesura_unreadable_opt_outs_total") == 0
    assert value(mine, "mesura_policy_reload_total", result="failure") == 0
    assert value(mine, "mesura_missing_records_total", topic="opt-out") == 0
    names = {sample.name for family in mine.registry.collect() for sample in family.samples}
    # Known only at run time: the words of dead letters and of the policy, the lag, what is counted apart.
    late = {"mesura_dead_letters_total", "mesura_lag_seconds", "mesura_lag_records", "mesura_policy_info"}
    late |= {"mesura_suppressions_by_rule_total"}
    late |= {f"mesura_decisions_by_{field}_total" for field in ("purpose", "campaign", "sender", "country")}
    for spec in registry.WORKER_METRICS:
        if spec.full_name not in late:
            assert any(name.startswith(spec.full_name) for name in names), spec.full_name


def test_one_policy_is_in_force() -> None:
    mine = telemetry()
    observer = TelemetryObserver(mine, Health())
    observer.policy_loaded("centre", "1", "aaaa", at_ms=1000)
    observer.policy_rejected()
    observer.policy_loaded("centre", "2" * 500, "bbbb", at_ms=2000)
    (family,) = [family for family in mine.registry.collect() if family.name == "mesura_policy_info"]
    assert [sample.labels for sample in family.samples] == [
        {"name": "centre", "version": "2" * MAX_TEXT, "hash": "bbbb"}
    ]
    assert value(mine, "mesura_policy_reload_total", result="failure") == 1
    assert value(mine, "mesura_policy_reload_total", result="success") == 2
    assert value(mine, "mesura_policy_loaded_timestamp_seconds") == 2


def test_two_telemetries_share_nothing() -> None:
    first, second = telemetry(), telemetry()
    first.count(full_tally(), decided_at_ms=DECIDED_AT_MS, committed_at_ms=COMMITTED_AT_MS)
    assert value(second, "mesura_duplicates_total") == 0


def test_the_observer_is_the_engines() -> None:
    mine = telemetry()
    told = TelemetryObserver(mine, Health())
    observer: Observer = told
    observer.committed(0, None, decided_at_ms=0, committed_at_ms=0)  # a state machine without a tally is no error
    observer.barrier_waited(0.003)
    observer.records_missing("opt-out", 3, 17)
    observer.clock_difference(0.25)
    observer.assigned(frozenset({0, 1}))
    observer.assigned(frozenset({0, 1}))
    observer.restore_progress(0, 10, 90)
    observer.restore_progress(0, 100, 0)
    observer.lag("outbound-intent", 0, 5, 1.5)
    observer.lag("outbound-intent", 1, 7, 0.5)
    observer.lag("somebody-elses", 1, 7, 0.5)
    observer.lag("outbound-intent", 9, 1000, 1000.0)  # not ours
    expected: dict[str, tuple[float, dict[str, str]]] = {
        "mesura_barrier_wait_seconds_count": (1, {}),
        "mesura_missing_records_total": (17, {"topic": "opt-out"}),
        "mesura_clock_difference_seconds": (0.25, {}),
        "mesura_rebalances_total": (1, {}),
        "mesura_restored_records_total": (100, {}),
        "mesura_partitions_assigned": (2, {}),
        "mesura_lag_records": (12, {"topic": "outbound-intent"}),
        "mesura_lag_seconds": (1.5, {"topic": "outbound-intent"}),
    }
    assert {name: (value(mine, name, **labels), labels) for name, (_, labels) in expected.items()} == expected
    assert value(mine, "mesura_lag_records", topic="other") == 7


def test_the_exposition_can_be_read_back() -> None:
    mine = telemetry()
    mine.declare_dead_letter_reasons(["not_json"])
    mine.count(full_tally(), decided_at_ms=DECIDED_AT_MS, committed_at_ms=COMMITTED_AT_MS)
    families = {
        family.name: family for family in text_string_to_metric_families(generate_latest(mine.registry).decode())
    }
    for spec in registry.WORKER_METRICS:
        family = families[spec.full_name.removesuffix("_total")]
        assert family.type == spec.kind
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(spec.label_names), spec.full_name


@pytest.mark.parametrize("seed", range(20))
def test_ages_of_a_batch_are_counted_as_one_by_one(seed: int) -> None:
    chance = random.Random(seed)
    bounds = (0.01, 0.5, 5.0, 60.0)
    batch = [COMMITTED_AT_MS - chance.choice([-5000, 0, 9, 10, 11, 500, 4999, 5000, 5001, 10**7]) for _ in range(50)]
    series = HistogramSeries("ages", "Ages.", bounds)
    series.observe_ages(batch, COMMITTED_AT_MS)
    series.observe_ages([], COMMITTED_AT_MS)
    ages = [max(0, COMMITTED_AT_MS - moment) / 1000 for moment in batch]
    (family,) = series.collect()
    counted = {sample.labels["le"]: sample.value for sample in family.samples if sample.name == "ages_bucket"}
    expected = [0] * (len(bounds) + 1)
    for age in ages:
        expected[bisect.bisect_left(bounds, age)] += 1
    assert list(counted.values()) == [sum(expected[: index + 1]) for index in range(len(expected))]
    assert next(s.value for s in family.samples if s.name == "ages_sum") == pytest.approx(sum(ages))


def test_a_counter_never_goes_down() -> None:
    with pytest.raises(AssertionError):
        CounterSeries("downs", "Never.").add((), -1)
