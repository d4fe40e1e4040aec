"""Turns what the engine reports into metrics and health."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from streams.telemetry import registry
from streams.telemetry.dead_letter_log import DeadLetterLog
from streams.telemetry.tally import Tally

if TYPE_CHECKING:
    from streams.telemetry.health import Health
    from streams.telemetry.metrics import Telemetry
    from streams.telemetry.opentelemetry_export.batch_traces import BatchTraces


log = structlog.get_logger(__name__)


class TelemetryObserver:
    """Implements `streams.exactly_once.interfaces.Observer`. Never raises, never blocks, counts only what committed.

    The engine is expected to report lag every few seconds, idle or not, to repeat `barrier_unanswered` while it lasts,
    and to end each restore with nothing remaining, or with `ready(True, ...)`. A restore may be reported before its
    partition is assigned.
    """

    def __init__(self, telemetry: Telemetry, health: Health, traces: BatchTraces | None = None) -> None:
        self._traces = traces
        self._telemetry = telemetry
        self._health = health
        self._dead_letter_log = DeadLetterLog()
        telemetry.read_from(registry.READY, lambda: float(health.readiness().ok))
        telemetry.read_from(registry.BROKERS_UNREACHABLE, lambda: float(health.brokers_unreachable()))
        telemetry.read_from(registry.PARTITIONS_ASSIGNED, health.partitions)
        telemetry.read_from(registry.RESTORE_IN_PROGRESS, lambda: float(health.restoring()))
        telemetry.read_from(registry.RESTORE_REMAINING, health.restore_remaining_records)
        telemetry.read_from(registry.BARRIER_UNANSWERED, health.barrier_unanswered_seconds)
        telemetry.read_from(registry.COMMIT_UNANSWERED, health.commit_unanswered_seconds)
        telemetry.read_from(registry.PARTITIONS_UNWRITABLE, health.partitions_unwritable)
        telemetry.read_topics_from(registry.LAG_RECORDS, health.lag_records)
        telemetry.read_topics_from(registry.LAG_SECONDS, health.lag_seconds)
        telemetry.read_from(registry.LAG_UNKNOWN, health.lag_unknown_seconds)

    # Told by the engine

    def committed(self, partition: int, tally: object, *, decided_at_ms: int, committed_at_ms: int) -> None:
        self._health.turned()
        if isinstance(tally, Tally):
            self._telemetry.count(tally, decided_at_ms=decided_at_ms, committed_at_ms=committed_at_ms)
            if tally.dead_letter_places:
                self._dead_letter_log.committed(tally)
            if self._traces is not None:
                self._traces.committed(partition, tally, decided_at_ms=decided_at_ms, committed_at_ms=committed_at_ms)
                if lost := self._traces.take_lost():
                    self._telemetry.add(registry.OPENTELEMETRY_LOST, lost, "traces")

    def batch_aborted(self, reason: str) -> None:
        self._health.turned()
        self._telemetry.add(registry.BATCHES_ABORTED, 1, reason)

    def barrier_waited(self, seconds: float) -> None:
        self._health.barrier_waited(seconds)
        self._telemetry.observe(registry.BARRIER_WAIT, max(0.0, seconds))

    def barrier_unanswered(self, seconds: float) -> None:
        self._health.barrier_unanswered(max(0.0, seconds))

    def restore_progress(self, partition: int, restored_records: int, remaining_records: int) -> None:
        newly = self._health.restore_progress(partition, restored_records, remaining_records)
        self._telemetry.add(registry.RESTORED, newly)

    def assigned(self, partitions: frozenset[int]) -> None:
        if self._health.assigned(partitions):
            self._telemetry.add(registry.REBALANCES, 1)
            log.info("The partitions of this worker have changed.", partitions=sorted(partitions))

    def ready(self, is_ready: bool, why: str) -> None:
        self._health.engine(is_ready, why)

    def lag(self, topic: str, partition: int, records: int, seconds: float) -> None:
        self._health.lag(topic, partition, records, seconds)

    def records_missing(self, topic: str, partition: int, count: int) -> None:  # noqa: ARG002 - never a label
        self._telemetry.add(registry.MISSING_RECORDS, max(0, count), topic)

    def clock_difference(self, seconds: float) -> None:
        self._health.clock_difference(seconds)
        self._telemetry.set(registry.CLOCK_DIFFERENCE, seconds)

    def examined(self, keys: int) -> None:
        self._telemetry.add(registry.LEDGERS_EXAMINED, keys)

    def round_finished(self, seconds: float) -> None:
        self._telemetry.set(registry.RETENTION_ROUND, seconds)

    def commit_unanswered(self, seconds: float) -> None:
        self._health.commit_unanswered(max(0.0, seconds))

    # Told by the worker

    def unwritable(self, partitions: int, cause: str) -> None:
        """How many partitions take no records, and why; 0 and empty: all do."""
        self._health.unwritable(partitions, cause)

    def brokers(self, cause: str) -> None:
        """Why no broker can be reached; empty: one can."""
        self._health.brokers(cause)

    # Told by the gate

    def policy_loaded(self, name: str, version: str, policy_hash: str, *, at_ms: int) -> None:
        """This policy is in force from now on."""
        self._health.policy(True)
        self._telemetry.replace_info(registry.POLICY_INFO, name, version, policy_hash)
        self._telemetry.set(registry.POLICY_LOADED, at_ms / 1000)
        self._telemetry.add(registry.POLICY_RELOAD, 1, "success")

    def policy_rejected(self) -> None:
        """A policy could not be loaded; the one before it, if any, stays in force."""
        self._telemetry.add(registry.POLICY_RELOAD, 1, "failure")

    def policy_file(self, fault: str) -> None:
        """What keeps the policy file from being what is in force; empty: nothing does."""
        faults = registry.POLICY_FILE_FAULTS.words
        self._telemetry.replace_gauge(registry.POLICY_FILE_DIFFERS, {(word,): float(word == fault) for word in faults})
