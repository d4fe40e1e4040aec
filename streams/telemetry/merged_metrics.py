"""The metrics of one machine: merges what its processes count and show into one exposition.

Rules of this module
1. Counters and histograms are sums over what the processes have published, including dead incarnations. They never go
   backwards because a process ended.
2. A gauge follows the rule in its declaration. A process that does not answer adds nothing to it, and makes `ready` 0,
   as its own `process_ready` and `process_live`: an alert can compare a 0, and not what is absent.
3. What a sum would hide is shown per process, with its number as label, so there are as many series as processes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from streams.telemetry import registry
from streams.telemetry.metrics import Telemetry
from streams.telemetry.report import process_values
from streams.telemetry.series import SUM
from streams.telemetry.shared_counters import CPU_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

    from streams.telemetry.registry import Across, MetricSpec
    from streams.telemetry.report import Report
    from streams.telemetry.series import Labels

_CPU_SAMPLE = "process_cpu_seconds_total"
_MEMORY_SAMPLE = "process_resident_memory_bytes"

_PROCESS_HELP = {
    "process_virtual_memory_bytes": "Virtual memory size in bytes, over all processes.",
    _MEMORY_SAMPLE: "Resident memory size in bytes, over all processes.",
    "process_open_fds": "Open file descriptors, over all processes.",
}
"""The standard metrics whose sum is meaningful. The others are the supervisor's own."""


def observations(counts: Mapping[str, float], spec: MetricSpec) -> float:
    """How many observations of a histogram a process has published."""
    total = 0.0
    for key, value in counts.items():
        name, *edge = orjson.loads(key)
        if name == spec.full_name and edge != [SUM]:
            total += value
    return total


class ProcessState(NamedTuple):
    """One process as its supervisor sees it."""

    counts: Mapping[str, float]
    """What all its incarnations have published, by key."""
    restarts: int
    report: Report | None
    """None: it does not answer, or is not running."""
    is_refused: bool = False
    """It is not running because it was refused."""


class MergedMetrics:
    """One `CollectorRegistry` for all processes of a machine, as of the latest `refresh`."""

    def __init__(self, *, version: str) -> None:
        every = Telemetry(version=version, process_metrics=False, metrics=registry.METRICS)
        self._every = every
        self._specs = {spec.full_name.removesuffix("_total"): spec for spec in registry.METRICS}
        self.lost_exports = 0
        """Of the metrics themselves, to an OpenTelemetry collector."""
        self._keys: dict[str, tuple[MetricSpec, Labels] | None] = {}
        self._own_build = [labels for labels, _ in every.gauges()[registry.BUILD_INFO.full_name]]
        self._standard = _StandardMetrics()
        every.registry.register(self._standard)

    @property
    def registry(self) -> CollectorRegistry:
        return self._every.registry

    def refresh(self, processes: Sequence[ProcessState], *, is_recurring: bool = False) -> None:
        """Take over the state of every process. `is_recurring`: a failure recurs at every restart."""
        self._take_counts(processes)
        self._take_gauges(processes, is_recurring=is_recurring)
        self._take_processes(processes)
        self._standard.refresh(processes)

    def _take_counts(self, processes: Sequence[ProcessState]) -> None:
        totals: dict[str, float] = {}
        for process in processes:
            for key, value in process.counts.items():
                totals[key] = totals.get(key, 0.0) + value
        for key, value in totals.items():
            known = self._known(key)
            if known is not None:
                self._every.raise_to(*known, value)
        self._every.raise_to(registry.OPENTELEMETRY_LOST, ("metrics",), self.lost_exports)
        self._every.raise_to(registry.WORKER_RESTARTS, (), sum(process.restarts for process in processes))

    def _known(self, key: str) -> tuple[MetricSpec, Labels] | None:
        if key not in self._keys:
            name, *labels = orjson.loads(key)
            spec = self._specs.get(name)
            self._keys[key] = None if spec is None else (spec, tuple(labels))
        return self._keys[key]

    def _take_gauges(self, processes: Sequence[ProcessState], *, is_recurring: bool) -> None:
        for spec in registry.WORKER_METRICS:
            if spec.kind != "gauge":
                continue
            values: dict[Labels, list[float]] = {}
            for process in processes:
                shown = [] if process.report is None else process.report.gauges.get(spec.full_name, [])
                for labels, value in shown:
                    values.setdefault(tuple(labels), []).append(value)
            if spec is registry.READY:
                values = {(): [_is_ready(process) and not is_recurring for process in processes]}
            elif spec is registry.BUILD_INFO:
                # The supervisor's own build is shown from the start, and stays.
                values |= {labels: [1.0] for labels in self._own_build}
            elif not values and not spec.labels:
                values = {(): [0.0]}
            merged = {labels: _across(spec.across, found) for labels, found in values.items()}
            self._every.replace_gauge(spec, merged)
        self._every.replace_gauge(registry.RECURRING_FAILURE, {(): float(is_recurring)})

    def _take_processes(self, processes: Sequence[ProcessState]) -> None:
        reports = [(str(number), process.report) for number, process in enumerate(processes)]
        answering = [(number, report) for number, report in reports if report is not None]
        show = self._every.replace_gauge
        show(registry.PROCESS_UP, {(number,): float(report is not None) for number, report in reports})
        show(registry.PROCESS_REFUSED, {(str(n),): float(process.is_refused) for n, process in enumerate(processes)})
        show(
            registry.PROCESS_LIVE,
            {(number,): float(report is not None and report.live.ok) for number, report in reports},
        )
        show(registry.PROCESS_READY, {(str(n),): _is_ready(process) for n, process in enumerate(processes)})
        show(
            registry.PROCESS_PARTITIONS,
            {(number,): float(report.partitions if report else 0) for number, report in reports},
        )
        show(registry.PROCESS_MEMORY, {(n,): report.process.get(_MEMORY_SAMPLE, 0.0) for n, report in answering})
        for number, process in enumerate(processes):
            self._every.raise_to(registry.PROCESS_RESTARTS, (str(number),), process.restarts)
            self._every.raise_to(registry.PROCESS_CPU, (str(number),), process.counts.get(CPU_KEY, 0.0))


class _StandardMetrics:
    """The `process_*` metrics: processor time, memory and descriptors added up; the others are the supervisor's."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}

    def refresh(self, processes: Sequence[ProcessState]) -> None:
        own = process_values()
        reports = [process.report.process for process in processes if process.report is not None]
        summed = {
            name: own[name] + sum(report.get(name, 0.0) for report in reports) for name in _PROCESS_HELP if name in own
        }
        if _CPU_SAMPLE in own:
            used = own[_CPU_SAMPLE] + sum(process.counts.get(CPU_KEY, 0.0) for process in processes)
            summed[_CPU_SAMPLE] = max(used, self._values.get(_CPU_SAMPLE, 0.0))
        self._values = {**own, **summed}

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        for name, value in self._values.items():
            if name == _CPU_SAMPLE:
                yield CounterMetricFamily(
                    name.removesuffix("_total"), "Processor time in seconds, over all processes.", value=value
                )
            else:
                yield GaugeMetricFamily(name, _PROCESS_HELP.get(name, "Of the supervisor."), value=value)


def _is_ready(process: ProcessState) -> float:
    return float(process.report is not None and process.report.ready.ok)


def _across(rule: Across, values: Sequence[float]) -> float:
    """The value that stands for all of them."""
    match rule:
        case "sum":
            return sum(values)
        case "least":
            return min(values)
        case "greatest" | "each":
            return max(values)
        case "farthest from 0":
            return max(values, key=abs)
