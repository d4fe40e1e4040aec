"""Every golden case through the whole gate: the answer, what its metrics say, and which alerts come of that.

What is to be counted follows from the case and from the independent model; what the alerts are to say stands here.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest
import yaml

from streams.oracle.model import PERMISSIVE
from tests.deploy.test_prometheus import PROMETHEUS
from tests.golden.cases import Case, cases
from tests.golden.play import Played, expected, readable
from tests.golden.service import Service
from tests.golden.sides import Independent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Counts = Counter[tuple[str, str]]
"""By metric and the one label that matters here (empty: none)."""

NOT_UNDERSTOOD: Final = "mesura_not_understood_total"
PERMISSIONS_REFUSED: Final = "mesura_permissions_refused_total"
UNREADABLE_OPT_OUTS: Final = "mesura_unreadable_opt_outs_total"
UNREADABLE_OUTCOMES: Final = "mesura_unreadable_outcomes_total"
LABELS: Final = {NOT_UNDERSTOOD: "what", PERMISSIONS_REFUSED: "", UNREADABLE_OPT_OUTS: "", UNREADABLE_OUTCOMES: ""}
PAGE: Final = "MesuraUnreadableOptOut"
ALERTS: Final = {
    NOT_UNDERSTOOD: "MesuraNotUnderstood",
    PERMISSIONS_REFUSED: "MesuraPermissionsRefused",
    UNREADABLE_OPT_OUTS: PAGE,
    UNREADABLE_OUTCOMES: "MesuraUnreadableOutcome",
}
PERMITTING: Final = PERMISSIVE | {"profile"}


class Shown(NamedTuple):
    """What became of a case: what it asked and wanted in the same words, and what the metrics say afterwards."""

    answer: dict[str, Any]
    wanted: dict[str, Any]
    counts: Counts


@cache
def shown(case: Case) -> Shown:
    """Played once, whoever asks."""
    service = Service(case.policy_text)
    played = Played(case, service)
    answer = played.ask()
    wanted = expected(case, case.body["want"])
    counts: Counts = Counter()
    for (metric, labels), value in service.samples().items():
        if metric in LABELS:
            counts[metric, dict(labels).get(LABELS[metric], "")] += int(value)
    return Shown(readable(case, answer, played.side, wanted), wanted, counts)


class _ZonesCounted(Independent):
    """The independent model; how many of its answers say that a zone could not be the place's."""

    def __init__(self, policy_text: str) -> None:
        super().__init__(policy_text)
        self.contradictions: list[str] = []

    def intent(self, event: dict[str, Any], now: int) -> dict[str, Any]:
        answer = super().intent(event, now)
        if len(answer.get("zone") or ()) > 2:
            self.contradictions.append("zone")
        return answer

    def under(self, policy_text: str) -> _ZonesCounted:
        other = _ZonesCounted(policy_text)
        other.model.customers, other.contradictions = self.model.customers, self.contradictions
        return other


def counted(case: Case) -> Counts:
    """What the case says is to be counted."""
    model = _ZonesCounted(case.policy_text)
    Played(case, model).ask()
    found: Counts = Counter((NOT_UNDERSTOOD, what) for what in model.contradictions)
    for step in case.body.get("history", []):
        ((kind, body),) = step.items()
        for _ in range(body.get("times", 1)):
            found.update((NOT_UNDERSTOOD, what) for what in body.get("not_understood", ()))
            if "refused" in body:
                found[_metric_of_refusal(kind, body), ""] += 1
    return found


def _metric_of_refusal(kind: str, body: dict[str, Any]) -> str:
    if kind == "outcome" or body.get("topic_name") == "contact-outcome":
        return UNREADABLE_OUTCOMES
    if "event" in body.get("not_understood", ()):  # it may have been a no, whatever its type was to be
        return UNREADABLE_OPT_OUTS
    return PERMISSIONS_REFUSED if kind in PERMITTING else UNREADABLE_OPT_OUTS


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_the_gate_answers_what_the_case_wants_and_counts_what_it_says(case: Case) -> None:
    answer, wanted, counts = shown(case)
    assert answer == wanted
    assert counts == counted(case)


def test_each_alert_has_its_examples() -> None:
    told = Counter(name for case in cases() for name, _ in shown(case).counts)
    assert min(told[name] for name in LABELS) >= 3


def test_prometheus_says_of_every_example_what_an_operator_has_to_know(
    promtool: Callable[..., str], tmp_path: Path
) -> None:
    """Cases that look alike to Prometheus are one; 15 minutes later these alerts are up, and no other."""
    alike = {frozenset(shown(case).counts.items()) for case in cases()}
    assert frozenset() in alike
    path = tmp_path / "examples.yml"
    rules = [str(PROMETHEUS / "rules" / name) for name in ("alerts.yml", "recording.yml")]
    tests = [_as_test(dict(counts)) for counts in sorted(alike, key=sorted)]
    path.write_text(yaml.safe_dump({"rule_files": rules, "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", path)


def _as_test(counts: dict[tuple[str, str], int]) -> dict[str, Any]:
    """One alert for each metric and label that counts, but that what nobody can read has an alert of its own."""
    firing = Counter(ALERTS[name] for name, what in counts if (name, what) != (NOT_UNDERSTOOD, "event"))
    if PAGE in firing:  # and the ticket that stays when the page has ended
        firing[f"{PAGE}Open"] = firing[PAGE]
    return {
        "name": f"{counts}",
        "interval": "1m",
        "input_series": [{"series": 'up{job="mesura", instance="a"}', "values": "1x30"}, *_series(counts)],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": "15m",
                "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": n} for alert, n in firing.items()],
            }
        ],
    }


def _series(counts: dict[tuple[str, str], int]) -> Iterator[dict[str, str]]:
    for (name, label), value in counts.items():
        labels = {"job": "mesura", "instance": "a"} | ({LABELS[name]: label} if label else {})
        written = ", ".join(f'{key}="{text}"' for key, text in labels.items())
        yield {"series": f"{name}{{{written}}}", "values": f"0x10 {value}x20"}
