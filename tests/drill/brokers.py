"""Faults of brokers, and of those who share them with the gate."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Final

from confluent_kafka import Producer

from streams.testing.real_kafka import RealKafka
from tests.drill import runbook
from tests.drill.fault import Fault
from tests.drill.scene import PARTITIONS
from tests.drill.stage import stage

if TYPE_CHECKING:
    from tests.drill.scene import Scene

ACT: Final = "brokers"

TRANSACTION_MS: Final = 600_000
"""The longest that a broker allows by default is a quarter of an hour."""

WRITTEN: Final = ("approved-send", "suppressed", "mesura-ledger", "mesura-batches")

_holders: list[Producer] = []


def _hold_a_transaction(scene: Scene) -> None:
    """A producer writes the opt-out topic in a transaction, and forgets it."""
    producer = Producer({**_holders_settings(scene), "transactional.id": "campaign-tool"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce("opt-out", b"{}", b"drilled-held", partition=0)
    assert producer.flush(30) == 0
    _holders.append(producer)


def _abort_it(scene: Scene) -> None:
    """With the commands of the section: where does it begin, and abort there."""
    describing = next(each for each in runbook.what_to_check("MesuraBarrierUnanswered") if "describe-producers" in each)
    aborting = next(each for each in runbook.what_to_do("MesuraBarrierUnanswered") if " abort " in each)
    table = runbook.kafka_tool(describing, scene)
    (offset,) = {line.split()[-1] for line in table.strip().splitlines()[1:]} - {"None"}
    runbook.kafka_tool(aborting, scene, **{"--start-offset": offset})


def _hold_a_transaction_on_the_ledger(scene: Scene) -> None:
    """Another program has a transaction open on the ledger, and the workers are started again."""
    producer = Producer({**_holders_settings(scene), "transactional.id": "repair-tool"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for partition in range(PARTITIONS):
        producer.produce("mesura-ledger", b"", b"drilled-held", partition=partition)
    assert producer.flush(30) == 0
    _holders.append(producer)
    scene.machine.signal_workers(signal.SIGKILL)


def _end_it(_scene: Scene) -> None:
    _holders.pop().abort_transaction(30)


def _kill_the_broker(scene: Scene) -> None:
    _kafka(scene).kill()


def _start_the_broker(scene: Scene) -> None:
    _kafka(scene).start()


def _ask_for_more_replicas(scene: Scene) -> None:
    """What the gate writes needs more replicas in sync than there are: every broker but one is away."""
    for topic in WRITTEN:
        scene.change_setting(topic, "min.insync.replicas", "2")


def _ask_for_one_replica(scene: Scene) -> None:
    for topic in WRITTEN:
        scene.change_setting(topic, "min.insync.replicas", "1")


def _take_short_answers_only(scene: Scene) -> None:
    scene.change_setting("approved-send", "max.message.bytes", "300")


def _take_long_answers(scene: Scene) -> None:
    scene.change_setting("approved-send", "max.message.bytes", "1048588")


def _kafka(scene: Scene) -> RealKafka:
    assert isinstance(scene.broker, RealKafka)
    return scene.broker


def _holders_settings(scene: Scene) -> dict[str, str | int]:
    return {"bootstrap.servers": scene.world.address, "transaction.timeout.ms": TRANSACTION_MS, "log_level": 0}


STAGE: Final = stage(ACT)
FAULTS: Final = (
    Fault(
        ACT,
        "a producer holds a transaction open on opt-out",
        {
            "MesuraBarrierUnanswered": r"campaign-tool\s[^\n]*Ongoing",
            "MesuraNotReady": r"503: .*barrier has not answered",
        },
        _hold_a_transaction,
        _abort_it,
        "`kafka-transactions.sh abort` at the offset that `describe-producers` named",
    ),
    Fault(
        ACT,
        "the broker is killed",
        {
            "MesuraBrokersUnreachable": r"503: .*nothing listens there",
            "MesuraLagUnknown": r"503: .*nothing listens there",
        },
        _kill_the_broker,
        _start_the_broker,
        "it is started again",
    ),
    Fault(
        ACT,
        "fewer replicas in sync than `min.insync.replicas` asks for, on what the gate writes",
        {
            "MesuraPartitionsUnwritable": r"503: .*partitions take no records",
            "MesuraLagStuck": r"503: .*partitions take no records",
        },
        _ask_for_more_replicas,
        _ask_for_one_replica,
        "`min.insync.replicas` is what there is",
    ),
    Fault(
        ACT,
        "somebody sets `max.message.bytes` of approved-send to 300",
        {
            "MesuraTransactionsAborted": r"too_large",
            "MesuraDeadLettersHigh": r"too_large",
        },
        _take_short_answers_only,
        _take_long_answers,
        "`max.message.bytes` raised",
    ),
    Fault(
        ACT,
        "a program holds a transaction open on mesura-ledger while the workers are started again",
        {"MesuraRestoreTooLong": r"restoring 1"},
        _hold_a_transaction_on_the_ledger,
        _end_it,
        "the program ends it",
    ),
)
