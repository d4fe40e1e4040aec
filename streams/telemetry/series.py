"""Counters, gauges and histograms that are cheap to fill by the batch.

The classes of prometheus-client count one event per call and add a `_created` series to every counter, which can only
be switched off for the whole process. These keep plain numbers and speak prometheus-client's collector protocol, so its
registry and its exposition formats serve them unchanged.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from threading import Lock
from typing import TYPE_CHECKING, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

Labels: TypeAlias = tuple[str, ...]


class CounterSeries:
    """A counter per combination of label values. Never goes down."""

    def __init__(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> None:
        self._name, self._help, self._label_names = name, help_text, tuple(label_names)
        self._values: dict[Labels, float] = {}
        self._lock = Lock()
        if not self._label_names:
            self._values[()] = 0.0

    def add(self, labels: Labels, amount: float) -> None:
        """Count `amount` more; 0 makes the series visible, which `increase()` needs to see its first event."""
        assert amount >= 0, "a counter never goes down"
        assert len(labels) == len(self._label_names)
        with self._lock:
            self._values[labels] = self._values.get(labels, 0.0) + amount

    def describe(self) -> Iterable[Metric]:
        return [CounterMetricFamily(self._name, self._help, labels=self._label_names)]

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._help, labels=self._label_names)
        with self._lock:
            values = sorted(self._values.items())
        for labels, value in values:
            family.add_metric(labels, value)
        return [family]


class GaugeSeries:
    """A gauge per combination of label values: set, replaced as a whole, or read from a function at each scrape."""

    def __init__(self, name: str, help_text: str, label_names: Sequence[str] = ()) -> None:
        self._name, self._help, self._label_names = name, help_text, tuple(label_names)
        self._values: Mapping[Labels, float] = {}
        self._read: Callable[[], Mapping[Labels, float]] | None = None

    def set(self, labels: Labels, value: float) -> None:
        assert len(labels) == len(self._label_names)
        self._values = {**self._values, labels: value}

    def replace(self, values: Mapping[Labels, float]) -> None:
        """Make these the only series; what stood there before is no longer exported."""
        self._values = dict(values)

    def read_from(self, read: Callable[[], Mapping[Labels, float]]) -> None:
        """Ask `read` at each scrape. For values that change by themselves as time goes by."""
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(self._name, self._help, labels=self._label_names)]

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._help, labels=self._label_names)
        values = self._values if self._read is None else self._read()
        for labels, value in sorted(values.items()):
            family.add_metric(labels, value)
        return [family]


class HistogramSeries:
    """A classic histogram without labels, filled by the batch."""

    def __init__(self, name: str, help_text: str, bounds: Sequence[float]) -> None:
        assert list(bounds) == sorted(set(bounds)), "bounds rise"
        self._name, self._help, self._bounds = name, help_text, tuple(bounds)
        self._cumulative = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._lock = Lock()

    def observe(self, value: float, times: int = 1) -> None:
        """Count `times` observations of `value`."""
        first = bisect_left(self._bounds, value)
        with self._lock:
            for index in range(first, len(self._cumulative)):
                self._cumulative[index] += times
            self._sum += value * times

    def observe_ages(self, timestamps_ms: Sequence[int], at_ms: int) -> None:
        """Count the age in seconds of each timestamp at `at_ms`; one from the future counts as 0.

        One sort and one bisection per bound, whatever the number of timestamps: a batch arrives nearly sorted, which
        is what Python's sort is quickest at.
        """
        if not timestamps_ms:
            return
        ascending = sorted(timestamps_ms)
        count = len(ascending)
        past = bisect_right(ascending, at_ms)
        with self._lock:
            for index, bound in enumerate(self._bounds):
                self._cumulative[index] += count - bisect_left(ascending, at_ms - bound * 1000)
            self._cumulative[-1] += count
            self._sum += (past * at_ms - sum(ascending[:past])) / 1000

    def describe(self) -> Iterable[Metric]:
        return [HistogramMetricFamily(self._name, self._help)]

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            cumulative, total = list(self._cumulative), self._sum
        edges = [*map(floatToGoString, self._bounds), "+Inf"]
        family = HistogramMetricFamily(self._name, self._help)
        family.add_metric([], list(zip(edges, cumulative, strict=True)), sum_value=total)
        return [family]
