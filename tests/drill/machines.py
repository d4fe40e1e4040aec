"""Faults of machines: one ends, one leaves the service discovery, one was away for longer than records are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams.exit_codes import ExitCode
from streams.testing.waiting import wait_until
from tests.drill.fault import Fault
from tests.drill.scene import PARTITIONS, READY_SECONDS, UNHURRIED
from tests.drill.stage import stage
from tests.system.harness import START_SECONDS, ends_of

if TYPE_CHECKING:
    from tests.drill.scene import Scene

ACT: Final = "machines"
JOB: Final = "mesura"
"""Some rules select this job by its name."""


def _kill(scene: Scene) -> None:
    scene.machine.kill()


def _start_again(scene: Scene) -> None:
    port = scene.machine.port
    scene.machines.pop().stop()
    scene.start(port=port)


def _two_machines_for_a_day(scene: Scene) -> None:
    scene.start(slot="1", processes=1)
    ours = f'job:mesura_partitions_assigned:sum{{job="{JOB}"}}'
    wait_until(
        lambda: (
            [float(each["value"][1]) for each in scene.watch.days.query(f"quantile_over_time(0.5, {ours}[60s])")]
            == [PARTITIONS]
        ),
        READY_SECONDS,
        "a day of all partitions",
        poll_seconds=0.5,
    )


def _leave_discovery(scene: Scene) -> None:
    scene.watch_only(*(machine.address for machine in scene.machines[:-1]))


def _come_back(scene: Scene) -> None:
    scene.rewatch()


def _delete_records(scene: Scene) -> None:
    """What retention does to a gate that is away for too long."""
    port = scene.machines[0].port
    while scene.machines:
        scene.machines.pop().stop()
    before = ends_of(scene.world, "outbound-intent")
    wait_until(
        lambda: all(end > before[where] for where, end in ends_of(scene.world, "outbound-intent").items()),
        START_SECONDS,
        "intents on every partition while no gate runs",
    )
    ends = ends_of(scene.world, "outbound-intent")
    admin = AdminClient({"bootstrap.servers": scene.world.address, "log_level": 0})
    for future in admin.delete_records([TopicPartition(*where, end) for where, end in ends.items()]).values():
        future.result()
    refused = scene.start(port=port, ready=False, haste=UNHURRIED)
    assert refused.ended() == ExitCode.REFUSED
    assert "--accept-missing-records" in refused.said
    scene.machines.clear()
    scene.start(port=port, options=("--accept-missing-records",))


STAGE: Final = stage(ACT, job=JOB, days=True)
FAULTS: Final = (
    Fault(
        ACT,
        "`mesura run` is killed, and nobody starts it again",
        {"MesuraDown": r"^0: .*refused|: 0$|^…? ?0$"},
        _kill,
        _start_again,
        "it is started again",
    ),
    Fault(
        ACT,
        "one of two machines leaves the service discovery",
        {"MesuraPartitionsUnassigned": r"mesura\s+outbound-intent"},
        _leave_discovery,
        _come_back,
        "it comes back",
        prepare=_two_machines_for_a_day,
    ),
    Fault(
        ACT,
        "retention deletes intents while no gate runs; it is started with `--accept-missing-records`",
        {"MesuraMissingRecords": r"outbound-intent"},
        _delete_records,
    ),
)
