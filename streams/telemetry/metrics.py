"""The metrics of one process: series for everything in the registry, filled from committed batches.

Rules of this module
1. A batch is counted whole and published once, after its transaction has committed.
2. If the counts are in memory that outlives the process (`streams.telemetry.shared_counters`), a restarted process
   continues from what its predecessor published.
"""

from __future__ import annotations

import platform
from itertools import product
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector

from streams.build import is_compiled
from streams.telemetry import registry
from streams.telemetry.registry import MAX_WORDS, NO_REASON, OTHER, MetricSpec, Vocabulary
from streams.telemetry.series import CounterSeries, GaugeSeries, HistogramSeries, Labels
from streams.telemetry.shared_counters import CounterStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streams.telemetry.tally import CountedField, Tally

MAX_TEXT = 64
"""Characters kept of free label text (policy name, version): enough for a hash in hexadecimal."""

_BY_FIELD: dict[CountedField, MetricSpec] = {
    "campaign": registry.DECISIONS_BY_CAMPAIGN,
    "sender": registry.DECISIONS_BY_SENDER,
    "country": registry.DECISIONS_BY_COUNTRY,
}
_FIELD_WORDS: dict[CountedField, Vocabulary] = {
    "campaign": registry.CAMPAIGNS,
    "sender": registry.SENDERS,
    "country": registry.COUNTRIES,
}


