"""The metrics of a machine for a collector: what `/metrics` shows, sent now and then.

Rules of this module
1. Nothing is counted a second time: the samples of the Prometheus registry are put into the protocol's own form.
   Counters and histograms are cumulative, so that what is lost on the way is in the next one.
2. The supervisor sends, not a worker: no lane waits for it, whatever the collector does.
3. A name is that of `/metrics`, without `_total` and `_bucket`, which a collector adds for Prometheus.
"""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import version
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from streams.telemetry.opentelemetry_export.resource import resource_of
from streams.telemetry.opentelemetry_export.sender import Sender

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.samples import Sample

INTERVAL_VARIABLE: Final = "OTEL_METRIC_EXPORT_INTERVAL"
INTERVAL_MS: Final = 60_000
"""The SDK's own figure."""

CLOSE_SECONDS: Final = 1.0


class MachineMetrics:
    """Sends what `registry` answers, in intervals, until it is closed.

    Args:
        registry: the registry behind `/metrics`, as of now.
        lost: told how many exports were lost.
    """

    def __init__(
        self,
        registry: Callable[[], Awaitable[CollectorRegistry]],
        lost: Callable[[int], None],
        environment: Mapping[str, str],
    ) -> None:
        exporter = OTLPMetricExporter()

        def send(all_data: Sequence[MetricsData]) -> bool:
            (data,) = all_data
            return exporter.export(data) is MetricExportResult.SUCCESS

        self._registry = registry
        self._lost = lost
        self._interval_seconds = _interval_ms(environment) / 1000
        self._resource = resource_of(environment, environment.get("MESURA_SLOT", "0"))
        self._scope = InstrumentationScope("mesura", version("mesura"))
        self._began_ns = time.time_ns()
        self._sender: Sender[MetricsData] = Sender(send, what="metrics", room=1, at_once=1, linger_seconds=0)

    async def run(self) -> None:
        """Send again and again."""
        while True:
            await asyncio.sleep(self._interval_seconds)
            await self.export()

    async def export(self) -> None:
        """Have the present values sent. Returns before they are."""
        registry = await self._registry()
        metrics = list(converted(registry.collect(), self._began_ns, time.time_ns()))
        scope = ScopeMetrics(self._scope, metrics, "")
        self._sender.offer(MetricsData([ResourceMetrics(self._resource, [scope], "")]))
        self._lost(self._sender.take_lost())

    def close(self) -> None:
        """Send what waits, for a moment."""
        self._sender.close(CLOSE_SECONDS)


def _interval_ms(environment: Mapping[str, str]) -> float:
    try:
        given = float(environment.get(INTERVAL_VARIABLE, ""))
    except ValueError:
        return INTERVAL_MS
    return given if given > 0 else INTERVAL_MS


def converted(families: Iterable[Family], began_ns: int, now_ns: int) -> Iterator[Metric]:
    """Families of Prometheus as metrics of OpenTelemetry."""
    for family in families:
        data: Sum | Gauge | Histogram
        if family.type == "counter":
            samples = [each for each in family.samples if each.name.endswith("_total")]
            data = Sum(_points(samples, began_ns, now_ns), AggregationTemporality.CUMULATIVE, is_monotonic=True)
        elif family.type == "histogram":
            data = Histogram(list(_histograms(family.samples, began_ns, now_ns)), AggregationTemporality.CUMULATIVE)
        else:
            data = Gauge(_points(family.samples, None, now_ns))
        if data.data_points:
            yield Metric(family.name, family.documentation, "", data)


def _points(samples: Iterable[Sample], began_ns: int | None, now_ns: int) -> list[NumberDataPoint]:
    return [NumberDataPoint(dict(each.labels), began_ns, now_ns, each.value) for each in samples]  # type: ignore[arg-type]


def _histograms(samples: Iterable[Sample], began_ns: int, now_ns: int) -> Iterator[HistogramDataPoint]:
    """Buckets of Prometheus count everything up to their bound, those of OpenTelemetry what lies between two."""
    buckets: dict[tuple[tuple[str, str], ...], list[tuple[float, int]]] = {}
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for each in samples:
        labels = tuple(sorted((name, value) for name, value in each.labels.items() if name != "le"))
        if each.name.endswith("_bucket"):
            buckets.setdefault(labels, []).append((float(each.labels["le"]), int(each.value)))
        elif each.name.endswith("_sum"):
            sums[labels] = float(each.value)
    for labels, cumulative in buckets.items():
        cumulative.sort()
        counts = [count for _, count in cumulative]
        yield HistogramDataPoint(
            attributes=dict(labels),
            start_time_unix_nano=began_ns,
            time_unix_nano=now_ns,
            count=counts[-1],
            sum=sums.get(labels, 0.0),
            bucket_counts=[counts[0], *(after - before for before, after in pairwise(counts))],
            explicit_bounds=[bound for bound, _ in cumulative[:-1]],
            min=None,  # type: ignore[arg-type]  # optional in the protocol, and unknown here
            max=None,  # type: ignore[arg-type]
        )
