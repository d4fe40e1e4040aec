"""Counters, gauges and histograms that are cheap to fill by the batch.

The classes of prometheus-client count one event per call and add a `_created` series to every counter, which can only
be switched off for the whole process. These keep plain numbers and speak prometheus-client's collector protocol, so its
registry and its exposition formats serve them unchanged.

Counters and histograms keep their counts in `storage`, which may be memory that outlives the process. A histogram keeps
its buckets separate and adds them up when it is read, so it never shows fewer observations below a higher bound.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.utils import floatToGoString

from streams.telemetry.shared_counters import CounterStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from prometheus_client.metrics_core import Metric

Labels: TypeAlias = tuple[str, ...]

SUM: Final = "sum"
"""The word for a histogram's sum where its bounds are the others."""


class CounterSeries:
    """A counter per combination of label values. Never goes down."""

    def __init__(
        self, name: str, help_text: str, label_names: Sequence[str] = (), *, storage: CounterStorage | None = None
    ) -> None:
        self._name, self._help, self._label_names = name, help_text, tuple(label_names)
        self._storage = storage or CounterStorage()
        self._places: dict[Labels, int] = {}
        if not self._label_names:
            self.add((), 0)

    def add(self, labels: Labels, amount: float) -> None:
        """Count `amount` more; 0 makes the series visible, which `increase()` needs to see its first event."""
        assert amount >= 0, "a counter never goes down"
        place = self._place(labels)
        with self._storage.lock:
            self._storage.values[place] += amount

    def raise_to(self, labels: Labels, value: float) -> None:
        """Take over a count that was kept elsewhere. A smaller value is ignored."""
        place = self._place(labels)
        with self._storage.lock:
            self._storage.values[place] = max(value, self._storage.values[place])

    def describe(self) -> Iterable[Metric]:
        return [CounterMetricFamily(self._name, self._help, labels=self._label_names)]

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._help, labels=self._label_names)
        with self._storage.lock:
            values = [(labels, self._storage.values[place]) for labels, place in sorted(self._places.items())]
        for labels, value in values:
            family.add_metric(labels, value)
        return [family]

    def _place(self, labels: Labels) -> int:
        place = self._places.get(labels)
        if place is None:
            assert len(labels) == len(self._label_names)
            place = self._places[labels] = self._storage.place(self._name, *labels)
        return place


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

    def values(self) -> Mapping[Labels, float]:
        """The series as they are now."""
        return self._values if self._read is None else self._read()

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(self._name, self._help, labels=self._label_names)]

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._help, labels=self._label_names)
        for labels, value in sorted(self.values().items()):
            family.add_metric(labels, value)
        return [family]


class HistogramSeries:
    """A classic histogram without labels, filled by the batch."""

    def __init__(
        self, name: str, help_text: str, bounds: Sequence[float], *, storage: CounterStorage | None = None
    ) -> None:
        assert list(bounds) == sorted(set(bounds)), "bounds rise"
        self._name, self._help, self._bounds = name, help_text, tuple(bounds)
        self._edges = [*map(floatToGoString, self._bounds), "+Inf"]
        self._storage = storage or CounterStorage()
        self._buckets = [self._storage.place(name, edge) for edge in self._edges]
        self._sum = self._storage.place(name, SUM)

    def observe(self, value: float, times: int = 1) -> None:
        """Count `times` observations of `value`."""
        bucket = self._buckets[bisect_left(self._bounds, value)]
        with self._storage.lock:
            self._storage.values[bucket] += times
            self._storage.values[self._sum] += value * times

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
        below = [count - bisect_left(ascending, at_ms - bound * 1000) for bound in self._bounds]
        with self._storage.lock:
            values, before = self._storage.values, 0
            for bucket, cumulative in zip(self._buckets, [*below, count], strict=True):
                values[bucket] += cumulative - before
                before = cumulative
            values[self._sum] += (past * at_ms - sum(ascending[:past])) / 1000

    def raise_to(self, labels: Labels, value: float) -> None:
        """Take over what was counted elsewhere; `labels` is a bound as written, or `SUM`."""
        (edge,) = labels
        place = self._sum if edge == SUM else self._buckets[self._edges.index(edge)]
        with self._storage.lock:
            self._storage.values[place] = max(value, self._storage.values[place])

    def describe(self) -> Iterable[Metric]:
        return [HistogramMetricFamily(self._name, self._help)]

    def collect(self) -> Iterable[Metric]:
        with self._storage.lock:
            counts, total = [self._storage.values[place] for place in self._buckets], self._storage.values[self._sum]
        family = HistogramMetricFamily(self._name, self._help)
        family.add_metric([], list(zip(self._edges, accumulate(counts), strict=True)), sum_value=total)
        return [family]
