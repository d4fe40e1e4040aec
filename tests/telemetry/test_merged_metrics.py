"""One exposition for several processes: counts added up and never backwards, gauges by their rules."""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec
import pytest

from streams.telemetry import registry
from streams.telemetry.health import Health
from streams.telemetry.merged_metrics import MergedMetrics, ProcessState, observations
from streams.telemetry.metrics import Telemetry
from streams.telemetry.observer import TelemetryObserver
from streams.telemetry.report import Report, report
from streams.telemetry.shared_counters import PublishedCounters, SharedCounters, shared_memory
from streams.telemetry.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streams.telemetry.registry import MetricSpec


class Process:
    """One process of a machine, all its starts."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.published = PublishedCounters(descriptor)
        self.restarts = -1
        self.start()

    def start(self) -> None:
        self.restarts += 1
        self.health = Health()
        self.telemetry = Telemetry(version="0.1.0", process_metrics=False, storage=SharedCounters(self.descriptor))
        self.observer = TelemetryObserver(self.telemetry, self.health)

    def decides(self, times: int) -> None:
        tally = Tally(intent_timestamps_ms=[1000] * times, decide_seconds=0.001)
        tally.decisions["sms", "approved", ""] += times
        self.observer.committed(0, tally, decided_at_ms=1000, committed_at_ms=1040)

    def is_ready(self, partitions: int) -> None:
        self.observer.policy_loaded("centre", "1", "aaaa", at_ms=1000)
        self.observer.assigned(frozenset(range(partitions)))
        self.observer.ready(True, "deciding")

    def state(self, *, answers: bool = True) -> ProcessState:
        # As it travels.
        told = msgspec.json.decode(msgspec.json.encode(report(self.telemetry, self.health)), type=Report)
        return ProcessState(self.published.read(), self.restarts, told if answers else None)


@pytest.fixture
def processes() -> Iterator[list[Process]]:
    with ExitStack() as stack:
        made = [shared_memory("test") for _ in range(2)]
        for descriptor in made:
            stack.callback(os.close, descriptor)
        yield [Process(descriptor) for descriptor in made]


@pytest.fixture
def machine() -> MergedMetrics:
    return MergedMetrics(version="0.1.0")


def value(machine: MergedMetrics, spec: MetricSpec, suffix: str = "", **labels: str) -> float | None:
    return machine.registry.get_sample_value(spec.full_name + suffix, labels)


APPROVED = {"channel": "sms", "verdict": "approved", "reason": "none"}


def test_counters_and_buckets_are_added_up(machine: MergedMetrics, processes: list[Process]) -> None:
    processes[0].decides(3)
    processes[1].decides(5)
    processes[1].observer.barrier_waited(0.003)
    machine.refresh([process.state() for process in processes])
    assert value(machine, registry.DECISIONS, **APPROVED) == 8
    assert value(machine, registry.DECISION_LATENCY, "_count") == 8
    assert value(machine, registry.DECISION_LATENCY, "_bucket", le="0.025") == 0
    assert value(machine, registry.DECISION_LATENCY, "_bucket", le="0.05") == 8
    assert value(machine, registry.DECISION_LATENCY, "_sum") == pytest.approx(8 * 0.040)
    assert value(machine, registry.BARRIER_WAIT, "_count") == 1
    machine.refresh([process.state() for process in processes])
    assert value(machine, registry.DECISIONS, **APPROVED) == 8, "counted twice"


def test_a_start_more_takes_nothing_back(machine: MergedMetrics, processes: list[Process]) -> None:
    processes[0].decides(3)
    processes[1].decides(5)
    machine.refresh([process.state() for process in processes])
    processes[1].decides(7)  # and is killed before anybody looks
    processes[1].start()
    machine.refresh([process.state() for process in processes])
    assert value(machine, registry.DECISIONS, **APPROVED) == 15
    processes[1].decides(1)
    machine.refresh([processes[0].state(), processes[1].state(answers=False)])
    assert value(machine, registry.DECISIONS, **APPROVED) == 16, "what a silent process counted counts"
    assert value(machine, registry.WORKER_RESTARTS) == 1
    assert value(machine, registry.PROCESS_RESTARTS, process="0") == 0
    assert value(machine, registry.PROCESS_RESTARTS, process="1") == 1


def test_words_declared_by_one_process_are_shown(machine: MergedMetrics, processes: list[Process]) -> None:
    processes[0].telemetry.declare_channels(["kiosk"])
    machine.refresh([process.state() for process in processes])
    assert value(machine, registry.DECISIONS, channel="kiosk", verdict="approved", reason="none") == 0


def test_gauges_become_one_by_their_rules(machine: MergedMetrics, processes: list[Process]) -> None:
    first, second = processes
    first.is_ready(3)
    second.is_ready(5)
    first.observer.lag("outbound-intent", 0, 10, 2.5)
    second.observer.lag("outbound-intent", 0, 20, 0.5)
    second.observer.lag("opt-out", 1, 1, 0.25)
    first.observer.clock_difference(0.5)
    second.observer.clock_difference(-1.5)
    second.observer.policy_loaded("centre", "2", "bbbb", at_ms=2000)
    machine.refresh([process.state() for process in processes])
    assert value(machine, registry.READY) == 1
    assert value(machine, registry.PARTITIONS_ASSIGNED) == 8
    assert value(machine, registry.LAG_RECORDS, topic="outbound-intent") == 30
    assert value(machine, registry.LAG_SECONDS, topic="outbound-intent") == 2.5
    assert value(machine, registry.LAG_SECONDS, topic="opt-out") == 0.25
    assert value(machine, registry.CLOCK_DIFFERENCE) == -1.5
    assert value(machine, registry.POLICY_INFO, name="centre", version="1", hash="aaaa") == 1
    assert value(machine, registry.POLICY_INFO, name="centre", version="2", hash="bbbb") == 1
    assert value(machine, registry.POLICY_LOADED) == 2
    second.observer.ready(False, "not assigned")
    machine.refresh([process.state() for process in processes])
    assert value(machine, registry.READY) == 0


def test_a_process_that_does_not_answer_is_seen(machine: MergedMetrics, processes: list[Process]) -> None:
    for process in processes:
        process.is_ready(4)
    machine.refresh([processes[0].state(), processes[1].state(answers=False)])
    assert value(machine, registry.READY) == 0
    assert value(machine, registry.PARTITIONS_ASSIGNED) == 4
    assert [value(machine, registry.PROCESS_UP, process=number) for number in "01"] == [1, 0]
    assert [value(machine, registry.PROCESS_READY, process=number) for number in "01"] == [1, 0]
    assert [value(machine, registry.PROCESS_PARTITIONS, process=number) for number in "01"] == [4, 0]
    assert value(machine, registry.PROCESS_LIVE, process="1") == 0, "an alert cannot compare what is absent"


def test_before_anybody_answers_all_that_is_known_stands_there(machine: MergedMetrics) -> None:
    machine.refresh([ProcessState({}, 0, None)] * 2)
    assert value(machine, registry.DECISIONS, **APPROVED) == 0
    assert value(machine, registry.READY) == 0
    assert value(machine, registry.PARTITIONS_ASSIGNED) == 0
    assert value(machine, registry.PROCESS_UP, process="1") == 0
    builds = [family for family in machine.registry.collect() if family.name == registry.BUILD_INFO.full_name]
    assert [sample.labels["version"] for family in builds for sample in family.samples] == ["0.1.0"]


def test_a_refusal_and_a_recurrence_are_shown(machine: MergedMetrics, processes: list[Process]) -> None:
    for process in processes:
        process.is_ready(4)
    states = [processes[0].state(), processes[1].state(answers=False)._replace(is_refused=True)]
    machine.refresh(states)
    assert [value(machine, registry.PROCESS_REFUSED, process=number) for number in "01"] == [0, 1]
    assert value(machine, registry.RECURRING_FAILURE) == 0
    states = [process.state() for process in processes]
    machine.refresh(states, is_recurring=True)
    assert value(machine, registry.RECURRING_FAILURE) == 1
    assert value(machine, registry.READY) == 0
    assert value(machine, registry.PROCESS_READY, process="0") == 1
    machine.refresh(states)
    assert value(machine, registry.RECURRING_FAILURE) == 0
    assert value(machine, registry.READY) == 1


def test_committed_batches_are_those_of_every_start(processes: list[Process]) -> None:
    process = processes[0]
    assert observations(process.published.read(), registry.BATCH_RECORDS) == 0
    process.decides(3)
    process.start()
    process.decides(5)
    assert observations(process.published.read(), registry.BATCH_RECORDS) == 2


def test_processor_time_is_counted_over_all_starts(machine: MergedMetrics, processes: list[Process]) -> None:
    machine.refresh([process.state() for process in processes])
    used = value(machine, registry.PROCESS_CPU, process="0")
    standard = machine.registry.get_sample_value("process_cpu_seconds_total")
    assert used is not None
    assert standard is not None
    assert used > 0
    assert standard > used
    processes[0].start()
    machine.refresh([process.state(answers=False) for process in processes])
    later = value(machine, registry.PROCESS_CPU, process="0")
    assert later is not None
    assert later >= used
    now = machine.registry.get_sample_value("process_cpu_seconds_total")
    assert now is not None
    assert now >= standard


def test_there_are_as_many_series_by_process_as_processes(machine: MergedMetrics, processes: list[Process]) -> None:
    machine.refresh([process.state() for process in processes])
    by_process = [
        sample for family in machine.registry.collect() for sample in family.samples if "process" in sample.labels
    ]
    assert {sample.labels["process"] for sample in by_process} == {"0", "1"}
    assert len(by_process) == 2 * len(registry.PROCESS_METRICS)


def test_every_gauge_says_how_several_values_become_one() -> None:
    rules = {spec.name: spec.across for spec in registry.WORKER_METRICS if spec.kind == "gauge"}
    assert {name for name, rule in rules.items() if rule == "each"} == {"policy_info", "build_info"}
    # A moment, an age, a yes or no added up would be a lie.
    added = {name for name, rule in rules.items() if rule == "sum"}
    assert added == {"lag_records", "restore_remaining_records", "partitions_assigned"}
