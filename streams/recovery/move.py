"""The ledgers of a stopped gate, moved to other topics with another partition count.

A customer's partition depends on the count, so each ledger goes to the partition where its customer is at home then.
What an erasure left is stored under a hash, of which nobody knows the customer: it goes to every partition, and is
found wherever the customer turns up.

Rules of this module
1. Nothing may be left undecided on the old topics, because nobody would decide it on the new ones.
2. The old topics stay as they are.
3. From the first record written to the last, the control topic of the new gate says that the move has not ended, and a
   gate refuses to start there. A move that broke off is run again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.audit.settings import Topics
from streams.contracts.routing import expected_partition
from streams.erasure_key import ERASURE_KEY_KEY
from streams.exactly_once.changelog import CUSTOMER_PREFIX, Meta
from streams.exactly_once.control import (
    FORMAT_KEY,
    MOVE_UNDER_WAY,
    MOVED_KEY,
    PARTITIONS_KEY,
    POLICY_KEY,
    POLICY_TEXT_PREFIX,
)
from streams.exactly_once.key_kinds import KeyKind, kind_of
from streams.recovery.control_records import check_control, read_control, write_control
from streams.recovery.errors import RecoveryRefused
from streams.recovery.ledger_topic import LedgerTopic, changes_between
from streams.recovery.replay import Ledgers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streams.recovery.settings import RecoverySettings
    from streams.topics import TopicNames

READ_SECONDS: Final = 120.0
"""For the ends of the input topics, of which almost everything is decided."""

_COPIED: Final = (POLICY_KEY, ERASURE_KEY_KEY, FORMAT_KEY)


@dataclass(slots=True)
class MoveReport:
    """What was found, and what was done."""

    source: str
    target: str
    partitions_before: int
    partitions: int = 0
    ledgers: int = 0
    """Of customers."""
    erased: int = 0
    """What erasures have left: of each as many copies as there are partitions."""
    to_write: int = 0
    written: int = 0

    def as_json(self) -> dict[str, object]:
        """Everything, for machines."""
        return {name: getattr(self, name) for name in self.__slots__}

    def as_text(self) -> str:
        """For people."""
        lines = [
            f"{self.source} ({self.partitions_before} partitions) to {self.target} ({self.partitions}):",
            f"{self.ledgers} ledgers, and what {self.erased} erasures have left on every partition.",
        ]
        if self.written:
            lines.append(
                f"Written: {self.written} records. Start the gate on the new topics, and no longer on the old."
            )
        elif self.to_write:
            lines.append(f"Nothing was written. With --execute, {self.to_write} records are.")
        else:
            lines.append("Everything is there already.")
        return "\n".join(lines)


@dataclass(slots=True)
class _Moved:
    partitions: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    ledgers: int = 0
    erased: dict[bytes, bytes] = field(default_factory=dict)


def move(
    settings: RecoverySettings,
    names: TopicNames,
    application_id: str,
    *,
    write: bool,
    tell: Callable[[str], None] = lambda _: None,
) -> MoveReport:
    """Move the ledgers of the gate of `settings` to a gate with these topics and this application id.

    Raises:
        RecoveryRefused: says why, and what to do. If something was written, the new gate does not start yet.
    """
    source = LedgerTopic(settings.cluster, settings.names.ledger, settings.application_id)
    target = LedgerTopic(settings.cluster, names.ledger, application_id)
    if names.ledger == settings.names.ledger or application_id == settings.application_id:
        raise RecoveryRefused("The new gate needs other topics and another application id than the old one.")
    source.refuse_running()
    target.refuse_running()
    before, after = source.partitions(), target.partitions()
    control = read_control(settings.cluster, settings.names.control)
    check_control(control, settings, before)
    report = MoveReport(settings.names.ledger, names.ledger, before, after)
    held = {partition: source.read(partition) for partition in range(before)}
    _refuse_undecided(settings, held)
    moved = _by_home(held, after)
    report.ledgers, report.erased = moved.ledgers, len(moved.erased)
    latest_ms = max((each.latest_ms for each in held.values()), default=0)
    wanted = {number: Ledgers(store, Meta({}, latest_ms)) for number, store in moved.partitions.items()}
    found = {number: target.read(number) for number in wanted}
    new_control = read_control(settings.cluster, names.control)
    _refuse_used(names, found, wanted, new_control, after, target.committed())
    report.to_write = sum(len(changes_between(found[number], wanted[number])) for number in wanted)
    if not write or (not report.to_write and new_control.get(PARTITIONS_KEY) == b"%d" % after):
        return report
    write_control(settings.cluster, names.control, {PARTITIONS_KEY: MOVE_UNDER_WAY, MOVED_KEY: b"%d" % latest_ms})
    for number, ledgers in wanted.items():
        report.written += target.write(number, found[number], ledgers)
        tell(f"partition {number} of {after} is written")
    copied = {key: value for key, value in control.items() if key in _COPIED or key.startswith(POLICY_TEXT_PREFIX)}
    write_control(settings.cluster, names.control, {**copied, PARTITIONS_KEY: b"%d" % after})
    return report


def _by_home(held: Mapping[int, Ledgers], partitions: int) -> _Moved:
    moved = _Moved({number: {} for number in range(partitions)})
    for partition, ledgers in held.items():
        for key, value in ledgers.store.items():
            kind = kind_of(key)
            if kind is KeyKind.ERASED:
                moved.erased[key] = value
            elif kind is KeyKind.CUSTOMER:
                home = moved.partitions[expected_partition(key.removeprefix(CUSTOMER_PREFIX), partitions)]
                if key in home:
                    raise RecoveryRefused(
                        f"A customer has ledgers on two partitions, one of them {partition}: they are not of one gate."
                    )
                home[key] = value
                moved.ledgers += 1
            else:
                raise RecoveryRefused(
                    f"Partition {partition} holds something that this version does not know how to move. Use the "
                    "version that wrote it."
                )
    for store in moved.partitions.values():
        store.update(moved.erased)
    return moved


def _refuse_used(
    names: TopicNames,
    found: Mapping[int, Ledgers],
    wanted: Mapping[int, Ledgers],
    control: Mapping[bytes, bytes],
    partitions: int,
    committed: Mapping[int, Mapping[str, int]],
) -> None:
    has_decided = bool(committed) or any(each.positions for each in found.values())
    others = any(not each.store.items() <= wanted[number].store.items() for number, each in found.items())
    if has_decided or others:
        raise RecoveryRefused(
            f"{names.ledger} is in use: a gate has decided there, or it holds other ledgers. Move to topics that are "
            "new (mesura topics create), and to an application id that is new."
        )
    if control.get(PARTITIONS_KEY) not in (None, MOVE_UNDER_WAY, b"%d" % partitions):
        raise RecoveryRefused(f"{names.control} belongs to a gate with another partition count. Create new topics.")


def _refuse_undecided(settings: RecoverySettings, held: Mapping[int, Ledgers]) -> None:
    """Everything on the old topics is decided. What stands behind the positions may only be marks of transactions."""
    consumer = Consumer(
        {
            **settings.cluster.client_settings(),
            "group.id": "mesura-recovery",  # required, never used: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "allow.auto.create.topics": False,
            "log_level": 0,
            "error_cb": lambda _: None,
        }
    )
    try:
        existing = consumer.list_topics(timeout=READ_SECONDS).topics
        # Also of partitions that were added and that no ledger knows of.
        unread = {
            (topic, partition): held[partition].positions.get(topic, 0) if partition in held else 0
            for topic in Topics.of(settings.names).inputs
            if topic in existing
            for partition in existing[topic].partitions
        }
        consumer.assign([TopicPartition(*where, offset) for where, offset in unread.items()])
        while unread:
            messages = consumer.consume(len(unread), READ_SECONDS)
            if not messages:
                raise RecoveryRefused(f"Nothing came for {READ_SECONDS:.0f} s from the old topics. Try again.")
            for message in messages:
                error = message.error()
                if error is None:
                    raise RecoveryRefused(
                        f"{message.topic()}-{message.partition()} holds records that are not decided, from offset "
                        f"{message.offset()} on. Stop whoever publishes there, let the gate decide them, stop it, and "
                        "run this again."
                    )
                if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                    unread.pop((message.topic(), message.partition()), None)
                elif not error.retriable() and error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
                    raise RecoveryRefused(f"{message.topic()}-{message.partition()}: {error.str()}.")
    except KafkaException as error:
        raise RecoveryRefused(f"The old topics cannot be read: {error.args[0].str()}.") from None
    finally:
        consumer.close()
