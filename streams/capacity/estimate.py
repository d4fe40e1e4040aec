"""From a load and measured figures to what a gate needs. Pure, and for whoever renders manifests too.

Rules of this module
1. Ranges are carried through: the low end of a result has the low end of everything it is made of.
2. What is planned with is the end that costs more. The planned number of workers decides about everything that depends
   on it, so that memory fits the workers there will be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from streams.capacity.figures import Range
from streams.topics import DEFAULT_PARTITIONS, LEDGER_SEGMENT_MS, PARTITIONS_MAX

if TYPE_CHECKING:
    from streams.capacity.figures import Figure, Figures

BUSY_SHARE: Final = 0.6
"""Of what a worker can do at most, at the peak: with the rest it catches up on what lay while it was started again."""

SPARE_WORKERS: Final = 1
"""One may be away, for a rolling upgrade or for good, and the peak is still carried."""

GROWTH: Final = 4
"""Partitions for each worker: the load may grow so many times before the number has to be changed, which is a procedure
with the gate at rest."""

PARTITION_COUNTS: Final = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, PARTITIONS_MAX)
"""Numbers that many numbers of workers divide evenly, so that none has more than its share."""

LIVE_SHARE: Final = 0.8
"""Of the closed part of the ledger topic, before it is compacted again: min.cleanable.dirty.ratio is 0.2."""

MEMORY_HEADROOM: Final = 1.25
"""On top of what was measured: how large the allocator's holes become depends on weeks of service, not minutes."""

PROCESSOR_RATIO_MIN: Final = 0.1
PROCESSOR_RATIO_MAX: Final = 10.0
"""A processor ten times as fast or as slow as the one of the benches is a mistake in the option."""

RULES_MAX: Final = 50
"""More was not measured."""

_MS: Final = 1_000
_MICROSECONDS: Final = 1_000_000


class ImpossibleLoad(ValueError):
    """A load that cannot be, or that one gate cannot carry. The message says which value, and what to give instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is asked of a gate.

    Raises:
        ImpossibleLoad: a value cannot be.
    """

    intents_per_second: float
    """Over a whole day, on average."""
    customers: int
    """Who have a ledger: whoever was contacted or said anything within the history horizon."""
    peak_factor: float = 3.0
    """The busiest minute by the average."""
    contacts_per_customer: float = 5.0
    """Within the history horizon, on average."""
    retention_ms: int
    """Of inputs, outputs and batches."""
    replication_factor: int = 3
    processor_ratio: float = 1.0
    """How fast a core is by one of the machine on which was measured."""
    rules: int = 20
    readers: int = 1
    """Consumer groups beside the gate that read every approval and suppression."""
    has_tls: bool = False

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("intents per second", self.intents_per_second, 0.001, 10_000_000.0),
            ("peak factor", self.peak_factor, 1.0, 1_000.0),
            ("customers", self.customers, 1, 10_000_000_000),
            ("contacts per customer", self.contacts_per_customer, 0.0, 10_000.0),
            ("retention in milliseconds", self.retention_ms, 60_000, 100 * 365 * 86_400_000),
            ("replication factor", self.replication_factor, 1, 10),
            ("processor ratio", self.processor_ratio, PROCESSOR_RATIO_MIN, PROCESSOR_RATIO_MAX),
            ("rules", self.rules, 1, RULES_MAX),
            ("readers", self.readers, 0, 1_000),
        ):
            if not least <= value <= most:  # also not for NaN
                raise ImpossibleLoad(f"{name} must be between {least:,} and {most:,}, not {value:,}.")

    @property
    def peak_per_second(self) -> float:
        """Intents a second in the busiest minute."""
        return self.intents_per_second * self.peak_factor


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that is needed."""

    name: str
    unit: str
    range: Range
    planned: float
    """What to plan with."""
    figures: tuple[Figure, ...]
    """What it was reckoned from."""
    how: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a gate needs for a load. Bytes and seconds are plain, without prefixes."""

    load: Load
    partitions: Need
    workers: Need
    worker_memory: Need
    worker_processor: Need
    takeover: Need
    log_disk: Need
    ledger_disk: Need
    network_in: Need
    network_replication: Need
    network_out: Need
    cautions: tuple[str, ...]

    @property
    def needs(self) -> tuple[Need, ...]:
        """All of them, in the order in which people ask."""
        return (
            self.partitions,
            self.workers,
            self.worker_processor,
            self.worker_memory,
            self.takeover,
            self.log_disk,
            self.ledger_disk,
            self.network_in,
            self.network_replication,
            self.network_out,
        )


