"""The measured figures, as the package ships them: `python -m bench.capacity` writes them out of bench/results."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from importlib import resources
from typing import Final

FIGURES_FILE: Final = "figures.json"


@dataclass(frozen=True, slots=True)
class Range:
    """The least and the most that something is."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high:
            raise ValueError(f"a range goes upwards from 0, not from {self.low} to {self.high}")

    def __add__(self, other: Range) -> Range:
        return Range(self.low + other.low, self.high + other.high)

    def __mul__(self, other: Range | float) -> Range:
        by = other if isinstance(other, Range) else Range(other, other)
        return Range(self.low * by.low, self.high * by.high)


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, in several runs or ways, and where it stands."""

    range: Range
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Figures:
    """All that `estimate` needs. The fields' names are those in the file."""

    worker_decisions_per_second: Figure
    """Of one worker beside others and the broker, under the starter policy, with a backlog before it."""
    decision_cpu_microseconds: Figure
    even_decision_cpu_microseconds: Figure
    """The same with 2,000 a second, in transactions as small as they come."""
    rules_factor_1: Figure
    """Processor time of a decision under a policy of one rule, by that under one of twenty."""
    rules_factor_5: Figure
    rules_factor_50: Figure
    tls_factor: Figure
    idle_worker_bytes: Figure
    busy_worker_bytes: Figure
    """Without ledgers."""
    ledger_bytes_without_contacts: Figure
    ledger_bytes_per_contact: Figure
    customer_bytes_beside_ledger: Figure
    """In memory: the key, and what Python takes to keep both."""
    restore_microseconds_per_customer: Figure
    intent_log_bytes: Figure
    approved_log_bytes: Figure
    suppressed_log_bytes: Figure
    batches_log_bytes: Figure
    ledger_log_bytes: Figure
    """For each intent, as all the others in the log; not compacted."""
    ledger_record_overhead_bytes: Figure
    """In the log, beside the ledger: its key, and what Kafka adds."""


def measured_figures() -> Figures:
    """Those that the package was built with."""
    text = resources.files(__package__).joinpath(FIGURES_FILE).read_text(encoding="utf-8")
    stored = json.loads(text)
    return Figures(
        **{
            each.name: Figure(
                Range(stored[each.name]["low"], stored[each.name]["high"]),
                stored[each.name]["unit"],
                stored[each.name]["source"],
            )
            for each in fields(Figures)
        }
    )
