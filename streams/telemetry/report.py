"""What a worker process reports to its supervisor about this moment: its gauges and its health.

Counts are not reported but published (`streams.telemetry.shared_counters`), because a count must survive the process
and a momentary value need not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from prometheus_client import CollectorRegistry, ProcessCollector

from streams.telemetry.health import Standing

if TYPE_CHECKING:
    from streams.telemetry.health import Health
    from streams.telemetry.metrics import Telemetry


class Report(Struct, frozen=True, kw_only=True):
    """One process at one moment."""

    live: Standing
    ready: Standing
    partitions: int
    owned: list[int] = []
    """The partitions that it decides for."""
    partition_count: int = 0
    """Of each input topic; 0 until it is known."""
    gauges: dict[str, list[tuple[tuple[str, ...], float]]]
    """By full name: label values and value of each series."""
    process: dict[str, float]
    """The standard `process_*` metrics."""


def report(telemetry: Telemetry, health: Health, *, partition_count: int = 0) -> Report:
    """This process now. What it counted is published up to the same moment."""
    telemetry.publish()
    return Report(
        live=health.liveness(),
        ready=health.readiness(),
        partitions=health.partitions(),
        owned=health.owned(),
        partition_count=partition_count,
        gauges=telemetry.gauges(),
        process=process_values(),
    )


_PROCESS = ProcessCollector(registry=CollectorRegistry())


def process_values() -> dict[str, float]:
    """The standard metrics of this process by sample name; none if the system does not provide them."""
    return {sample.name: sample.value for family in _PROCESS.collect() for sample in family.samples}