NOT_COUNTED: Final = (
    "preferences, outcomes, dead letters and misrouted records",
    "indexes of the log, and what the brokers need for themselves",
    "a whole cluster's other topics, and what a restore reads",
    "compression, which neither the gate does nor the measured producers did",
)


def estimate(load: Load, figures: Figures) -> Estimate:
    """Reckon what it needs.

    Raises:
        ImpossibleLoad: one gate cannot carry it.
    """
    workers = _workers(load, figures)
    count = int(workers.planned)
    written = _written_bytes(figures)
    decided = figures.approved_log_bytes.range + figures.suppressed_log_bytes.range
    logs = (
        figures.intent_log_bytes,
        figures.approved_log_bytes,
        figures.suppressed_log_bytes,
        figures.batches_log_bytes,
    )
    all_logs = (*logs, figures.ledger_log_bytes)
    kept = figures.intent_log_bytes.range + decided + figures.batches_log_bytes.range
    peak = load.peak_per_second
    return Estimate(
        load=load,
        partitions=_partitions(count),
        workers=workers,
        worker_memory=_memory(load, figures, count),
        worker_processor=_processor(load, figures, count),
        takeover=_takeover(load, figures, count),
        log_disk=_costs(
            "disk for topics kept by retention, all brokers",
            "B",
            kept * (load.intents_per_second * load.retention_ms / _MS * load.replication_factor),
            logs,
            "bytes in the log for an intent x average rate x retention x replication factor",
        ),
        ledger_disk=_ledger_disk(load, figures),
        network_in=_costs(
            "network into the brokers at the peak",
            "B/s",
            written * peak,
            all_logs,
            "bytes written for an intent x peak rate",
        ),
        network_replication=_costs(
            "network between the brokers at the peak",
            "B/s",
            written * (peak * (load.replication_factor - 1)),
            all_logs,
            "the same, once for each further replica",
        ),
        network_out=_costs(
            "network out of the brokers at the peak",
            "B/s",
            (figures.intent_log_bytes.range + decided * float(load.readers)) * peak,
            logs[:3],
            "intents read by the gate, decisions by each further reader, x peak rate",
        ),
        cautions=tuple(_cautions(load, count)),
    )


def _costs(name: str, unit: str, found: Range, figures: tuple[Figure, ...], how: str) -> Need:
    return Need(name, unit, found, found.high, figures, how)


def _written_bytes(figures: Figures) -> Range:
    """For each intent, by producers and gate."""
    return (
        figures.intent_log_bytes.range
        + figures.approved_log_bytes.range
        + figures.suppressed_log_bytes.range
        + figures.batches_log_bytes.range
        + figures.ledger_log_bytes.range
    )


def rules_factor(rules: int, figures: Figures) -> Range:
    """How much a decision costs by one under twenty rules: on the line between the two numbers that were measured."""
    measured = (
        (1, figures.rules_factor_1.range),
        (5, figures.rules_factor_5.range),
        (20, Range(1.0, 1.0)),
        (RULES_MAX, figures.rules_factor_50.range),
    )
    for (fewer, low), (more, high) in pairwise(measured):
        if fewer <= rules <= more:
            share = (rules - fewer) / (more - fewer)
            return low * (1 - share) + high * share
    raise ImpossibleLoad(f"rules must be between 1 and {RULES_MAX}, not {rules}.")


def _cost_factor(load: Load, figures: Figures) -> Range:
    factor = rules_factor(load.rules, figures)
    if load.has_tls:
        factor = factor * figures.tls_factor.range
    return factor * (1 / load.processor_ratio)


def _workers(load: Load, figures: Figures) -> Need:
    one, factor = figures.worker_decisions_per_second.range, _cost_factor(load, figures)
    busy = load.peak_per_second / BUSY_SHARE
    found = Range(math.ceil(busy / one.high * factor.low), math.ceil(busy / one.low * factor.high))
    planned = found.high + SPARE_WORKERS
    if planned > PARTITIONS_MAX:
        raise ImpossibleLoad(
            f"{load.peak_per_second:,.0f} intents a second at the peak would take {planned:,.0f} workers, and a gate "
            f"has at most {PARTITIONS_MAX} partitions. Divide the customers between several gates (--prefix)."
        )
    how = f"peak rate / rate of a worker, {BUSY_SHARE:.0%} busy; planned with {SPARE_WORKERS} to spare"
    return Need(
        "workers", "", found, planned, _of_the_processor(load, figures, figures.worker_decisions_per_second), how
    )


