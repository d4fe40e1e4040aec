"""What needs no server: the shortened rules differ from the real ones in time alone, and no alert is left undrilled."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.drill import runbook
from tests.drill.drills import FAULTS, not_drilled
from tests.drill.shortened import CLOCKS, RULES, Clock, alerts, clock_of, write_shortened

if TYPE_CHECKING:
    from pathlib import Path

UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
TIME = re.compile(r"(?<![\w.])(\d+)(ms|s|m|h|d)(?!\w)")
"""A length of time, wherever it stands in an expression. Written anew, so that nothing the generator misses is missed
here."""


def told_apart(text: str) -> tuple[str, list[int]]:
    """The text without its lengths of time, and these in milliseconds."""
    return TIME.sub("TIME", text), [int(number) * UNITS[unit] for number, unit in TIME.findall(text)]


@pytest.mark.parametrize("clock", CLOCKS, ids=lambda clock: clock.name)
def test_the_shortened_rules_differ_from_the_real_ones_in_nothing_but_time(clock: Clock, tmp_path: Path) -> None:
    for path in write_shortened(tmp_path, clock.factor):
        real, short = (yaml.safe_load(each.read_text())["groups"] for each in (RULES / path.name, path))
        assert [group["name"] for group in real] == [group["name"] for group in short]
        for before, after in zip(rules_of(real), rules_of(short), strict=True):
            assert before.keys() == after.keys()
            for field in before.keys() - {"expr", "for"}:
                assert before[field] == after[field]
            for field in before.keys() & {"expr", "for"}:
                texts, times = zip(*(told_apart(rule[field]) for rule in (before, after)), strict=True)
                assert texts[0] == texts[1]
                assert times[1] == [max(1, round(time / clock.factor)) for time in times[0]]


def rules_of(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [rule for group in groups for rule in group["rules"]]


def test_something_is_shortened(tmp_path: Path) -> None:
    """The check above would hold if nothing of it were time."""
    text = "".join(path.read_text() for path in write_shortened(tmp_path, 20))
    assert len(TIME.findall(text)) > 50
    assert {unit for _, unit in TIME.findall(text)} == {"ms"}


def test_every_alert_is_drilled() -> None:
    assert not_drilled() == []


def test_every_fault_is_for_an_alert_that_exists() -> None:
    assert {name for fault in FAULTS for name in fault.alerts} <= set(alerts())


@pytest.mark.parametrize("alert", alerts())
def test_the_runbook_of_an_alert_names_something_that_the_drill_can_look_at(alert: str) -> None:
    assert runbook.what_to_check(alert), f"### {alert} in docs/operations.md names no command, panel or expression"


def test_what_the_runbook_names_is_found() -> None:
    assert runbook.what_to_check("MesuraBarrierUnanswered") == [
        "kafka-transactions.sh --bootstrap-server … list",
        "kafka-transactions.sh --bootstrap-server … describe-producers --topic opt-out --partition 0",
    ]
    assert "*Ready*" in runbook.what_to_check("MesuraDecisionLatencyBurnFast")


def test_rules_that_look_back_for_days_have_a_clock_of_their_own() -> None:
    assert {name for name in alerts() if clock_of(name).name == "days"} == {
        "MesuraUnreadableOptOutOpen",
        "MesuraDecisionLatencyBudget",
        "MesuraPartitionsUnassigned",
    }
