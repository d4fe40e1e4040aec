"""Ledgers made again from a gate's topics, with or without a backup to begin with, and written.

Rules of this module
1. Before anything is written it is known of every partition whether records are missing.
2. Where records are missing, only an empty partition is written: what another ledger still knows is not given up for
   what the topics no longer tell.
3. What the ledger topic knows further than the topics is not given up either.
4. A partition that is already as it must be is left alone. So what broke off is simply run again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from streams.audit.kafka_log import KafkaLog
from streams.audit.settings import AuditError, AuditSettings, Topics
from streams.contracts.dead_letters import VALUE_BYTES_MAX
from streams.exactly_once.control import MOVED_KEY
from streams.gate import GateSettings
from streams.recovery.compare import IN_WORDS, Comparison, compare
from streams.recovery.control_records import check_control
from streams.recovery.errors import RecoveryRefused
from streams.recovery.ledger_topic import LedgerTopic, changes_between
from streams.recovery.policies import Gates
from streams.recovery.replay import Counts, Ledgers, Replay

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.recovery.settings import RecoverySettings

Found = TypeVar("Found")


@dataclass(slots=True)
class RebuildReport:
    """What was found, and what was done."""

    topic: str
    partitions: int = 0
    ledgers: int = 0
    counts: Counts = field(default_factory=Counts)
    comparison: Comparison = field(default_factory=Comparison)
    behind: int = 0
    """Partitions whose ledger topic is not at the position where decisions end."""
    to_write: int = 0
    """Records that the ledger topic lacks, or has otherwise."""
    written: int = 0
    partitions_written: int = 0

    @property
    def is_same(self) -> bool:
        """Whether the ledger topic gives the decisions that what was rebuilt gives."""
        return self.comparison.is_same and not self.behind

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        return {
            "topic": self.topic,
            "partitions": self.partitions,
            "ledgers": self.ledgers,
            "is_same": self.is_same,
            "partitions_behind": self.behind,
            "records_to_write": self.to_write,
            "records_written": self.written,
            "partitions_written": self.partitions_written,
            "replayed": asdict(self.counts),
            "compared": dict(self.comparison.counts),
        }

    def as_text(self) -> str:
        """For people."""
        counts = self.counts
        lines = [
            f"{self.topic}: {self.ledgers} ledgers of {self.partitions} partitions.",
            f"Rebuilt from {counts.records} records in {counts.batches} batches, with {counts.answers} answers.",
        ]
        told = (
            (counts.out_of_order, "records of which no batch record is left: their order is that of their answers"),
            (
                counts.answered_otherwise,
                "answers that this version would give otherwise: they count as they were given",
            ),
            (counts.unanswered, "intents whose answer is gone: whatever may have been approved counts"),
            (counts.not_kept, "approvals for which a full ledger had no room"),
            (counts.unreadable, "records of answers or batches that cannot be read"),
        )
        lines += [f"  {count} {words}" for count, words in told if count]
        lines += [f"  {count} records of {topic} are deleted" for topic, count in sorted(counts.missing.items())]
        lines.append("Compared with the ledger topic as it is:")
        lines += [
            f"  {self.comparison.counts[word]} {words}"
            for word, words in IN_WORDS.items()
            if self.comparison.counts[word]
        ]
        if self.behind:
            lines.append(f"  {self.behind} partitions whose positions are not where the decisions end")
        if self.partitions_written:
            lines.append(f"Written: {self.written} records to {self.partitions_written} partitions. Start the gate.")
        elif self.is_same:
            lines.append("It gives the same decisions. There is nothing to write.")
        else:
            lines.append(f"Nothing was written. With --execute, {self.to_write} records are.")
        return "\n".join(lines)


def rebuild(
    settings: RecoverySettings,
    *,
    write: bool,
    beginning: Mapping[int, Ledgers] | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> RebuildReport:
    """Make the ledgers of every partition again, compare them with the ledger topic, and write them if asked to.

    `beginning`: the ledgers of a backup by partition, from which the topics lead on.

    Raises:
        RecoveryRefused: says why, and what to do. Nothing was written, unless it says so.
    """
    return _Rebuild(settings, beginning or {}).run(write=write, tell=tell)


class _Rebuild:
    def __init__(self, settings: RecoverySettings, beginning: Mapping[int, Ledgers]) -> None:
        self._settings = settings
        self._beginning = beginning
        self._ledger = LedgerTopic(settings.cluster, settings.names.ledger, settings.application_id)
        self._partitions = self._ledger.partitions()
        self._ledger.refuse_running()
        self._topics = Topics.of(settings.names)
        self._log = _log(settings, self._topics)
        control = _read(self._log.control)
        check_control(control, settings, self._partitions)
        self._refuse_moved(control)
        gate_settings = GateSettings(
            topics=settings.names,
            partitions=self._partitions,
            erasure_key=settings.erasure_key,
            is_bounded=settings.clock == "record",
            dead_letter_bytes_max=VALUE_BYTES_MAX,
        )
        self._gates = Gates(control, settings.policies, gate_settings)
        self._committed = self._ledger.committed()
        self._report = RebuildReport(settings.names.ledger, self._partitions)

    def run(self, *, write: bool, tell: Callable[[str], None]) -> RebuildReport:
        if self._beginning and len(self._beginning) != self._partitions:
            raise RecoveryRefused(
                f"The backup has {len(self._beginning)} partitions, and {self._settings.names.ledger} has "
                f"{self._partitions}. Create the topic with the count of the backup."
            )
        missing = {partition: self._missing(partition) for partition in range(self._partitions)}
        self._refuse_missing(missing)
        for partition in range(self._partitions):
            self._rebuild(partition, write=write, is_missing=bool(missing[partition]))
            tell(f"partition {partition} of {self._partitions}: {self._report.ledgers} ledgers so far")
        return self._report

    def _rebuild(self, partition: int, *, write: bool, is_missing: bool) -> None:
        replay = Replay(
            _read(lambda: self._log.partition(partition)),
            self._topics,
            self._gates,
            committed=self._committed.get(partition, {}),
            beginning=self._beginning.get(partition),
            is_record_clock=self._settings.clock == "record",
        )
        after, before = replay.run(), self._ledger.read(partition)
        policy = self._gates.in_force().policy
        comparison = compare(before.store, after.store, policy, after.latest_ms)
        is_behind = before.positions != after.positions
        report = self._report
        report.ledgers += len(after.store)
        report.counts.add(replay.counts)
        report.comparison.add(comparison)
        report.behind += is_behind
        if comparison.is_same and not is_behind:
            return
        report.to_write += len(changes_between(before, after))
        if write:
            self._refuse_to_give_up(partition, before, after, is_missing=is_missing)
            report.written += self._ledger.write(partition, before, after)
            report.partitions_written += 1

    def _refuse_moved(self, control: Mapping[bytes, bytes]) -> None:
        """Of ledgers that were moved here, these topics do not tell what made them."""
        if MOVED_KEY in control and not self._beginning and not self._settings.accept_missing_records:
            raise RecoveryRefused(
                f"The first ledgers of {self._settings.names.ledger} were moved there from topics with another "
                "partition count, and what customers had said before stands in none of these topics. Begin with a "
                "backup that was taken after the move (mesura ledger restore FILE)."
            )

    def _missing(self, partition: int) -> dict[str, int]:
        begins = self._beginning.get(partition, Ledgers()).positions
        starts = self._log.starts(partition)
        missing = {topic: starts.get(topic, 0) - begins.get(topic, 0) for topic in self._topics.inputs}
        return {topic: count for topic, count in missing.items() if count > 0}

    def _refuse_missing(self, missing: Mapping[int, Mapping[str, int]]) -> None:
        if self._settings.accept_missing_records:
            return
        for partition, of_topics in missing.items():
            for topic, count in of_topics.items():
                said = topic in (self._topics.preferences, self._topics.outcomes, self._topics.rerouted)
                what = (
                    "a customer's no may have been among them, and nobody could tell afterwards"
                    if said
                    else "contacts and identities from that time would not count"
                )
                since = "since the backup" if self._beginning else "from its beginning"
                raise RecoveryRefused(
                    f"{count} records of {topic}-{partition} {since} are deleted: {what}. Begin with a backup that "
                    "reaches further (mesura ledger restore FILE). If there is none, publish what customers said again "
                    "from the systems where they said it, and only then go on with --accept-missing-records; see "
                    "docs/operations.md, A lost or emptied ledger."
                )

    def _refuse_to_give_up(self, partition: int, before: Ledgers, after: Ledgers, *, is_missing: bool) -> None:
        where = f"{self._settings.names.ledger}-{partition}"
        written = (
            f" {self._report.partitions_written} partitions were written before."
            if self._report.partitions_written
            else ""
        )
        ahead = [topic for topic, end in before.positions.items() if end > after.positions.get(topic, 0)]
        if ahead:
            raise RecoveryRefused(
                f"{where} knows of decisions on {', '.join(ahead)} that no other topic tells of. It is not behind, "
                f"so it is not replaced.{written}"
            )
        if is_missing and before.store:
            raise RecoveryRefused(
                f"{where} holds ledgers, and records that they were made of are deleted. They are not replaced by what "
                "is left of the records. Take a backup of them, and begin with it (mesura ledger restore FILE). If "
                f"they are of no use, delete the topic and create it again first.{written}"
            )


def _log(settings: RecoverySettings, topics: Topics) -> KafkaLog:
    cluster = settings.cluster
    audit_settings = AuditSettings(
        bootstrap_servers=cluster.bootstrap_servers,
        client_settings=cluster.client_settings(),
        topics=settings.names,
        policies=(),
    )
    return _read(lambda: KafkaLog(audit_settings, topics))


def _read(what: Callable[[], Found]) -> Found:
    try:
        return what()
    except AuditError as error:
        raise RecoveryRefused(str(error)) from None