class Telemetry:
    """Owns a `CollectorRegistry`. Two of them in one process share nothing.

    Every series whose labels are known is 0 from the start, so that `increase()` sees the first event.
    """

    def __init__(
        self,
        *,
        version: str,
        process_metrics: bool = True,
        storage: CounterStorage | None = None,
        metrics: Iterable[MetricSpec] = registry.WORKER_METRICS,
    ) -> None:
        self.registry = CollectorRegistry()
        self._storage = storage or CounterStorage()
        self._words = {vocabulary: set(vocabulary.words) for vocabulary in registry.VOCABULARIES}
        self._counters: dict[MetricSpec, CounterSeries] = {}
        self._gauges: dict[MetricSpec, GaugeSeries] = {}
        self._histograms: dict[MetricSpec, HistogramSeries] = {}
        for spec in metrics:
            self._create(spec)
        self._initialise()
        if process_metrics:
            ProcessCollector(registry=self.registry)
        core = "compiled" if is_compiled() else "interpreted"
        self.replace_info(registry.BUILD_INFO, version, platform.python_version(), core)

    # Values of the labels

    def declare_channels(self, channels: Iterable[str]) -> None:
        """Declare the channels of the policy. Those of earlier policies stay, because a counter must not vanish."""
        self._declare(registry.CHANNELS, channels)

    def declare_reasons(self, reasons: Iterable[str]) -> None:
        """Declare the reason codes of suppressions."""
        self._declare(registry.REASONS, reasons)

    def declare_purposes(self, purposes: Iterable[str]) -> None:
        """Declare the purposes of the policy."""
        self._declare(registry.PURPOSES, purposes)

    def declare_rules(self, rules: Iterable[str]) -> None:
        """Declare the rules of the policy and the built-in checks."""
        self._declare(registry.RULES, rules)

    def declare_counted(self, field: CountedField, words: Iterable[str]) -> None:
        """Declare what somebody asked to have counted of a field."""
        self._declare(_FIELD_WORDS[field], words)

    def declare_withdrawal_reasons(self, reasons: Iterable[str]) -> None:
        self._declare(registry.WITHDRAWAL_REASONS, reasons)

    def declare_dead_letter_reasons(self, reasons: Iterable[str]) -> None:
        self._declare(registry.DEAD_LETTER_REASONS, reasons)

    def declare_topics(self, topics: Iterable[str]) -> None:
        """Declare the input topics, as the settings name them."""
        self._declare(registry.TOPICS, topics)

    # What is counted

    def count(self, tally: Tally, *, decided_at_ms: int, committed_at_ms: int) -> None:
        """Add a batch that has committed. Nothing of a batch is visible before this call."""
        for (channel, verdict, reason), times in tally.decisions.items():
            self._add(registry.DECISIONS, times, channel, verdict, NO_REASON if verdict == "approved" else reason)
        for (purpose, verdict), times in tally.purposes.items():
            self._add(registry.DECISIONS_BY_PURPOSE, times, purpose, verdict)
        for (field, word, verdict), times in tally.fields.items():
            self._add(_BY_FIELD[field], times, word, verdict)
        for (topic, reason), times in tally.dead_letters.items():
            self._add(registry.DEAD_LETTERS, times, topic, reason)
        for (outcome, matched), times in tally.outcomes.items():
            self._add(registry.OUTCOMES, times, outcome, "true" if matched else "false")
        for spec, counts in (
            (registry.SUPPRESSIONS_BY_RULE, tally.rules),
            (registry.REROUTED, tally.rerouted),
            (registry.WITHDRAWALS, tally.withdrawals),
            (registry.PREFERENCE_EVENTS, tally.preferences),
            (registry.UNKNOWN_FIELDS, tally.unknown_fields),
            (registry.NOT_UNDERSTOOD, tally.not_understood),
        ):
            for word, times in counts.items():
                self._add(spec, times, word)
        self._add(registry.DUPLICATES, tally.duplicates)
        self._add(registry.PERMISSIONS_REFUSED, tally.permissions_refused)
        self._add(registry.UNREADABLE_OPT_OUTS, tally.unreadable_opt_outs)
        self._add(registry.UNREADABLE_OUTCOMES, tally.unreadable_outcomes)
        self._add(registry.LEDGER_FULL, tally.ledger_full)
        self._add(registry.LEDGERS_PRUNED, tally.ledgers_pruned)
        self._add(registry.LEDGERS_REMOVED, tally.ledgers_removed)
        self._count_times(tally, decided_at_ms, committed_at_ms)
        self._storage.publish()

    def add(self, spec: MetricSpec, amount: float, *labels: str) -> None:
        """Count on a counter; words outside a label's vocabulary become `other`."""
        self._add(spec, amount, *labels)
        self._storage.publish()

    def set(self, spec: MetricSpec, value: float) -> None:
        """Set a gauge without labels."""
        self._gauges[spec].set((), value)

    def observe(self, spec: MetricSpec, value: float, times: int = 1) -> None:
        """Count on a histogram."""
        self._histograms[spec].observe(value, times)
        self._storage.publish()

    def publish(self) -> None:
        """Update what is published to this moment. If nothing else was counted, this updates the processor time."""
        self._storage.publish()

    def replace_info(self, spec: MetricSpec, *labels: str) -> None:
        """Make this the one series of an information gauge."""
        self._gauges[spec].replace({tuple(text[:MAX_TEXT] for text in labels): 1.0})

    def read_from(self, spec: MetricSpec, read: Callable[[], float]) -> None:
        """Ask `read` for a gauge without labels at each scrape."""
        self._gauges[spec].read_from(lambda: {(): read()})

    def read_topics_from(self, spec: MetricSpec, read: Callable[[], Mapping[str, float]]) -> None:
        """Ask `read` for a gauge by topic at each scrape. Unknown topics are folded: their worst value is shown."""

        def folded() -> dict[Labels, float]:
            values: dict[Labels, float] = {}
            for topic, value in read().items():
                labels = self._fold(spec, (topic,))
                values[labels] = max(value, values.get(labels, value))
            return values

        self._gauges[spec].read_from(folded)

    # What other processes count

    def gauges(self) -> dict[str, list[tuple[Labels, float]]]:
        """Every gauge by name, as it is now."""
        return {spec.full_name: list(series.values().items()) for spec, series in self._gauges.items()}

    def replace_gauge(self, spec: MetricSpec, values: Mapping[Labels, float]) -> None:
        """Make these the series of a gauge."""
        self._gauges[spec].replace(values)

    def raise_to(self, spec: MetricSpec, labels: Labels, value: float) -> None:
        """Take over what was counted elsewhere, on a counter or in a histogram; never less than before."""
        series = self._counters.get(spec) or self._histograms[spec]
        series.raise_to(labels, value)

    # Inside

    def _add(self, spec: MetricSpec, amount: float, *labels: str) -> None:
        self._counters[spec].add(self._fold(spec, labels), amount)

    def _create(self, spec: MetricSpec) -> None:
        match spec.kind:
            case "counter":
                name = spec.full_name.removesuffix("_total")
                self._counters[spec] = CounterSeries(name, spec.help, spec.label_names, storage=self._storage)
                self.registry.register(self._counters[spec])
            case "gauge":
                self._gauges[spec] = GaugeSeries(spec.full_name, spec.help, spec.label_names)
                self.registry.register(self._gauges[spec])
                known = [label.vocabulary for label in spec.labels if label.vocabulary is not None]
                if len(known) == len(spec.labels) and not any(vocabulary.declared_by for vocabulary in known):
                    words = product(*(vocabulary.words for vocabulary in known))
                    self._gauges[spec].replace(dict.fromkeys(words, 0.0))
            case "histogram":
                self._histograms[spec] = HistogramSeries(spec.full_name, spec.help, spec.bounds, storage=self._storage)
                self.registry.register(self._histograms[spec])

    def _declare(self, vocabulary: Vocabulary, words: Iterable[str]) -> None:
        known = self._words[vocabulary]
        for word in words:
            if len(known) < MAX_WORDS:
                known.add(word[:MAX_TEXT])
        self._initialise()

    def _initialise(self) -> None:
        """Make every series with known labels visible at its present value, 0 if it never counted."""
        for spec, series in self._counters.items():
            vocabularies = [label.vocabulary for label in spec.labels if label.vocabulary is not None]
            if len(vocabularies) < len(spec.labels):
                continue  # free text is known only when it is used
            for labels in product(*(sorted(self._words[vocabulary]) for vocabulary in vocabularies)):
                if spec is registry.DECISIONS and labels[1] == "approved":
                    series.add((labels[0], "approved", NO_REASON), 0)
                else:
                    series.add(labels, 0)

    def _fold(self, spec: MetricSpec, labels: Labels) -> Labels:
        assert len(labels) == len(spec.labels)
        return tuple(
            word if label.vocabulary is None or word in self._words[label.vocabulary] or word == NO_REASON else OTHER
            for label, word in zip(spec.labels, labels, strict=True)
        )

    def _count_times(self, tally: Tally, decided_at_ms: int, committed_at_ms: int) -> None:
        decided = tally.decided
        if decided:
            self._histograms[registry.DECISION_DURATION].observe(tally.decide_seconds / decided, decided)
            self.set(registry.LAST_DECISION, committed_at_ms / 1000)
        if tally.records:
            self._histograms[registry.BATCH_RECORDS].observe(tally.records)
        self._histograms[registry.COMMIT_DURATION].observe(max(0, committed_at_ms - decided_at_ms) / 1000)
        self._histograms[registry.DECISION_LATENCY].observe_ages(tally.intent_timestamps_ms, committed_at_ms)
        self._histograms[registry.OPT_OUT_IN_FORCE].observe_ages(tally.preference_timestamps_ms, committed_at_ms)
