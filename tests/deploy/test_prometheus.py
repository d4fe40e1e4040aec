"""Prometheus takes our configuration, our rules and our metrics, and every alert does what it says."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from prometheus_client import generate_latest

from streams.telemetry import registry
from streams.telemetry.health import Health
from streams.telemetry.merged_metrics import MergedMetrics, ProcessState
from streams.telemetry.metrics import Telemetry
from streams.telemetry.report import report
from streams.telemetry.shared_counters import PublishedCounters, SharedCounters, shared_memory
from streams.telemetry.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
CASES = sorted((PROMETHEUS / "tests").glob("*.yml"))


def alerts() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules/alerts.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def cases() -> list[dict[str, Any]]:
    return [case for path in CASES for case in yaml.safe_load(path.read_text())["tests"]]


ALERTS = alerts()


def test_prometheus_takes_the_configuration(promtool: Callable[..., str]) -> None:
    assert "2 rule files found" in promtool("check", "config", PROMETHEUS / "prometheus.yml")


def test_prometheus_takes_the_rules(promtool: Callable[..., str]) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted((PROMETHEUS / "rules").glob("*.yml")))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_alerts_do_what_their_cases_say(promtool: Callable[..., str], path: Path) -> None:
    promtool("test", "rules", path)


def test_prometheus_finds_nothing_wrong_with_the_metrics(promtool: Callable[..., str]) -> None:
    telemetry = Telemetry(version="0.1.0", process_metrics=False)
    telemetry.declare_dead_letter_reasons(["not_json"])
    tally = Tally(intent_timestamps_ms=[1000], decide_seconds=0.001)
    tally.decisions["sms", "approved", ""] += 1
    telemetry.count(tally, decided_at_ms=1000, committed_at_ms=1040)
    assert promtool("check", "metrics", text=generate_latest(telemetry.registry).decode()) == ""


def test_prometheus_finds_nothing_wrong_with_the_metrics_of_several_processes(promtool: Callable[..., str]) -> None:
    descriptor = shared_memory("test")
    try:
        worker = Telemetry(version="0.1.0", process_metrics=False, storage=SharedCounters(descriptor))
        worker.add(registry.BATCHES_ABORTED, 1, "late")
        counts = PublishedCounters(descriptor).read()
        told = report(worker, Health())
    finally:
        os.close(descriptor)
    machine = MergedMetrics(version="0.1.0")
    machine.refresh([ProcessState(counts, 1, told), ProcessState({}, 0, None)])
    text = generate_latest(machine.registry).decode()
    assert 'mesura_process_restarts_total{process="0"} 1.0' in text
    assert 'mesura_batches_aborted_total{reason="late"} 1.0' in text
    assert promtool("check", "metrics", text=text) == ""


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_whom_and_where(name: str) -> None:
    alert = ALERTS[name]
    assert name.startswith("Mesura")
    assert alert["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert set(alert["annotations"]) == {"summary", "description", "runbook"}
    assert alert["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_is_seen_to_fire_to_resolve_and_to_stay_quiet(name: str) -> None:
    seen = set()
    for case in cases():
        states = [
            bool(check["exp_alerts"])
            for check in sorted(case["alert_rule_test"], key=lambda check: int(check["eval_time"].removesuffix("m")))
            if check["alertname"] == name
        ]
        if states == [True, False]:
            seen.add("fires and resolves")
        elif states and not any(states):
            seen.add("stays quiet")
    assert seen == {"fires and resolves", "stays quiet"}


def test_every_alert_has_its_section_in_the_runbook_and_no_section_is_stale() -> None:
    sections: dict[str, str] = {}
    title = ""
    for line in (ROOT / "docs/operations.md").read_text().splitlines():
        if line.startswith("#"):
            title = line.lstrip("# ")
        else:
            sections[title] = sections.get(title, "") + line + "\n"
    assert {title for title in sections if title.startswith("Mesura")} == set(ALERTS)
    for name in ALERTS:
        for part in ("**What it means.**", "**What to check.**", "**What to do.**"):
            assert part in sections[name], f"{name} lacks {part}"


def test_rules_aggregate_without_not_by() -> None:
    for path in sorted((PROMETHEUS / "rules").glob("*.yml")):
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                assert " by (" not in rule["expr"], "labels that people add to their targets would be lost"
