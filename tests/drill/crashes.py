"""Faults at which workers end again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streams.testing.records import OutgoingRecord, preference
from tests.drill.fault import Fault
from tests.drill.scene import now_ms
from tests.drill.stage import stage

if TYPE_CHECKING:
    from tests.drill.scene import Scene

ACT: Final = "crashes"
SPOILED: Final = 3


def _flip_last_byte(scene: Scene) -> None:
    """Of the log as the broker stored it: once to damage the last batch, twice to mend it."""
    (path,) = (scene.broker.data_directory / "data" / f"opt-out-{SPOILED}").glob("*.log")  # type: ignore[attr-defined]
    with path.open("r+b") as log:
        log.seek(-1, 2)
        (byte,) = log.read(1)
        log.seek(-1, 2)
        log.write(bytes([byte ^ 0xFF]))


def _damage(scene: Scene) -> None:
    """A batch is damaged between its writing and the gate's reading: the machine was being restarted."""
    port = scene.machine.port
    scene.upstream.end()
    scene.machines.pop().stop()
    record: OutgoingRecord = preference("drilled-damaged", "e-damaged", at=now_ms())._replace(partition=SPOILED)
    scene.upstream.publish([record])
    _flip_last_byte(scene)
    scene.start(port=port, ready=False)


STAGE: Final = stage(ACT)
FAULTS: Final = (
    Fault(
        ACT,
        "a disk damages a record batch of opt-out: workers end at it again and again",
        {
            "MesuraRecurringFailure": r"in the same way at offset \d+ of opt-out-3, .*checksum",
            "MesuraCrashLoop": r"in the same way at offset \d+ of opt-out-3, .*checksum",
            "MesuraWorkerRestarts": r"\d",
            "MesuraRebalanceStorm": r"restarts? [1-9]",
        },
        _damage,
        _flip_last_byte,
        "the batch is whole again, as if another replica led the partition",
    ),
)
