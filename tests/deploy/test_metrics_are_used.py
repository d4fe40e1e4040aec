"""Every expression names metrics that exist, by labels and words they have; every metric is looked at somewhere."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest
import yaml

from streams.decision.outcome_event import OutcomeType
from streams.decision.preference_event import PreferenceType
from streams.decision.reasons import REASONS
from streams.telemetry import registry
from streams.telemetry.reference import page
from streams.telemetry.registry import NO_REASON, OTHER, MetricSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]

TARGET_LABELS = {"job", "instance"}
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
SPECS = {spec.full_name + suffix: spec for spec in registry.METRICS for suffix in SUFFIXES[spec.kind]}

REASON_WORDS = {reason.code for reason in REASONS} | {NO_REASON, OTHER}


# As much of PromQL as is needed here. Whether an expression is valid at all is promtool's to say; this only takes apart
# what promtool has accepted.
SERIES = re.compile(r"(?<![\w:\"])(?P<name>[a-z]\w*(?::\w+)*)(?P<selector>\{[^}]*\})?(?=[^\w(:]|$)")
OURS = re.compile(r"(?<![\w:])mesura_\w+")
MATCHER = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")
GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


@dataclass(frozen=True)
class Series:
    """One series an expression reads: a metric of ours, or one that a recording rule writes."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]


def series_of(expression: str) -> list[Series]:
    """Every `mesura_…` and every `level:metric:operation` named in the expression."""
    bare = GROUPING.sub(" ", expression)
    return [
        Series(match["name"], tuple(MATCHER.findall(match["selector"] or "")))
        for match in SERIES.finditer(bare)
        if match["name"].startswith("mesura_") or ":" in match["name"]
    ]


def grouping_labels_of(expression: str) -> set[str]:
    """Labels named in `by (…)`, `without (…)`, `on (…)` and their like."""
    return {label.strip() for group in GROUPING.findall(expression) for label in group.split(",") if label.strip()}


def groups(name: str) -> list[dict[str, Any]]:
    read: dict[str, Any] = yaml.safe_load((ROOT / "deploy/prometheus/rules" / name).read_text())
    loaded: list[dict[str, Any]] = read["groups"]
    return loaded


def rules(name: str) -> list[dict[str, Any]]:
    return [rule for group in groups(name) for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((ROOT / "deploy/grafana/dashboards/mesura.json").read_text())
    return board


def dashboard_expressions() -> Iterator[tuple[str, str]]:
    board = dashboard()
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"panel {panel['title']}", target["expr"]
    for annotation in board["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]
    for variable in board["templating"]["list"]:
        inside = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"]["query"])
        assert inside is not None
        yield f"variable {variable['name']}", f"sum by ({inside[2]}) ({inside[1]})"


def expressions() -> list[tuple[str, str]]:
    recorded = [(f"record {rule['record']}", rule["expr"]) for rule in rules("recording.yml")]
    alerts = [(f"alert {rule['alert']}", rule["expr"]) for rule in rules("alerts.yml")]
    return [*recorded, *alerts, *dashboard_expressions()]


ALL = expressions()


@pytest.mark.parametrize(("where", "expression"), ALL, ids=[where for where, _ in ALL])
def test_an_expression_names_what_exists(where: str, expression: str) -> None:
    recorded = {rule["record"] for rule in rules("recording.yml")}
    read = series_of(expression)
    assert read or "up{" in expression, f"{where} reads nothing of ours"
    assert {series.name for series in read} >= set(OURS.findall(expression))
    labels = set(TARGET_LABELS)
    for series in read:
        if ":" in series.name:
            assert series.name in recorded, f"{where}: no rule records {series.name}"
            assert {label for label, _, _ in series.matchers} <= {"job"}
            labels |= {"channel", "reason"} & set(series.name.split(":")[0].split("_"))
            continue
        assert series.name in SPECS, f"{where}: {series.name} is not a metric of ours"
        spec = SPECS[series.name]
        own = set(spec.label_names) | ({"le"} if series.name.endswith("_bucket") else set())
        labels |= own
        for label, operator, words in series.matchers:
            assert label in own | TARGET_LABELS, f"{where}: {series.name} has no label {label}"
            check_words(spec, label, operator, words)
    assert grouping_labels_of(expression) <= labels, f"{where} groups by labels that nothing in it has"


def check_words(spec: MetricSpec, label: str, operator: str, words: str) -> None:
    """What a matcher compares a label with is a word that label can have."""
    if label == "le":
        assert float(words) in spec.bounds, f"{spec.full_name} has no bound {words}"
        return
    if label in TARGET_LABELS:
        return
    vocabulary = next(own.vocabulary for own in spec.labels if own.name == label)
    assert vocabulary is not None
    known = REASON_WORDS if vocabulary is registry.REASONS else set(vocabulary.words)
    assert set(words.split("|") if "~" in operator else [words]) <= known


def test_every_metric_is_looked_at() -> None:
    used = {series.name for _, expression in ALL for series in series_of(expression)}
    unused = [
        spec.full_name
        for spec in registry.METRICS
        if not used & {spec.full_name + suffix for suffix in SUFFIXES[spec.kind]}
    ]
    assert unused == []


def test_the_reference_page_is_current() -> None:
    assert (ROOT / "docs/metrics.md").read_text() == page(), "run: python -m streams.telemetry.reference"


def test_metrics_that_people_read_about_exist() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    assert set(OURS.findall(text)) <= set(SPECS)


@pytest.mark.parametrize("spec", registry.METRICS, ids=lambda spec: spec.full_name)
def test_a_metric_is_well_declared(spec: MetricSpec) -> None:
    assert spec.full_name.endswith("_total") == (spec.kind == "counter")
    assert spec.help.endswith(".")
    assert (spec.unit == "seconds") == spec.full_name.endswith("_seconds") or "timestamp" in spec.full_name
    assert bool(spec.bounds) == bool(spec.why_bounds) == (spec.kind == "histogram")
    assert len(spec.bounds) <= 13, "a bucket too many is a series too many, on every worker"
    assert not {"customer", "customer_id", "intent_id", "address", "partition", "instance", "job"} & set(
        spec.label_names
    )


def test_types_of_events_are_those_of_the_contract() -> None:
    assert set(registry.PREFERENCE_TYPES.words) == set(get_args(PreferenceType))
    assert set(registry.OUTCOME_TYPES.words) == set(get_args(OutcomeType))


def test_metrics_are_declared_once() -> None:
    declared = [value for value in vars(registry).values() if isinstance(value, MetricSpec)]
    assert sorted(spec.name for spec in declared) == sorted({spec.name for spec in registry.METRICS})
    assert len(declared) == len(registry.METRICS)


def test_the_objectives_are_bounds() -> None:
    assert 5 in registry.DECISION_LATENCY.bounds
    assert 10 in registry.OPT_OUT_IN_FORCE.bounds
    assert 2 in registry.COMMIT_DURATION.bounds


def test_every_expression_of_the_dashboard_is_valid(promtool: Callable[..., str], tmp_path: Path) -> None:
    written = [
        {
            "record": f"panel:number{number}:expression",
            "expr": expression.replace("$__rate_interval", "1m").replace("$job", "mesura"),
        }
        for number, (_, expression) in enumerate(dashboard_expressions())
    ]
    path = tmp_path / "panels.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": written}]}))
    promtool("check", "rules", path)
