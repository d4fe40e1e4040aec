"""What the comparison makes of its samples and figures: rates, policies that grow, pictures, the page."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

from bench import compare_report
from bench.compare import arguments
from bench.compare_runs import Backlog, policy_of
from bench.meter import Sample, rate
from bench.peers.roster import EVERYBODY, FAUST, MESURA, PARTITIONS
from bench.plots import Bar, Panel, Percentiles, bars, panels, percentile_lines
from bench.workload import Workload
from streams.policy.loader import load_policy
from streams.testing.records import murmur2_partition

if TYPE_CHECKING:
    from pathlib import Path


def samples(*done: int, members: int = 2) -> list[Sample]:
    """A look every tenth of a second; a look costs the contender 50 ms of processor time, the broker 10."""
    return [Sample(at / 10, count, at * 0.05, at * 0.01, 1_000_000, members) for at, count in enumerate(done)]


def test_a_rate_is_taken_between_the_first_and_the_last_tenth() -> None:
    found = rate(samples(0, 50, *range(100, 1000, 100), 1000), 1000, 2)
    assert found.per_second == pytest.approx(1000)
    assert found.cpu_microseconds == pytest.approx(500)
    assert found.broker_cpu_microseconds == pytest.approx(100)


def test_who_commits_in_steps_is_measured_from_step_to_step() -> None:
    """200 every half second. From the first look inside to the last it would be 400 in 1.3 seconds."""
    looks = [200 * (number // 5) for number in range(26)]
    assert rate(samples(*looks), 1000, 2).per_second == pytest.approx(400)


def test_what_warms_up_is_not_counted() -> None:
    slow_then_fast = samples(*range(0, 400, 10), *range(400, 1001, 100))
    assert rate(slow_then_fast, 1000, 2, 0.4).per_second == pytest.approx(1000)
    assert rate(slow_then_fast, 1000, 2).per_second < 500


def test_nothing_counts_before_everybody_has_a_share() -> None:
    alone, together = samples(*range(0, 500, 10), members=1), samples(*range(0, 1001, 100))[5:]
    assert rate([*alone, *together], 1000, 2).per_second == pytest.approx(1000)


@pytest.mark.parametrize("rules", [1, 5, 20, 50])
def test_a_policy_has_as_many_rules_as_asked(rules: int, tmp_path: Path) -> None:
    assert len(load_policy(policy_of(rules, tmp_path)).specification.rules) == rules


def test_a_probe_of_each_partition_is_the_first_of_its_backlog() -> None:
    backlog = Backlog(Workload(500, 50, 1_767_225_600_000), "any")
    probes = backlog.probes()
    assert {murmur2_partition(probe.key or b"", PARTITIONS) for probe in probes} == set(range(PARTITIONS))
    assert all(probe in list(backlog.workload.intent_records(backlog.intents)) for probe in probes)


def test_pictures_are_svg_and_the_same_every_time() -> None:
    def pictures() -> list[str]:
        return [
            bars("a < b", "note", [Bar("one & two", 10.0, 8.0, 12.0, True), Bar("three", 5.0, 5.0, 5.0, False)]),
            percentile_lines("title", "note", [Percentiles("one", 12.0, 40.0, 90.0)]),
            panels("title", "note", [Panel("curve", [(10.0, 1.0, 1.0, 2.0), (100.0, 3.0, 2.0, 4.0)])]),
        ]

    assert pictures() == pictures()
    for picture in pictures():
        assert ET.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"


def figures() -> dict[str, Any]:
    """As a run keeps them: two rounds of everybody."""
    throughput = [
        {
            "who": entrant.name,
            "round": number,
            "decisions/s": 1000 * number,
            "CPU µs each": 20.0,
            "broker µs each": 5.0,
            "resident MB": 300,
        }
        for number in (1, 2)
        for entrant in EVERYBODY
    ]
    latency = [
        {"who": entrant.name, "round": 1, "intents/s": 2000.0, "idle MB": 200}
        | (
            {"kept up": "no: late"}
            if entrant is FAUST
            else {"p50 ms": 10.0, "p90 ms": 20.0, "p99 ms": 30.0, "CPU %": 50.0}
        )
        for entrant in EVERYBODY
    ]
    restore = [
        {
            "who": entrant.name,
            "round": 2,
            "customers": 100_000,
            "changelog records": 500_000,
            "decides after s": 4.2,
            "resident MB": 240,
            "forgotten": 0,
            "state bytes per customer": 333,
        }
        for entrant in EVERYBODY
    ]
    grown = {"decisions/s": 30_000, "CPU µs each": 40.0, "resident MB": 300, "first decided after s": 3.0}
    known = ((10_000, 300), (1_010_000, 800))
    return {
        "parameters": vars(arguments([])),
        "minutes": 25.0,
        "versions": {"Java": "17"},
        "machine": {"python": "3", "cores_used": 2, "system": "Linux", "processor": "any", "memory_gigabytes": 24},
        "conformance": [{"who": MESURA.name, "differences": 0}],
        "throughput": throughput,
        "latency": latency,
        "restore": restore,
        "customers": [
            {"customers known": count, "round": 1, **grown, "resident MB": memory} for count, memory in known
        ],
        "rules": [{"rules": count, "round": 1, **grown} for count in (1, 50)],
    }


def test_the_page_names_everybody_and_says_what_favours_whom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_report, "RESULTS", tmp_path)
    compare_report.write("compare", figures())
    text = (tmp_path / "compare.md").read_text(encoding="utf-8")
    for entrant in EVERYBODY:
        assert text.count(f"| {entrant.name} |") == 3
    assert "| mesura | 1,500 (1,000–2,000) | 1 × |" in text
    assert "400 bytes" in text  # 40 MB more than an empty one, for 100 000 customers
    assert "each takes 500 bytes of memory" in text
    assert "fell behind" in text
    assert "## What favours whom" in text
    assert {path.name for path in tmp_path.glob("*.svg")} == {
        f"compare-{kind}.svg" for kind in ("throughput", "latency", "growth")
    }
