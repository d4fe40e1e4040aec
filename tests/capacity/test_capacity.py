"""What `mesura capacity` reckons, against what was measured independently of the figures it was reckoned from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.capacity import measured
from streams.capacity.estimate import LIVE_SHARE, ImpossibleLoad, Load, estimate, ledger_bytes, rules_factor
from streams.capacity.figures import FIGURES_FILE, measured_figures
from streams.cli.main import mesura
from streams.topics import TopicPlan

ROOT = Path(__file__).parents[2]
DAY_MS = 86_400_000
LOAD = Load(intents_per_second=1_000, customers=1_000_000, retention_ms=7 * DAY_MS)
WORDS = ["--intents-per-second", "1000", "--customers", "1000000", "--retention", "7d"]


def result(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "bench/results" / f"{name}.json").read_text(encoding="utf-8"))
    return found


def test_the_figures_in_the_package_are_those_of_the_benches() -> None:
    stored = json.loads((ROOT / "streams/capacity" / FIGURES_FILE).read_text(encoding="utf-8"))
    assert stored == measured(), "run `python -m bench.capacity`"


def test_a_ledger_is_as_large_as_another_bench_found_it() -> None:
    found = ledger_bytes(replace(LOAD, contacts_per_customer=5.0), measured_figures())
    assert found.low * 0.95 <= result("restore")["ledger_bytes"] <= found.high
    decision = result("decision")
    found = ledger_bytes(replace(LOAD, contacts_per_customer=decision["contacts_per_ledger"]), measured_figures())
    assert found.low <= decision["ledger_bytes"] <= found.high * 1.01


def test_two_workers_take_as_much_memory_as_two_that_were_measured_with_a_million_customers() -> None:
    """Their ledgers have a few contacts; the figures are of other runs."""
    runs = [row for row in result("compare")["customers"] if row["customers known"] == 1_000_000]
    assert runs
    figures = measured_figures()
    none, some = (ledger_bytes(replace(LOAD, contacts_per_customer=contacts), figures) for contacts in (0.0, 5.0))
    beside = figures.customer_bytes_beside_ledger.range
    least = 2 * figures.busy_worker_bytes.range.low + 1_000_000 * (none.low + beside.low)
    most = 2 * figures.busy_worker_bytes.range.high + 1_000_000 * (some.high + beside.high)
    for row in runs:
        assert least <= row["resident MB"] * 1_000_000 <= most


def test_what_waits_for_compaction_is_what_the_topics_are_planned_with() -> None:
    plan = TopicPlan()
    ledger = next(topic for topic in plan.topics() if topic.name == plan.names.ledger)
    assert float(ledger.config["min.cleanable.dirty.ratio"]) == pytest.approx(1 - LIVE_SHARE)


def test_more_of_anything_never_needs_less() -> None:
    figures = measured_figures()
    needs = estimate(LOAD, figures).needs
    for name, factor in (
        ("intents_per_second", 10),
        ("customers", 10),
        ("contacts_per_customer", 10),
        ("peak_factor", 10),
        ("retention_ms", 10),
        ("replication_factor", 3),
        ("readers", 10),
        ("rules", 2),
    ):
        more = estimate(replace(LOAD, **{name: type(getattr(LOAD, name))(getattr(LOAD, name) * factor)}), figures).needs
        total = [(before, after) for before, after in zip(needs, more, strict=True) if after.planned != before.planned]
        assert total, f"{name} does something"
        for before, after in total:
            shared = before.name in {"memory of each worker", "time to restore a worker's ledgers"}
            assert after.planned > before.planned or (shared and name in {"intents_per_second", "peak_factor", "rules"})


def test_a_faster_processor_and_none_of_tls_take_fewer_workers() -> None:
    figures, busy = measured_figures(), replace(LOAD, intents_per_second=20_000)
    count = estimate(busy, figures).workers.planned
    assert estimate(replace(busy, processor_ratio=2.0), figures).workers.planned < count
    assert estimate(replace(busy, has_tls=True), figures).workers.planned > count


def test_by_hand() -> None:
    """A thousand intents a second for a week, three times: what was written for one, so many times."""
    figures = measured_figures()
    needs = estimate(LOAD, figures)
    high = sum(
        each.range.high
        for each in (
            figures.intent_log_bytes,
            figures.approved_log_bytes,
            figures.suppressed_log_bytes,
            figures.batches_log_bytes,
        )
    )
    assert needs.log_disk.planned == pytest.approx(high * 1_000 * 7 * 86_400 * 3)
    assert needs.network_replication.planned == pytest.approx(2 * needs.network_in.planned)
    assert needs.partitions.planned >= 4 * needs.workers.planned or needs.partitions.planned == 8
    assert rules_factor(20, figures).low == 1.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"intents_per_second": 0.0},
        {"intents_per_second": float("nan")},
        {"customers": 0},
        {"peak_factor": 0.5},
        {"contacts_per_customer": -1.0},
        {"retention_ms": 0},
        {"replication_factor": 0},
        {"processor_ratio": 100.0},
        {"rules": 51},
        {"readers": -1},
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ImpossibleLoad, match="must be between"):
        replace(LOAD, **wrong)


def test_what_one_gate_cannot_carry_is_refused() -> None:
    with pytest.raises(ImpossibleLoad, match="Divide the customers between several gates"):
        estimate(replace(LOAD, intents_per_second=5_000_000), measured_figures())


def test_the_command_for_machines() -> None:
    said = CliRunner().invoke(mesura, ["capacity", "--json", *WORDS])
    assert said.exit_code == 0, said.output
    found = json.loads(said.stdout)
    assert found["is_estimate"] is True
    planned = {each["name"]: each["planned"] for each in found["needs"]}
    assert planned == {each.name: each.planned for each in estimate(LOAD, measured_figures()).needs}
    assert all(each["figures"] or each["name"] == "partitions of each topic" for each in found["needs"])


def test_the_command_for_people() -> None:
    said = CliRunner().invoke(mesura, ["capacity", *WORDS])
    assert said.exit_code == 0, said.output
    assert "This is an estimate" in said.stdout
    assert "Not counted: preferences" in said.stdout
    assert "log-bytes.json" in said.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--retention", "weekly"], "Write 12h, 7d or 5w."),
        (["--retention", "5y"], "Write 12h, 7d or 5w."),
        (["--peak-factor", "0"], "peak factor must be between"),
    ],
    ids=str,
)
def test_wrong_usage_is_told(words: list[str], told: str) -> None:
    said = CliRunner().invoke(mesura, ["capacity", *WORDS, *words])
    assert said.exit_code == 2
    assert told in " ".join(said.output.split())