def _of_the_processor(load: Load, figures: Figures, first: Figure) -> tuple[Figure, ...]:
    used = [first]
    if load.rules < 20:
        used += [figures.rules_factor_1, figures.rules_factor_5]
    elif load.rules > 20:
        used.append(figures.rules_factor_50)
    return (*used, figures.tls_factor) if load.has_tls else tuple(used)


def _partitions(workers: int) -> Need:
    wanted = min(max(DEFAULT_PARTITIONS, workers * GROWTH), PARTITIONS_MAX)
    count = next(each for each in PARTITION_COUNTS if each >= wanted)
    how = f"{GROWTH} for each worker, because the number is hard to change later; an even one"
    return Need("partitions of each topic", "", Range(workers, count), count, (), how)


def ledger_bytes(load: Load, figures: Figures) -> Range:
    """Of one customer, as stored."""
    return figures.ledger_bytes_without_contacts.range + (
        figures.ledger_bytes_per_contact.range * load.contacts_per_customer
    )


def _memory(load: Load, figures: Figures, workers: int) -> Need:
    customer = ledger_bytes(load, figures) + figures.customer_bytes_beside_ledger.range
    carrying = max(1, workers - SPARE_WORKERS)
    ledgers = customer * (load.customers / carrying)
    found = Range(figures.idle_worker_bytes.range.low, figures.busy_worker_bytes.range.high) + ledgers
    used = (
        figures.idle_worker_bytes,
        figures.busy_worker_bytes,
        figures.ledger_bytes_without_contacts,
        figures.ledger_bytes_per_contact,
        figures.customer_bytes_beside_ledger,
    )
    how = f"a worker without ledgers + its share of them while {SPARE_WORKERS} is away; planned with a quarter more"
    return Need("memory of each worker", "B", found, found.high * MEMORY_HEADROOM, used, how)


def _processor(load: Load, figures: Figures, workers: int) -> Need:
    # A backlog is decided in large transactions, which cost least; what comes evenly is decided in small ones.
    each = Range(figures.decision_cpu_microseconds.range.low, figures.even_decision_cpu_microseconds.range.high)
    used = each * _cost_factor(load, figures) * (load.peak_per_second / _MICROSECONDS / workers)
    found = Range(min(used.low, 1.0), min(used.high, 1.0))
    how = (
        "processor time of a decision x peak rate / workers; planned with a whole core, which one worker cannot exceed"
    )
    first, *others = _of_the_processor(load, figures, figures.decision_cpu_microseconds)
    sources = (first, figures.even_decision_cpu_microseconds, *others)
    return Need("processor of each worker at the peak", "cores", found, 1.0, sources, how)


def _takeover(load: Load, figures: Figures, workers: int) -> Need:
    one = figures.restore_microseconds_per_customer.range
    found = one * (load.customers / workers / _MICROSECONDS / load.processor_ratio)
    how = "customers of a worker x time to restore one, of an uncompacted log; beside the time until it is missed"
    return _costs("time to restore a worker's ledgers", "s", found, (figures.restore_microseconds_per_customer,), how)


def _ledger_disk(load: Load, figures: Figures) -> Need:
    live = (ledger_bytes(load, figures) + figures.ledger_record_overhead_bytes.range) * float(load.customers)
    # Whatever was written since the segments were closed stands beside what is alive.
    open_now = figures.ledger_log_bytes.range * (load.peak_per_second * LEDGER_SEGMENT_MS / _MS)
    found = Range(live.low, live.high / LIVE_SHARE) + open_now
    used = (
        figures.ledger_bytes_without_contacts,
        figures.ledger_bytes_per_contact,
        figures.ledger_record_overhead_bytes,
        figures.ledger_log_bytes,
    )
    how = (
        "ledgers alive / 0.8, because a fifth may wait for compaction, + what is written in ten minutes, x replication"
    )
    return _costs("disk for the ledger topic, all brokers", "B", found * float(load.replication_factor), used, how)


MEASURED_LATENCY_PER_SECOND: Final = 2_000
"""Of one worker; bench/results/latency.md."""


def _cautions(load: Load, workers: int) -> list[str]:
    found = ["This is an estimate from runs of minutes on two cores. Measure your own load before you rely on it."]
    if load.peak_per_second / workers > MEASURED_LATENCY_PER_SECOND:
        found.append(
            f"At the peak a worker decides {load.peak_per_second / workers:,.0f} intents a second. Latency was "
            f"measured at up to {MEASURED_LATENCY_PER_SECOND:,} a second: with more workers it is known."
        )
    if load.replication_factor < 3:  # as `streams.topics` says
        found.append("With fewer than three replicas the loss of a broker stops decisions or loses records.")
    return found
